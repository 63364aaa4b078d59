// Package key holds the checks of subject public keys, of certificates and of
// certification requests alike: size, strength, form, and whether the private
// half is known or can be found.
//
// A key over [lint.MaxKeyBits] is never used in a computation; the checks then
// judge what can be read off it and answer inconclusive for the rest.
package key

import "probity/lint"

// Checks returns the checks of this package.
func Checks() []lint.Check {
	return []lint.Check{
		rsaSize(),
		strengthServiceLife(),
		ecCurve(),
		rsaExponent(),
		noDSA(),
		noStructuralWeakness(),
		notPubliclyKnown(),
		caStrength(),
		noKnownScalar(),
		fullOrder(),
		dsaParameters(),
		pssParameters(),
		fixedLength(),
	}
}

// rsaOnly wraps a check that applies to RSA keys.
func rsaOnly(check func(*lint.Env, *lint.Key) lint.Verdict) func(*lint.Env, *lint.CertificateSubject) lint.Verdict {
	return lint.WithKey(func(env *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
		if !k.IsRSA() {
			return otherKind(k)
		}
		return check(env, k)
	})
}

// otherKind is the verdict of a check on a key that it is not about.
func otherKind(k *lint.Key) lint.Verdict {
	switch k.Algorithm { //nolint:exhaustive // nearly all, without the time it takes to write the text
	case lint.RSA:
		return lint.NotApplicablef("The key is of kind RSA.")
	case lint.EC:
		return lint.NotApplicablef("The key is of kind EC.")
	}
	return lint.NotApplicablef("The key is of kind %s.", k.Algorithm)
}
