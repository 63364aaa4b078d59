package fleet

import (
	"maps"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// oneKeyPerIdentifier asks that the identifier of a device stands for one key, and
// that no two devices tell one serial number.
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
			told, repeated := toldTwice(env, c)
			out = append(out, repeated...)
			switch {
			case told == 0 && different == 0:
				return fleetWide(lint.NotApplicablef("No certificate names its device by a serial number or hardware module name, and no device tells model and serial number."))
			case different == 0:
				return or(out, lint.Passf("Each serial number that a device tells (%d) is of one device.", told))
			}
			return or(out, lint.Passf("Each device identifier (%d) stands for one key.", different))
		},
	}
}

// toldTwice finds serial numbers that two devices of one model tell. Anyone can tell
// another's, so that it proves no clone. It returns how many are told, too.
func toldTwice(env *lint.Env, c *lint.Corpus) (told int, out []lint.GroupVerdict) {
	holding := map[string][]member{}
	for _, a := range c.Assets() {
		serial, model := lint.Told(&a, evidence.AttrSerial), lint.ModelOf(&a)
		if serial.Value == "" || model == "" {
			continue
		}
		m := member{holder: a.ID, observation: serial.Observation}
		switch {
		case len(a.Endpoints) > 0:
			m.endpoint = a.Endpoints[0]
		case len(a.Addresses) > 0:
			m.endpoint = evidence.Endpoint{Addr: a.Addresses[0], Transport: evidence.Link}
		}
		name := safetext.Clean(model) + ", serial number " + safetext.Clean(serial.Value)
		holding[name] = append(holding[name], m)
	}
	for _, name := range slices.Sorted(maps.Keys(holding)) {
		members := holding[name]
		ids := holders(members)
		if len(ids) < 2 || declared(env.Policy, members) {
			continue
		}
		out = append(out, group(evidence.DuplicateIdentifier, name, members, confidenceUnproved, lint.Warnf(
			"%q is told by %d assets (%s): one of them repeats the number of another, or they are one device.", name, len(ids), list(ids))))
	}
	return len(holding), out
}

// text is a key of [alike] that is compared as it is.
type text string

// Compare orders texts.
func (t text) Compare(o text) int { return strings.Compare(string(t), string(o)) }
