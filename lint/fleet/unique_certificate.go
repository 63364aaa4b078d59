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
			f := c.Fleet()
			if leafs(f) == 0 {
				return fleetWide(lint.NotApplicablef("No leaf certificate was seen."))
			}
			var out []lint.GroupVerdict
			different := alike(len(f.Spots), func(i int32) (evidence.Digest, bool) {
				s := &f.Spots[i]
				return f.Records[s.Certificate].Digest, s.Leaf
			}, func(digest evidence.Digest, spots []int32) {
				members := membersOf(c, f, spots)
				if len(holders(members)) < 2 {
					return
				}
				if g, found := shared(env, evidence.DuplicateCertificate, digest.String(), "certificate", members); found {
					out = append(out, g)
				}
			})
			return or(out, lint.Passf("Each leaf certificate (%d) is on one device, or shared as declared.", different))
		},
	}
}
