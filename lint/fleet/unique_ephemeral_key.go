package fleet

import (
	"probity/evidence"
	"probity/lint"
)

// uniqueEphemeralKey asks that no two devices made a key exchange with one and the
// same public value: who holds one of them can read the sessions of the other, and
// what made the keys makes others twice, too. One device that uses a key twice is
// judged by endpoint/ephemeral_keys_fresh.
func uniqueEphemeralKey() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_ephemeral_key",
		Source: "RFC 9325 section 7.4; NIST SP 800-56A rev. 3 section 5.6.3.3",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			f := c.Fleet()
			var out []lint.GroupVerdict
			different := values(c, f.Exchanges, func(key evidence.Digest, members []member) {
				if len(holders(members)) < 2 {
					return
				}
				if g, found := shared(env, evidence.DuplicateEphemeralKey, key.String(), "key of a key exchange", members); found {
					out = append(out, g)
				}
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No ephemeral key of a key exchange was seen."))
			}
			return or(out, lint.Passf("Each of the %d keys of key exchanges was used by one device, or is shared as declared.", different))
		},
	}
}

// values calls take for each value that was shown more than once, and returns how many
// different ones there are.
func values(c *lint.Corpus, shown []lint.ShownValue, take func(evidence.Digest, []member)) int {
	return alike(len(shown), func(i int32) (evidence.Digest, bool) { return shown[i].Value, true }, func(v evidence.Digest, at []int32) {
		members := make([]member, len(at))
		for i, n := range at {
			members[i] = showed(c, &shown[n].Shower)
		}
		take(v, members)
	})
}
