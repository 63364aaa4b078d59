package key

import (
	"math"
	"math/big"
)

// roca tells the moduli of the Infineon library from others. Its primes are
// k·M + (65537^a mod M), with M the product of the first primes, so that a
// modulus is a power of 65537 modulo each of them.
type roca struct {
	product *big.Int
	primes  []uint64
	powers  map[uint64]map[uint64]bool // prime -> subgroup that 65537 generates
	// first is the product of some of the primes whose subgroup is small; few
	// moduli of other libraries get past them.
	first uint64
	few   []uint64
}

// newROCA prepares the test for the odd primes up to 167, those of the product M
// of the shortest keys, which divides the M of all longer ones. Of the moduli of
// other generators, one in about 2^27.8 passes.
func newROCA() roca {
	r := roca{product: big.NewInt(1), powers: make(map[uint64]map[uint64]bool), first: 1}
	for p := uint64(3); p <= 167; p += 2 {
		if !big.NewInt(int64(p)).ProbablyPrime(0) {
			continue
		}
		group := make(map[uint64]bool)
		for x := uint64(1); !group[x]; x = x * 65537 % p {
			group[x] = true
		}
		r.primes = append(r.primes, p)
		r.powers[p] = group
		r.product.Mul(r.product, big.NewInt(int64(p)))
		if uint64(len(group)) < p-1 && r.first <= math.MaxUint64/p {
			r.first *= p
			r.few = append(r.few, p)
		}
	}
	return r
}

// matches reports whether n lies in every subgroup. Of random numbers, one in
// 2^27 does.
func (r roca) matches(n *big.Int) bool {
	low := modulo(n, r.first)
	for _, p := range r.few {
		if !r.powers[p][low%p] {
			return false
		}
	}
	rest := new(big.Int).Mod(n, r.product)
	var m, p big.Int
	for _, prime := range r.primes {
		if !r.powers[prime][m.Mod(rest, p.SetUint64(prime)).Uint64()] {
			return false
		}
	}
	return true
}
