package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// oneVersion asks that the units of one model run one version. Versions count
// that a device tells in the protocol made for it, or that a person states.
func oneVersion() lint.Check {
	return lint.Check{
		Name:   "fleet/one_version",
		Source: "FDA premarket guidance 2026 section V.A.6; NIST SP 800-53 SI-2",
		Fleet: func(_ *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			models := make(map[string]map[string][]int64)
			for _, a := range c.Assets() {
				name, version := lint.ModelOf(&a), lint.Told(&a, evidence.AttrVersion)
				if name == "" || version.Value == "" {
					continue
				}
				if models[name] == nil {
					models[name] = make(map[string][]int64)
				}
				models[name][version.Value] = append(models[name][version.Value], version.Observation)
			}
			var several []string
			var ids []int64
			compared := 0
			for _, name := range slices.Sorted(maps.Keys(models)) {
				versions := models[name]
				units := 0
				var parts []string
				for _, v := range slices.Sorted(maps.Keys(versions)) {
					units += len(versions[v])
					parts = append(parts, fmt.Sprintf("%q on %d", safetext.CleanN(v, 40), len(versions[v])))
				}
				if units > 1 {
					compared++
				}
				if len(versions) > 1 {
					several = append(several, fmt.Sprintf("%q: %s", safetext.CleanN(name, 60), strings.Join(parts, ", ")))
					for _, seen := range versions {
						ids = append(ids, seen...)
					}
				}
			}
			switch {
			case len(models) == 0:
				return fleetWide(lint.Inconclusivef("No device tells model and version."))
			case compared == 0:
				return fleetWide(lint.NotApplicablef("No model with a version was seen on two devices."))
			case len(several) == 0:
				return fleetWide(lint.Passf("%s of which several units were seen run one version each.", lint.Count(compared, "model")))
			}
			v := lint.Warnf("Several versions: %s.", list(several))
			v.Observations = ids
			return fleetWide(v)
		},
	}
}
