package lint

import (
	"slices"

	"probity/evidence"
)

// CertificateSubject is what a certificate check judges: a leaf as one endpoint
// presents it, or a CA certificate wherever it was seen.
type CertificateSubject struct {
	*Certificate
	// CA is true for a certificate at a position above 0 of a presented chain and
	// for one from a file that asserts cA TRUE.
	CA bool
	// Endpoint is the holder of a leaf; the zero value for a CA certificate.
	Endpoint evidence.Endpoint
	// Asset is that of the endpoint, for results: checks may run before it is known,
	// see [Reading.Ahead].
	Asset string
	// Sightings are the places of this subject; never empty.
	Sightings []Sighting

	subject evidence.Subject
	roles   []evidence.Role // sorted, unique
	ids     []int64         // of the observations, rising, unique
}

// Roles returns the roles in which the subject was seen, sorted.
func (s *CertificateSubject) Roles() []evidence.Role { return s.roles }

// Seen reports whether the subject was seen in a role.
func (s *CertificateSubject) Seen(r evidence.Role) bool { return slices.Contains(s.Roles(), r) }

// Presented returns the certificates that came with the leaf, without repeats.
func (s *CertificateSubject) Presented() []*Certificate {
	var out []*Certificate
	for _, g := range s.Sightings {
		for _, c := range g.Chain {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// complete fills in what follows from the sightings.
func (s *CertificateSubject) complete() {
	s.subject = evidence.Subject{Endpoint: s.Endpoint, Certificate: s.Digest}
	for _, g := range s.Sightings {
		s.roles = append(s.roles, g.Role)
		s.ids = append(s.ids, g.Observation)
	}
	slices.Sort(s.roles)
	s.roles, s.ids = slices.Compact(s.roles), recorded(s.ids)
}

// CertificateSubjects returns the subjects of certificate checks, ordered by
// endpoint and certificate, CA certificates first. A certification request
// counts as a leaf.
func (c *Corpus) CertificateSubjects() []*CertificateSubject { return c.subjects }

func (c *Corpus) addSubjects() {
	type key struct {
		endpoint evidence.Endpoint
		cert     evidence.Digest
	}
	found := make(map[key]*CertificateSubject)
	var out []*CertificateSubject
	for _, g := range c.sightings {
		k := key{cert: g.Certificate.Digest}
		ca := !g.Leaf() && !g.Certificate.Request
		if !ca {
			k.endpoint = g.Endpoint
		}
		s := found[k]
		if s == nil {
			s = &CertificateSubject{Certificate: g.Certificate, CA: ca, Endpoint: k.endpoint}
			found[k] = s
			out = append(out, s)
		}
		s.Sightings = append(s.Sightings, g)
	}
	for _, s := range out {
		s.complete()
	}
	slices.SortFunc(out, func(a, b *CertificateSubject) int {
		if n := a.Endpoint.Compare(b.Endpoint); n != 0 {
			return n
		}
		return compareCertificates(a.Certificate, b.Certificate)
	})
	c.subjects = out
}

// EndpointSubject is what an endpoint check judges: one network endpoint with
// its current observations, in order of time.
type EndpointSubject struct {
	Endpoint     evidence.Endpoint
	Asset        string
	Observations []*evidence.Observation

	ids []int64 // of the observations, rising, unique
}

// present reports whether there is something to judge. An endpoint that refused
// every connection has no service, and so no findings.
func (s *EndpointSubject) present() bool {
	return slices.ContainsFunc(s.Observations, func(o *evidence.Observation) bool {
		return o.Result != evidence.ResultRefused
	})
}

// TLS returns the current TLS observations of the given offers that the peer
// answered: with a ServerHello, with an alert, or with a reset where it spoke
// TLS otherwise. No offers means all of them.
func (s *EndpointSubject) TLS(offers ...evidence.Offer) []*evidence.Observation {
	speaks := s.SpeaksTLS()
	var out []*evidence.Observation
	for _, o := range s.Observations {
		f := o.Facts.TLS
		if f == nil || f.NotTLS || len(offers) > 0 && !slices.Contains(offers, f.Offer) {
			continue
		}
		if o.Result == evidence.ResultData || o.Result == evidence.ResultReset && speaks {
			out = append(out, o)
		}
	}
	return out
}

// SpeaksTLS reports whether any current observation shows a TLS answer.
func (s *EndpointSubject) SpeaksTLS() bool {
	return slices.ContainsFunc(s.Observations, func(o *evidence.Observation) bool {
		f := o.Facts.TLS
		return f != nil && !f.NotTLS && (f.Version != 0 || f.Alert != nil)
	})
}

// Of returns the current observations of a kind that hold data.
func (s *EndpointSubject) Of(k evidence.Kind) []*evidence.Observation {
	var out []*evidence.Observation
	for _, o := range s.Observations {
		if o.Kind == k && o.Result == evidence.ResultData {
			out = append(out, o)
		}
	}
	return out
}

// Asked reports whether a kind was asked for at the endpoint, with any result.
func (s *EndpointSubject) Asked(k evidence.Kind) bool {
	return slices.ContainsFunc(s.Observations, func(o *evidence.Observation) bool { return o.Kind == k })
}
