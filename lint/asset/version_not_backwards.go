package asset

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// versionNotBackwards asks that no version of the device is lower than it was,
// unless that is on record.
func versionNotBackwards() lint.Check {
	return lint.Check{
		Name:   "asset/version_not_backwards",
		Source: "FDA premarket guidance 2026 appendix 1 sections C and D; NIST SP 800-53 SI-7",
		Params: []lint.Param{{Name: "record_window_days", Doc: "how far a record may lie from the change", Default: 30}},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			has := slices.ContainsFunc(s.Claims, func(c evidence.Claim) bool {
				return c.Observation != 0 && (c.Attribute == evidence.AttrVersion || c.Attribute == evidence.AttrToolkitVersion)
			})
			back := s.Changes(evidence.EventBackwards)
			open := slices.DeleteFunc(slices.Clone(back), func(e evidence.Event) bool {
				return recorded(s, "version", e.At, days(env.Int("record_window_days")))
			})
			var v lint.Verdict
			switch {
			case len(open) > 0:
				e := open[0]
				v = lint.Warnf("The %s went from %q to %q on %s without a record.", text(e.Subject), text(e.Before), text(e.After), day(e.At))
				v.Observations = shown(open)
			case len(back) > 0:
				v = lint.Passf("A version went backwards, and that is on record.")
				v.Observations = shown(back)
			case !has:
				return lint.NotApplicablef("The device told no version.")
			case !seenTwice(s):
				return lint.Inconclusivef("The device was seen on one day only.")
			default:
				v = lint.Passf("No version went backwards from %s to %s.", day(s.FirstSeen), day(s.LastSeen))
				v.Observations = anyOf(s)
			}
			return v
		},
	}
}
