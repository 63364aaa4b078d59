// Package batchgcd finds the factors that moduli have in common: for each modulus
// its greatest common divisor with the product of all others, in n log^2 n steps
// instead of a comparison of every two.
//
// The cofactor sum S, the sum over i of P/n[i] with P the product of all moduli,
// is P/n[i] modulo n[i], because every other term holds n[i]. A tree of products
// gives P and S together. The fraction S/P then goes down the tree: the fraction of
// a child is that of its parent times the sibling, modulo 1, so that the way down
// multiplies where a remainder tree divides (Bernstein, Scaled remainder trees,
// 2004), and leaves have half the size of those of the usual squared remainders.
//
// Memory bounds how many moduli one tree takes. More are split into parts, and the
// cofactor sum of each part is multiplied by the products of all others before it
// goes down (Hastings, Fried and Heninger, Weak keys remain widespread in network
// devices, 2016). Results are exact, and the same for every split.
package batchgcd

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/bits"

	"probity/internal/ntt"
)

// guard is how many words a fraction has beyond the size of its denominator: one
// takes the errors of all levels, one is spoilt by products that wrap round.
const guard = 2

// group is how many leaves make the lowest node of the tree that is kept. Their
// products fit a first-level cache and are computed again on the way down.
const group = 16

// What memory holds, in bytes: what is known of a modulus in the end, and one word of
// moduli while a tree of them is at work.
const (
	bytesPerModulus = 64
	bytesPerWord    = 120
)

// DefaultMemory is enough for a million moduli of 2,048 bits in two parts.
const DefaultMemory = 2 << 30

// mostParts bounds the work, which grows with the square of the parts.
const mostParts = 64

// Options bound the computation.
type Options struct {
	// Dir holds the levels of trees that are too large for memory, some 16 bytes for
	// every byte of a million moduli; empty keeps them in memory.
	Dir string
	// Memory is how many bytes the computation should stay below, besides the moduli
	// themselves; 0 is DefaultMemory.
	Memory int64
	// Progress is told how many of how many steps of about the same size are done. It
	// is called by one goroutine at a time.
	Progress func(done, steps int)
}

func (o Options) memory() int64 {
	if o.Memory == 0 {
		return DefaultMemory
	}
	return o.Memory
}

// Divisors returns, for each modulus, its greatest common divisor with the product
// of all others. All moduli must be
// positive, and distinct: equal ones share all their factors, and their divisor is
// the modulus. ctx ends the computation early.
func Divisors(ctx context.Context, moduli []*big.Int, o Options) ([]*big.Int, error) {
	return divisorsWith(ctx, moduli, nil, o)
}

// factors calls take for each of some numbers, on one goroutine.
type factors func(ctx context.Context, take func(*big.Int)) error

// divisorsWith is Divisors with the numbers of others among the others.
func divisorsWith(ctx context.Context, moduli []*big.Int, others factors, o Options) ([]*big.Int, error) {
	if len(moduli) == 0 {
		return nil, nil
	}
	sizes, err := split(moduli, o.memory())
	if err != nil {
		return nil, err
	}
	c := &computation{mul: ntt.New(), dir: o.Dir, progress: o.Progress}
	for _, n := range sizes {
		c.steps += 2*bits.Len(uint((n-1)/group)) + len(sizes)
	}
	if treeBytes(moduli) < o.memory()/32 {
		c.dir = "" // there is room in memory
	}
	defer c.close()
	for _, n := range sizes {
		if err := c.multiply(ctx, moduli[:n]); err != nil {
			return nil, fmt.Errorf("batch GCD: products of %d moduli: %w", n, err)
		}
		moduli = moduli[n:]
	}
	var out []*big.Int
	for i := range c.parts {
		gcds, err := c.divide(ctx, i, others)
		if err != nil {
			return nil, fmt.Errorf("batch GCD: remainders of %d moduli: %w", sizes[i], err)
		}
		out = append(out, gcds...)
	}
	return out, nil
}

// split returns the numbers of moduli of parts that fit memory, all of about the
// same number of words.
func split(moduli []*big.Int, memory int64) ([]int, error) {
	total := int64(0)
	for _, m := range moduli {
		total += int64(ntt.Words(m))
	}
	fixed := bytesPerModulus * int64(len(moduli))
	least := (total/mostParts + 1) * bytesPerWord
	if memory < fixed+least {
		return nil, fmt.Errorf("batch GCD: %d moduli want %d MiB of memory besides themselves, and may have %d; allow more", len(moduli), (fixed+least)>>20+1, memory>>20)
	}
	parts := total*bytesPerWord/(memory-fixed) + 1
	limit := (total + parts - 1) / parts
	var sizes []int
	n, words := 0, int64(0)
	for _, m := range moduli {
		n++
		if words += int64(ntt.Words(m)); words >= limit {
			sizes = append(sizes, n)
			n, words = 0, 0
		}
	}
	if n > 0 {
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// treeBytes is about how many bytes the levels of trees over the moduli take.
func treeBytes(moduli []*big.Int) int64 {
	words := int64(0)
	for _, m := range moduli {
		words += int64(ntt.Words(m))
	}
	return 8 * words * int64(bits.Len(uint(len(moduli)/group))+1)
}

// computation is one call of Divisors.
type computation struct {
	mul         *ntt.Multiplier
	dir         string
	parts       []*part
	tops        tree // its file holds what is kept of the parts
	progress    func(done, steps int)
	done, steps int
}

// part is a tree whose product and cofactor sum are kept as two nodes of a level.
type part struct {
	tree *tree
	top  *level
}

func (c *computation) close() {
	c.tops.close()
	for _, p := range c.parts {
		p.tree.close()
	}
}

func (c *computation) step() {
	if c.done++; c.progress != nil {
		c.progress(c.done, c.steps)
	}
}

// multiply adds a part: the way up its tree.
func (c *computation) multiply(ctx context.Context, moduli []*big.Int) error {
	t := &tree{mul: c.mul, leaves: moduli, step: c.step}
	p := &part{tree: t}
	c.parts = append(c.parts, p)
	product, sum, err := t.up(ctx, c.dir)
	if err != nil {
		return err
	}
	p.top, err = c.tops.keep(c.dir, []*big.Int{product, sum})
	return err
}

// divide returns the divisors of part i: the way down its tree.
func (c *computation) divide(ctx context.Context, i int, others factors) ([]*big.Int, error) {
	p := c.parts[i]
	product, err := p.top.node(0)
	if err != nil {
		return nil, err
	}
	sum, err := p.top.node(1)
	if err != nil {
		return nil, err
	}
	d := newDivider(c.mul, product)
	rest := d.mod(sum)
	for j, other := range c.parts {
		if j == i {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x, err := other.top.node(0)
		if err != nil {
			return nil, err
		}
		rest = d.mod(c.mul.Mul(rest, d.mod(x)))
		c.step()
	}
	if others != nil {
		known, err := d.fold(ctx, others)
		if err != nil {
			return nil, fmt.Errorf("product of the known moduli: %w", err)
		}
		rest = d.mod(c.mul.Mul(rest, known))
	}
	top := d.fraction(rest)
	c.step()
	return p.tree.down(ctx, top)
}

// commonWith returns the greatest common divisor of each modulus with x, for few moduli.
func commonWith(ctx context.Context, mul *ntt.Multiplier, moduli []*big.Int, x *big.Int) ([]*big.Int, error) {
	t := &tree{mul: mul, leaves: moduli, step: func() {}}
	product, _, err := t.up(ctx, "")
	if err != nil {
		return nil, err
	}
	d := newDivider(mul, product)
	return t.down(ctx, d.fraction(d.mod(x)))
}

// tree is a tree of products over groups of leaves.
type tree struct {
	mul    *ntt.Multiplier
	leaves []*big.Int
	levels []*level // from the groups up to the children of the root
	spill  *spill   // nil while all levels are in memory
	step   func()   // told of each level
}

func (t *tree) close() {
	t.levels = nil
	if t.spill != nil {
		t.spill.close()
		t.spill = nil
	}
}

// groups returns how many groups of leaves there are, and members the leaves of
// group i.
func (t *tree) groups() int { return (len(t.leaves) + group - 1) / group }

func (t *tree) members(i int) []*big.Int {
	return t.leaves[i*group : min((i+1)*group, len(t.leaves))]
}

// each calls f for 0 to n-1: at the same time, unless each works on so many words
// that two at once would need too much memory.
func (t *tree) each(n, words int, f func(i int)) {
	if !t.mul.Large(words) {
		t.mul.Each(n, f)
		return
	}
	for i := range n {
		f(i)
	}
}

// up returns the product of all leaves and their cofactor sum. All levels below the
// root are kept.
func (t *tree) up(ctx context.Context, dir string) (product, sum *big.Int, err error) {
	products := make([]*big.Int, t.groups())
	sums := make([]*big.Int, len(products))
	t.mul.Each(len(products), func(i int) { products[i], sums[i] = cofactors(t.members(i)) })
	for len(products) > 1 {
		kept, err := t.keep(dir, products)
		if err != nil {
			return nil, nil, err
		}
		t.levels = append(t.levels, kept)
		half := (len(products) + 1) / 2
		upper, upperSums := make([]*big.Int, half), make([]*big.Int, half)
		t.each(half, 2*ntt.Words(products[0]), func(i int) {
			switch {
			case ctx.Err() != nil:
				return
			case 2*i+1 == len(products):
				upper[i], upperSums[i] = products[2*i], sums[2*i]
				return
			}
			upper[i], upperSums[i] = t.mul.Join(products[2*i], sums[2*i], products[2*i+1], sums[2*i+1])
			if dir != "" {
				products[2*i], products[2*i+1] = nil, nil
			}
			sums[2*i], sums[2*i+1] = nil, nil
		})
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		products, sums = upper, upperSums
		t.step()
	}
	return products[0], sums[0], nil
}

// cofactors returns the product of the leaves and the sum of its quotients by each.
func cofactors(leaves []*big.Int) (product, sum *big.Int) {
	if len(leaves) == 1 {
		return leaves[0], big.NewInt(1)
	}
	h := len(leaves) / 2
	a, as := cofactors(leaves[:h])
	b, bs := cofactors(leaves[h:])
	sum = new(big.Int).Mul(as, b)
	return new(big.Int).Mul(a, b), sum.Add(sum, new(big.Int).Mul(bs, a))
}

// fraction is a number modulo 1: value/2^(64*scale).
type fraction struct {
	value *big.Int
	scale int
}

// times returns f times factor, modulo 1, with the given smaller scale; wrapped is
// the product of its value modulo some 2^(64*n)-1, n not below f.scale.
//
// What wraps round lies below the words that are dropped but for one, which is why
// guard counts two.
func (f fraction) times(wrapped *big.Int, scale int) fraction {
	return fraction{value: window(wrapped, f.scale-scale, f.scale), scale: scale}
}

// window returns words from to to-1 of x as a number of its own.
func window(x *big.Int, from, to int) *big.Int {
	z := new(big.Int).Rsh(x, uint(64*from))
	if ntt.Words(z) > to-from {
		b := z.Bits()
		z.SetBits(b[:(to-from)*64/bits.UintSize])
	}
	return z
}

// down returns the divisors, from the fraction of the root.
func (t *tree) down(ctx context.Context, top fraction) ([]*big.Int, error) {
	fractions := []fraction{top}
	for len(t.levels) > 0 {
		l := t.levels[len(t.levels)-1]
		next := make([]fraction, l.len())
		errs := make([]error, len(fractions))
		t.each(len(fractions), fractions[0].scale, func(i int) {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = t.descend(l, i, fractions[i], next)
			}
			fractions[i] = fraction{}
		})
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		t.levels = t.levels[:len(t.levels)-1]
		fractions = next
		t.step()
	}
	out := make([]*big.Int, len(t.leaves))
	t.mul.Each(len(fractions), func(i int) {
		leaves := t.members(i)
		if ctx.Err() == nil {
			divisors(leaves, fractions[i], out[i*group:][:len(leaves)])
		}
	})
	t.close()
	return out, ctx.Err()
}

// descend gives the children of node i their fractions.
func (t *tree) descend(l *level, i int, f fraction, next []fraction) error {
	if 2*i+1 == l.len() {
		next[2*i] = f
		return nil
	}
	a, err := l.node(2 * i)
	if err != nil {
		return err
	}
	b, err := l.node(2*i + 1)
	if err != nil {
		return err
	}
	z, _ := t.mul.Wrapped(f.scale, f.value, b, a)
	next[2*i] = f.times(z[0], ntt.Words(a)+guard)
	next[2*i+1] = f.times(z[1], ntt.Words(b)+guard)
	return nil
}

// divisors sets out to the greatest common divisor of each leaf with the product of
// all others, from the fraction of the node over them.
func divisors(leaves []*big.Int, f fraction, out []*big.Int) {
	if len(leaves) == 1 {
		n := leaves[0]
		// The cofactor modulo n, rounded to the nearest.
		r := new(big.Int).Mul(f.value, n)
		r.Add(r, power(64*f.scale-1))
		r.Rsh(r, uint(64*f.scale))
		if out[0] = r.GCD(nil, nil, r, n); isOne(r) {
			out[0] = big.NewInt(1) // without the room that r has
		}
		return
	}
	h := len(leaves) / 2
	a, b := product(leaves[:h]), product(leaves[h:])
	z := new(big.Int).Mul(f.value, b)
	divisors(leaves[:h], f.times(z, ntt.Words(a)+guard), out[:h])
	z.Mul(f.value, a)
	divisors(leaves[h:], f.times(z, ntt.Words(b)+guard), out[h:])
}

func product(leaves []*big.Int) *big.Int {
	if len(leaves) == 1 {
		return leaves[0]
	}
	h := len(leaves) / 2
	return new(big.Int).Mul(product(leaves[:h]), product(leaves[h:]))
}
