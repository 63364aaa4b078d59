package cert

import (
	"time"

	"probity/lint"
)

// skewParam is the tolerance between the clock of judgement and the issuer's.
func skewParam() lint.Param {
	return lint.Param{Name: "clock_skew_s", Doc: "seconds by which clocks may differ", Default: 300}
}

func skew(env *lint.Env) time.Duration { return time.Duration(env.Int("clock_skew_s")) * time.Second }

// notExpired asks that the certificate has not reached its end.
func notExpired() lint.Check {
	return lint.Check{
		Name:   "cert/not_expired",
		Source: "RFC 5280 section 4.1.2.5",
		Params: []lint.Param{skewParam()},
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			end := s.NotAfter()
			switch {
			case lint.Indefinite(end):
				return lint.NotApplicablef("The certificate has no well-defined end.")
			case env.At.After(end.Add(skew(env))):
				return lint.Failf("The certificate expired at %s, %d days ago.", lint.Time(end), lint.Days(env.At.Sub(end)))
			}
			return lint.Passf("The certificate is valid until %s.", lint.Time(end))
		}),
	}
}
