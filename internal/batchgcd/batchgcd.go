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
// Results are exact. Memory grows with the moduli, but not with the levels of the
// tree when there is a directory to keep them in.
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

// Options bound the computation.
type Options struct {
	// Dir holds the levels of the tree while they are needed, some 16 bytes for every
	// byte of a million moduli; empty keeps them in memory.
	Dir string
}

// Divisors returns, for each modulus, its greatest common divisor with the product
// of all others. All moduli must be
// positive, and distinct: equal ones share all their factors, and their divisor is
// the modulus. ctx ends the computation early.
func Divisors(ctx context.Context, moduli []*big.Int, o Options) ([]*big.Int, error) {
	return divisorsWith(ctx, moduli, nil, o)
}

// factors yields numbers until there are no more; it fails with an error.
type factors func(ctx context.Context) (*big.Int, error)

// divisorsWith is Divisors with the numbers of others among the others.
func divisorsWith(ctx context.Context, moduli []*big.Int, others factors, o Options) ([]*big.Int, error) {
	if len(moduli) == 0 {
		return nil, nil
	}
	t := &tree{mul: ntt.New(), leaves: moduli}
	defer t.close()
	product, sum, err := t.up(ctx, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("batch GCD: products of %d moduli: %w", len(moduli), err)
	}
	d := newDivider(t.mul, product)
	if others != nil {
		rest, err := d.fold(ctx, others)
		if err != nil {
			return nil, fmt.Errorf("batch GCD: product of the known moduli: %w", err)
		}
		sum = d.mod(t.mul.Mul(d.mod(sum), rest))
	}
	out, err := t.down(ctx, d.fraction(sum))
	if err != nil {
		return nil, fmt.Errorf("batch GCD: remainders of %d moduli: %w", len(moduli), err)
	}
	return out, nil
}

// tree is a tree of products over groups of leaves.
type tree struct {
	mul    *ntt.Multiplier
	leaves []*big.Int
	levels []*level // from the groups up to the children of the root
}

func (t *tree) close() {
	for _, l := range t.levels {
		l.close()
	}
}

// groups returns how many groups of leaves there are, and members the leaves of
// group i.
func (t *tree) groups() int { return (len(t.leaves) + group - 1) / group }

func (t *tree) members(i int) []*big.Int {
	return t.leaves[i*group : min((i+1)*group, len(t.leaves))]
}

// up returns the product of all leaves and their cofactor sum. All levels below the
// root are kept.
func (t *tree) up(ctx context.Context, dir string) (product, sum *big.Int, err error) {
	products := make([]*big.Int, t.groups())
	sums := make([]*big.Int, len(products))
	t.mul.Each(len(products), func(i int) { products[i], sums[i] = cofactors(t.members(i)) })
	for len(products) > 1 {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		kept, err := keep(dir, products)
		if err != nil {
			return nil, nil, err
		}
		t.levels = append(t.levels, kept)
		half := (len(products) + 1) / 2
		upper, upperSums := make([]*big.Int, half), make([]*big.Int, half)
		t.mul.Each(half, func(i int) {
			if 2*i+1 == len(products) {
				upper[i], upperSums[i] = products[2*i], sums[2*i]
				return
			}
			upper[i], upperSums[i] = t.mul.Join(products[2*i], sums[2*i], products[2*i+1], sums[2*i+1])
			if dir != "" {
				products[2*i], products[2*i+1] = nil, nil
			}
			sums[2*i], sums[2*i+1] = nil, nil
		})
		products, sums = upper, upperSums
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
		t.mul.Each(len(fractions), func(i int) {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = t.descend(l, i, fractions[i], next)
			}
			fractions[i] = fraction{}
		})
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		l.close()
		t.levels = t.levels[:len(t.levels)-1]
		fractions = next
	}
	out := make([]*big.Int, len(t.leaves))
	t.mul.Each(len(fractions), func(i int) {
		leaves := t.members(i)
		divisors(leaves, fractions[i], out[i*group:][:len(leaves)])
	})
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
	left, right, _ := t.mul.Wrapped(f.value, b, a, f.scale)
	next[2*i] = f.times(left, ntt.Words(a)+guard)
	next[2*i+1] = f.times(right, ntt.Words(b)+guard)
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
		out[0] = r.GCD(nil, nil, r, n)
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
