package key

import "probity/lint"

// noDSA asks that the key is no DSA key.
func noDSA() lint.Check {
	return lint.Check{
		Name:   "key/no_dsa",
		Source: "FIPS 186-5 section 4",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			if k.Algorithm == lint.DSA {
				return lint.Failf("The key is a DSA key of %d bits.", k.Bits)
			}
			return lint.Passf("The key is of kind %s.", k.Algorithm)
		}),
	}
}
