package ntt

import (
	"math/big"
	"math/bits"
)

// crt joins residues modulo the three primes by mixed radix (Garner): the value
// is a + p*(b + q*c) with a below p, b below q and c below r.
type crt struct {
	p, q, r        uint64
	pInQ           factor // 1/p modulo q
	pInR, qInR     factor // 1/p and 1/q modulo r
	pqHigh, pqLow  uint64 // p*q
	twiceQ, twiceR uint64
}

func newCRT(plans [3]*plan) crt {
	p, q, r := plans[0], plans[1], plans[2]
	c := crt{p: p.p, q: q.p, r: r.p, twiceQ: 2 * q.p, twiceR: 2 * r.p}
	c.pInQ = q.factor(q.inverse(p.p % q.p))
	c.pInR = r.factor(r.inverse(p.p % r.p))
	c.qInR = r.factor(r.inverse(q.p % r.p))
	c.pqHigh, c.pqLow = bits.Mul64(p.p, q.p)
	return c
}

// digits returns the mixed-radix digits of the value with residues x, y and z.
func (c *crt) digits(x, y, z uint64) (a, b, d uint64) {
	// The primes are close together, so x is below twice each of them.
	b = times(y+c.twiceQ-x, c.pInQ, c.q)
	if b >= c.q {
		b -= c.q
	}
	t := times(z+c.twiceR-x, c.pInR, c.r)
	d = times(t+c.twiceR-b, c.qInR, c.r)
	if d >= c.r {
		d -= c.r
	}
	return x, b, d
}

// join returns the number whose coefficients to the base 2^64 have the given
// residues, modulo 2^(64*n)-1. It overwrites the residues.
func (c *crt) join(hands crew, residues [3][]uint64) *big.Int {
	n := len(residues[0])
	out := residues[2]
	carries := make([][3]uint64, (n+piece-1)/piece)
	hands.spread(n, func(lo, hi int) {
		carries[lo/piece] = c.sum(residues[0][lo:hi], residues[1][lo:hi], out[lo:hi])
	})
	// The carry of a piece goes to the next one, and that of the last wraps round.
	for i, carry := range carries {
		addAt(out, min((i+1)*piece, n), carry)
	}
	words := make([]big.Word, n*(64/bits.UintSize))
	hands.spread(n, func(lo, hi int) {
		for i, w := range out[lo:hi] {
			if i += lo; bits.UintSize == 64 {
				words[i] = big.Word(w)
			} else {
				words[2*i], words[2*i+1] = big.Word(w), big.Word(w>>32)
			}
		}
	})
	return new(big.Int).SetBits(words)
}

// sum replaces z by the words of the number with residues x, y and z, and returns
// what is carried out of them.
func (c *crt) sum(x, y, z []uint64) (carry [3]uint64) {
	y, z = y[:len(x)], z[:len(x)]
	var c0, c1, c2 uint64
	for i := range x {
		a, b, d := c.digits(x[i], y[i], z[i])
		// a + p*b + pq*d
		h1, l1 := bits.Mul64(c.p, b)
		h2, l2 := bits.Mul64(c.pqLow, d)
		h3, l3 := bits.Mul64(c.pqHigh, d)
		var k uint64
		c0, k = bits.Add64(c0, a, 0)
		c1, k = bits.Add64(c1, 0, k)
		c2 += k
		c0, k = bits.Add64(c0, l1, 0)
		c1, k = bits.Add64(c1, h1, k)
		c2 += k
		c0, k = bits.Add64(c0, l2, 0)
		c1, k = bits.Add64(c1, h2, k)
		c2 += k
		c1, k = bits.Add64(c1, l3, 0)
		c2 += h3 + k
		z[i] = c0
		c0, c1, c2 = c1, c2, 0
	}
	return [3]uint64{c0, c1, c2}
}

// addAt adds carry at word i of x, modulo 2^(64*len(x))-1.
func addAt(x []uint64, i int, carry [3]uint64) {
	var k uint64
	for j := 0; j < 3 || k != 0; j, i = j+1, i+1 {
		if i == len(x) {
			i = 0
		}
		var w uint64
		if j < 3 {
			w = carry[j]
		}
		x[i], k = bits.Add64(x[i], w, k)
	}
}
