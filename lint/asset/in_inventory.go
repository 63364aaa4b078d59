package asset

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// inInventory asks that a device on the network is one that the site knows.
func inInventory() lint.Check {
	return lint.Check{
		Name:   "asset/in_inventory",
		Source: "NIST SP 800-53 CM-8(3)",
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			if len(env.Policy.Inventory) == 0 {
				return lint.NotApplicablef("No inventory was imported.")
			}
			for _, f := range s.Facts {
				if f.Kind != evidence.FactInventory {
					continue
				}
				if slices.Contains([]string{evidence.ValueName, evidence.ValueAddress}, f.Matched) {
					v := lint.Warnf("The inventory row %q matches by %s only.", text(f.Other), text(f.Matched))
					v.Observations = anyOf(s)
					return v
				}
				v := lint.Passf("The inventory row %q matches by %s.", text(f.Other), text(f.Matched))
				v.Observations = anyOf(s)
				return v
			}
			if ids := clinical(s); len(ids) > 0 {
				v := lint.Failf("The device speaks clinical protocols, and none of the %s of the inventory is about it.", lint.Count(len(env.Policy.Inventory), "row"))
				v.Observations = ids
				return v
			}
			return lint.Inconclusivef("No row of the inventory is about it, and it is not known to be clinical.")
		},
	}
}

// anyOf is an observation that shows the device: the first.
func anyOf(s *lint.AssetSubject) []int64 {
	for _, e := range s.Events {
		if e.Kind == evidence.EventAppeared {
			return e.Observations
		}
	}
	return nil
}
