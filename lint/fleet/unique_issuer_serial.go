package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// uniqueIssuerSerial asks that issuer and serial number name one certificate. The
// issuer is one by name and key: self-signed devices of one make often share name and
// serial number without being one authority.
func uniqueIssuerSerial() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_issuer_serial",
		Source: "RFC 5280 section 4.1.2.2",
		Fleet: func(_ *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			f := c.Fleet()
			type repeat struct {
				value, authority string
				records          []int32
			}
			var repeats []repeat
			different := alike(len(f.Records), func(i int32) (lint.Mark, bool) { return f.Records[i].IssuerSerial(), f.Records[i].HasSerial() }, func(_ lint.Mark, records []int32) {
				first := f.Certificate(records[0])
				if !first.Decoded() {
					return // cannot be read again
				}
				repeats = append(repeats, repeat{first.Issuer(), first.Authority(), records})
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No certificate was seen."))
			}
			// Issuers of one name and different keys come in the order of the keys.
			slices.SortFunc(repeats, func(a, b repeat) int {
				return cmp.Or(strings.Compare(a.value, b.value), strings.Compare(a.authority, b.authority))
			})
			var out []lint.GroupVerdict
			taken := make(map[string]bool)
			for _, r := range repeats {
				var spots []int32
				for _, n := range r.records {
					spots = append(spots, f.SpotsOf(n)...)
				}
				slices.Sort(spots)
				members := membersOf(c, f, spots)
				serial := fmt.Sprintf("%x", f.Records[r.records[0]].Serial())
				value := safetext.Clean(r.value + "|" + serial)
				if taken[value] {
					value = safetext.Clean(value + "|" + r.authority)
				}
				taken[value] = true
				out = append(out, group(evidence.DuplicateIssuerSerial, value, members, confidenceOf(members), lint.Failf(
					"%d different certificates of the issuer %q have the serial number %s.", len(r.records), r.value, serial)))
			}
			return or(out, lint.Passf("Each pair of issuer and serial number (%d) names one certificate.", different))
		},
	}
}

func confidenceOf(members []member) int {
	if len(holders(members)) < 2 {
		return confidenceOne
	}
	return confidenceProved // two different certificates at two assets are no copy of one device
}
