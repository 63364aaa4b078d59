package status

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/crlwire"
	"probity/lint"
)

// revokedNotPresented asks that no instance of a revoked certificate, and of a key
// that was revoked because it was compromised, is presented any more: a certificate
// that was copied is shut out only when all its copies are gone.
func revokedNotPresented() lint.Check {
	return lint.Check{
		Name:   "status/revoked_not_presented",
		Source: "NIST SP 800-57 part 1 rev. 5 section 8.3.5; FDA premarket guidance 2026 appendix 1 section C",
		Params: []lint.Param{{Name: "grace_days", Doc: "days after the revocation in which an instance may still be seen", Default: 7}},
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			if revocations(c) == 0 {
				return []lint.GroupVerdict{{Verdict: lint.NotApplicablef("No revocation list and no OCSP response at hand revokes anything.")}}
			}
			if !slices.ContainsFunc(c.Leafs(), func(s lint.Sighting) bool { return s.Role != evidence.RoleFile }) {
				return []lint.GroupVerdict{{Verdict: lint.NotApplicablef("Only files are at hand: nothing was seen in use.")}}
			}
			var out []lint.GroupVerdict
			cases := revokedLeafs(env, c)
			for _, r := range cases {
				if g, open := r.judge(env, c); open {
					out = append(out, g)
				}
			}
			if len(out) == 0 {
				return []lint.GroupVerdict{{Verdict: lint.Passf("No instance of a revoked certificate (%d at hand) is presented.", len(cases))}}
			}
			return out
		},
	}
}

// revocations counts what the lists and responses at hand revoke.
func revocations(c *lint.Corpus) int {
	n := 0
	for _, l := range c.RevocationLists() {
		if l.List != nil {
			n += len(l.List.Entries)
		}
	}
	for _, r := range c.Responses() {
		if r.Response != nil {
			for _, s := range r.Response.Singles {
				if s.Status == "revoked" {
					n++
				}
			}
		}
	}
	return n
}

// revoked is a revoked leaf, wherever it was seen.
type revoked struct {
	certificate *lint.Certificate
	finding
}

// revokedLeafs are the leafs at hand that are revoked, by digest.
func revokedLeafs(env *lint.Env, c *lint.Corpus) []revoked {
	var out []revoked
	seen := make(map[evidence.Digest]bool)
	for _, s := range c.Leafs() {
		cert := s.Certificate
		if seen[cert.Digest] || !cert.Decoded() || cert.SelfSigned() {
			continue
		}
		seen[cert.Digest] = true
		if f := lookUp(env, cert); f.revoked {
			out = append(out, revoked{cert, f})
		}
	}
	slices.SortFunc(out, func(a, b revoked) int { return bytes.Compare(a.certificate.Digest[:], b.certificate.Digest[:]) })
	return out
}

// judge lists the instances that are still presented.
func (r revoked) judge(env *lint.Env, c *lint.Corpus) (lint.GroupVerdict, bool) {
	compromised := r.reason == crlwire.KeyCompromise.String()
	d := evidence.Duplicate{Kind: evidence.DuplicateCertificate, Value: r.certificate.Digest.String()}
	v := lint.Verdict{Observations: slices.Clone(r.ids)}
	late := false
	for _, s := range c.Leafs() {
		same := s.Certificate.Digest == r.certificate.Digest
		again := compromised && s.Certificate.Key != nil && r.certificate.Key != nil && s.Certificate.Key.SPKI == r.certificate.Key.SPKI
		if s.Role == evidence.RoleFile || !same && !again || !s.At.After(r.since) {
			continue
		}
		late = late || lint.Days(s.At.Sub(r.since)) >= env.Int("grace_days")
		d.Certificates = append(d.Certificates, s.Certificate.Digest)
		d.Endpoints = append(d.Endpoints, s.Endpoint)
		if id := c.Holder(s.Endpoint); id != "" {
			d.Assets = append(d.Assets, id)
		}
		v.Observations = append(v.Observations, s.Observation)
	}
	if len(d.Endpoints) == 0 {
		return lint.GroupVerdict{}, false
	}
	slices.SortFunc(d.Certificates, func(a, b evidence.Digest) int { return bytes.Compare(a[:], b[:]) })
	slices.SortFunc(d.Endpoints, evidence.Endpoint.Compare)
	slices.Sort(d.Assets)
	d.Certificates, d.Endpoints, d.Assets = slices.Compact(d.Certificates), slices.Compact(d.Endpoints), slices.Compact(d.Assets)
	d.Confidence = 10 // of two devices
	if len(d.Assets) > 1 {
		d.Confidence = 50
	}
	var places []string
	for _, e := range d.Endpoints[:min(len(d.Endpoints), 20)] {
		places = append(places, e.String())
	}
	detail := fmt.Sprintf("The certificate %q, revoked since %s (%s), is still presented at %s: %s.",
		r.certificate.Subject(), lint.Time(r.since), r.reason, lint.Count(len(d.Endpoints), "place"), strings.Join(places, ", "))
	v.Outcome, v.Detail = evidence.Fail, detail
	if !late {
		v.Outcome = evidence.Warn
		v.Detail += fmt.Sprintf(" The grace of %d days is not over.", env.Int("grace_days"))
	}
	return lint.GroupVerdict{Verdict: v, Group: d}, true
}
