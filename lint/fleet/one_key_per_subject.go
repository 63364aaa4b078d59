package fleet

import (
	"cmp"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// oneKeyPerSubject asks that the name that an authority certifies stands for one
// device: two devices with different keys and one name cannot be told apart by whoever
// goes by the name. Names with an identifier of the device are
// fleet/one_key_per_identifier's.
func oneKeyPerSubject() lint.Check {
	return lint.Check{
		Name:   "fleet/one_key_per_subject",
		Source: "RFC 5280 section 4.1.2.6",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			f := c.Fleet()
			type several struct {
				value, authority string
				verdict          func(value string) lint.GroupVerdict
			}
			var found []several
			different := alike(len(f.Spots), func(i int32) (lint.Mark, bool) {
				r := &f.Records[f.Spots[i].Certificate]
				return r.Name, f.Spots[i].Leaf && certified(env, r)
			}, func(_ lint.Mark, spots []int32) {
				members, keys := membersOf(c, f, spots), keysOf(f, spots)
				ids := holders(members)
				if len(keys) < 2 || len(ids) < 2 || declared(env.Policy, members) || sharesKey(f, spots, members, ids) {
					return
				}
				first := f.Certificate(f.Spots[spots[0]].Certificate)
				if !first.Decoded() {
					return // cannot be read again
				}
				issuer, subject := first.Issuer(), first.Subject()
				found = append(found, several{safetext.Clean(issuer + "|" + subject), first.Authority(), func(value string) lint.GroupVerdict {
					return group(evidence.DuplicateSubject, value, members, confidenceUnproved, lint.Warnf(
						"%q certifies %d keys under the name %q at %d assets (%s).", issuer, len(keys), subject, len(ids), list(ids)))
				}})
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No valid certificate of an authority with a name that is no device identifier was seen."))
			}
			slices.SortFunc(found, func(a, b several) int {
				return cmp.Or(strings.Compare(a.value, b.value), strings.Compare(a.authority, b.authority))
			})
			var out []lint.GroupVerdict
			taken := make(map[string]bool) // names that several authorities certify
			for _, s := range found {
				value := s.value
				if taken[value] {
					value += "|" + s.authority
				}
				taken[value] = true
				out = append(out, s.verdict(value))
			}
			return or(out, lint.Passf("Each certified name (%d) stands for one device, or is shared as declared.", different))
		},
	}
}

// certified reports whether the name of a leaf should be one device's: an authority has
// issued it, it is valid now, and no identifier of the device says more.
func certified(env *lint.Env, r *lint.Record) bool {
	return r.Named && r.HasKey && !r.SelfIssued && r.Identifier == "" && r.ValidAt(env.At)
}

// keysOf returns the distinct keys of spots.
func keysOf(f *lint.Fleet, spots []int32) []evidence.Digest {
	keys := make([]evidence.Digest, len(spots))
	for i, s := range spots {
		keys[i] = f.Records[f.Spots[s].Certificate].SPKI
	}
	slices.SortFunc(keys, evidence.Digest.Compare)
	return slices.Compact(keys)
}

// sharesKey reports whether one key of the name is on all of the assets, as while a
// pair renews.
func sharesKey(f *lint.Fleet, spots []int32, members []member, ids []string) bool {
	at := make(map[evidence.Digest]map[string]bool)
	for i, s := range spots {
		k := f.Records[f.Spots[s].Certificate].SPKI
		if at[k] == nil {
			at[k] = make(map[string]bool)
		}
		if h := members[i].holder; h != "" {
			at[k][h] = true
		}
	}
	for _, places := range at {
		if len(places) == len(ids) {
			return true
		}
	}
	return false
}
