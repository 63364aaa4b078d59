package batchgcd

import (
	"context"
	"math/big"
	"runtime"

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
	most       int      // words of a quotient that the reciprocal is good for
	shift      uint     // makes the top bit of the modulus that of its top word
	reciprocal *big.Int // about 2^(64*(words+scale))/(modulus<<shift)
	scale      int      // most+guard
}

func newDivider(mul *ntt.Multiplier, modulus *big.Int) *divider {
	return newWideDivider(mul, modulus, ntt.Words(modulus))
}

// newWideDivider returns a divider for quotients of up to most words, at least as many
// as the modulus has.
func newWideDivider(mul *ntt.Multiplier, modulus *big.Int, most int) *divider {
	d := &divider{mul: mul, modulus: modulus, words: ntt.Words(modulus)}
	d.most = max(most, d.words)
	d.scale = d.most + guard
	d.shift = uint(64*d.words - modulus.BitLen())
	d.reciprocal = reciprocal(mul, new(big.Int).Lsh(modulus, d.shift+uint(64*(d.scale-d.words))), d.scale)
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

// short is the size in words up to which a quotient is a division of math/big.
const short = 32

// mod returns x modulo the modulus.
func (d *divider) mod(x *big.Int) *big.Int {
	n := ntt.Words(x)
	switch {
	case x.Cmp(d.modulus) < 0:
		return x
	case d.words <= exact || n <= d.words+short:
		return new(big.Int).Mod(x, d.modulus)
	case n > d.words+d.most:
		// The quotient would have more words than the reciprocal is good for.
		low := n - d.words - d.most
		high := d.mod(window(x, low, n))
		high = new(big.Int).Lsh(high, uint(64*low))
		return d.mod(high.Add(high, window(x, 0, low)))
	}
	q := d.quotient(x)
	products, wrap := d.mul.Wrapped(max(d.words+guard, ntt.Words(q)), q, d.modulus)
	// The remainder is less than a few times the modulus, so it is known from itself
	// modulo a number that is larger by words.
	wrapped := power(64 * wrap)
	wrapped.Sub(wrapped, big.NewInt(1))
	r := around(x, wrap)
	r.Sub(r, products[0])
	for r.Sign() < 0 {
		r.Add(r, wrapped)
	}
	for r.Cmp(wrapped) >= 0 {
		r.Sub(r, wrapped)
	}
	if r.BitLen() > 64*(wrap-1) {
		r.Sub(r, wrapped) // the quotient was too large
	}
	for r.Sign() < 0 {
		r.Add(r, d.modulus)
	}
	for r.Cmp(d.modulus) >= 0 {
		r.Sub(r, d.modulus)
	}
	return r
}

// quotient returns x/modulus with an error of a few units, from as many words of x
// and of the reciprocal as it has and one more: what is cut off of each is less than a
// unit. Another word of each would make transforms longer where files are full.
func (d *divider) quotient(x *big.Int) *big.Int {
	x = new(big.Int).Lsh(x, d.shift)
	need := ntt.Words(x) - d.words + 1
	low := max(ntt.Words(x)-need, 0)
	high := x.Rsh(x, uint(64*low))
	least := max(ntt.Words(d.reciprocal)-need-1, 0)
	q := d.mul.Mul(high, new(big.Int).Rsh(d.reciprocal, uint(64*least)))
	return q.Rsh(q, uint(64*(d.words+d.scale-low-least)))
}

// around returns a number that is x modulo 2^(64*n)-1, of few bits more than n words.
func around(x *big.Int, n int) *big.Int {
	z := window(x, 0, n)
	for at := n; at < ntt.Words(x); at += n {
		z.Add(z, window(x, at, at+n))
	}
	return z
}

// fold returns the product of all numbers of others, modulo the modulus: each number
// is multiplied to what the ones before left, and the product is divided, so that a
// number of the size of the modulus costs three products. Smaller ones of like size are
// multiplied first. Several such chains are computed at the same time.
func (d *divider) fold(ctx context.Context, others factors) (*big.Int, error) {
	var stack, ready []*big.Int // sizes of stack descend
	wide := d
	accs := make([]*big.Int, runtime.GOMAXPROCS(0))
	for i := range accs {
		accs[i] = big.NewInt(1)
	}
	merge := func() {
		n := len(stack)
		stack[n-2] = d.mul.Mul(stack[n-2], stack[n-1])
		stack = stack[:n-1]
	}
	reduce := func() {
		for _, x := range ready {
			// Files have one size, about, so that this is done once.
			if most := ntt.Words(x) + guard; most > wide.most && most <= 2*d.words {
				wide = newWideDivider(d.mul, d.modulus, most)
			}
		}
		d.mul.Each(len(ready), func(i int) {
			x := ready[i]
			if ntt.Words(x) > wide.most {
				x = wide.mod(x)
			}
			accs[i] = wide.mod(d.mul.Mul(accs[i], x))
		})
		ready = ready[:0]
	}
	err := others(ctx, func(x *big.Int) {
		stack = append(stack, x)
		for n := len(stack); n > 1 && ntt.Words(stack[n-2]) <= ntt.Words(stack[n-1]); n = len(stack) {
			merge()
		}
		if top := stack[len(stack)-1]; ntt.Words(top) >= d.words {
			ready, stack = append(ready, top), stack[:len(stack)-1]
			if len(ready) == len(accs) || d.mul.Large(d.words) {
				reduce()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	reduce()
	for len(stack) > 1 {
		merge()
	}
	for _, x := range append(accs[1:], stack...) {
		accs[0] = d.mod(d.mul.Mul(accs[0], d.mod(x)))
	}
	return accs[0], nil
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
	// With e = 2^(64*(n+h)) - x*d, the better one is x + x*e/2^(128*h), shifted. e has
	// little more than n words, so the product may wrap.
	products, wrap := mul.Wrapped(n+guard, d, x)
	e := around(power(64*(n+h)), wrap)
	e.Sub(e, products[0])
	wrapped := power(64 * wrap)
	wrapped.Sub(wrapped, big.NewInt(1))
	for e.Sign() < 0 {
		e.Add(e, wrapped)
	}
	for e.Cmp(wrapped) >= 0 {
		e.Sub(e, wrapped)
	}
	negative := e.BitLen() > 64*(wrap-1)
	if negative {
		e.Sub(wrapped, e)
	}
	// x has h words; as many of e say all.
	low := max(0, ntt.Words(e)-h-guard)
	e.Rsh(e, uint(64*low))
	e = mul.Mul(x, e)
	e.Rsh(e, uint(128*h-64*low))
	x.Lsh(x, uint(64*(n-h)))
	if negative {
		return x.Sub(x, e)
	}
	return x.Add(x, e)
}

// power returns 2^n.
func power(n int) *big.Int { return new(big.Int).SetBit(new(big.Int), n, 1) }
