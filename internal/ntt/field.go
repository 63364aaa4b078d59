package ntt

import "math/bits"

// field is the integers modulo a prime p below 2^62 with 3*2^32 dividing p-1, so
// that roots of unity of every order 2^k and 3*2^k up to there exist. Values are
// kept lazily below 4p, which needs the two spare bits (Harvey, Faster arithmetic
// for number-theoretic transforms, 2014).
type field struct {
	p    uint64
	g    uint64 // generates the multiplicative group
	ninv uint64 // -1/p modulo 2^64
	r2   uint64 // 2^128 modulo p
}

// fields returns the three fields; the product of their primes exceeds 2^185, so
// a convolution of up to 2^57 products of 64-bit coefficients is determined by
// its three residues. A test proves the constants.
func fields() [3]field {
	return [3]field{
		newField(0x3fffffb400000001, 19),
		newField(0x3fffff5d00000001, 5),
		newField(0x3fffff3000000001, 5),
	}
}

func newField(p, g uint64) field {
	inv := p // p*p = 1 modulo 8, and each step doubles the bits that are right
	for range 5 {
		inv *= 2 - p*inv
	}
	_, r := bits.Div64(1, 0, p) // 2^64 modulo p
	hi, lo := bits.Mul64(r, r)
	_, r2 := bits.Div64(hi, lo, p)
	return field{p: p, g: g, ninv: -inv, r2: r2}
}

// mul returns x*y modulo p, below p, for x*y below p*2^64.
func (f *field) mul(x, y uint64) uint64 { return f.redc(f.redc(x, y), f.r2) }

// redc returns x*y/2^64 modulo p, below p, for x*y below p*2^64 (Montgomery,
// Modular multiplication without trial division, 1985).
func (f *field) redc(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	mhi, mlo := bits.Mul64(lo*f.ninv, f.p)
	_, carry := bits.Add64(lo, mlo, 0)
	z, _ := bits.Add64(hi, mhi, carry)
	if z >= f.p {
		z -= f.p
	}
	return z
}

// pow returns x to the power e, below p.
func (f *field) pow(x, e uint64) uint64 {
	z := uint64(1)
	for ; e > 0; e >>= 1 {
		if e&1 != 0 {
			z = f.mul(z, x)
		}
		x = f.mul(x, x)
	}
	return z
}

// inverse returns 1/x modulo p (Fermat).
func (f *field) inverse(x uint64) uint64 { return f.pow(x, f.p-2) }

// root returns a primitive n-th root of unity; n divides 3*2^32.
func (f *field) root(n uint64) uint64 { return f.pow(f.g, (f.p-1)/n) }

// below returns x modulo p for x below 4p.
func (f *field) below(x uint64) uint64 {
	if x >= 2*f.p {
		x -= 2 * f.p
	}
	if x >= f.p {
		x -= f.p
	}
	return x
}

// factor is a constant with its quotient floor(w*2^64/p), which makes products by
// it cheap (Shoup).
type factor struct{ w, q uint64 }

func (f *field) factor(w uint64) factor {
	q, _ := bits.Div64(w, 0, f.p)
	return factor{w: w, q: q}
}

// times returns x*c.w modulo p, below 2p, for any x.
func times(x uint64, c factor, p uint64) uint64 {
	q, _ := bits.Mul64(x, c.q)
	return x*c.w - q*p
}
