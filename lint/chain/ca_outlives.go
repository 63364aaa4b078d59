package chain

import (
	"time"

	"probity/lint"
)

// caOutlives asks that a CA certificate does not end before those below it.
func caOutlives() lint.Check {
	return lint.Check{
		Name:   "chain/ca_outlives",
		Source: "RFC 5280 section 6.1.3; RFC 4158",
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if !s.CA {
				return lint.NotApplicablef("The certificate is a leaf.")
			}
			end := s.NotAfter()
			var live, longer int
			var last time.Time
			for _, c := range env.Below(s.Digest) {
				until := c.NotAfter()
				if env.At.After(until) {
					continue
				}
				live++
				if until.After(end) {
					longer++
					if until.After(last) {
						last = until
					}
				}
			}
			switch {
			case live > 0 && env.At.After(end):
				return lint.Failf("The CA certificate expired at %s, while certificates below it are still valid (%d).", lint.Time(end), live)
			case longer > 0:
				return lint.Warnf("The CA certificate ends at %s, before %d of the %d valid certificates below it; the last of them ends at %s.", lint.Time(end), longer, live, lint.Time(last))
			}
			return lint.Passf("The CA certificate ends at %s, not before any valid certificate seen below it (%d).", lint.Time(end), live)
		}),
	}
}
