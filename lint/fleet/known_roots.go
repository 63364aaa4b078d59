package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// knownRoots asks that the whole fleet authenticates under the anchors of the
// policy.
func knownRoots() lint.Check {
	return lint.Check{
		Name:   "fleet/known_roots",
		Source: "NIST SP 800-57 part 2 rev. 1 section 3; site policy",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			anchors := env.Anchors()
			if len(anchors) == 0 {
				return fleetWide(lint.Inconclusivef("No anchors are configured."))
			}
			assets := make(map[string]bool)
			roots := make(map[string]int)
			var outside []string
			var seen []int64
			for _, s := range c.CertificateSubjects() {
				if s.CA || !s.Seen(evidence.RoleServer) {
					continue
				}
				assets[c.Holder(s.Endpoint)] = true
				if s.Decoded() {
					if p := env.Path(s.Certificate, s.Presented(), anchors); p.Certs != nil {
						roots[p.Certs[len(p.Certs)-1].Subject()]++
						continue
					}
				}
				outside = append(outside, s.Endpoint.String())
				seen = append(seen, s.Sightings[0].Observation)
			}
			if len(assets) < 2 {
				return fleetWide(lint.NotApplicablef("Fewer than two devices present a certificate."))
			}
			if len(outside) == 0 {
				return fleetWide(lint.Passf("The %d devices authenticate under %s: %s.", len(assets), lint.Count(len(roots), "anchor"), counted(roots)))
			}
			slices.Sort(outside)
			v := lint.Warnf("Without a path to an anchor: %s (%s); under the anchors: %s.", lint.Count(len(outside), "leaf certificate"), list(slices.Compact(outside)), counted(roots))
			v.Observations = seen
			return fleetWide(v)
		},
	}
}

// counted lists names with their counts, by name.
func counted(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%q %d", name, m[name]))
	}
	return strings.Join(out, ", ")
}
