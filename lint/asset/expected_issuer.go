package asset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"probity/lint"
)

// expectedIssuer asks that the certificate of a device is of the authority that
// certifies the other devices of its model.
func expectedIssuer() lint.Check {
	return lint.Check{
		Name:   "asset/expected_issuer",
		Source: "NIST SP 800-53 SR-11; IEEE 802.1AR-2018 section 6.2",
		Params: []lint.Param{{Name: "min_peers", Doc: "other devices of the model that must have shown a certificate; three in four with one issuer are enough to be like them", Default: 3}},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			model := lint.ModelOf(s.Asset)
			mine := issuersOf(s)
			switch {
			case len(mine) == 0:
				return lint.NotApplicablef("The device showed no certificate.")
			case model == "":
				return lint.Inconclusivef("The device does not tell its model.")
			}
			peers := lint.Remember(&env.Corpus.Memo, "asset/expected_issuer", func() map[string]modelIssuers { return issuersByModel(env.Corpus) })[model]
			others := make(map[string]int) // issuers of the other devices
			units := 0
			for id, issuers := range peers {
				if id == s.ID {
					continue
				}
				units++
				for issuer := range issuers {
					others[issuer]++
				}
			}
			if least := env.Int("min_peers"); units < least {
				return lint.Inconclusivef("%s of the model %q showed a certificate; %d are needed.", lint.Count(units, "other device"), text(model), least)
			}
			names := slices.Sorted(maps.Keys(mine))
			var v lint.Verdict
			switch unlike := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return others[n] > 0 }); {
			case len(unlike) > 0 && len(others) == 1:
				v = lint.Failf("The certificate is of %q, while those of the other %d devices of the model %q are all of %q.", text(unlike[0]), units, text(model), text(sole(others)))
			case len(unlike) > 0 || 4*others[names[0]] < 3*units:
				v = lint.Warnf("The devices of the model %q have certificates of several authorities: this one of %s, the others of %s.", text(model), quoted(names), quoted(slices.Sorted(maps.Keys(others))))
			default:
				v = lint.Passf("The certificate is of %q, as those of %d of the other %d devices of the model %q.", text(names[0]), others[names[0]], units, text(model))
			}
			for _, id := range mine {
				v.Observations = append(v.Observations, id)
			}
			return v
		},
	}
}

// modelIssuers are the issuers of the certificates of each device, by asset.
type modelIssuers map[string]map[string]int64

func issuersByModel(c *lint.Corpus) map[string]modelIssuers {
	out := make(map[string]modelIssuers)
	for _, s := range c.AssetSubjects() {
		model, issuers := lint.ModelOf(s.Asset), issuersOf(s)
		if model == "" || len(issuers) == 0 {
			continue
		}
		if out[model] == nil {
			out[model] = make(modelIssuers)
		}
		out[model][s.ID] = issuers
	}
	return out
}

// issuersOf are the issuers of the certificates that a device presents now, with an
// observation of each. All self-signed ones have one issuer, which is none.
func issuersOf(s *lint.AssetSubject) map[string]int64 {
	out := make(map[string]int64)
	for _, g := range s.Leafs {
		if !g.Certificate.Decoded() {
			continue
		}
		name := g.Certificate.Issuer()
		if g.Certificate.SelfIssued() {
			name = "nobody (self-signed)"
		}
		if _, known := out[name]; !known {
			out[name] = g.Observation
		}
	}
	return out
}

func sole(m map[string]int) string {
	for name := range m {
		return name
	}
	return ""
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", text(n))
	}
	return strings.Join(out, ", ")
}
