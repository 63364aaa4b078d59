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
			return lint.Remember(&k.Memo, "key/no_structural_weakness", func() lint.Verdict { return weakness(k, primorial(), roca) })
		}),
	}
}

// weakness tries what finds the factors of a weak modulus quickly.
func weakness(k *lint.Key, primorial *big.Int, roca roca) lint.Verdict {
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
// returns the number of rounds it took, or -1 after [fermatRounds]. n must be
// positive.
func fermat(n *big.Int) int {
	a := squareRoot(n)
	b2 := new(big.Int).Mul(a, a)
	if b2.Cmp(n) == 0 {
		return 0
	}
	a.Add(a, big.NewInt(1))
	b2.Sub(b2.Mul(a, a), n)
	// The differences of successive squares grow by two, so that the rest of each
	// by a small modulus follows from those before; few are rests of squares.
	var m, rest big.Int
	m.SetUint64(sieveModulus)
	low, step := rest.Mod(b2, &m).Uint64(), new(big.Int).Add(rest.Lsh(a, 1), big.NewInt(1))
	stepLow := new(big.Int).Mod(step, &m).Uint64()
	for round := range fermatRounds {
		if maybeSquare(low) {
			// a² - n, so many rounds on
			x := new(big.Int).Add(a, big.NewInt(int64(round)))
			x.Sub(x.Mul(x, x), n)
			if b := squareRoot(x); b.Mul(b, b).Cmp(x) == 0 {
				return round + 1
			}
		}
		low, stepLow = (low+stepLow)%sieveModulus, (stepLow+2)%sieveModulus
	}
	return -1
}

// squareRoot returns the integer square root of n, which must not be negative. It
// begins with that of the first 53 bits or so, and doubles the correct bits with
// each division.
func squareRoot(n *big.Int) *big.Int {
	const head = 106 // even, so that the rest is a square of two
	if n.BitLen() <= head {
		return new(big.Int).Sqrt(n)
	}
	shift := uint(n.BitLen()-head+1) &^ 1
	x := new(big.Int).Sqrt(new(big.Int).Rsh(n, shift))
	x.Add(x, big.NewInt(1)).Lsh(x, shift/2) // not below the root
	q := new(big.Int)
	for {
		q.Quo(n, x)
		q.Rsh(q.Add(q, x), 1)
		if q.Cmp(x) >= 0 {
			return x
		}
		x, q = q, x
	}
}

// sieveModulus has moduli of which squares leave few of the rests.
const sieveModulus = 64 * 63 * 11 * 17 * 19 * 23 * 29 * 31

// maybeSquare rules out most numbers that are no square, by their rest modulo
// [sieveModulus]. Bit r of a constant is set where r is a square modulo its
// modulus.
func maybeSquare(rest uint64) bool {
	const (
		by64 = 0x0202021202030213
		by63 = 0x0402483012450293
		by17 = 0x1a317
		by11 = 0x23b
		by19 = 0x30af3
		by23 = 0x5335f
		by29 = 0x13d122f3
		by31 = 0x121d47b7
	)
	return by64>>(rest%64)&1 == 1 && by63>>(rest%63)&1 == 1 && by17>>(rest%17)&1 == 1 && by11>>(rest%11)&1 == 1 &&
		by19>>(rest%19)&1 == 1 && by23>>(rest%23)&1 == 1 && by29>>(rest%29)&1 == 1 && by31>>(rest%31)&1 == 1
}
