package fleet

import (
	"bytes"
	"slices"

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
			groups := make(map[string][]lint.Sighting)
			for _, s := range c.Leafs() {
				if key := certifiedName(env, s); key != "" {
					groups[key] = append(groups[key], s)
				}
			}
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No valid certificate of an authority with a name that is no device identifier was seen."))
			}
			var out []lint.GroupVerdict
			taken := make(map[string]bool) // names that several authorities certify
			for _, key := range sortedKeys(groups) {
				members, keys := keysOf(c, groups[key])
				ids := holders(members)
				if len(keys) < 2 || len(ids) < 2 || declared(env.Policy, members) || sharesKey(groups[key], c, ids) {
					continue
				}
				first := groups[key][0].Certificate
				value := safetext.Clean(first.Issuer() + "|" + first.Subject())
				if taken[value] {
					value += "|" + authority(first)
				}
				taken[value] = true
				out = append(out, group(evidence.DuplicateSubject, value, members, confidenceUnproved, lint.Warnf(
					"%q certifies %d keys under the name %q at %d assets (%s).", first.Issuer(), len(keys), first.Subject(), len(ids), list(ids))))
			}
			return or(out, lint.Passf("Each certified name (%d) stands for one device, or is shared as declared.", len(groups)))
		},
	}
}

// certifiedName is what should be one device's: issuer and subject of a leaf that an
// authority has issued and that is valid now; empty for any other.
func certifiedName(env *lint.Env, s lint.Sighting) string {
	x := s.Certificate.X509
	if x == nil || s.Certificate.Key == nil || s.Certificate.SelfIssued() || s.Certificate.DeviceIdentifier() != "" || len(x.Subject.OriginalRDNS) == 0 ||
		env.At.After(x.NotAfter) || env.At.Before(x.NotBefore) {
		return ""
	}
	return string(x.RawIssuer) + "|" + authority(s.Certificate) + "|" + string(x.RawSubject)
}

// keysOf returns the members of sightings and their distinct keys.
func keysOf(c *lint.Corpus, sightings []lint.Sighting) ([]member, []evidence.Digest) {
	var members []member
	var keys []evidence.Digest
	for _, s := range sightings {
		members = append(members, memberOf(c, s))
		keys = append(keys, s.Certificate.Key.SPKI)
	}
	slices.SortFunc(keys, func(a, b evidence.Digest) int { return bytes.Compare(a[:], b[:]) })
	return members, slices.Compact(keys)
}

// sharesKey reports whether one key of the name is on all of the assets, as while a
// pair renews.
func sharesKey(sightings []lint.Sighting, c *lint.Corpus, ids []string) bool {
	at := make(map[evidence.Digest]map[string]bool)
	for _, s := range sightings {
		k := s.Certificate.Key.SPKI
		if at[k] == nil {
			at[k] = make(map[string]bool)
		}
		if h := c.Holder(s.Endpoint); h != "" {
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
