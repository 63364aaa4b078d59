package fleet

import (
	"slices"

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
			type entry struct {
				member
				spki evidence.Digest
			}
			groups := make(map[string][]entry)
			for _, s := range c.Leafs() {
				if id := s.Certificate.DeviceIdentifier(); id != "" && s.Certificate.Key != nil {
					groups[id] = append(groups[id], entry{memberOf(c, s), s.Certificate.Key.SPKI})
				}
			}
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No certificate names its device by a serial number or hardware module name."))
			}
			var out []lint.GroupVerdict
			for id, entries := range groups {
				var members []member
				var keys []evidence.Digest
				for _, e := range entries {
					members = append(members, e.member)
					keys = append(keys, e.spki)
				}
				slices.SortFunc(keys, func(a, b evidence.Digest) int { return slices.Compare(a[:], b[:]) })
				keys = slices.Compact(keys)
				ids := holders(members)
				if len(keys) < 2 || len(ids) == 0 {
					continue
				}
				text := safetext.Clean(id)
				if declared(env.Policy, members) {
					continue
				}
				if len(ids) > 1 {
					out = append(out, group(evidence.DuplicateIdentifier, text, members, confidenceUnproved, lint.Failf(
						"The device identifier %q stands for %d keys on %d assets (%s).", text, len(keys), len(ids), list(ids))))
					continue
				}
				out = append(out, group(evidence.DuplicateIdentifier, text, members, confidenceOne, lint.Warnf(
					"The device identifier %q stands for %d keys on one asset (%s), as during a renewal.", text, len(keys), ids[0])))
			}
			return or(out, lint.Passf("Each device identifier (%d) stands for one key.", len(groups)))
		},
	}
}
