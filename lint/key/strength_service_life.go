package key

import (
	"time"

	"probity/lint"
)

// strengthServiceLife asks that a key stays strong enough until the device goes
// out of service.
func strengthServiceLife() lint.Check {
	return lint.Check{
		Name:   "key/strength_service_life",
		Source: "NIST SP 800-57 part 1 rev. 5 table 4; NIST IR 8547 (draft)",
		Params: []lint.Param{
			{Name: "112bit_until", Doc: "last day on which 112 bits of strength suffice", Default: "2030-12-31"},
			{Name: "min_after", Doc: "strength in bits that is needed after that day", Default: 128},
		},
		Certificate: lint.WithKey(func(env *lint.Env, s *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			least := env.Int("min_after")
			switch {
			case k.Strength == 0:
				return lint.Inconclusivef("The strength of a key of kind %s is not known.", k.Algorithm)
			case k.Strength < 112:
				return lint.NotApplicablef("The key has less than 112 bits of strength, which other rules judge.")
			case k.Strength >= least:
				return lint.Passf("The key has %d bits of strength.", k.Strength)
			}
			until, err := time.Parse(time.DateOnly, env.String("112bit_until"))
			if err != nil {
				return lint.Inconclusivef("The parameter 112bit_until is no date of the form 2030-12-31.")
			}
			end, source := env.Policy.EndOfLife[s.Endpoint.Addr], "the declared end of life"
			if end.IsZero() {
				if !s.Decoded() || lint.Indefinite(s.NotAfter()) {
					return lint.Inconclusivef("The key has %d bits of strength, and neither the certificate nor the policy says when it goes out of service.", k.Strength)
				}
				end, source = s.NotAfter(), "the end of the certificate"
			}
			if !end.Before(until.AddDate(0, 0, 1)) {
				return lint.Warnf("The key has %d bits of strength, and %s is %s, after %s.", k.Strength, source, end.UTC().Format(time.DateOnly), until.Format(time.DateOnly))
			}
			return lint.Passf("The key has %d bits of strength, and %s is %s.", k.Strength, source, end.UTC().Format(time.DateOnly))
		}),
	}
}
