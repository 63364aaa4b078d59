package cert

import (
	"time"

	"probity/lint"
)

const day = 24 * time.Hour

// outsideRenewalWindow asks that there is time left to renew the certificate.
func outsideRenewalWindow() lint.Check {
	return lint.Check{
		Name:   "cert/outside_renewal_window",
		Source: "RFC 5280 section 4.1.2.5; the window is site policy",
		Params: []lint.Param{
			{Name: "warn_days", Doc: "days before the end in which renewal is due", Default: 60},
			{Name: "critical_days", Doc: "days before the end in which renewal is urgent", Default: 14},
		},
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			end := s.NotAfter()
			left := end.Sub(env.At)
			switch {
			case lint.Indefinite(end):
				return lint.NotApplicablef("The certificate has no well-defined end.")
			case left < 0:
				return lint.NotApplicablef("The certificate expired at %s.", lint.Time(end))
			}
			window := time.Duration(env.Int("warn_days")) * day
			// Short-lived certificates are renewed by machines, late in their life.
			if lifetime := end.Sub(s.NotBefore()); lifetime < 90*day {
				window = min(window, lifetime/3)
			}
			if left > window {
				return lint.Passf("The certificate is valid until %s, for %d more days.", lint.Time(end), lint.Days(left))
			}
			urgency := ""
			if left <= time.Duration(env.Int("critical_days"))*day {
				urgency = "; renewal is urgent"
			}
			return lint.Warnf("The certificate expires at %s, in %d days, within the renewal window of %d days%s.",
				lint.Time(end), lint.Days(left), lint.Days(window), urgency)
		}),
	}
}
