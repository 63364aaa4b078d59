package asset

import (
	"probity/evidence"
	"probity/lint"
)

// keyChangeExplained asks that a new identity key goes with a record of why.
func keyChangeExplained() lint.Check {
	return lint.Check{
		Name:   "asset/key_change_explained",
		Source: "NIST SP 800-53 IA-3, SI-4",
		Params: []lint.Param{
			{Name: "lookback_days", Doc: "how far back changes count", Default: 400},
			{Name: "record_window_days", Doc: "how far a record may lie from the change", Default: 30},
		},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			window := days(env.Int("record_window_days"))
			var open, all []evidence.Event
			for _, e := range s.Changes(evidence.EventKeyChanged) {
				if env.At.Sub(e.At) > days(env.Int("lookback_days")) {
					continue
				}
				if all = append(all, e); !recorded(s, "key", e.At, window) {
					open = append(open, e)
				}
			}
			var v lint.Verdict
			switch {
			case len(open) > 0:
				e := open[0]
				v = lint.Warnf("%s changed without a record, first the %s on %s.", lint.Count(len(open), "key"), text(e.Subject), day(e.At))
			case len(all) > 0:
				v = lint.Passf("%s changed, each with a record.", lint.Count(len(all), "key"))
			case len(s.Keys) == 0:
				return lint.NotApplicablef("The device shows no key.")
			case !seenTwice(s):
				return lint.Inconclusivef("The device was seen on one day only.")
			default:
				v = lint.Passf("No key changed from %s to %s.", day(s.FirstSeen), day(s.LastSeen))
				v.Observations = []int64{s.Keys[0].Observation}
			}
			v.Observations = append(v.Observations, shown(all)...)
			return v
		},
	}
}
