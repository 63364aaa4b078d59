package batchgcd

import (
	"context"
	"math/big"
	"math/bits"
	"slices"

	"probity/internal/ntt"
)

// smallBits is the size of factors that are found in machine words. No RSA prime is
// as small.
const smallBits = 64

// sieved is the bound of the primes that are tried one by one.
const sieved = 1 << 16

// mostWork bounds how much is spent on taking composite divisors apart, in products
// of two words.
const mostWork = 1 << 33

// base collects what moduli share as numbers that are pairwise coprime (Bernstein,
// Factoring into coprimes in essentially linear time, 2005; by insertion here). Numbers
// that are no RSA moduli share small primes by chance, many of them: those are
// factored, which needs no comparison.
type base struct {
	primes []uint64
	all    *big.Int         // the product of primes
	small  map[uint64][]int // members by prime
	large  []shared         // pairwise coprime, each of more than 64 bits or a rest
	rest   []shared         // composite numbers that are not factored yet
	coarse []shared         // what was left when the work was too much
	work   int
}

func newBase() *base {
	b := &base{small: make(map[uint64][]int), primes: primesBelow(sieved)}
	leaves := make([]*big.Int, len(b.primes))
	for i, p := range b.primes {
		leaves[i] = new(big.Int).SetUint64(p)
	}
	b.all = product(leaves)
	return b
}

// primesBelow is the sieve of Eratosthenes.
func primesBelow(n int) []uint64 {
	composite := make([]bool, n)
	var out []uint64
	for i := 2; i < n; i++ {
		if composite[i] {
			continue
		}
		out = append(out, uint64(i))
		for j := i * i; j < n; j += i {
			composite[j] = true
		}
	}
	return out
}

// together is how many divisors are taken at the same time. What is spent on them is
// counted afterwards, so that the result does not depend on the number of processors.
const together = 1 << 12

// take takes divisors: the primes of each that are sieved or fit a word with the rest
// at once, the rest of it when all others are known.
func (b *base) take(ctx context.Context, mul *ntt.Multiplier, values []shared) error {
	for ; len(values) > 0; values = values[min(together, len(values)):] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.work > mostWork {
			b.coarse = append(b.coarse, values...)
			return nil
		}
		some := values[:min(together, len(values))]
		parts := make([]decomposed, len(some))
		mul.Each(len(some), func(i int) { parts[i] = b.decompose(some[i].value) })
		for i, d := range parts {
			b.work += d.work
			for _, p := range d.primes {
				b.small[p] = append(b.small[p], some[i].members...)
			}
			s := shared{value: d.rest, members: some[i].members, prime: d.prime}
			switch {
			case isOne(d.rest):
			case d.prime:
				b.large = append(b.large, s)
			default:
				b.rest = append(b.rest, s)
			}
		}
	}
	return nil
}

// decomposed is a number as distinct primes that fit a word, and the rest without
// them.
type decomposed struct {
	primes []uint64
	rest   *big.Int
	prime  bool // the rest is
	work   int
}

func (b *base) decompose(v *big.Int) decomposed {
	d := decomposed{rest: v, work: len(b.all.Bits()) * (ntt.Words(v) + 1)}
	g := new(big.Int).Mod(b.all, v)
	g.GCD(nil, nil, g, v) // without squares, because the product has none
	for _, p := range b.primes {
		if isOne(g) {
			break
		}
		if g.IsUint64() && g.Uint64() < p*p {
			p = g.Uint64() // has no smaller factor, so it is prime
		}
		if remainder(g, p) != 0 {
			continue
		}
		n := new(big.Int).SetUint64(p)
		g = without(g, n)
		d.rest = without(d.rest, n)
		d.primes = append(d.primes, p)
	}
	switch {
	case isOne(d.rest):
	case d.rest.BitLen() <= smallBits:
		more, steps := factor(d.rest.Uint64())
		d.primes, d.rest = append(d.primes, more...), big.NewInt(1)
		d.work += 100 * steps
	default:
		d.prime = probablyPrime(d.rest)
	}
	return d
}

// without returns v divided by p as often as it goes.
func without(v, p *big.Int) *big.Int {
	for {
		q, r := new(big.Int).QuoRem(v, p, new(big.Int))
		if r.Sign() != 0 {
			return v
		}
		v = q
	}
}

// refine takes the composite divisors apart: by the primes that are known, then by
// what they have in common.
func (b *base) refine(ctx context.Context) error {
	words := make([]uint64, 0, len(b.small))
	for p := range b.small {
		if p >= sieved {
			words = append(words, p)
		}
	}
	slices.Sort(words)
	for i, s := range b.rest {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.work > mostWork {
			b.coarse = append(b.coarse, b.rest[i:]...)
			break
		}
		s.value = b.words(s, words)
		b.insert(s)
	}
	return nil
}

// words divides a number by the primes that fit a word.
func (b *base) words(s shared, primes []uint64) *big.Int {
	v := s.value
	b.work += len(primes) * ntt.Words(v)
	for _, p := range primes {
		if remainder(v, p) == 0 {
			b.small[p] = append(b.small[p], s.members...)
			v = without(v, new(big.Int).SetUint64(p))
		}
	}
	return v
}

func remainder(v *big.Int, p uint64) uint64 {
	if bits.UintSize != 64 {
		return new(big.Int).Mod(v, new(big.Int).SetUint64(p)).Uint64()
	}
	r := uint64(0)
	for _, w := range slices.Backward(v.Bits()) {
		_, r = bits.Div64(r, uint64(w), p)
	}
	return r
}

// insert adds a number to those that are pairwise coprime, of which it may split
// some.
func (b *base) insert(s shared) {
	for i := 0; i < len(b.large) && !isOne(s.value); i++ {
		e := &b.large[i]
		b.work += ntt.Words(s.value)*ntt.Words(e.value) + 64
		if e.prime {
			if left := without(s.value, e.value); left != s.value {
				e.members = append(e.members, s.members...)
				s.value = left
			}
			continue
		}
		g := new(big.Int).GCD(nil, nil, s.value, e.value)
		if isOne(g) {
			continue
		}
		if g.Cmp(e.value) == 0 {
			e.members = append(e.members, s.members...)
			s.value = without(s.value, g)
			i-- // what is left may have a part of it
			continue
		}
		// The element falls apart into the common part and the rest, each of which may
		// hold what the other does.
		old := *e
		b.large = slices.Delete(b.large, i, i+1)
		b.insert(shared{value: g, members: slices.Concat(old.members, s.members)})
		b.insert(shared{value: without(old.value, g), members: old.members})
		s.value = without(s.value, g)
		i--
	}
	if !isOne(s.value) {
		s.prime = probablyPrime(s.value)
		b.large = append(b.large, s)
	}
}

// divisors returns what at least two moduli have.
func (b *base) divisors() []Divisor {
	var out []Divisor
	for p, members := range b.small {
		out = append(out, Divisor{Value: new(big.Int).SetUint64(p), Moduli: members})
	}
	for _, e := range b.large {
		out = append(out, Divisor{Value: e.value, Moduli: e.members})
	}
	for _, e := range b.coarse {
		out = append(out, Divisor{Value: e.value, Moduli: e.members, Whole: true})
	}
	return out
}

// factor returns the distinct primes of a number without factors below 2^16, so of
// at most three primes, and the steps that it took.
func factor(n uint64) (primes []uint64, steps int) {
	if n == 1 {
		return nil, 0
	}
	if new(big.Int).SetUint64(n).ProbablyPrime(0) { // exact below 2^64
		return []uint64{n}, 1
	}
	d, steps := divisorOf(n)
	a, more := factor(d)
	b, most := factor(n / d)
	primes = append(a, b...)
	slices.Sort(primes)
	return slices.Compact(primes), steps + more + most
}

// divisorOf returns a proper divisor of a composite number (Pollard, A Monte Carlo
// method for factorization, 1975), some 2^16 steps for two primes of 32 bits.
func divisorOf(n uint64) (d uint64, steps int) {
	const run = 64 // steps for one greatest common divisor
	times := func(x, y uint64) uint64 {
		hi, lo := bits.Mul64(x, y)
		_, r := bits.Div64(hi, lo, n) // hi is below n, because x and y are
		return r
	}
	for c := uint64(1); ; c++ {
		step := func(x uint64) uint64 {
			z, carry := bits.Add64(times(x, x), c, 0)
			if carry != 0 || z >= n {
				z -= n
			}
			return z
		}
		x, y := uint64(2), uint64(2)
		for d = 1; d == 1; {
			startX, startY, all := x, y, uint64(1)
			for range run {
				x, y = step(x), step(step(y))
				all = times(all, max(x, y)-min(x, y))
			}
			steps += run
			if d = gcd(all, n); d != n {
				continue
			}
			// All primes at once: go one by one.
			for x, y, d = startX, startY, 1; d == 1; steps++ {
				x, y = step(x), step(step(y))
				d = gcd(max(x, y)-min(x, y), n)
			}
		}
		if d != n {
			return d, steps
		}
	}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
