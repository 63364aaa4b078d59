package key

import "probity/lint"

// fixedLength asks that a key of a kind with one length has it, and no parameters:
// the kinds of RFC 8410 and those against quantum computers.
func fixedLength() lint.Check {
	return lint.Check{
		Name:   "key/fixed_length",
		Source: "RFC 8410 section 3; RFC 9881 (ML-DSA), RFC 9909 (SLH-DSA), RFC 9935 (ML-KEM); FIPS 203, 204 and 205",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			switch {
			case k.FixedLength == 0:
				return lint.NotApplicablef("Keys of kind %s have no fixed length.", k.Algorithm)
			case len(k.Public) != k.FixedLength:
				return lint.Failf("The %s key has %d bytes instead of %d.", k.Algorithm, len(k.Public), k.FixedLength)
			case k.HasParams:
				return lint.Failf("The algorithm %s of the key has parameters, which it must not have.", k.Algorithm)
			}
			return lint.Passf("The %s key has %d bytes.", k.Algorithm, k.FixedLength)
		}),
	}
}
