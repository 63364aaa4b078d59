package asset

import (
	"probity/evidence"
	"probity/lint"
)

// renewedInTime asks that certificates were replaced before they expired. When a
// certificate was replaced is known to lie between its last sight and the first
// of its successor.
func renewedInTime() lint.Check {
	return lint.Check{
		Name:   "asset/renewed_in_time",
		Source: "NIST SP 800-53 SC-12, SC-17",
		Params: []lint.Param{{Name: "min_lead_days", Doc: "days before expiry by which a certificate should be replaced", Default: 7}},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			var late, close, unknown, fine []evidence.Event
			for _, e := range s.Changes(evidence.EventRenewed, evidence.EventReplaced) {
				switch {
				case e.Expiry.IsZero():
				case !e.Since.IsZero() && e.Since.After(e.Expiry):
					late = append(late, e)
				case e.At.After(e.Expiry):
					unknown = append(unknown, e)
				case e.At.After(e.Expiry.Add(-days(env.Int("min_lead_days")))):
					close = append(close, e)
				default:
					fine = append(fine, e)
				}
			}
			var v lint.Verdict
			switch {
			case len(late) > 0:
				v = lint.Failf("The %s expired on %s and was still there on %s.", text(late[0].Subject), day(late[0].Expiry), day(late[0].Since))
				v.Observations = shown(late)
			case len(close) > 0:
				v = lint.Warnf("The %s was seen replaced on %s, less than %d days before it expired on %s.",
					text(close[0].Subject), day(close[0].At), env.Int("min_lead_days"), day(close[0].Expiry))
				v.Observations = shown(close)
			case len(fine) > 0:
				v = lint.Passf("%s replaced before expiry, first the %s on %s.", lint.Count(len(fine), "certificate"), text(fine[0].Subject), day(fine[0].At))
				v.Observations = shown(fine)
			case len(unknown) > 0:
				v = lint.Inconclusivef("A certificate was replaced around its expiry, between two sights.")
				v.Observations = shown(unknown)
			case len(s.Leafs) == 0:
				v = lint.NotApplicablef("The device presents no certificate.")
			default:
				v = lint.Inconclusivef("No replacement of a certificate was seen.")
			}
			return v
		},
	}
}
