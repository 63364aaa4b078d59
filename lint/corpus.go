package lint

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"probity/evidence"
)

// Corpus is what is known at present: every distinct certificate, decoded once,
// and the current facts of every endpoint. It is a pure function of its inputs,
// whatever their order.
//
// An observation is current when no newer run observed the same question at the
// same endpoint with an answer: facts of different runs are never mixed, so a
// weakness that a device has lost does not linger.
type Corpus struct {
	certs     map[evidence.Digest]*Certificate
	order     []*Certificate // by digest
	bySubject map[string][]*Certificate
	byIssuer  map[string][]*Certificate
	byPlain   map[string][]*Certificate // CA certificates by plain name, when first asked for
	requests  map[evidence.Digest]*Certificate
	endpoints []*EndpointSubject
	sightings []Sighting
	leafs     []Sighting
	subjects  []*CertificateSubject
	byAsset   map[string][]*EndpointSubject
	assets    []evidence.Asset
	methods   map[int64]evidence.Method
	byPlace   map[evidence.Endpoint]string
	byAddr    map[netip.Addr]string

	digests       map[slice]evidence.Digest
	status        statusEvidence
	signed        []*evidence.Observation // that hold a signature of DSA or ECDSA
	byPlainOnce   sync.Once
	assetsOnce    sync.Once
	assetSubjects []*AssetSubject
	ahead         map[string]*certificateRun // by check: see [Reading.Ahead]
	fleetOnce     sync.Once
	fleet         *Fleet

	// Of a corpus that stands for a [Stream]: what is below its authorities, and what
	// reads one of the certificates that it does not hold.
	below map[evidence.Digest][]Below
	load  func(evidence.Digest) *Certificate

	// Memo is for what checks compute of the whole.
	Memo Memo
	// Scratch names a directory for what a check cannot hold in memory; empty: there
	// is none.
	Scratch string

	filedMu sync.Mutex
	filed   map[*Policy]func() map[string][]filed // intermediates, by plain name

	mu         sync.Mutex
	signatures map[[2]evidence.Digest]func() error
	anchors    map[evidence.Digest]*Certificate
	anchorAt   map[slice]*Certificate
}

// Sighting is a certificate in the place at which it was presented.
type Sighting struct {
	Certificate *Certificate
	Endpoint    evidence.Endpoint // of the holder; a client has no port
	Role        evidence.Role
	Position    int
	Method      evidence.Method
	Observation int64
	At          time.Time // of the observation
	// Forgeable is true where the certificate only passed by in traffic, without a
	// signature of its key: anyone on the network can send such traffic.
	Forgeable  bool
	ServerName string         // asked for by the client
	Chain      []*Certificate // presented after it, in order; only for position 0
}

// NewCorpus builds a corpus. The observations are not changed and must not be
// changed afterwards.
func NewCorpus(obs []evidence.Observation, assets []evidence.Asset) *Corpus {
	return Decode(obs).NewCorpus(assets)
}

// Reading is what a corpus takes from observations alone.
type Reading struct {
	c      *Corpus
	sorted []*evidence.Observation
}

// Decode begins a corpus, which takes most of the time, for who does not know the
// assets yet. The observations are not changed and must not be changed afterwards.
func Decode(obs []evidence.Observation) Reading { return NewLibrary().Decode(obs) }

// Decode is [Decode] with the certificates that the library has read.
func (l *Library) Decode(obs []evidence.Observation) Reading {
	c := &Corpus{
		certs:      make(map[evidence.Digest]*Certificate),
		bySubject:  make(map[string][]*Certificate),
		byIssuer:   make(map[string][]*Certificate),
		methods:    make(map[int64]evidence.Method),
		requests:   make(map[evidence.Digest]*Certificate),
		byAsset:    make(map[string][]*EndpointSubject),
		byPlace:    make(map[evidence.Endpoint]string),
		byAddr:     make(map[netip.Addr]string),
		digests:    make(map[slice]evidence.Digest),
		signatures: make(map[[2]evidence.Digest]func() error),
		anchors:    make(map[evidence.Digest]*Certificate),
		anchorAt:   make(map[slice]*Certificate),
	}
	sorted := sortObservations(obs)
	seen := currentSightings(sorted)
	c.decode(seen, l)
	for _, cert := range c.order {
		if cert.Decoded() {
			name := string(cert.RawSubject())
			c.bySubject[name] = append(c.bySubject[name], cert)
			name = string(cert.RawIssuer())
			c.byIssuer[name] = append(c.byIssuer[name], cert)
		}
	}
	c.addSightings(seen)
	for _, s := range c.sightings {
		if s.Leaf() {
			c.leafs = append(c.leafs, s)
		}
	}
	c.addSubjects()
	for _, o := range sorted {
		c.methods[o.ID] = o.Method
		c.status.collect(o)
		if holdsSignature(o) {
			c.signed = append(c.signed, o)
		}
	}
	return Reading{c, sorted}
}

// CertificateSubjects are those of the corpus, without their assets.
func (r Reading) CertificateSubjects() []*CertificateSubject { return r.c.subjects }

// NewCorpus completes the corpus. It is called once.
func (r Reading) NewCorpus(assets []evidence.Asset) *Corpus {
	r.c.addAssets(assets)
	for _, s := range r.c.subjects {
		if s.Endpoint != (evidence.Endpoint{}) {
			s.Asset = r.c.Asset(s.Endpoint)
		}
	}
	r.c.addEndpoints(r.sorted, currentObservations(r.sorted))
	return r.c
}

func compareCertificates(a, b *Certificate) int { return bytes.Compare(a.Digest[:], b.Digest[:]) }

func (c *Corpus) addAssets(assets []evidence.Asset) {
	c.assets = assets
	byID := func(a, b evidence.Asset) int { return strings.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(assets, byID) {
		c.assets = slices.SortedFunc(slices.Values(assets), byID)
	}
	for _, a := range c.assets {
		for _, e := range a.Endpoints {
			if _, taken := c.byPlace[e]; !taken {
				c.byPlace[e] = a.ID
			}
		}
		for _, addr := range a.Addresses {
			if _, taken := c.byAddr[addr]; !taken {
				c.byAddr[addr] = a.ID
			}
		}
	}
	// What was seen at an address that a device has left is still of that device.
	for _, a := range c.assets {
		for _, s := range a.Stays {
			if _, taken := c.byAddr[s.Addr]; !taken && !s.Ended {
				c.byAddr[s.Addr] = a.ID
			}
		}
	}
}

// Asset returns the id of the asset that an endpoint belongs to, or "".
func (c *Corpus) Asset(e evidence.Endpoint) string {
	if id, ok := c.byPlace[e]; ok {
		return id
	}
	return c.byAddr[e.Addr]
}

// AssetOf returns the asset with an id, or nil.
func (c *Corpus) AssetOf(id string) *evidence.Asset {
	i, found := slices.BinarySearchFunc(c.assets, id, func(a evidence.Asset, id string) int { return strings.Compare(a.ID, id) })
	if !found {
		return nil
	}
	return &c.assets[i]
}

// Assets returns all assets, by id.
func (c *Corpus) Assets() []evidence.Asset { return c.assets }

// Certificates returns every distinct certificate, by digest.
func (c *Corpus) Certificates() []*Certificate { return c.order }

// Endpoints returns every network endpoint with an answer to judge.
func (c *Corpus) Endpoints() []*EndpointSubject { return c.endpoints }

// EndpointsOf returns the endpoints of an asset that have an answer to judge.
func (c *Corpus) EndpointsOf(asset string) []*EndpointSubject { return c.byAsset[asset] }

// Leafs returns the current sightings of leafs: position 0 of a presented chain,
// and certificates read from files that are no CA.
func (c *Corpus) Leafs() []Sighting { return c.leafs }

// Leaf reports whether the sighting is of a leaf. In a file the position says
// nothing, so the certificate itself decides.
func (s Sighting) Leaf() bool {
	if s.Certificate.Request {
		return false
	}
	if s.Role == evidence.RoleFile {
		return !s.Certificate.IsCA()
	}
	return s.Position == 0
}

// sortObservations orders observations by time and then by everything that
// tells two of them apart.
func sortObservations(obs []evidence.Observation) []*evidence.Observation {
	out := make([]*evidence.Observation, len(obs))
	for i := range obs {
		out[i] = &obs[i]
	}
	slices.SortStableFunc(out, func(a, b *evidence.Observation) int {
		if n := cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Run, b.Run), cmp.Compare(a.ID, b.ID),
			a.Endpoint.Compare(b.Endpoint), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Probe, b.Probe),
			a.Peer.Compare(b.Peer), cmp.Compare(a.Result, b.Result)); n != 0 {
			return n
		}
		return bytes.Compare(contentKey(a), contentKey(b))
	})
	return out
}

// contentKey is a total order for observations that nothing else orders.
func contentKey(o *evidence.Observation) []byte {
	key, err := json.Marshal(struct {
		Facts evidence.Facts
		Certs []evidence.Presented
		Keys  []evidence.HostKey
	}{o.Facts, o.Certs, o.Keys})
	if err != nil {
		return nil // cannot happen: the types hold no channel, function or cycle
	}
	return key
}

// question is what an observation may be an answer to.
type question struct {
	endpoint evidence.Endpoint
	kind     evidence.Kind
	offer    evidence.Offer
}

func questionOf(o *evidence.Observation) question {
	q := question{endpoint: o.Endpoint, kind: o.Kind}
	if o.Facts.TLS != nil {
		q.offer = o.Facts.TLS.Offer
	}
	return q
}

// answered reports whether o settles its question. A reset does, where the
// same run got an answer from the endpoint to something else.
func answered(o *evidence.Observation, alive map[place]bool) bool {
	return o.Result == evidence.ResultData ||
		o.Result == evidence.ResultReset && alive[place{o.Run, o.Endpoint}]
}

// place is an endpoint in a run.
type place struct {
	run      int64
	endpoint evidence.Endpoint
}

// currentObservations keeps, for each question, the observations of the newest
// run that answered it. A question that no run answered keeps its newest run.
func currentObservations(sorted []*evidence.Observation) []*evidence.Observation {
	alive := make(map[place]bool)
	for _, o := range sorted {
		if o.Result == evidence.ResultData {
			alive[place{o.Run, o.Endpoint}] = true
		}
	}
	type newest struct {
		run      int64
		answered bool
	}
	latest := make(map[question]newest)
	for _, o := range sorted {
		q, ok := questionOf(o), answered(o, alive)
		if ok || !latest[q].answered {
			latest[q] = newest{o.Run, ok}
		}
	}
	var out []*evidence.Observation
	for _, o := range sorted {
		if n := latest[questionOf(o)]; n.run == o.Run && n.answered == answered(o, alive) {
			out = append(out, o)
		}
	}
	return out
}

// currentSightings keeps, for each holder and role, the certificates of the
// newest run that saw any.
func currentSightings(sorted []*evidence.Observation) []*evidence.Observation {
	type holder struct {
		endpoint evidence.Endpoint
		role     evidence.Role
	}
	latest := make(map[holder]int64)
	for _, o := range sorted {
		for _, p := range o.Certs {
			latest[holder{holderOf(o, p.Role), p.Role}] = o.Run
		}
		if isRequest(o) {
			latest[holder{o.Endpoint, evidence.RoleFile}] = o.Run
		}
	}
	var out []*evidence.Observation
	for _, o := range sorted {
		keep := *o
		keep.Certs = nil
		for _, p := range o.Certs {
			if latest[holder{holderOf(o, p.Role), p.Role}] == o.Run {
				keep.Certs = append(keep.Certs, p)
			}
		}
		if len(keep.Certs) > 0 || isRequest(o) && latest[holder{o.Endpoint, evidence.RoleFile}] == o.Run {
			out = append(out, &keep)
		}
	}
	return out
}

// isRequest reports whether o is of a file with a key that is in no certificate: a
// certification request, or a public key that stands alone.
func isRequest(o *evidence.Observation) bool {
	return o.Facts.Artefact != nil && len(o.Facts.Artefact.Request)+len(o.Facts.Artefact.Key) > 0
}

// holderOf is the endpoint that presented a certificate. A client is known by
// its address: its port changes with every connection.
func holderOf(o *evidence.Observation, role evidence.Role) evidence.Endpoint {
	if role == evidence.RoleClient && o.Peer.Addr.IsValid() {
		return evidence.Endpoint{Addr: o.Peer.Addr, Transport: o.Peer.Transport}
	}
	return o.Endpoint
}

// decode reads every distinct certificate once, several at a time.
func (c *Corpus) decode(seen []*evidence.Observation, l *Library) {
	type unread struct {
		der []byte
		sum evidence.Digest
	}
	var all []unread
	for _, o := range seen {
		for _, p := range o.Certs {
			sum := c.digest(p.DER)
			if _, known := c.certs[sum]; !known {
				c.certs[sum] = nil
				all = append(all, unread{p.DER, sum})
			}
		}
	}
	c.order = each(all, func(u unread) *Certificate { return l.certificate(u.sum, u.der) })
	for _, cert := range c.order {
		c.certs[cert.Digest] = cert
	}
	slices.SortFunc(c.order, compareCertificates)
}

// digest is the SHA-256 of der. Observations share the bytes of equal
// certificates, so a slice that was seen is not hashed again.
func (c *Corpus) digest(der []byte) evidence.Digest {
	if len(der) == 0 {
		return evidence.DigestOf(der)
	}
	at := slice{&der[0], len(der)}
	sum, known := c.digests[at]
	if !known {
		sum = evidence.DigestOf(der)
		c.digests[at] = sum
	}
	return sum
}

// slice is where bytes lie.
type slice struct {
	start *byte
	n     int
}

// certificate returns the certificate of der, which was decoded.
func (c *Corpus) certificate(der []byte) *Certificate { return c.certs[c.digest(der)] }

// Known returns the certificate of der, or nil where no current observation holds
// it.
func (c *Corpus) Known(der []byte) *Certificate { return c.certs[evidence.DigestOf(der)] }

func (c *Corpus) addSightings(seen []*evidence.Observation) {
	for _, o := range seen {
		chains := make(map[evidence.Role][]*Certificate)
		presented := slices.Clone(o.Certs)
		slices.SortStableFunc(presented, func(a, b evidence.Presented) int { return cmp.Compare(a.Position, b.Position) })
		for _, p := range presented {
			if p.Position > 0 {
				chains[p.Role] = append(chains[p.Role], c.certificate(p.DER))
			}
		}
		name := ""
		if o.Facts.TLS != nil {
			name = o.Facts.TLS.ServerName
		}
		for _, p := range presented {
			s := Sighting{
				Certificate: c.certificate(p.DER), Endpoint: holderOf(o, p.Role), Role: p.Role,
				Position: p.Position, Method: o.Method, Observation: o.ID, At: o.At, ServerName: name, Forgeable: forgeable(o, p.Role),
			}
			if p.Position == 0 {
				s.Chain = chains[p.Role]
			}
			c.sightings = append(c.sightings, s)
		}
		if isRequest(o) {
			c.sightings = append(c.sightings, Sighting{
				Certificate: c.request(o.Facts.Artefact), Endpoint: o.Endpoint,
				Role: evidence.RoleFile, Method: o.Method, Observation: o.ID, At: o.At,
			})
		}
	}
	slices.SortStableFunc(c.sightings, func(a, b Sighting) int {
		return cmp.Or(a.Endpoint.Compare(b.Endpoint), cmp.Compare(a.Role, b.Role), cmp.Compare(a.Position, b.Position),
			compareCertificates(a.Certificate, b.Certificate), cmp.Compare(a.Observation, b.Observation))
	})
}

// request returns the request or the lone key of a file. It is not among the
// certificates.
func (c *Corpus) request(f *evidence.ArtefactFacts) *Certificate {
	der, parse := requestOf(f)
	d := evidence.DigestOf(der)
	if known, ok := c.requests[d]; ok {
		return known
	}
	r := parse(der)
	c.requests[d] = r
	return r
}

// requestOf returns the bytes of the request or the lone key of a file, and what reads
// them.
func requestOf(f *evidence.ArtefactFacts) ([]byte, func([]byte) *Certificate) {
	if len(f.Key) > 0 {
		return f.Key, parseLoneKey
	}
	return f.Request, parseRequest
}

func (c *Corpus) addEndpoints(sorted, current []*evidence.Observation) {
	byEndpoint := make(map[evidence.Endpoint]*EndpointSubject)
	live := make(map[netip.Addr]bool) // addresses at which something answered
	for _, o := range sorted {
		if o.Result != evidence.ResultTimeout && o.Result != evidence.ResultError {
			live[o.Endpoint.Addr] = true
		}
	}
	for _, o := range current {
		if t := o.Endpoint.Transport; t == evidence.File || t == evidence.Link {
			continue
		}
		s := byEndpoint[o.Endpoint]
		if s == nil {
			s = &EndpointSubject{Endpoint: o.Endpoint, Asset: c.Asset(o.Endpoint)}
			byEndpoint[o.Endpoint] = s
		}
		s.Observations = append(s.Observations, o)
	}
	for _, s := range byEndpoint {
		if live[s.Endpoint.Addr] && s.present() {
			c.endpoints = append(c.endpoints, s)
		}
	}
	slices.SortFunc(c.endpoints, func(a, b *EndpointSubject) int { return a.Endpoint.Compare(b.Endpoint) })
	for _, s := range c.endpoints {
		for _, o := range s.Observations {
			s.ids = append(s.ids, o.ID)
		}
		s.ids = recorded(s.ids)
		c.byAsset[s.Asset] = append(c.byAsset[s.Asset], s)
	}
}

// Holder is the asset of an endpoint or, where none is known, its address; empty
// for a file.
func (c *Corpus) Holder(e evidence.Endpoint) string {
	if e.Transport == evidence.File {
		return ""
	}
	if id := c.Asset(e); id != "" {
		return id
	}
	return e.Addr.String()
}

// forgeable reports whether nothing but passing traffic says that the holder in
// role holds the key of what it presented.
func forgeable(o *evidence.Observation, role evidence.Role) bool {
	proof := evidence.Possession("")
	if f := o.Facts.TLS; f != nil {
		proof = f.Possession
		if role == evidence.RoleClient {
			proof = f.ClientPossession
		}
	}
	return o.Method == evidence.Passive && proof != evidence.PossessionVerified
}

// Method returns how the recorded observation was made, or "" when the corpus
// does not hold it.
func (c *Corpus) Method(observation int64) evidence.Method {
	if observation == 0 {
		return ""
	}
	return c.methods[observation]
}
