package batchgcd

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func prime(r *rand.ChaCha8, bits int) *big.Int {
	for {
		if p := randomOdd(r, bits); p.ProbablyPrime(10) {
			return p
		}
	}
}

// primes returns n primes of 128 bits, always the same.
func primes(n int) []*big.Int {
	r := rand.NewChaCha8([32]byte{2})
	p := make([]*big.Int, n)
	for i := range p {
		p[i] = prime(r, 128)
	}
	return p
}

func TestCommon(t *testing.T) {
	p := primes(8)
	mul := func(a, b int) *big.Int { return new(big.Int).Mul(p[a], p[b]) }
	times := func(n int64, x *big.Int) *big.Int { return new(big.Int).Mul(big.NewInt(n), x) }
	type want struct {
		value  *big.Int
		moduli []int
		splits bool
	}
	for _, tt := range []struct {
		name   string
		moduli []*big.Int
		want   []want
	}{
		{"nothing", nil, nil},
		{"one", []*big.Int{mul(0, 1)}, nil},
		{"nothing shared", []*big.Int{mul(0, 1), mul(2, 3)}, nil},
		{"one prime in three moduli", []*big.Int{mul(0, 1), mul(0, 2), mul(0, 3), mul(4, 5)}, []want{{p[0], []int{0, 1, 2}, true}}},
		{"all factors shared", []*big.Int{mul(0, 1), mul(1, 2), mul(2, 0)}, []want{
			{p[1], []int{0, 1}, true}, {p[0], []int{0, 2}, true}, {p[2], []int{1, 2}, true},
		}},
		{"one factor shared with each of two", []*big.Int{mul(0, 1), mul(0, 2), mul(1, 3)}, []want{
			{p[1], []int{0, 2}, true}, {p[0], []int{0, 1}, true},
		}},
		{"a modulus inside another", []*big.Int{mul(0, 1), new(big.Int).Mul(mul(0, 1), p[2])}, []want{
			{mul(0, 1), []int{0, 1}, false},
		}},
		{"a small factor of composites", []*big.Int{times(15, mul(0, 1)), times(21, mul(2, 3))}, []want{
			{big.NewInt(3), []int{0, 1}, false},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Common(t.Context(), tt.moduli, Options{})
			if err != nil {
				t.Fatal(err)
			}
			show := func(v *big.Int, moduli []int, splits bool) []any { return []any{v.String(), moduli, splits} }
			var g, w [][]any
			for _, d := range got {
				g = append(g, show(d.Value, d.Moduli, d.Splits))
			}
			for _, d := range tt.want {
				w = append(w, show(d.value, d.moduli, d.splits))
			}
			less := func(a, b []any) bool { return a[0].(string) < b[0].(string) }
			if diff := cmp.Diff(w, g, sortSlices(less)); diff != "" {
				t.Errorf("divisors (-want +got):\n%s", diff)
			}
		})
	}
}
