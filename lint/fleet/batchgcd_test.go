package fleet

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// randomOdd returns an odd number of bits bits from a fixed stream.
func randomOdd(r *rand.ChaCha8, bits int) *big.Int {
	b := make([]byte, bits/8)
	_, _ = r.Read(b)
	b[0] |= 0xc0
	b[len(b)-1] |= 1
	return new(big.Int).SetBytes(b)
}

func prime(r *rand.ChaCha8, bits int) *big.Int {
	for {
		if p := randomOdd(r, bits); p.ProbablyPrime(10) {
			return p
		}
	}
}

// TestBatchGCD compares with the pairwise answer, for numbers of moduli around
// the powers of two at which the tree changes its shape.
func TestBatchGCD(t *testing.T) {
	r := rand.NewChaCha8([32]byte{1})
	var pool []*big.Int
	for range 12 {
		pool = append(pool, prime(r, 64))
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 33} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			seen := make(map[string]bool)
			var moduli []*big.Int
			for len(moduli) < n {
				a, b := pool[rand.New(r).IntN(len(pool))], pool[rand.New(r).IntN(len(pool))]
				if m := new(big.Int).Mul(a, b); !seen[m.String()] {
					seen[m.String()] = true
					moduli = append(moduli, m)
				}
			}
			for i, got := range batchGCD(moduli) {
				others := big.NewInt(1)
				for j, m := range moduli {
					if i != j {
						others.Mul(others, m)
					}
				}
				if want := new(big.Int).GCD(nil, nil, moduli[i], others); got.Cmp(want) != 0 {
					t.Errorf("modulus %d: got %d, want %d", i, got, want)
				}
			}
		})
	}
}

func TestCommonDivisors(t *testing.T) {
	r := rand.NewChaCha8([32]byte{2})
	var p []*big.Int
	for range 8 {
		p = append(p, prime(r, 128))
	}
	mul := func(a, b int) *big.Int { return new(big.Int).Mul(p[a], p[b]) }
	for _, tt := range []struct {
		name   string
		moduli []*big.Int
		want   map[string][]int
	}{
		{"nothing shared", []*big.Int{mul(0, 1), mul(2, 3)}, map[string][]int{}},
		{"one prime in three moduli", []*big.Int{mul(0, 1), mul(0, 2), mul(0, 3), mul(4, 5)}, map[string][]int{p[0].String(): {0, 1, 2}}},
		{"all factors shared", []*big.Int{mul(0, 1), mul(1, 2), mul(2, 0)}, map[string][]int{
			p[0].String(): {0, 2}, p[1].String(): {0, 1}, p[2].String(): {1, 2},
		}},
		{"one factor shared with each of two", []*big.Int{mul(0, 1), mul(0, 2), mul(1, 3)}, map[string][]int{
			p[0].String(): {0, 1}, p[1].String(): {0, 2},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, commonDivisors(tt.moduli)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestBatchGCD_blocks crosses the border of a block with a shared prime.
func TestBatchGCD_blocks(t *testing.T) {
	r := rand.NewChaCha8([32]byte{3})
	shared := prime(r, 64)
	moduli := make([]*big.Int, block+3)
	for i := range moduli {
		moduli[i] = prime(r, 32)
	}
	seen := make(map[string]bool)
	for i, m := range moduli {
		for seen[m.String()] {
			m = prime(r, 32)
		}
		seen[m.String()], moduli[i] = true, m
	}
	moduli[5] = new(big.Int).Mul(shared, prime(r, 63))
	moduli[block+1] = new(big.Int).Mul(shared, prime(r, 63))
	if diff := cmp.Diff(map[string][]int{shared.String(): {5, block + 1}}, commonDivisors(moduli)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func BenchmarkBatchGCD(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := rand.NewChaCha8([32]byte{4})
			moduli := make([]*big.Int, n)
			for i := range moduli {
				moduli[i] = randomOdd(r, 2048)
			}
			for b.Loop() {
				batchGCD(moduli)
			}
		})
	}
}
