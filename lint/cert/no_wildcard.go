package cert

import (
	"slices"
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
			for _, n := range s.X509().DNSNames {
				if isWildcard(n) {
					wild = append(wild, n)
				}
			}
			if len(wild) == 0 {
				return lint.Passf("The certificate holds no wildcard name.")
			}
			holders := make(map[string]bool)
			var seen []int64
			all := lint.Prepare(env, "cert/no_wildcard", func() map[*lint.Certificate][]lint.Sighting { return wildcards(env.Corpus) })
			for _, g := range all[s.Certificate] {
				if h := env.Corpus.Holder(g.Endpoint); h != "" {
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

func isWildcard(name string) bool { return strings.HasPrefix(name, "*.") }

// wildcards are the sightings of the leafs with a wildcard name.
func wildcards(c *lint.Corpus) map[*lint.Certificate][]lint.Sighting {
	out := make(map[*lint.Certificate][]lint.Sighting)
	for _, g := range c.Leafs() {
		if x := g.Certificate.X509(); x != nil && slices.ContainsFunc(x.DNSNames, isWildcard) {
			out[g.Certificate] = append(out[g.Certificate], g)
		}
	}
	return out
}
