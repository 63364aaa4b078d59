package batchgcd

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFactor(t *testing.T) {
	for _, want := range [][]uint64{{65537}, {65537, 65539}, {4294967279, 4294967291}, {65537, 65539, 65543}, {18446744073709551557}} {
		n := uint64(1)
		for _, p := range want {
			n *= p
		}
		if got, _ := factor(n); !slices.Equal(got, want) {
			t.Errorf("%d: got %v, want %v", n, got, want)
		}
	}
	for _, p := range []uint64{65537, 4294967291} {
		if got, _ := factor(p * p); !slices.Equal(got, []uint64{p}) {
			t.Errorf("%d squared: got %v, want it once", p, got)
		}
	}
}

// TestCommon_composites shares primes of all sizes in numbers that are no RSA moduli,
// some of them squared, and expects each prime with just the numbers that it divides.
func TestCommon_composites(t *testing.T) {
	r := rand.NewChaCha8([32]byte{8})
	draw := rand.New(r)
	var pool []*big.Int
	for _, bits := range []int{16, 24, 32, 40, 64, 72, 256} {
		for range 12 {
			pool = append(pool, prime(r, bits))
		}
	}
	pool = append(pool, big.NewInt(2), big.NewInt(3), big.NewInt(251))
	var moduli []*big.Int
	members := make(map[string][]int)
	for i := range 150 {
		n := prime(r, 512) // nobody else's
		for _, k := range draw.Perm(len(pool))[:draw.IntN(7)] {
			n.Mul(n, pool[k])
			if draw.IntN(10) == 0 {
				n.Mul(n, pool[k])
			}
			members[pool[k].String()] = append(members[pool[k].String()], i)
		}
		moduli = append(moduli, n)
	}
	want := make(map[string]string)
	for p, m := range members {
		if m = slices.Compact(m); len(m) > 1 {
			want[p] = fmt.Sprint(m)
		}
	}
	found, err := Common(t.Context(), moduli, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, d := range found {
		got[d.Value.String()] = fmt.Sprint(d.Moduli)
		if d.Splits || d.Whole {
			t.Errorf("%s: said to leave primes (%v) or not to be taken apart (%v)", d.Value, d.Splits, d.Whole)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("primes and the numbers that they divide (-want +got):\n%s", diff)
	}
}

// TestCommon_star shares one prime among many moduli: that is one divisor, not one for
// every two.
func TestCommon_star(t *testing.T) {
	r := rand.NewChaCha8([32]byte{9})
	p := prime(r, 128)
	var moduli []*big.Int
	for range 200 {
		moduli = append(moduli, new(big.Int).Mul(p, prime(r, 128)))
	}
	found, err := Common(t.Context(), moduli, Options{})
	if err != nil || len(found) != 1 || len(found[0].Moduli) != 200 || !found[0].Splits || found[0].Value.Cmp(p) != 0 {
		t.Errorf("got %+v, %v, want the prime with 200 moduli", found, err)
	}
}
