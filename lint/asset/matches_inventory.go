package asset

import (
	"strings"

	"probity/evidence"
	"probity/lint"
)

// matchesInventory asks that the device named in a certificate is the one that
// the inventory has there.
func matchesInventory() lint.Check {
	return lint.Check{
		Name:   "asset/matches_inventory",
		Source: "NIST SP 800-53 CM-8, IA-3; IEEE 802.1AR-2018 section 8.6",
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			if len(env.Policy.Inventory) == 0 {
				return lint.NotApplicablef("No inventory was imported.")
			}
			named := map[string]int64{}
			var first string
			for _, g := range s.Leafs {
				if !g.Certificate.Decoded() {
					continue
				}
				if id := g.Certificate.X509().Subject.SerialNumber; id != "" && named[plain(id)] == 0 {
					named[plain(id)] = g.Observation
					if first == "" {
						first = id
					}
				}
			}
			row := rowOf(s)
			switch {
			case len(s.Leafs) == 0:
				return lint.NotApplicablef("The device presents no certificate.")
			case len(named) == 0:
				return lint.Inconclusivef("No certificate of the device has its serial number in the subject.")
			case row == nil:
				return lint.Inconclusivef("No row of the inventory is about the device.")
			case row.Values[string(evidence.AttrSerial)] == "":
				return lint.Inconclusivef("The inventory row %q has no serial number.", text(row.Other))
			}
			return compareSerial(env, row, named, first)
		},
	}
}

func compareSerial(env *lint.Env, row *evidence.AssetFact, named map[string]int64, first string) lint.Verdict {
	serial := row.Values[string(evidence.AttrSerial)]
	if id, ok := named[plain(serial)]; ok {
		v := lint.Passf("The certificate names the serial number %q of the inventory row %q.", text(serial), text(row.Other))
		v.Observations = []int64{id}
		return v
	}
	for _, other := range env.Policy.Inventory {
		o := other.Values[string(evidence.AttrSerial)]
		if id, ok := named[plain(o)]; ok && o != "" && other.Other != row.Other {
			v := lint.Failf("The certificate names the serial number %q of the inventory row %q; the device is %q.", text(o), text(other.Other), text(row.Other))
			v.Observations = []int64{id}
			return v
		}
	}
	v := lint.Warnf("The certificate names %q; the inventory row %q has the serial number %q.", text(first), text(row.Other), text(serial))
	for _, id := range named {
		v.Observations = append(v.Observations, id)
	}
	return v
}

// rowOf is the inventory row about the device.
func rowOf(s *lint.AssetSubject) *evidence.AssetFact {
	for i := range s.Facts {
		if s.Facts[i].Kind == evidence.FactInventory {
			return &s.Facts[i]
		}
	}
	return nil
}

// plain is what two spellings of a serial number have in common.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '.' || r == '/' {
			return -1
		}
		return r
	}, strings.ToLower(s))
}
