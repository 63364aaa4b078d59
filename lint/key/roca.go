package key

import "math/big"

// roca tells the moduli of the Infineon library from others. Its primes are
// k·M + (65537^a mod M), with M the product of the first primes, so that a
// modulus is a power of 65537 modulo each of them.
type roca struct {
	product *big.Int
	primes  []uint64
	powers  map[uint64]map[uint64]bool // prime -> subgroup that 65537 generates
}

// newROCA prepares the test for the odd primes up to 167, those of the product M
// of the shortest keys, which divides the M of all longer ones. Of the moduli of
// other generators, one in about 2^27.8 passes.
func newROCA() roca {
	r := roca{product: big.NewInt(1), powers: make(map[uint64]map[uint64]bool)}
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
	}
	return r
}

func (r roca) matches(n *big.Int) bool {
	rest := new(big.Int).Mod(n, r.product)
	var m, p big.Int
	for _, prime := range r.primes {
		if !r.powers[prime][m.Mod(rest, p.SetUint64(prime)).Uint64()] {
			return false
		}
	}
	return true
}
