package batchgcd

import (
	"cmp"
	"context"
	"maps"
	"math/big"
	"slices"
)

// maxPairs bounds the comparisons of two that take a modulus apart when all of its
// factors are shared.
const maxPairs = 1 << 20

// Divisor is a number that several moduli have in common.
type Divisor struct {
	Value *big.Int
	// Moduli are the indexes of those it divides, ascending.
	Moduli []int
	// Splits says that Value, and what it leaves of each modulus, can be prime: that
	// is what two RSA keys from a bad generator look like. Otherwise the moduli are
	// not products of two primes, or Value could not be taken apart.
	Splits bool
}

// Common returns what at least two of the distinct moduli have in common, in the
// order of the first modulus and then by value.
func Common(ctx context.Context, moduli []*big.Int, o Options) ([]Divisor, error) {
	gcds, err := Divisors(ctx, moduli, o)
	if err != nil {
		return nil, err
	}
	return takeApart(moduli, gcds), nil
}

// takeApart finds the divisors behind the greatest common divisors of moduli.
func takeApart(moduli, gcds []*big.Int) []Divisor {
	a := apart{moduli: moduli, members: make(map[string][]int), values: make(map[string]*big.Int)}
	var hard []int
	for i, g := range gcds {
		switch {
		case isOne(g):
		case g.Cmp(moduli[i]) != 0 && probablyPrime(g):
			a.add(g, i)
		default:
			hard = append(hard, i)
		}
	}
	a.takeApart(hard, gcds)
	out := make([]Divisor, 0, len(a.members))
	for key, members := range a.members {
		v := a.values[key]
		slices.Sort(members)
		members = slices.Compact(members)
		out = append(out, Divisor{Value: v, Moduli: members, Splits: splits(v, members, moduli)})
	}
	slices.SortFunc(out, func(x, y Divisor) int {
		return cmp.Or(cmp.Compare(x.Moduli[0], y.Moduli[0]), x.Value.Cmp(y.Value))
	})
	return out
}

type apart struct {
	moduli  []*big.Int
	members map[string][]int
	values  map[string]*big.Int
}

func (a *apart) add(v *big.Int, i int) {
	key := string(v.Bytes())
	a.values[key] = v
	a.members[key] = append(a.members[key], i)
}

// takeApart finds the divisors of the moduli in hard, all of whose factors are
// shared: first those that others are known by, then by comparing two and two.
func (a *apart) takeApart(hard []int, gcds []*big.Int) {
	easy := slices.Sorted(maps.Keys(a.values))
	rest := make([]*big.Int, len(hard))
	pairs := 0
	for h, i := range hard {
		rest[h] = a.small(i, new(big.Int).Set(gcds[i]))
		for _, key := range easy {
			if pairs++; pairs > maxPairs {
				break
			}
			if q, r := new(big.Int).QuoRem(rest[h], a.values[key], new(big.Int)); r.Sign() == 0 {
				a.add(a.values[key], i)
				rest[h] = q
			}
		}
	}
	for h, i := range hard {
		if isOne(rest[h]) {
			continue
		}
		for k, j := range hard {
			if h == k || isOne(rest[k]) {
				continue
			}
			if pairs++; pairs > maxPairs {
				a.add(rest[h], i)
				break
			}
			if g := new(big.Int).GCD(nil, nil, rest[h], rest[k]); !isOne(g) {
				a.add(g, i)
				a.add(g, j)
			}
		}
	}
}

// small adds the small prime factors of g, which modulus i shares, and returns what
// is left of g. Numbers that are no RSA moduli share them by chance.
func (a *apart) small(i int, g *big.Int) *big.Int {
	for n := int64(2); n < 1<<10 && !isOne(g); n++ {
		p := big.NewInt(n)
		for found := false; ; found = true {
			q, r := new(big.Int).QuoRem(g, p, new(big.Int))
			if r.Sign() != 0 {
				break
			}
			if !found {
				a.add(p, i)
			}
			g = q
		}
	}
	return g
}

// splits says whether v and the quotient of each modulus by it can be prime.
func splits(v *big.Int, members []int, moduli []*big.Int) bool {
	if !probablyPrime(v) {
		return false
	}
	return !slices.ContainsFunc(members, func(i int) bool {
		return !probablyPrime(new(big.Int).Quo(moduli[i], v))
	})
}

func isOne(x *big.Int) bool { return x.IsInt64() && x.Int64() == 1 }

// probablyPrime errs with a probability below 2^-40, for numbers that someone chose
// to deceive it, too.
func probablyPrime(x *big.Int) bool { return x.ProbablyPrime(20) }
