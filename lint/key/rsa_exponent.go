package key

import "probity/lint"

// rsaExponent asks for a public exponent in the approved range.
func rsaExponent() lint.Check {
	return lint.Check{
		Name:   "key/rsa_exponent",
		Source: "FIPS 186-5 section 5.1; NIST SP 800-56B rev. 2 section 6.2",
		Params: []lint.Param{
			{Name: "min", Doc: "smallest exponent", Default: 65537},
			{Name: "max_bits", Doc: "longest exponent in bits", Default: 256},
		},
		Certificate: rsaOnly(func(env *lint.Env, k *lint.Key) lint.Verdict {
			switch {
			case k.ExponentBits > env.Int("max_bits"):
				return lint.Warnf("The RSA exponent has %d bits, more than %d.", k.ExponentBits, env.Int("max_bits"))
			case k.E == nil:
				return lint.Inconclusivef("The RSA modulus of %d bits is outside the bounds of computation.", k.Bits)
			case k.E.Bit(0) == 0:
				return lint.Failf("The RSA exponent %d is even.", k.E)
			case k.E.IsInt64() && k.E.Int64() == 1:
				return lint.Failf("The RSA exponent is 1.")
			case k.E.IsInt64() && k.E.Int64() < int64(env.Int("min")):
				return lint.Warnf("The RSA exponent %d is smaller than %d.", k.E, env.Int("min"))
			}
			if k.E.IsInt64() && k.E.Int64() == 65537 { // nearly all
				return lint.Passf("The RSA exponent is 65537.")
			}
			return lint.Passf("The RSA exponent is %d.", k.E)
		}),
	}
}
