package key

import "probity/lint"

// caStrength asks that a CA's key is at least as strong as the keys it
// certifies.
func caStrength() lint.Check {
	return lint.Check{
		Name:   "key/ca_strength",
		Source: "NIST SP 800-57 part 1 rev. 5 section 5.6.2",
		Certificate: lint.WithKey(func(env *lint.Env, s *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			switch {
			case !s.CA:
				return lint.NotApplicablef("The certificate is a leaf.")
			case k.Strength == 0:
				return lint.Inconclusivef("The strength of a key of kind %s is not known.", k.Algorithm)
			case k.Strength < 112:
				return lint.Failf("The CA key has %d bits of strength, fewer than 112.", k.Strength)
			}
			below := env.Below(s.Digest)
			var strongest lint.Below // the first of those
			for _, c := range below {
				if c.Strength > strongest.Strength {
					strongest = c
				}
			}
			if strongest.Strength > k.Strength {
				return lint.Warnf("The CA key has %d bits of strength and certifies a key of %d bits of strength, of %q.",
					k.Strength, strongest.Strength, env.Corpus.SubjectOf(strongest.Digest))
			}
			return lint.Passf("The CA key has %d bits of strength, no fewer than any key seen below it (%d).", k.Strength, len(below))
		}),
	}
}
