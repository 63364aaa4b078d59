// Package ntt multiplies large natural numbers by number-theoretic transforms
// modulo three primes, in n log n steps, where math/big needs n^1.58.
//
// It is exact and works on natural numbers only. Memory is some seven times that
// of the product; the fields are processed one after the other.
package ntt

import (
	"math/big"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// small is the size in 64-bit words of the smaller factor up to which math/big
// is as fast.
const small = 640

// large is the number of coefficients from which memory counts more than time:
// sums are computed apart and fields one after the other.
const large = 1 << 19

// Multiplier multiplies, on up to the given number of processors at once over all
// its concurrent calls. It is safe for concurrent use.
type Multiplier struct {
	plans [3]*plan
	crew  crew
	pool  sync.Pool
	crt   crt
	large int
}

// New returns a Multiplier for the processors that Go uses.
func New() *Multiplier {
	m := &Multiplier{crew: make(crew, max(runtime.GOMAXPROCS(0)-1, 0)), large: large}
	for i, f := range fields() {
		m.plans[i] = newPlan(f)
	}
	m.crt = newCRT(m.plans)
	return m
}

// Mul returns x*y.
func (m *Multiplier) Mul(x, y *big.Int) *big.Int {
	if min(Words(x), Words(y)) <= small {
		return new(big.Int).Mul(x, y)
	}
	return m.convolve(Length(Words(x)+Words(y)), []*big.Int{x, y}, []sum{{{0, 1}}})[0]
}

// Join returns a*b and as*b + bs*a.
func (m *Multiplier) Join(a, as, b, bs *big.Int) (product, cross *big.Int) {
	n := Length((max(a.BitLen()+b.BitLen(), as.BitLen()+b.BitLen()+1, bs.BitLen()+a.BitLen()+1) + 63) / 64)
	switch {
	case min(Words(a), Words(as), Words(b), Words(bs)) <= small:
		cross = m.Mul(as, b)
		return m.Mul(a, b), cross.Add(cross, m.Mul(bs, a))
	case n >= m.large:
		// Apart, because together they need twice the memory.
		product = m.convolve(n, []*big.Int{a, b}, []sum{{{0, 1}}})[0]
		return product, m.convolve(n, []*big.Int{a, as, b, bs}, []sum{{{1, 2}, {3, 0}}})[0]
	}
	z := m.convolve(n, []*big.Int{a, as, b, bs}, []sum{{{0, 2}}, {{1, 2}, {3, 0}}})
	return z[0], z[1]
}

// Wrapped returns the products of x with each of ys modulo 2^(64*n)-1, with the n
// that Length(words) is. That costs less than the products when words is less than
// their size. x and ys have at most n 64-bit words; the results may equal the modulus.
func (m *Multiplier) Wrapped(words int, x *big.Int, ys ...*big.Int) (products []*big.Int, n int) {
	n = Length(words)
	least := Words(x)
	for _, y := range ys {
		least = min(least, Words(y))
	}
	factors := append([]*big.Int{x}, ys...)
	switch {
	case least <= small:
		for _, y := range ys {
			products = append(products, m.Mul(x, y))
			n = max(n, Words(x)+Words(y))
		}
		return products, n
	case n >= m.large:
		for _, y := range ys {
			products = append(products, m.convolve(n, []*big.Int{x, y}, []sum{{{0, 1}}})[0])
		}
		return products, n
	}
	sums := make([]sum, len(ys))
	for i := range ys {
		sums[i] = sum{{0, i + 1}}
	}
	return m.convolve(n, factors, sums), n
}

// Large says whether numbers of so many words are so large that one product at a
// time is computed, on all processors.
func (m *Multiplier) Large(words int) bool { return words >= m.large/2 }

// Words returns how many 64-bit words x has.
func Words(x *big.Int) int { return (x.BitLen() + 63) / 64 }

// Length returns the least 2^k or 3*2^k that is n or more: the lengths of transforms.
func Length(n int) int {
	k := 1 << bits.Len(uint(max(n, 4)-1))
	if k/4*3 >= n {
		return k / 4 * 3
	}
	return k
}

// sum is a sum of products of factors, which it names by index.
type sum [][2]int

// convolve returns the sums modulo 2^(64*n)-1.
func (m *Multiplier) convolve(n int, factors []*big.Int, sums []sum) []*big.Int {
	var residues [3][][]uint64
	if n >= m.large {
		for i, p := range m.plans {
			residues[i] = m.residues(p, n, factors, sums)
		}
	} else {
		m.Each(len(m.plans), func(i int) { residues[i] = m.residues(m.plans[i], n, factors, sums) })
	}
	out := make([]*big.Int, len(sums))
	m.Each(len(sums), func(i int) {
		r := [3][]uint64{residues[0][i], residues[1][i], residues[2][i]}
		out[i] = m.crt.join(m.crew, r)
		for _, b := range r {
			m.release(b)
		}
	})
	return out
}

// residues returns the sums in one field: cyclic convolutions of length n with
// coefficients below p.
func (m *Multiplier) residues(p *plan, n int, factors []*big.Int, sums []sum) [][]uint64 {
	uses := make([]int, len(factors))
	for _, s := range sums {
		for _, pair := range s {
			uses[pair[0]]++
			uses[pair[1]]++
		}
	}
	values := make([][]uint64, len(factors))
	value := func(i int) []uint64 {
		if values[i] == nil {
			values[i] = m.load(factors[i], n)
			p.transform(m.crew, values[i])
		}
		return values[i]
	}
	done := func(i int) {
		if uses[i]--; uses[i] == 0 {
			m.release(values[i])
			values[i] = nil
		}
	}
	out := make([][]uint64, len(sums))
	for i, s := range sums {
		z := m.buffer(n)
		clear(z)
		for _, pair := range s {
			x, y := value(pair[0]), value(pair[1])
			m.crew.spread(n, func(lo, hi int) {
				x, y, z := x[lo:hi], y[lo:hi], z[lo:hi]
				for j := range z {
					z[j] += p.redc(x[j], p.below(y[j]))
				}
			})
			done(pair[0])
			done(pair[1])
		}
		out[i] = z
	}
	// redc left a factor 2^-64, and the inverse transform leaves a factor n.
	scale := p.factor(p.mul(p.redc(p.r2, 1), p.inverse(uint64(n)%p.p)))
	for _, z := range out {
		p.inverseTransform(m.crew, z)
		m.crew.spread(n, func(lo, hi int) {
			for j, u := range z[lo:hi] {
				u = times(u, scale, p.p)
				if u >= p.p {
					u -= p.p
				}
				z[lo+j] = u
			}
		})
	}
	return out
}

// Each calls f for 0 to n-1, on as many processors as are free. Each call owns its
// index, so what f computes must not depend on the order.
func (m *Multiplier) Each(n int, f func(i int)) {
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			f(i)
		}
	}
	var wg sync.WaitGroup
	for range n - 1 {
		select {
		case m.crew <- struct{}{}:
			wg.Go(func() {
				defer func() { <-m.crew }()
				work()
			})
			continue
		default:
		}
		break
	}
	work()
	wg.Wait()
}

// load copies the words of x, wrapped at n, into a buffer of n coefficients.
func (m *Multiplier) load(x *big.Int, n int) []uint64 {
	buf := m.buffer(n)
	words := x.Bits()
	if bits.UintSize == 64 {
		for i, w := range words {
			buf[i] = uint64(w)
		}
		clear(buf[len(words):])
		return buf
	}
	clear(buf)
	for i, w := range words {
		buf[i/2] |= uint64(w) << (i % 2 * 32)
	}
	return buf
}

func (m *Multiplier) buffer(n int) []uint64 {
	if b, ok := m.pool.Get().(*[]uint64); ok && cap(*b) >= n && cap(*b) <= 2*n {
		return (*b)[:n]
	}
	return make([]uint64, n)
}

func (m *Multiplier) release(b []uint64) { m.pool.Put(&b) }
