package batchgcd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"

	"probity/internal/ntt"
)

// Places are the labels of keys, each list sorted and without repeats.
type Places struct {
	// Given are those of the call, and Remembered further ones that only the set has.
	// One label may be in both, for different moduli.
	Given, Remembered []string
}

// All returns the labels of both.
func (p Places) All() []string { return sorted(slices.Concat(p.Given, p.Remembered)) }

func sorted(labels []string) []string {
	slices.Sort(labels)
	return slices.Compact(labels)
}

// Shared is a divisor with the places of the keys that it divides.
type Shared struct {
	Divisor
	Places
}

// Report is what Compare finds.
type Report struct {
	// Equal lists the places of keys with one modulus: the same key in several places.
	Equal []Places
	// Shared lists what different moduli have in common.
	Shared []Shared
	// Moduli is how many distinct moduli were compared, and Added how many of them
	// are new.
	Moduli, Added int
}

// mark stands for a modulus: the first half of its SHA-256.
type mark [16]byte

func markOf(n []byte) mark {
	sum := sha256.Sum256(n)
	return mark(sum[:16])
}

// given is a distinct modulus with all places that have it.
type given struct {
	Key
	more  []string // further labels
	known []string // labels that the set has it under
}

// places are all of a modulus. A place that the set has, too, is the same file again.
func (g given) places() Places {
	p := Places{Given: sorted(append([]string{g.Label}, g.more...))}
	for _, l := range g.known {
		if _, same := slices.BinarySearch(p.Given, l); !same {
			p.Remembered = append(p.Remembered, l)
		}
	}
	return p
}

// comparison is one Compare.
type comparison struct {
	set   *Set
	mul   *ntt.Multiplier
	o     Options
	given []given // in the order given
	at    map[mark]int32
	known int // moduli in the set
}

func (c *comparison) take(k Key) error {
	if k.N.Sign() <= 0 || isOne(k.N) || k.N.BitLen() > MaxBits {
		return fmt.Errorf("modulus of %q is %s; moduli of 2 to %d bits are compared", k.Label, size(k.N), MaxBits)
	}
	if len(k.Label) > maxLabel {
		return fmt.Errorf("label %.40q… has %d bytes; give a shorter path, of at most %d", k.Label, len(k.Label), maxLabel)
	}
	m := markOf(k.N.Bytes())
	i, ok := c.at[m]
	if !ok {
		c.at[m] = int32(len(c.given))
		c.given = append(c.given, given{Key: k})
		return nil
	}
	c.given[i].more = append(c.given[i].more, k.Label)
	c.given[i].Earlier = c.given[i].Earlier && k.Earlier
	return nil
}

// leaveEarlier leaves earlier keys to the set where it has them.
func (c *comparison) leaveEarlier() {
	left := slices.DeleteFunc(c.given, func(g given) bool { return g.Earlier && g.known != nil })
	if len(left) == len(c.at) {
		return
	}
	c.given, c.at = left, make(map[mark]int32, len(left))
	for i, g := range c.given {
		c.at[markOf(g.N.Bytes())] = int32(i)
	}
}

func size(n *big.Int) string {
	switch {
	case n.Sign() < 0:
		return "negative"
	case n.BitLen() < 2:
		return n.String()
	}
	return fmt.Sprintf("%d bits", n.BitLen())
}

// findKnown tells the fresh moduli from those that the set has.
func (c *comparison) findKnown(ctx context.Context) error {
	return c.set.each(ctx, func(f *file) error {
		c.known += len(f.keys)
		for _, k := range f.keys {
			if i, ok := c.at[markOf(k.modulus)]; ok {
				c.given[i].known = append(c.given[i].known, string(k.label))
			}
		}
		return nil
	})
}

func (c *comparison) fresh() []Key {
	var out []Key
	for _, g := range c.given {
		if g.known == nil {
			out = append(out, g.Key)
		}
	}
	return out
}

// others returns the keys of f that are not given.
func (c *comparison) others(f *file) []rawKey {
	return slices.DeleteFunc(slices.Clone(f.keys), func(k rawKey) bool {
		_, ok := c.at[markOf(k.modulus)]
		return ok
	})
}

// products yields the products of the set's files, without the moduli that are
// given, which must not meet themselves.
func (c *comparison) products() factors {
	if c.set == nil || len(c.set.files) == 0 {
		return nil
	}
	return func(ctx context.Context, take func(*big.Int)) error {
		return c.set.each(ctx, func(f *file) error {
			switch others := c.others(f); len(others) {
			case len(f.keys):
				take(f.product())
			case 0:
			default:
				take(productOf(c.mul, moduliOf(others)))
			}
			return nil
		})
	}
}

// partner is a key of the set with what it has in common with the new ones.
type partner struct {
	key    Key
	common *big.Int
}

// few is how many words of shared divisors are compared with each key of the set
// itself; with more, they go down a tree of the keys.
const few = 256

// partners returns the keys of the set that have something in common with what the
// new ones share.
func (c *comparison) partners(ctx context.Context, gcds []*big.Int) ([]partner, error) {
	found := distinct(gcds)
	if len(found) == 0 || c.set == nil {
		return nil, nil
	}
	values := make([]*big.Int, len(found))
	for i, s := range found {
		values[i] = s.value
	}
	all := productOf(c.mul, values)
	var out []partner
	err := c.set.each(ctx, func(f *file) error {
		others := c.others(f)
		if len(others) == 0 {
			return nil
		}
		moduli := moduliOf(others)
		common, err := c.common(ctx, f, moduli, all)
		if err != nil {
			return err
		}
		for i, g := range common {
			if !isOne(g) {
				out = append(out, partner{key: Key{Label: string(others[i].label), N: moduli[i]}, common: g})
			}
		}
		return nil
	})
	return out, err
}

// common returns the greatest common divisor of each modulus of a file with all; nil
// if every one is 1.
func (c *comparison) common(ctx context.Context, f *file, moduli []*big.Int, all *big.Int) ([]*big.Int, error) {
	if ntt.Words(all) > few {
		return commonWith(ctx, c.mul, moduli, all)
	}
	here := new(big.Int).Mod(f.product(), all)
	if here.GCD(nil, nil, here, all); isOne(here) {
		return nil, nil
	}
	out := make([]*big.Int, len(moduli))
	c.mul.Each(len(moduli), func(i int) {
		g := new(big.Int).Mod(here, moduli[i])
		out[i] = g.GCD(nil, nil, g, moduli[i])
	})
	return out, nil
}

func (c *comparison) report(found []Divisor, partners []partner, fresh int) Report {
	r := Report{Moduli: c.known + fresh, Added: fresh}
	for _, g := range c.given {
		if len(g.more)+len(g.known) == 0 {
			continue
		}
		if p := g.places(); len(p.Given)+len(p.Remembered) > 1 {
			r.Equal = append(r.Equal, p)
		}
	}
	slices.SortFunc(r.Equal, func(a, b Places) int { return slices.Compare(a.All(), b.All()) })
	for _, d := range found {
		s := Shared{Divisor: d}
		for _, i := range d.Moduli {
			if i < len(c.given) {
				p := c.given[i].places()
				s.Given, s.Remembered = append(s.Given, p.Given...), append(s.Remembered, p.Remembered...)
			} else {
				s.Remembered = append(s.Remembered, partners[i-len(c.given)].key.Label)
			}
		}
		s.Given, s.Remembered = sorted(s.Given), sorted(s.Remembered)
		r.Shared = append(r.Shared, s)
	}
	return r
}

// each calls f for every file; a nil set has none.
func (s *Set) each(ctx context.Context, f func(*file) error) error {
	if s == nil {
		return nil
	}
	for i := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := s.read(i)
		if err != nil {
			return err
		}
		if err := f(got); err != nil {
			return err
		}
	}
	return nil
}

func moduliOf(keys []rawKey) []*big.Int {
	out := make([]*big.Int, len(keys))
	for i, k := range keys {
		out[i] = new(big.Int).SetBytes(k.modulus)
	}
	return out
}
