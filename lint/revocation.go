package lint

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"probity/evidence"
	"probity/internal/wire/crlwire"
	"probity/internal/wire/ocspwire"
)

// MediaOCSP is the media type of the raw bytes of an OCSP response (RFC 6960
// appendix C.2).
const MediaOCSP = "application/ocsp-response"

// The bounds of what is decoded: a list of the largest file, and a response far
// beyond any real one.
const (
	maxList     = 16 << 20
	maxResponse = 256 << 10
)

// RevocationList is one distinct certificate revocation list of a corpus.
type RevocationList struct {
	Digest evidence.Digest // SHA-256 of the DER
	// List is nil where the list cannot be decoded; ParseError says why.
	List       *crlwire.List
	ParseError error
	// Places are the observations of it, by time.
	Places []*evidence.Observation

	index map[string][]int // of entries, by serial number
}

// Entries returns the entries with a serial number, the content of a DER INTEGER.
func (l *RevocationList) Entries(serial []byte) []crlwire.Entry {
	var out []crlwire.Entry
	for _, i := range l.index[string(serial)] {
		out = append(out, l.List.Entries[i])
	}
	return out
}

// Signed is what its issuer signed.
func (l *RevocationList) Signed() Signed {
	return Signed{Digest: l.Digest, Body: l.List.TBS, Algorithm: l.List.Algorithm, Signature: l.List.Signature}
}

// Response is one distinct OCSP response of a corpus.
type Response struct {
	Digest evidence.Digest // SHA-256 of the DER
	// Response is nil where the response cannot be decoded; ParseError says why.
	Response   *ocspwire.Response
	ParseError error
	// Certificates are those of the responder that came with it.
	Certificates []*Certificate
	// Places are the observations of it, by time.
	Places []*evidence.Observation
}

// Signed is what the responder signed.
func (r *Response) Signed() Signed {
	return Signed{Digest: r.Digest, Body: r.Response.TBS, Algorithm: r.Response.Algorithm, Signature: r.Response.Signature}
}

// statusEvidence is what a corpus knows of the status of certificates. It is
// decoded when it is first asked for.
type statusEvidence struct {
	seen      []*evidence.Observation
	once      sync.Once
	lists     []*RevocationList
	byIssuer  map[string][]*RevocationList
	responses []*Response
	bySerial  map[string][]*Response
	byDigest  map[evidence.Digest]*Response
	subjects  []*ListSubject
}

// collect takes what an observation holds of the status of certificates.
func (s *statusEvidence) collect(o *evidence.Observation) {
	if a := o.Facts.Artefact; a != nil && len(a.CRL)+len(a.OCSP) > 0 || staple(o) != nil {
		s.seen = append(s.seen, o)
	}
}

// staple is the OCSP response that came with a handshake; nil without one.
func staple(o *evidence.Observation) []byte {
	if o.Facts.TLS == nil {
		return nil
	}
	for _, b := range o.Raw {
		if b.Media == MediaOCSP {
			return b.Data
		}
	}
	return nil
}

func (s *statusEvidence) decode() {
	s.byIssuer, s.bySerial = make(map[string][]*RevocationList), make(map[string][]*Response)
	s.byDigest = make(map[evidence.Digest]*Response)
	lists := make(map[evidence.Digest]*RevocationList)
	for _, o := range s.seen {
		if a := o.Facts.Artefact; a != nil && len(a.CRL) > 0 {
			d := evidence.DigestOf(a.CRL)
			l := lists[d]
			if l == nil {
				l = parseList(a.CRL, d)
				lists[d], s.lists = l, append(s.lists, l)
			}
			l.Places = append(l.Places, o)
			s.addSubject(l, o)
			continue
		}
		der := staple(o)
		if o.Facts.Artefact != nil {
			der = o.Facts.Artefact.OCSP
		}
		d := evidence.DigestOf(der)
		r := s.byDigest[d]
		if r == nil {
			r = parseResponse(der, d)
			s.byDigest[d], s.responses = r, append(s.responses, r)
		}
		r.Places = append(r.Places, o)
	}
	slices.SortFunc(s.lists, func(a, b *RevocationList) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	slices.SortFunc(s.responses, func(a, b *Response) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	slices.SortFunc(s.subjects, func(a, b *ListSubject) int { return a.subject().Compare(b.subject()) })
	for _, l := range s.lists {
		if l.List != nil {
			name := plainName(l.List.Issuer)
			s.byIssuer[name] = append(s.byIssuer[name], l)
		}
	}
	for _, r := range s.responses {
		if r.Response == nil {
			continue
		}
		for i, one := range r.Response.Singles {
			if !slices.ContainsFunc(r.Response.Singles[:i], func(o ocspwire.Single) bool { return bytes.Equal(o.Serial, one.Serial) }) {
				s.bySerial[string(one.Serial)] = append(s.bySerial[string(one.Serial)], r)
			}
		}
	}
}

func (s *statusEvidence) addSubject(l *RevocationList, o *evidence.Observation) {
	i := slices.IndexFunc(s.subjects, func(s *ListSubject) bool { return s.RevocationList == l && s.Endpoint == o.Endpoint })
	if i < 0 {
		i = len(s.subjects)
		s.subjects = append(s.subjects, &ListSubject{RevocationList: l, Endpoint: o.Endpoint})
	}
	s.subjects[i].ids = recorded(append(s.subjects[i].ids, o.ID))
}

func parseList(der []byte, sum evidence.Digest) *RevocationList {
	l := &RevocationList{Digest: sum, index: make(map[string][]int)}
	if len(der) > maxList {
		l.ParseError = fmt.Errorf("%d bytes are more than the %d that are read of a revocation list", len(der), maxList)
		return l
	}
	if l.List, l.ParseError = crlwire.Parse(der); l.ParseError != nil {
		l.List = nil
		return l
	}
	for i, e := range l.List.Entries {
		l.index[string(e.Serial)] = append(l.index[string(e.Serial)], i)
	}
	return l
}

func parseResponse(der []byte, sum evidence.Digest) *Response {
	r := &Response{Digest: sum}
	if len(der) > maxResponse {
		r.ParseError = fmt.Errorf("%d bytes are more than the %d that are read of an OCSP response", len(der), maxResponse)
		return r
	}
	if r.Response, r.ParseError = ocspwire.Read(der); r.ParseError != nil {
		r.Response = nil
		return r
	}
	for _, c := range r.Response.Certificates {
		r.Certificates = append(r.Certificates, parseCertificate(c))
	}
	return r
}

func (c *Corpus) statusEvidence() *statusEvidence {
	c.status.once.Do(c.status.decode)
	return &c.status
}

// RevocationLists returns every distinct revocation list of all runs, by digest.
func (c *Corpus) RevocationLists() []*RevocationList { return c.statusEvidence().lists }

// ListsOf returns the lists that an issuer, by its DER name, has issued; names are
// compared as by [SameDN].
func (c *Corpus) ListsOf(issuer []byte) []*RevocationList {
	return c.statusEvidence().byIssuer[plainName(issuer)]
}

// Responses returns every distinct OCSP response of all runs, by digest.
func (c *Corpus) Responses() []*Response { return c.statusEvidence().responses }

// ResponsesOn returns the responses that name a serial number, the content of a DER
// INTEGER.
func (c *Corpus) ResponsesOn(serial []byte) []*Response {
	return c.statusEvidence().bySerial[string(serial)]
}

// Staple returns the OCSP response that came with a handshake; nil without one, or
// where its bytes are not at hand.
func (c *Corpus) Staple(o *evidence.Observation) *Response {
	der := staple(o)
	if der == nil {
		return nil
	}
	return c.statusEvidence().byDigest[evidence.DigestOf(der)]
}

// ListSubject is what a check of revocation lists judges: one list in one file.
type ListSubject struct {
	*RevocationList
	Endpoint evidence.Endpoint

	ids []int64 // of the observations, rising, unique
}

func (s *ListSubject) subject() evidence.Subject {
	return evidence.Subject{Endpoint: s.Endpoint, Certificate: s.Digest}
}

// ListSubjects returns the subjects of checks of revocation lists, by file.
func (c *Corpus) ListSubjects() []*ListSubject { return c.statusEvidence().subjects }
