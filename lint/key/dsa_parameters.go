package key

import (
	"math/big"
	"sync"

	"probity/lint"
)

// maxDSABits is the longest DSA prime that is worked with; FIPS 186-4 ends at 3072.
const maxDSABits = 4096

// dsaParameters asks that the numbers of a DSA key are of a group as FIPS 186-4
// makes them, and the key in it.
func dsaParameters() lint.Check {
	small := sync.OnceValue(newSieve)
	return lint.Check{
		Name:   "key/dsa_parameters",
		Source: "FIPS 186-4 sections 4.1 and 4.2; NIST SP 800-89 section 5.3.1",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			switch {
			case k.Algorithm != lint.DSA:
				return otherKind(k)
			case k.DSA == nil && k.Bits == 0:
				return lint.Inconclusivef("The DSA key inherits its parameters.")
			case k.DSA == nil || k.Bits > maxDSABits:
				return lint.Inconclusivef("The DSA key of %d bits is outside the bounds of computation.", k.Bits)
			}
			return lint.Remember(&k.Memo, "key/dsa_parameters", func() lint.Verdict { return judgeDSA(k.DSA, small()) })
		}),
	}
}

func judgeDSA(d *lint.DSANumbers, small sieve) lint.Verdict {
	one := big.NewInt(1)
	below := new(big.Int).Sub(d.P, one) // p - 1
	between := func(n *big.Int) bool { return n.Cmp(one) > 0 && n.Cmp(below) < 0 }
	switch {
	case d.Q.Cmp(one) <= 0 || d.P.Cmp(d.Q) <= 0:
		return lint.Failf("The DSA parameters are no group: q is not between 1 and p.")
	case !d.Q.ProbablyPrime(0):
		return lint.Failf("The q of the DSA key is no prime.")
	case small.factor(d.P) != 0: // a whole test of p costs as much as fifty certificates
		return lint.Failf("The p of the DSA key is no prime: it is divisible by %d.", small.factor(d.P))
	case new(big.Int).Mod(below, d.Q).Sign() != 0:
		return lint.Failf("The q of the DSA key does not divide p - 1.")
	case !between(d.G) || new(big.Int).Exp(d.G, d.Q, d.P).Cmp(one) != 0:
		return lint.Failf("The g of the DSA key does not have the order q.")
	case !between(d.Y) || new(big.Int).Exp(d.Y, d.Q, d.P).Cmp(one) != 0:
		return lint.Failf("The public number of the DSA key is not in the group of order q.")
	}
	p, q := d.P.BitLen(), d.Q.BitLen()
	switch [2]int{p, q} {
	case [2]int{1024, 160}, [2]int{2048, 224}, [2]int{2048, 256}, [2]int{3072, 256}:
		return lint.Passf("The DSA key is in its group, and p and q have %d and %d bits.", p, q)
	}
	return lint.Warnf("The p and q of the DSA key have %d and %d bits, which FIPS 186-4 does not know.", p, q)
}
