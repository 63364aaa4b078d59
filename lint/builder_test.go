package lint

import (
	"cmp"
	"slices"

	"probity/evidence"
)

// NewFleetCorpus returns the corpus of what a builder took. The observations are those
// of them that other checks want to see whole: lists and responses, and the
// certificates of authorities.
func NewFleetCorpus(obs []evidence.Observation, assets []evidence.Asset, f *Fleet) *Corpus {
	c := NewCorpus(obs, assets)
	c.fleet = f
	return c
}

// FleetBuilder makes a [Fleet] of observations that it does not keep, so that
// the checks can be measured on millions of certificates; TestFleet_many holds it
// against [Corpus.Fleet], which is what commands judge. All observations are of one
// run: nothing that it adds replaces anything. It is for one goroutine.
type FleetBuilder struct {
	f     Fleet
	seen  []int64 // an observation of each record
	known map[evidence.Digest]int32
}

// NewFleetBuilder returns an empty builder.
func NewFleetBuilder() *FleetBuilder {
	return &FleetBuilder{known: make(map[evidence.Digest]int32)}
}

// Parsed is an observation with the certificates that it holds; Parse makes it, on
// any goroutine.
type Parsed struct {
	Observation evidence.Observation
	// Certificates are those of the observation, in its order, and last its request or
	// lone key.
	Certificates []*Certificate
	records      []Record
}

// Parse decodes what an observation holds.
func Parse(o evidence.Observation) Parsed {
	p := Parsed{Observation: o}
	for _, presented := range o.Certs {
		p.Certificates = append(p.Certificates, parseCertificate(presented.DER))
	}
	if isRequest(&o) {
		der, parse := requestOf(o.Facts.Artefact)
		p.Certificates = append(p.Certificates, parse(der))
	}
	for _, c := range p.Certificates {
		p.records = append(p.records, recordOf(c))
	}
	return p
}

// Add takes an observation.
func (b *FleetBuilder) Add(p Parsed) {
	o := &p.Observation
	for i, r := range p.records {
		at, known := b.known[r.Digest]
		if !known {
			at = int32(len(b.f.Records))
			b.known[r.Digest] = at
			b.f.Records = append(b.f.Records, r)
			b.seen = append(b.seen, o.ID)
		}
		s := Spot{Certificate: at, Role: evidence.RoleFile, Endpoint: o.Endpoint, Observation: o.ID}
		if i < len(o.Certs) {
			presented := o.Certs[i]
			s.Role, s.Forgeable = presented.Role, forgeable(o, presented.Role)
			s.Endpoint = holderOf(o, presented.Role)
			s.Leaf = presented.Position == 0
			if presented.Role == evidence.RoleFile {
				s.Leaf = !r.CA
			}
		}
		b.f.Spots = append(b.f.Spots, s)
	}
	if t := o.Facts.TLS; t != nil && !t.NotTLS && o.Result == evidence.ResultData {
		b.f.handshake(o)
	}
	if o.Kind == evidence.KindSSH && o.Result == evidence.ResultData {
		b.f.hostKeys(o)
	}
	if holdsSignature(o) {
		b.f.signed = append(b.f.signed, signedPart(o))
	}
}

// signedPart is what the comparison of signatures wants of an observation.
func signedPart(o *evidence.Observation) *evidence.Observation {
	out := &evidence.Observation{
		ID: o.ID, Run: o.Run, Method: o.Method, Kind: o.Kind, Endpoint: o.Endpoint, Peer: o.Peer,
		At: o.At, Result: o.Result, Keys: o.Keys,
	}
	if t := o.Facts.TLS; t != nil {
		out.Facts.TLS = &evidence.TLSFacts{Signature: t.Signature, ClientSignature: t.ClientSignature}
	}
	if s := o.Facts.SSH; s != nil {
		out.Facts.SSH = &evidence.SSHFacts{Signature: s.Signature}
	}
	for _, p := range o.Certs {
		if p.Position == 0 {
			out.Certs = append(out.Certs, p)
		}
	}
	return out
}

// Fleet returns the fleet; read returns the bytes of a certificate again, by an
// observation of it and its digest, or nil. The builder takes nothing more.
func (b *FleetBuilder) Fleet(read func(observation int64, sum evidence.Digest) []byte) *Fleet {
	b.known = nil
	f := &b.f
	order := make([]int32, len(f.Records))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int {
		return f.Records[x].Digest.Compare(f.Records[y].Digest)
	})
	moved := make([]int32, len(order))
	for to, from := range order {
		moved[from] = int32(to)
	}
	// In place, cycle by cycle: a second copy would be as large as the first.
	for start := range order {
		for at := int32(start); order[at] != int32(start); {
			from := order[at]
			f.Records[at], f.Records[from] = f.Records[from], f.Records[at]
			b.seen[at], b.seen[from] = b.seen[from], b.seen[at]
			order[at], at = at, from
			if order[at] == int32(start) {
				order[at] = at
				break
			}
		}
	}
	for i := range f.Spots {
		f.Spots[i].Certificate = moved[f.Spots[i].Certificate]
	}
	slices.SortStableFunc(f.Spots, func(a, b Spot) int {
		return cmp.Or(a.Endpoint.Compare(b.Endpoint), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Certificate, b.Certificate), cmp.Compare(a.Observation, b.Observation))
	})
	slices.SortStableFunc(f.signed, func(a, b *evidence.Observation) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	f.load = func(i int32) *Certificate {
		r := &f.Records[i]
		der := read(b.seen[i], r.Digest)
		switch {
		case !r.Request:
			return parseCertificate(der)
		case r.HasKey && evidence.DigestOf(der) == r.SPKI:
			return parseLoneKey(der)
		}
		return parseRequest(der)
	}
	f.index()
	return f
}
