package asset

import (
	"time"

	"probity/evidence"
	"probity/lint"
)

// beforeEndOfSupport asks that the manufacturer still supports the device.
func beforeEndOfSupport() lint.Check {
	return lint.Check{
		Name:   "asset/before_end_of_support",
		Source: "NIST SP 800-53 SA-22; FDA premarket guidance 2026 section VI.A",
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			var end time.Time
			from := "policy"
			for _, addr := range s.Addresses {
				if d, ok := env.Policy.EndOfLife[addr]; ok && (end.IsZero() || d.Before(end)) {
					end = d
				}
			}
			if value, fact := s.Stated(evidence.ValueEndOfSupport); fact != nil {
				d, err := time.Parse(time.DateOnly, value)
				if err != nil {
					return lint.Inconclusivef("The end of support %q is no day.", text(value))
				}
				end, from = d, string(fact.Kind)
			}
			if end.IsZero() {
				return lint.NotApplicablef("No end of support is known.")
			}
			if env.At.Before(end.AddDate(0, 0, 1)) {
				return lint.Passf("Support ends on %s (%s).", day(end), from)
			}
			v := lint.Warnf("Support ended on %s (%s).", day(end), from)
			v.Observations = anyOf(s)
			return v
		},
	}
}
