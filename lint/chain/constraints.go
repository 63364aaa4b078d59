package chain

import (
	"slices"

	"probity/lint"
)

// constraints asks that the chains below a CA certificate keep its path length
// and its name constraints.
func constraints() lint.Check {
	return lint.Check{
		Name:   "chain/constraints",
		Source: "RFC 5280 sections 4.2.1.9 and 4.2.1.10",
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if !s.CA {
				return lint.NotApplicablef("The certificate is a leaf.")
			}
			chains := 0
			for _, g := range env.Corpus.Leafs() {
				i := slices.Index(g.Chain, s.Certificate)
				if i < 0 || slices.ContainsFunc(g.Chain[:i], undecoded) || undecoded(g.Certificate) {
					continue
				}
				chains++
				path := append([]*lint.Certificate{g.Certificate}, g.Chain[:i]...)
				if err := lint.Constrains(path, s.Certificate); err != nil {
					v := lint.Failf("The chain that %s presents violates a constraint: %v.", g.Endpoint, err)
					v.Observations = []int64{g.Observation}
					return v
				}
			}
			if _, limited := lint.PathLength(s.Certificate); !limited && !s.SelfIssued() && s.IsCA() {
				return lint.Warnf("The subordinate CA certificate has no path length constraint.")
			}
			return lint.Passf("The constraints hold in every chain seen (%d).", chains)
		}),
	}
}

func undecoded(c *lint.Certificate) bool { return !c.Decoded() }
