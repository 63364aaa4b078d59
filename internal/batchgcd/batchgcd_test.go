package batchgcd

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"
)

// randomOdd returns an odd number of that many bits.
func randomOdd(r *rand.ChaCha8, bits int) *big.Int {
	b := make([]byte, bits/8)
	_, _ = r.Read(b)
	b[0] |= 0xc0
	b[len(b)-1] |= 1
	return new(big.Int).SetBytes(b)
}

// cofactorDivisors is the definition.
func cofactorDivisors(moduli []*big.Int) []*big.Int {
	all := big.NewInt(1)
	for _, m := range moduli {
		all.Mul(all, m)
	}
	out := make([]*big.Int, len(moduli))
	for i, m := range moduli {
		others := new(big.Int).Quo(all, m)
		out[i] = others.GCD(nil, nil, others, m)
	}
	return out
}

func check(t *testing.T, moduli []*big.Int, o Options) {
	t.Helper()
	want := cofactorDivisors(moduli)
	got, err := Divisors(t.Context(), moduli, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Cmp(want[i]) != 0 {
			t.Fatalf("%d moduli: divisor of number %d: got %x, want %x", len(moduli), i, got[i], want[i])
		}
	}
}

// TestDivisors compares with the definition, around the numbers of moduli at which
// the tree changes its shape, with moduli of unequal size, some tiny.
func TestDivisors(t *testing.T) {
	r := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{8, 64, 1024} {
		for _, n := range []int{1, 2, 3, 16, 17, 32, 33, 65, 100} {
			var moduli []*big.Int
			for range n {
				moduli = append(moduli, randomOdd(r, size))
			}
			p := randomOdd(r, size)
			moduli[0] = new(big.Int).Mul(moduli[0], p)
			moduli[n-1] = new(big.Int).Mul(moduli[n-1], p)
			check(t, moduli, Options{})
		}
	}
}

// TestDivisors_transforms is large enough for products by transforms, in memory and
// in files; half of the moduli end on a word, so that sizes do not add up evenly.
func TestDivisors_transforms(t *testing.T) {
	r := rand.NewChaCha8([32]byte{3})
	var moduli []*big.Int
	for i := range 300 {
		moduli = append(moduli, randomOdd(r, 2048-i%2*24))
	}
	for _, pair := range [][2]int{{0, 299}, {17, 18}, {128, 256}} {
		p := randomOdd(r, 1024)
		for _, i := range pair {
			moduli[i] = new(big.Int).Mul(p, randomOdd(r, 1024))
		}
	}
	check(t, moduli, Options{})
	check(t, moduli, Options{Dir: t.TempDir()})
}

func TestDivisors_stopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := rand.NewChaCha8([32]byte{4})
	moduli := make([]*big.Int, 40)
	for i := range moduli {
		moduli[i] = randomOdd(r, 512)
	}
	if _, err := Divisors(ctx, moduli, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	if _, err := Divisors(t.Context(), moduli, Options{Dir: t.TempDir() + "/absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory is absent", err)
	}
}

// FuzzDivisors takes moduli of two bytes each.
func FuzzDivisors(f *testing.F) {
	f.Add([]byte{0, 15, 0, 21, 0, 35, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var moduli []*big.Int
		for ; len(data) >= 2 && len(moduli) < 50; data = data[2:] {
			if n := int64(data[0])<<8 | int64(data[1]); n > 0 {
				moduli = append(moduli, big.NewInt(n))
			}
		}
		check(t, moduli, Options{})
	})
}

// planted returns n numbers of 2,048 bits that stand for keys, as they have no factor
// below 1,000. Four pairs share a prime; some others share a small one by chance.
func planted(n int) (moduli []*big.Int, flagged map[int]bool) {
	r := rand.NewChaCha8([32]byte{6})
	flagged = make(map[int]bool)
	small := big.NewInt(1)
	for i := int64(3); i < 1000; i += 2 {
		if big.NewInt(i).ProbablyPrime(0) {
			small.Mul(small, big.NewInt(i))
		}
	}
	for len(moduli) < n {
		if m := randomOdd(r, 2048); isOne(new(big.Int).GCD(nil, nil, small, m)) {
			moduli = append(moduli, m)
		}
	}
	for k := range 4 {
		p := prime(r, 1024)
		for _, i := range []int{k * n / 5, n - 1 - k} {
			moduli[i] = new(big.Int).Mul(p, prime(r, 1024))
			flagged[i] = true
		}
	}
	return moduli, flagged
}

// BenchmarkDivisors is one batch; the levels of the tree are kept in files.
func BenchmarkDivisors(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			moduli, flagged := planted(n)
			dir := b.TempDir()
			b.ReportAllocs()
			for b.Loop() {
				gcds, err := Divisors(b.Context(), moduli, Options{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				for i, g := range gcds {
					if (g.BitLen() >= 1024) != flagged[i] {
						b.Fatalf("modulus %d: divisor of %d bits", i, g.BitLen())
					}
				}
			}
		})
	}
}

// BenchmarkSet_add compares 1,000 new keys with a set.
func BenchmarkSet_add(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			moduli, _ := planted(n + 1000)
			keys := make([]Key, len(moduli))
			for i, m := range moduli {
				keys[i] = Key{Label: fmt.Sprint(i), N: m}
			}
			for b.Loop() {
				b.StopTimer()
				s, err := OpenSet(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				if err := s.add(keys[:n]); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				r, err := s.Compare(b.Context(), keys[n:], Options{Dir: s.dir})
				if err != nil {
					b.Fatal(err)
				}
				if len(r.Shared) < 4 || r.Added != 1000 {
					b.Fatalf("got %d shared, %d added; want 4 and 1,000", len(r.Shared), r.Added)
				}
			}
		})
	}
}
