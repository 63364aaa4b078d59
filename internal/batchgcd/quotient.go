package batchgcd

import (
	"context"
	"math/big"

	"probity/internal/ntt"
)

// exact is the size in words up to which a reciprocal is a division of math/big.
const exact = 64

// piece is how many words of a numerator are multiplied at once; it bounds memory.
const piece = 1 << 23

// divider divides by one number, by multiplying with its reciprocal (Barrett).
type divider struct {
	mul        *ntt.Multiplier
	modulus    *big.Int
	words      int
	shift      uint     // makes the top bit of the modulus that of its top word
	reciprocal *big.Int // about 2^(64*(words+scale))/(modulus<<shift)
	scale      int      // words+guard
}

func newDivider(mul *ntt.Multiplier, modulus *big.Int) *divider {
	d := &divider{mul: mul, modulus: modulus, words: ntt.Words(modulus)}
	d.scale = d.words + guard
	d.shift = uint(64*d.words - modulus.BitLen())
	d.reciprocal = reciprocal(mul, new(big.Int).Lsh(modulus, d.shift+64*guard), d.scale)
	return d
}

// fraction returns x/modulus modulo 1, with an error of a few units of 2^(-64*scale).
// x has at most a word more than the modulus.
func (d *divider) fraction(x *big.Int) fraction {
	return fraction{value: window(d.scaled(x), 0, d.scale), scale: d.scale}
}

// scaled returns about x/modulus*2^(64*scale), which is x<<shift times the reciprocal
// without its lowest words. The lowest pieces of x go first, and what lies below the
// fraction is dropped as it comes.
func (d *divider) scaled(x *big.Int) *big.Int {
	x = new(big.Int).Lsh(x, d.shift)
	z := new(big.Int)
	dropped := 0
	for {
		z.Add(z, d.mul.Mul(window(x, dropped, dropped+piece), d.reciprocal))
		if dropped+piece >= ntt.Words(x) {
			break
		}
		z.Rsh(z, 64*piece)
		dropped += piece
	}
	if dropped > d.words {
		return z.Lsh(z, uint(64*(dropped-d.words)))
	}
	return z.Rsh(z, uint(64*(d.words-dropped)))
}

// mod returns x modulo the modulus.
func (d *divider) mod(x *big.Int) *big.Int {
	switch n := ntt.Words(x); {
	case x.Cmp(d.modulus) < 0:
		return x
	case d.words <= exact:
		return new(big.Int).Mod(x, d.modulus)
	case n > 2*d.words:
		// The quotient would have more words than the reciprocal is good for.
		low := n - 2*d.words
		high := d.mod(window(x, low, n))
		high = new(big.Int).Lsh(high, uint(64*low))
		return d.mod(high.Add(high, window(x, 0, low)))
	}
	q := d.scaled(x)
	q.Rsh(q, uint(64*d.scale))
	r := d.mul.Mul(q, d.modulus)
	r.Sub(x, r)
	for r.Sign() < 0 {
		r.Add(r, d.modulus)
	}
	for r.Cmp(d.modulus) >= 0 {
		r.Sub(r, d.modulus)
	}
	return r
}

// fold returns the product of all numbers that next yields, modulo the modulus. It
// multiplies small ones before it reduces.
func (d *divider) fold(ctx context.Context, next factors) (*big.Int, error) {
	acc, batch := big.NewInt(1), big.NewInt(1)
	for {
		x, err := next(ctx)
		if err != nil {
			return nil, err
		}
		if x == nil {
			return d.mod(d.mul.Mul(acc, d.mod(batch))), nil
		}
		if batch = d.mul.Mul(batch, x); ntt.Words(batch) >= d.words {
			acc = d.mod(d.mul.Mul(acc, d.mod(batch)))
			batch = big.NewInt(1)
		}
	}
}

// reciprocal returns about 2^(128*n)/d for d of n words with the top bit set, with
// an error of a few units (Newton's iteration).
func reciprocal(mul *ntt.Multiplier, d *big.Int, n int) *big.Int {
	if n <= exact {
		z := power(128 * n)
		return z.Quo(z, d)
	}
	h := n/2 + 2
	x := reciprocal(mul, new(big.Int).Rsh(d, uint(64*(n-h))), h)
	// With e = 2^(64*(n+h)) - x*d, the better one is x + x*e/2^(128*h), shifted.
	e := mul.Mul(d, x)
	e.Sub(power(64*(n+h)), e)
	negative := e.Sign() < 0
	e = mul.Mul(x, e.Abs(e))
	e.Rsh(e, uint(128*h))
	x.Lsh(x, uint(64*(n-h)))
	if negative {
		return x.Sub(x, e)
	}
	return x.Add(x, e)
}

// power returns 2^n.
func power(n int) *big.Int { return new(big.Int).SetBit(new(big.Int), n, 1) }
