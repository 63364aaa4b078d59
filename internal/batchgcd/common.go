package batchgcd

import (
	"cmp"
	"context"
	"math/big"
	"slices"

	"probity/internal/ntt"
)

// Divisor is a number that several moduli have in common.
type Divisor struct {
	Value *big.Int
	// Moduli are the indexes of those it divides, ascending.
	Moduli []int
	// Splits says that Value, and what it leaves of each modulus, are large and can be
	// prime: that is what RSA keys from a bad generator look like. Otherwise the moduli
	// are not products of two large primes.
	Splits bool
	// Whole says that Value is all that one modulus shares with others, and was not
	// taken apart, because there is too much of it.
	Whole bool
}

// Common returns what at least two of the distinct moduli have in common, in the
// order of the first modulus and then by value.
func Common(ctx context.Context, moduli []*big.Int, o Options) ([]Divisor, error) {
	gcds, err := Divisors(ctx, moduli, o)
	if err != nil {
		return nil, err
	}
	return takeApart(ctx, moduli, gcds)
}

// takeApart finds the divisors behind the greatest common divisors of moduli.
func takeApart(ctx context.Context, moduli, gcds []*big.Int) ([]Divisor, error) {
	mul := ntt.New()
	b := newBase()
	if err := b.take(ctx, mul, distinct(gcds)); err != nil {
		return nil, err
	}
	if err := b.refine(ctx); err != nil {
		return nil, err
	}
	out := b.divisors()
	mul.Each(len(out), func(i int) {
		d := &out[i]
		slices.Sort(d.Moduli)
		d.Moduli = slices.Compact(d.Moduli)
	})
	for i := range out {
		if out[i].Splits = splits(ctx, mul, out[i], moduli); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	slices.SortFunc(out, func(x, y Divisor) int {
		return cmp.Or(cmp.Compare(x.Moduli[0], y.Moduli[0]), x.Value.Cmp(y.Value))
	})
	return out, nil
}

// shared is a number with the moduli that have it as a divisor.
type shared struct {
	value   *big.Int
	members []int
	prime   bool
}

// distinct returns the divisors other than 1, each once, in the order of their first
// modulus.
func distinct(gcds []*big.Int) []shared {
	var out []shared
	at := make(map[string]int)
	for i, g := range gcds {
		if isOne(g) {
			continue
		}
		key := string(g.Bytes())
		n, ok := at[key]
		if !ok {
			n = len(out)
			at[key] = n
			out = append(out, shared{value: g})
		}
		out[n].members = append(out[n].members, i)
	}
	return out
}

// splits says whether the value and the quotient of each modulus by it are large and
// can be prime. It is quick for small values, of which there may be many.
func splits(ctx context.Context, mul *ntt.Multiplier, d Divisor, moduli []*big.Int) bool {
	if d.Whole || d.Value.BitLen() <= smallBits || !probablyPrime(d.Value) {
		return false
	}
	// The first few settle it for most that are no RSA moduli.
	for rest := d.Moduli; len(rest) > 0; rest = rest[min(64, len(rest)):] {
		some := rest[:min(64, len(rest))]
		prime := make([]bool, len(some))
		mul.Each(len(some), func(i int) {
			q := new(big.Int).Quo(moduli[some[i]], d.Value)
			prime[i] = ctx.Err() == nil && q.BitLen() > smallBits && probablyPrime(q)
		})
		if slices.Contains(prime, false) {
			return false
		}
	}
	return true
}

func isOne(x *big.Int) bool { return x.IsInt64() && x.Int64() == 1 }

// probablyPrime is the test of Baillie, Pomerance, Selfridge and Wagstaff, which no
// composite number is known to pass.
func probablyPrime(x *big.Int) bool { return x.ProbablyPrime(0) }
