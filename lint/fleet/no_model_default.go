package fleet

import (
	"fmt"
	"maps"
	"slices"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// noModelDefault asks that the units of one model do not all come with one key, which
// every buyer of a unit then has.
func noModelDefault() lint.Check {
	return lint.Check{
		Name:   "fleet/no_model_default",
		Source: "FDA premarket guidance 2026 appendix 1 section C; CWE-1392; CWE-321",
		Params: []lint.Param{{Name: "min_units", Doc: "units of a model that must have been seen with a key", Default: 2}},
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			models := unitsOf(c)
			if len(models) == 0 {
				return fleetWide(lint.Inconclusivef("No device tells its model."))
			}
			keys := keysByAsset(c, models)
			var out []lint.GroupVerdict
			compared := 0
			for _, model := range slices.Sorted(maps.Keys(models)) {
				units := slices.DeleteFunc(models[model], func(id string) bool { return len(keys[id]) == 0 })
				if len(units) < max(env.Int("min_units"), 2) {
					continue
				}
				compared++
				out = append(out, defaultsOf(env, model, units, keys)...)
			}
			if compared == 0 {
				return fleetWide(lint.NotApplicablef("No model was seen on %s with a key.", lint.Count(max(env.Int("min_units"), 2), "device")))
			}
			return or(out, lint.Passf("The units of each model with several units (%d) have keys of their own.", compared))
		},
	}
}

// shownKey is a key that an asset showed in its place.
type shownKey struct {
	spki evidence.Digest
	member
}

// unitsOf lists the assets of each model that is told by more than a guess.
func unitsOf(c *lint.Corpus) map[string][]string {
	models := make(map[string][]string)
	for _, a := range c.Assets() {
		if name := lint.ModelOf(&a); name != "" {
			models[name] = append(models[name], a.ID)
		}
	}
	return models
}

// keysByAsset are the keys of TLS servers and of SSH that assets of models with several
// units showed, those of clients among them.
func keysByAsset(c *lint.Corpus, models map[string][]string) map[string][]shownKey {
	f := c.Fleet()
	wanted := make(map[string]bool)
	for _, units := range models {
		for _, id := range units {
			wanted[id] = len(units) > 1
		}
	}
	out := make(map[string][]shownKey)
	for i := range f.Spots {
		s := &f.Spots[i]
		if r := &f.Records[s.Certificate]; s.Leaf && s.Role != evidence.RoleFile && r.HasKey {
			if id := c.Asset(s.Endpoint); wanted[id] {
				out[id] = append(out[id], shownKey{r.SPKI, memberOf(c, f, int32(i))})
			}
		}
	}
	for i := range f.Keys {
		k := &f.Keys[i]
		spki := k.Blob
		if k.Key != nil {
			spki = k.Key.SPKI
		}
		if id := c.Asset(k.Endpoint); wanted[id] {
			out[id] = append(out[id], shownKey{spki, showed(c, &k.Shower)})
		}
	}
	return out
}

// defaultsOf judges the keys that several units of one model show.
func defaultsOf(env *lint.Env, model string, units []string, keys map[string][]shownKey) []lint.GroupVerdict {
	byKey := make(map[evidence.Digest][]member)
	for _, id := range units {
		for _, k := range keys[id] {
			byKey[k.spki] = append(byKey[k.spki], k.member)
		}
	}
	var out []lint.GroupVerdict
	for _, spki := range slices.SortedFunc(maps.Keys(byKey), evidence.Digest.Compare) {
		members := byKey[spki]
		ids := holders(members)
		if len(ids) < 2 {
			continue
		}
		g, found := shared(env, evidence.DuplicateKey, spki.String(), fmt.Sprintf("key, as units of the model %q,", safetext.CleanN(model, 60)), members)
		if !found {
			continue
		}
		if g.Outcome == evidence.Fail {
			if len(ids) < len(units) {
				g.Outcome = evidence.Warn
				g.Detail = fmt.Sprintf("%d of the %d units of the model %q that were seen have one key. %s", len(ids), len(units), safetext.CleanN(model, 60), g.Detail)
			} else {
				g.Detail = fmt.Sprintf("All %d units of the model %q that were seen have one key: it is the model's default. %s", len(units), safetext.CleanN(model, 60), g.Detail)
			}
		}
		out = append(out, g)
	}
	return out
}
