package key

import (
	"math/big"

	"probity/lint"
)

const (
	fermatRounds  = 100   // finds primes that differ by less than about 28 times the fourth root of the modulus
	trialDivisors = 65536 // every smaller prime is tried
)

// noStructuralWeakness asks that the modulus does not give its factors away.
func noStructuralWeakness() lint.Check {
	roca := newROCA()
	primorial := smallPrimes()
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
			if f := smallFactor(k.N, primorial); f != 0 {
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

// smallPrimes returns the product of the odd primes below [trialDivisors] in
// pieces of less than 64 bits each, so that one division serves several primes.
func smallPrimes() []uint64 {
	sieve := make([]bool, trialDivisors)
	var out []uint64
	product := uint64(1)
	for p := uint64(3); p < trialDivisors; p += 2 {
		if sieve[p] {
			continue
		}
		for m := p * p; m < trialDivisors; m += 2 * p {
			sieve[m] = true
		}
		if product > ^uint64(0)/p {
			out, product = append(out, product), 1
		}
		product *= p
	}
	return append(out, product)
}

// smallFactor returns the smallest prime below [trialDivisors] that divides n
// properly, or 0.
func smallFactor(n *big.Int, products []uint64) uint64 {
	if n.Bit(0) == 0 {
		return 2
	}
	var rest, m big.Int
	for _, product := range products {
		r := rest.Mod(n, m.SetUint64(product)).Uint64()
		g := gcd(product, r)
		if g == 1 {
			continue
		}
		for p := uint64(3); p < trialDivisors; p += 2 {
			if g%p == 0 && (!n.IsUint64() || n.Uint64() != p) {
				return p
			}
		}
	}
	return 0
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
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
