package key

import (
	"math/big"
	"math/bits"
	"slices"

	"probity/lint"
)

// fermatRounds finds primes that differ by less than about 28 times the fourth
// root of the modulus: a round is a candidate for the mean of the two, and zlint
// and Boulder try as many.
const fermatRounds = 100

// fermat tries to factor n as a difference of squares and returns the rounds it
// took, or -1. The first candidate is the square root itself. n is positive.
func (w *rooter) fermat(n *big.Int) int {
	a, rest := w.root(n)
	if rest.Sign() == 0 {
		return 0
	}
	// n = a² + rest, so the candidate after a leaves (a+1)² - n = 2a + 1 - rest.
	step := w.step.Lsh(a, 1)
	step.SetBit(step, 0, 1)
	b2 := rest.Sub(step, rest)
	// The differences of successive squares grow by two, so that the rest of each
	// by a small modulus follows from those before; few are rests of squares.
	low := modulo(b2, sieveModulus)
	stepLow := (modulo(step, sieveModulus) + 2) % sieveModulus
	for round := range fermatRounds {
		if maybeSquare(low) {
			// a² - n, so many rounds on
			x := new(big.Int).Add(a, big.NewInt(int64(round)+1))
			x.Sub(x.Mul(x, x), n)
			if _, rest := new(rooter).root(x); rest.Sign() == 0 {
				return round + 1
			}
		}
		if low += stepLow; low >= sieveModulus {
			low -= sieveModulus
		}
		if stepLow += 2; stepLow >= sieveModulus {
			stepLow -= sieveModulus
		}
	}
	return -1
}

// modulo is n mod m, for n that is not negative.
func modulo(n *big.Int, m uint64) uint64 {
	var buffer [lint.MaxKeyBits / 64]uint64
	rest := uint64(0)
	for _, limb := range slices.Backward(limbs(n, buffer[:0])) {
		rest = bits.Rem64(rest, limb, m)
	}
	return rest
}

// rooter computes square roots in memory that it keeps. The zero value is ready.
type rooter struct {
	levels    [9]struct{ root, rest, part, quotient, mask big.Int } // for [lint.MaxKeyBits]
	one, step big.Int
}

// root is the integer square root of n, which is not negative and no longer than
// [lint.MaxKeyBits], and what is left: n = root² + rest. Both are the rooter's until
// it is used again.
func (w *rooter) root(n *big.Int) (root, rest *big.Int) {
	w.one.SetUint64(1)
	return w.rootAt(0, n)
}

// rootAt halves the number of bits until a word holds the root, and needs one
// division at each level (Zimmermann, Karatsuba Square Root, INRIA RR-3805).
func (w *rooter) rootAt(level int, n *big.Int) (root, rest *big.Int) {
	const small = 106
	v := &w.levels[level]
	if n.BitLen() <= small {
		v.root.Sqrt(n)
		v.rest.Mul(&v.root, &v.root)
		return &v.root, v.rest.Sub(n, &v.rest)
	}
	// n = high·4^k + mid·2^k + low, where high has at least half of the bits.
	k := uint(n.BitLen()) / 4
	high, above := w.rootAt(level+1, v.part.Rsh(n, 2*k))
	v.mask.SetBit(v.mask.SetUint64(0), int(k), 1)
	v.mask.Sub(&v.mask, &w.one)
	v.part.Rsh(n, k)
	v.part.And(&v.part, &v.mask)
	above.Lsh(above, k).Or(above, &v.part)
	v.quotient.QuoRem(above, v.part.Lsh(high, 1), &v.rest)
	v.root.Lsh(high, k)
	v.root.Add(&v.root, &v.quotient)
	v.rest.Lsh(&v.rest, k).Or(&v.rest, v.part.And(n, &v.mask))
	v.rest.Sub(&v.rest, v.part.Mul(&v.quotient, &v.quotient))
	for v.rest.Sign() < 0 { // the quotient was too large, at most by two
		v.root.Sub(&v.root, &w.one)
		v.rest.Add(&v.rest, &v.root).Add(&v.rest, &v.root).Add(&v.rest, &w.one)
	}
	return &v.root, &v.rest
}

// sieveModulus is the product of the small moduli by which non-squares are told.
const sieveModulus = 64 * 63 * 11 * 17 * 19 * 23 * 29 * 31

// maybeSquare reports whether a number with this rest by sieveModulus may be a
// square (Cohen, A Course in Computational Algebraic Number Theory, algorithm
// 1.7.3, with more moduli): bit r of each constant says whether r is a square
// modulo that number. One non-square in a thousand passes.
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
