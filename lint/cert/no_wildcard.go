package cert

import (
	"strings"

	"probity/lint"
)

// noWildcard asks that a device's certificate names the device, not a family.
func noWildcard() lint.Check {
	return lint.Check{
		Name:   "cert/no_wildcard",
		Source: "RFC 9525 section 7.1",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			var wild []string
			for _, n := range s.X509.DNSNames {
				if strings.HasPrefix(n, "*.") {
					wild = append(wild, n)
				}
			}
			if len(wild) == 0 {
				return lint.Passf("The certificate holds no wildcard name.")
			}
			holders := make(map[string]bool)
			var seen []int64
			for _, g := range env.Corpus.Leafs() {
				if h := env.Corpus.Holder(g.Endpoint); h != "" && g.Certificate == s.Certificate {
					holders[h] = true
					seen = append(seen, g.Observation)
				}
			}
			if len(holders) > 1 {
				v := lint.Failf("The certificate with the wildcard name %s is on %d devices.", quoted(wild), len(holders))
				v.Observations = seen
				return v
			}
			return lint.Warnf("The certificate holds the wildcard name %s.", quoted(wild))
		}),
	}
}
