package fleet

import (
	"fmt"

	"probity/evidence"
	"probity/lint"
)

// uniqueKey asks that no two leafs hold the same key.
func uniqueKey() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_key",
		Source: "IEEE 802.1AR-2018 section 6.2; NIST SP 800-57 part 1 rev. 5 section 5.3.6",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			f := c.Fleet()
			var out []lint.GroupVerdict
			different := alike(len(f.Spots), func(i int32) (evidence.Digest, bool) {
				s := &f.Spots[i]
				r := &f.Records[s.Certificate]
				return r.SPKI, s.Leaf && r.HasKey
			}, func(spki evidence.Digest, spots []int32) {
				members := membersOf(c, f, spots)
				certs := certificates(members)
				if certs < 2 {
					return // the same certificate is fleet/unique_certificate's
				}
				what := fmt.Sprintf("key in %d certificates", certs)
				switch len(holders(members)) {
				case 0:
					out = append(out, group(evidence.DuplicateKey, spki.String(), members, confidenceOne, lint.Warnf(
						"The same %s was seen in files only: whether two devices hold it is not known.", what)))
					return
				case 1:
					out = append(out, group(evidence.DuplicateKey, spki.String(), members, confidenceOne, lint.Warnf(
						"The same %s is on one device, as after a renewal without a new key.", what)))
					return
				}
				if g, found := shared(env, evidence.DuplicateKey, spki.String(), what, members); found {
					out = append(out, g)
				}
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No leaf certificate was seen."))
			}
			return or(out, lint.Passf("Each key (%d) is in one leaf certificate, or shared as declared.", different))
		},
	}
}

// certificates counts the different certificates among members.
func certificates(members []member) int {
	all := make(map[evidence.Digest]bool)
	for _, m := range members {
		all[m.certificate] = true
	}
	return len(all)
}
