package key

import "probity/lint"

// rsaSize asks for an RSA modulus that cannot be factored today.
func rsaSize() lint.Check {
	return lint.Check{
		Name:   "key/rsa_size",
		Source: "NIST SP 800-131A rev. 2 section 3; RFC 9325 section 4.5",
		Params: []lint.Param{{Name: "min_bits", Doc: "shortest modulus in bits", Default: 2048}},
		Certificate: rsaOnly(func(env *lint.Env, k *lint.Key) lint.Verdict {
			least := env.Int("min_bits")
			switch {
			case (k.Bits+7)/8*8 < least:
				return lint.Failf("The RSA modulus has %d bits, fewer than %d.", k.Bits, least)
			case k.Bits%8 != 0:
				return lint.Warnf("The RSA modulus has %d bits, which is no multiple of 8.", k.Bits)
			}
			return lint.Passf("The RSA modulus has %d bits.", k.Bits)
		}),
	}
}
