package fleet

import (
	"probity/evidence"
	"probity/lint"
)

// uniqueCertificate asks that no two devices present the same leaf.
func uniqueCertificate() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_certificate",
		Source: "IEEE 802.1AR-2018 section 6.2; CWE-1391",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			groups := make(map[evidence.Digest][]member)
			for _, s := range c.Leafs() {
				groups[s.Certificate.Digest] = append(groups[s.Certificate.Digest], memberOf(c, s))
			}
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No leaf certificate was seen."))
			}
			var out []lint.GroupVerdict
			for digest, members := range groups {
				if len(holders(members)) < 2 {
					continue
				}
				if g, found := shared(env, evidence.DuplicateCertificate, digest.String(), "certificate", members); found {
					out = append(out, g)
				}
			}
			return or(out, lint.Passf("Each leaf certificate (%d) is on one device, or shared as declared.", len(groups)))
		},
	}
}
