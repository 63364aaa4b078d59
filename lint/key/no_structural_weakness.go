package key

import (
	"math/big"
	"sync"

	"probity/lint"
)

const (
	fermatRounds  = 100   // finds primes that differ by less than about 28 times the fourth root of the modulus
	trialDivisors = 65536 // every smaller prime is tried
)

// noStructuralWeakness asks that the modulus does not give its factors away.
func noStructuralWeakness() lint.Check {
	roca := newROCA()
	primorial := sync.OnceValue(smallPrimes)
	return lint.Check{
		Name:   "key/no_structural_weakness",
		Source: "CVE-2017-15361 (Nemec et al., The Return of Coppersmith's Attack, CCS 2017); Fermat factorisation (CVE-2022-26320)",
		Certificate: rsaOnly(func(_ *lint.Env, k *lint.Key) lint.Verdict {
			if k.N == nil {
				return lint.Inconclusivef("The RSA modulus of %d bits is outside the bounds of computation.", k.Bits)
			}
			if k.N.Sign() == 0 {
				return lint.Failf("The RSA modulus is zero.")
			}
			if f := smallFactor(k.N, primorial()); f != 0 {
				return lint.Failf("The RSA modulus is divisible by %d.", f)
			}
			if rounds := fermat(k.N); rounds >= 0 {
				return lint.Failf("The RSA modulus was factored: its primes are close together (Fermat, %s).", lint.Count(rounds, "round"))
			}
			if roca.matches(k.N) {
				return lint.Warnf("The RSA modulus of %d bits has the fingerprint of keys of the Infineon library (ROCA, CVE-2017-15361).", k.Bits)
			}
			return lint.Passf("No divisor below %d, no close primes (Fermat, %d rounds), no ROCA fingerprint.", trialDivisors, fermatRounds)
		}),
	}
}

// smallPrimes returns the product of the odd primes below [trialDivisors]: one
// common divisor with it tries them all.
func smallPrimes() *big.Int {
	sieve := make([]bool, trialDivisors)
	var factors []*big.Int
	for p := 3; p < trialDivisors; p += 2 {
		if sieve[p] {
			continue
		}
		factors = append(factors, big.NewInt(int64(p)))
		for m := p * p; m < trialDivisors; m += 2 * p {
			sieve[m] = true
		}
	}
	for len(factors) > 1 {
		half := (len(factors) + 1) / 2
		for i := half; i < len(factors); i++ {
			factors[i-half].Mul(factors[i-half], factors[i])
		}
		factors = factors[:half]
	}
	return factors[0]
}

// smallFactor returns the smallest prime below [trialDivisors] that divides n
// properly, or 0. n must be positive.
func smallFactor(n, primorial *big.Int) uint64 {
	if n.Bit(0) == 0 {
		return 2
	}
	g := new(big.Int).Mod(primorial, n)
	if g.GCD(nil, nil, g, n); g.IsUint64() && g.Uint64() == 1 {
		return 0
	}
	var rest, m big.Int
	for p := uint64(3); p < trialDivisors; p += 2 {
		if rest.Mod(g, m.SetUint64(p)).Sign() == 0 && (!n.IsUint64() || n.Uint64() != p) {
			return p
		}
	}
	return 0
}

// fermat looks for n = a² - b² with a from the square root of n upwards. It
// returns the number of rounds it took, or -1 after [fermatRounds].
func fermat(n *big.Int) int {
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) == 0 {
		return 0
	}
	a.Add(a, big.NewInt(1))
	b2 := new(big.Int).Mul(a, a)
	b2.Sub(b2, n)
	step := new(big.Int).Lsh(a, 1)
	step.Add(step, big.NewInt(1))
	two := big.NewInt(2)
	b := new(big.Int)
	for round := range fermatRounds {
		if maybeSquare(b2) && b.Mul(b.Sqrt(b2), b).Cmp(b2) == 0 {
			return round + 1
		}
		b2.Add(b2, step) // (a+1)² - n
		step.Add(step, two)
	}
	return -1
}

// maybeSquare rules out most numbers that are no square: squares leave 12 of the
// 64 residues modulo 64.
func maybeSquare(n *big.Int) bool {
	const residues = 0x0202021202030213 // bit r is set where r is a square modulo 64
	if n.Sign() == 0 {
		return true
	}
	return residues>>(uint(n.Bits()[0])&63)&1 == 1
}
