package lint

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"probity/evidence"
	"probity/internal/wire/crlwire"
	"probity/internal/wire/ocspwire"
)

// Stream judges certificates, requests and keys of which there may be millions. What
// it takes goes to a [Spill], and some 300 bytes of each stay in memory. Only the
// certificates of authorities, revocation lists and OCSP responses are kept decoded.
// [Stream.Run] gives the results of [Run] on a corpus of the same observations.
//
// It judges what was read from files. Observations of the network serve the checks of
// the fleet alone, and are all of one run. A Stream is for one goroutine.
type Stream struct {
	// Scratch is [Corpus.Scratch].
	Scratch string

	spill  Spill
	end    int64 // of what the spill holds
	assets []evidence.Asset

	taken   int64               // observations
	places  []evidence.Endpoint // as they came: one may be there twice
	formats []string            // of files, as they came
	items   []item
	kept    []evidence.Observation // revocation lists and OCSP responses
	signers map[uint64]bool        // whom these say they are by
	network bool
	shown   Fleet // what endpoints showed besides certificates
}

// Spill keeps bytes until they are read again. Several goroutines read it.
type Spill interface {
	io.Writer
	io.ReaderAt
}

// item is what stays in memory of one thing that an observation holds.
type item struct {
	digest          evidence.Digest
	offset          int64  // in the spill
	subject, issuer uint64 // stand for the names, see [nameHash]; 0: none
	observation     int64
	size            int32
	place           int32
	index           int32 // in its file
	position        int32 // in its chain
	kind            itemKind
	role            uint8 // of [itemRoles]
	format          uint8 // of [Stream.formats]
	forgeable       bool
	ca              bool // it may be of an authority
}

type itemKind uint8

const (
	itemCertificate itemKind = iota
	itemRequest
	itemKey
)

// itemRoles are those of an [item].
func itemRoles() []evidence.Role {
	return []evidence.Role{evidence.RoleFile, evidence.RoleServer, evidence.RoleClient}
}

// mostAuthorities is how many certificates of a stream are tried as issuers of others.
const mostAuthorities = 10_000

// NewStream returns an empty stream. The assets are those that observations of the
// network belong to.
func NewStream(spill Spill, assets []evidence.Asset) *Stream {
	return &Stream{spill: spill, assets: assets, signers: make(map[uint64]bool)}
}

// Items is an observation that a stream is to take, with what it keeps of it.
type Items struct {
	o     evidence.Observation
	items []item
	ders  [][]byte
}

// Observation is the observation itself.
func (p *Items) Observation() evidence.Observation { return p.o }

// ItemsOf does what of [Stream.Add] can be done on any goroutine.
func ItemsOf(o evidence.Observation) Items {
	p := Items{o: o}
	add := func(kind itemKind, der []byte) *item {
		p.items = append(p.items, item{digest: evidence.DigestOf(der), size: narrow(len(der)), kind: kind})
		p.ders = append(p.ders, der)
		return &p.items[len(p.items)-1]
	}
	for _, c := range o.Certs {
		it := add(itemCertificate, c.DER)
		it.readNames(c.DER)
		it.position, it.forgeable = narrow(c.Position), forgeable(&o, c.Role)
		it.role = uint8(max(0, slices.Index(itemRoles(), c.Role))) //nolint:gosec // there are three
	}
	if a := o.Facts.Artefact; isRequest(&o) {
		if len(a.Key) > 0 {
			add(itemKey, a.Key)
		} else {
			add(itemRequest, a.Request)
		}
	}
	if a := o.Facts.Artefact; a != nil {
		for i := range p.items {
			p.items[i].index = narrow(a.Index)
		}
	}
	return p
}

// narrow is for numbers that are small: files have 16 MiB.
func narrow(n int) int32 { return int32(min(max(n, 0), math.MaxInt32)) } //nolint:gosec // just bounded

// readNames reads the names of a certificate, and whether it may be of an authority,
// without decoding it.
func (it *item) readNames(der []byte) {
	if len(der) > maxCertificate {
		return
	}
	o, err := outlineOf(der)
	if err != nil || len(der) > 2*maxIdentifier && longIdentifier(der, 0) {
		return
	}
	it.issuer, it.subject = nameHash(der[o.issuer.start:o.issuer.end]), nameHash(der[o.subject.start:o.subject.end])
	const far = 10 // of basicConstraints: a critical TRUE, and the headers of the value
	extensions := der[o.spki.end:o.tbs.end]
	if at := bytes.Index(extensions, []byte("\x06\x03\x55\x1d\x13")); at >= 0 {
		at += len("\x06\x03\x55\x1d\x13")
		value := extensions[at:min(len(extensions), at+far)]
		it.ca = bytes.HasSuffix(value, []byte("\x01\x01\xff")) || bytes.Contains(value, []byte("\x30\x03\x01\x01\xff")) || bytes.Contains(value, []byte("\x30\x06\x01\x01\xff"))
	}
}

// nameHash stands for a name as [SameDN] compares names; never 0.
func nameHash(der []byte) uint64 {
	sum := sha256.Sum256([]byte(plainName(der)))
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// Add takes an observation. It gets the next number, from 1.
func (s *Stream) Add(p Items) error {
	s.taken++
	o := &p.o
	o.ID = s.taken
	if o.Endpoint.Transport != evidence.File {
		s.addShown(o)
	} else if a := o.Facts.Artefact; a != nil && len(a.CRL)+len(a.OCSP) > 0 {
		s.keep(*o)
		return nil
	}
	for i, it := range p.items {
		at := o.Endpoint
		if i < len(o.Certs) {
			at = holderOf(o, o.Certs[i].Role)
		}
		if n := len(s.places); n == 0 || s.places[n-1] != at {
			s.places = append(s.places, at)
		}
		if len(s.items) == math.MaxInt32 {
			return fmt.Errorf("more than %d certificates are not compared at once; give fewer", math.MaxInt32)
		}
		if _, err := s.spill.Write(p.ders[i]); err != nil {
			return fmt.Errorf("keep what was read: %w", err)
		}
		it.offset, it.place, it.observation = s.end, narrow(len(s.places)-1), o.ID
		it.format = s.formatOf(o)
		s.end += int64(it.size)
		s.items = append(s.items, it)
	}
	return nil
}

func (s *Stream) formatOf(o *evidence.Observation) uint8 {
	if o.Facts.Artefact == nil {
		return 0
	}
	i := slices.Index(s.formats, o.Facts.Artefact.Format)
	if i < 0 {
		i = len(s.formats)
		s.formats = append(s.formats, o.Facts.Artefact.Format)
	}
	return uint8(min(i, math.MaxUint8)) //nolint:gosec // just bounded
}

// keep takes a revocation list or an OCSP response.
func (s *Stream) keep(o evidence.Observation) {
	s.kept = append(s.kept, o)
	if a := o.Facts.Artefact; len(a.CRL) > 0 {
		if l, err := crlwire.Parse(a.CRL); err == nil {
			s.signers[nameHash(l.Issuer)] = true
		}
	} else if r, err := ocspwire.Read(a.OCSP); err == nil && len(r.ResponderName) > 0 {
		s.signers[nameHash(r.ResponderName)] = true
	}
}

// addShown takes what an endpoint of the network showed besides certificates.
func (s *Stream) addShown(o *evidence.Observation) {
	s.network = true
	if o.Result == evidence.ResultData {
		if t := o.Facts.TLS; t != nil && !t.NotTLS {
			s.shown.handshake(o)
		}
		if o.Kind == evidence.KindSSH {
			s.shown.hostKeys(o)
		}
	}
	if holdsSignature(o) {
		s.shown.signed = append(s.shown.signed, signedPart(o))
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

// Observations yields the observations of files again, with their bytes, in the order
// in which they were added.
func (s *Stream) Observations() iter.Seq2[evidence.Observation, error] {
	return func(yield func(evidence.Observation, error) bool) {
		kept := s.kept
		for i := range s.items {
			for ; len(kept) > 0 && kept[0].ID < s.items[i].observation; kept = kept[1:] {
				if !yield(kept[0], nil) {
					return
				}
			}
			der, err := s.read(&s.items[i])
			if !yield(s.observation(&s.items[i], der), err) || err != nil {
				return
			}
		}
		for _, o := range kept {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Certificates yields the certificates of files again, as DER: each once, in the order
// of their SHA-256.
func (s *Stream) Certificates() iter.Seq2[[]byte, error] {
	type place struct {
		digest evidence.Digest
		at     int32  // in items; -1 where the bytes are at hand
		der    []byte // of what came with a list or response
	}
	return func(yield func([]byte, error) bool) {
		var order []place
		for i := range s.items {
			if s.items[i].kind == itemCertificate {
				order = append(order, place{digest: s.items[i].digest, at: narrow(i)})
			}
		}
		for _, o := range s.kept {
			for _, c := range o.Certs {
				order = append(order, place{digest: evidence.DigestOf(c.DER), at: -1, der: c.DER})
			}
		}
		slices.SortFunc(order, func(a, b place) int {
			return cmp.Or(bytes.Compare(a.digest[:], b.digest[:]), cmp.Compare(a.at, b.at))
		})
		for i, p := range order {
			if i > 0 && p.digest == order[i-1].digest {
				continue
			}
			der, err := p.der, error(nil)
			if p.at >= 0 {
				der, err = s.read(&s.items[p.at])
			}
			if !yield(der, err) || err != nil {
				return
			}
		}
	}
}

// observation is that of an item of a file.
func (s *Stream) observation(it *item, der []byte) evidence.Observation {
	o := evidence.Observation{
		ID: it.observation, Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData, Endpoint: s.places[it.place],
		Facts: evidence.Facts{Artefact: &evidence.ArtefactFacts{Index: int(it.index)}},
		Raw:   []evidence.Blob{{Data: der}},
	}
	if len(s.formats) > 0 {
		o.Facts.Artefact.Format = s.formats[it.format]
	}
	switch it.kind {
	case itemCertificate:
		o.Certs = []evidence.Presented{{Role: itemRoles()[it.role], Position: int(it.position), DER: der}}
	case itemRequest:
		o.Facts.Artefact.Request = der
	case itemKey:
		o.Facts.Artefact.Key = der
	}
	return o
}

// read returns the bytes of an item.
func (s *Stream) read(it *item) ([]byte, error) {
	der := make([]byte, it.size)
	if _, err := s.spill.ReadAt(der, it.offset); err != nil {
		return nil, fmt.Errorf("read again what %s holds: %w", s.places[it.place], err)
	}
	return der, nil
}

func (it *item) parse(der []byte) *Certificate {
	switch it.kind {
	case itemRequest:
		return parseRequest(der)
	case itemKey:
		return parseLoneKey(der)
	case itemCertificate:
	}
	return parseCertificate(der)
}
