package ntt

import "sync"

// base is the length up to which a transform runs by loops over a table of roots;
// 2^14 coefficients and the table fit a second-level cache. Longer ones split
// recursively, so that they use every level of cache.
const base = 1 << 14

// plan holds what transforms in one field of up to base coefficients need.
type plan struct {
	field
	forward, back []factor // roots in bit-reversed order, up to base/2
}

func newPlan(f field) *plan {
	p := &plan{field: f, forward: make([]factor, base/2), back: make([]factor, base/2)}
	for i := range p.forward {
		p.forward[i] = f.factor(1)
		p.back[i] = f.factor(1)
	}
	// Entry i is the product over the set bits b of i of the root of order 4<<b.
	for b := 1; b < base/2; b *= 2 {
		w := f.root(uint64(4 * b))
		v := f.inverse(w)
		for i := range b {
			p.forward[b+i] = f.factor(f.mul(p.forward[i].w, w))
			p.back[b+i] = f.factor(f.mul(p.back[i].w, v))
		}
	}
	return p
}

// crew limits how many goroutines work at once. A nil crew works alone.
type crew chan struct{}

// both runs f and g, at the same time when a hand is free.
func (c crew) both(f, g func()) {
	select {
	case c <- struct{}{}:
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() { <-c }()
			g()
		})
		f()
		wg.Wait()
	default:
		f()
		g()
	}
}

// piece is how much of a loop over coefficients is worth a goroutine.
const piece = 1 << 16

// spread calls f for 0 to n in pieces, at the same time where hands are free.
func (c crew) spread(n int, f func(lo, hi int)) {
	c.pieces(0, (n+piece-1)/piece, func(i int) { f(i*piece, min(n, (i+1)*piece)) })
}

func (c crew) pieces(from, to int, f func(i int)) {
	if to-from <= 1 {
		f(from)
		return
	}
	mid := (from + to) / 2
	c.both(func() { c.pieces(from, mid, f) }, func() { c.pieces(mid, to, f) })
}

// transform replaces the coefficients of a polynomial modulo x^n - 1, n = len(x)
// of the form 2^k or 3*2^k, by its values at the n-th roots of unity, in an order
// that inverse knows. Values are below 4p before and after.
func (p *plan) transform(c crew, x []uint64) {
	n := uint64(len(x))
	p.split(c, x, 0, p.root(n), n)
}

// inverse undoes transform, without the division by n. Values are below 2p after.
func (p *plan) inverseTransform(c crew, x []uint64) {
	n := uint64(len(x))
	p.join(c, x, 0, p.inverse(p.root(n)), n)
}

// split transforms x modulo x^m - g^e, m = len(x), where g has order n: the
// halves are the same modulo x^(m/2) -+ g^(e/2).
func (p *plan) split(c crew, x []uint64, e, g, n uint64) {
	m := uint64(len(x))
	switch {
	case m%3 == 0:
		p.split3(c, x, e, g, n)
	case m <= base:
		p.twist(x, p.pow(g, e/m))
		p.loops(x)
	default:
		h := m / 2
		w := p.factor(p.pow(g, e/2))
		c.spread(int(h), func(lo, hi int) { p.butterflies(x[lo:hi], x[int(h)+lo:int(h)+hi], w) })
		c.both(
			func() { p.split(c, x[:h], e/2, g, n) },
			func() { p.split(c, x[h:], e/2+n/2, g, n) })
	}
}

func (p *plan) join(c crew, x []uint64, e, g, n uint64) {
	m := uint64(len(x))
	switch {
	case m%3 == 0:
		p.join3(c, x, e, g, n)
	case m <= base:
		p.loopsBack(x)
		p.twist(x, p.pow(g, e/m))
	default:
		h := m / 2
		c.both(
			func() { p.join(c, x[:h], e/2, g, n) },
			func() { p.join(c, x[h:], e/2+n/2, g, n) })
		w := p.factor(p.pow(g, e/2))
		c.spread(int(h), func(lo, hi int) { p.butterfliesBack(x[lo:hi], x[int(h)+lo:int(h)+hi], w) })
	}
}

// split3 reduces modulo the three factors x^(m/3) - w^i*g^(e/3), w of order 3.
// Only the whole transform has a factor 3, so e is 0.
func (p *plan) split3(c crew, x []uint64, e, g, n uint64) {
	h := len(x) / 3
	w := p.pow(g, n/3)
	w1, w2 := p.factor(w), p.factor(p.mul(w, w))
	a, b, d := x[:h], x[h:2*h], x[2*h:][:h]
	c.spread(h, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			u, v, t := p.below(a[i]), p.below(b[i]), p.below(d[i])
			a[i] = u + v + t
			b[i] = u + p.below(times(v, w1, p.p)+times(t, w2, p.p))
			d[i] = u + p.below(times(v, w2, p.p)+times(t, w1, p.p))
		}
	})
	for i, part := range [][]uint64{a, b, d} {
		p.split(c, part, e/3+uint64(i)*(n/3), g, n)
	}
}

func (p *plan) join3(c crew, x []uint64, e, g, n uint64) {
	h := len(x) / 3
	a, b, d := x[:h], x[h:2*h], x[2*h:][:h]
	for i, part := range [][]uint64{a, b, d} {
		p.join(c, part, e/3+uint64(i)*(n/3), g, n)
	}
	w := p.pow(g, n/3) // g is inverted, and so is w
	w1, w2 := p.factor(w), p.factor(p.mul(w, w))
	c.spread(h, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			u, v, t := p.below(a[i]), p.below(b[i]), p.below(d[i])
			a[i] = p.below(u + v + t)
			b[i] = p.below(u + p.below(times(v, w1, p.p)+times(t, w2, p.p)))
			d[i] = p.below(u + p.below(times(v, w2, p.p)+times(t, w1, p.p)))
		}
	})
}

// butterflies reduces modulo x^h - w and x^h + w.
func (p *plan) butterflies(lo, hi []uint64, w factor) {
	hi = hi[:len(lo)]
	q, q2 := p.p, 2*p.p
	for i, u := range lo {
		if u >= q2 {
			u -= q2
		}
		t := times(hi[i], w, q)
		lo[i] = u + t
		hi[i] = u - t + q2
	}
}

func (p *plan) butterfliesBack(lo, hi []uint64, w factor) {
	hi = hi[:len(lo)]
	q, q2 := p.p, 2*p.p
	for i, u := range lo {
		v := hi[i]
		s := u + v
		if s >= q2 {
			s -= q2
		}
		lo[i] = s
		hi[i] = times(u-v+q2, w, q)
	}
}

// loops transforms modulo x^m - 1, m a power of two up to base.
func (p *plan) loops(x []uint64) {
	for h := len(x) / 2; h >= 1; h /= 2 {
		for i, w := range p.forward[:len(x)/2/h] {
			b := x[2*h*i:][:2*h]
			p.butterflies(b[:h], b[h:], w)
		}
	}
}

func (p *plan) loopsBack(x []uint64) {
	for h := 1; h < len(x); h *= 2 {
		for i, w := range p.back[:len(x)/2/h] {
			b := x[2*h*i:][:2*h]
			p.butterfliesBack(b[:h], b[h:], w)
		}
	}
}

// twist multiplies coefficient i by s^i, which turns arithmetic modulo x^m - s^m
// into arithmetic modulo x^m - 1 (and back). Values are below 2p after.
func (p *plan) twist(x []uint64, s uint64) {
	if s == 1 {
		return
	}
	const run = 128
	var small [run]factor
	power := uint64(1)
	for i := range min(run, len(x)) {
		small[i] = p.factor(power)
		power = p.mul(power, s)
	}
	large := uint64(1)
	for ; len(x) > 0; x = x[min(run, len(x)):] {
		w := p.factor(large)
		for i := range x[:min(run, len(x))] {
			x[i] = times(times(x[i], w, p.p), small[i], p.p)
		}
		large = p.mul(large, power)
	}
}
