package fleet

import (
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// oneKeyPerIdentifier asks that the identifier of a device stands for one key.
func oneKeyPerIdentifier() lint.Check {
	return lint.Check{
		Name:   "fleet/one_key_per_identifier",
		Source: "IEEE 802.1AR-2018 section 8.6; RFC 5280 section 4.1.2.6",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			f := c.Fleet()
			var out []lint.GroupVerdict
			different := alike(len(f.Spots), func(i int32) (text, bool) {
				r := &f.Records[f.Spots[i].Certificate]
				return text(r.Identifier), f.Spots[i].Leaf && r.Identifier != "" && r.HasKey
			}, func(id text, spots []int32) {
				members, keys := membersOf(c, f, spots), keysOf(f, spots)
				ids := holders(members)
				if len(keys) < 2 || len(ids) == 0 || declared(env.Policy, members) {
					return
				}
				text := safetext.Clean(string(id))
				if len(ids) > 1 {
					out = append(out, group(evidence.DuplicateIdentifier, text, members, confidenceUnproved, lint.Failf(
						"The device identifier %q stands for %d keys on %d assets (%s).", text, len(keys), len(ids), list(ids))))
					return
				}
				out = append(out, group(evidence.DuplicateIdentifier, text, members, confidenceOne, lint.Warnf(
					"The device identifier %q stands for %d keys on one asset (%s), as during a renewal.", text, len(keys), ids[0])))
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No certificate names its device by a serial number or hardware module name."))
			}
			return or(out, lint.Passf("Each device identifier (%d) stands for one key.", different))
		},
	}
}

// text is a key of [alike] that is compared as it is.
type text string

// Compare orders texts.
func (t text) Compare(o text) int { return strings.Compare(string(t), string(o)) }
