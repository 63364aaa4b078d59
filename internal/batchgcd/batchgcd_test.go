package batchgcd

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"probity/internal/ntt"
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
	// All at once, in parts, and in files as soon as that is worth it.
	for _, memory := range []int64{0, 1 << 20, 160_000, 50_000} {
		last, steps := 0, 0
		check(t, moduli, Options{Memory: memory, Dir: t.TempDir(), Progress: func(done, of int) { last, steps = done, of }})
		if last != steps || steps == 0 {
			t.Errorf("memory %d: the last step was %d of %d", memory, last, steps)
		}
	}
	sizes, err := split(moduli, 50_000)
	if err != nil || len(sizes) < 10 {
		t.Errorf("the least memory: got parts of %v, %v, want at least ten", sizes, err)
	}
	if _, err := Divisors(t.Context(), moduli, Options{Memory: 30_000}); err == nil || !strings.Contains(err.Error(), "allow more") {
		t.Errorf("too little memory: got %v, want an error that says how much", err)
	}
}

// TestDivider divides numbers of every size, also such as make a quotient too large.
func TestDivider(t *testing.T) {
	mul := ntt.New()
	r := rand.NewChaCha8([32]byte{7})
	for _, words := range []int{1, 63, 65, 200, 1500, 3000} {
		for _, modulus := range []*big.Int{randomOdd(r, 64*words), randomOdd(r, 64*words-8), power(64*words - 1), new(big.Int).Sub(power(64*words), big.NewInt(1))} {
			d := newDivider(mul, modulus)
			xs := []*big.Int{new(big.Int), big.NewInt(1), modulus, new(big.Int).Mul(modulus, modulus), new(big.Int).Sub(new(big.Int).Mul(modulus, modulus), big.NewInt(1))}
			for _, n := range []int{1, words, words + 1, words + short + 1, 2 * words, 2*words + 1, 3*words + 7} {
				xs = append(xs, randomOdd(r, 64*n), new(big.Int).Sub(power(64*n), big.NewInt(1)))
			}
			for _, x := range xs {
				if got, want := d.mod(x), new(big.Int).Mod(x, modulus); got.Cmp(want) != 0 {
					t.Fatalf("%d by %d words: got %x, want %x", ntt.Words(x), words, got, want)
				}
			}
		}
	}
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
	if _, err := Divisors(t.Context(), moduli, Options{Memory: 1 << 14, Dir: t.TempDir() + "/absent"}); !errors.Is(err, os.ErrNotExist) {
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

// TestDivider_wide divides by numbers whose quotients have more words than they have
// themselves, with lengths of transforms below and above both.
func TestDivider_wide(t *testing.T) {
	r := rand.NewChaCha8([32]byte{7})
	number := func(words int) *big.Int {
		raw := make([]byte, 8*words)
		_, _ = r.Read(raw)
		raw[0] |= 1
		return new(big.Int).SetBytes(raw)
	}
	for _, words := range []int{70, 180, 5000} {
		n := number(words)
		d := newWideDivider(ntt.New(), n, 2*words)
		for _, more := range []int{1, 40, words, words + 30, 2 * words, 3 * words} {
			x := number(words + more)
			if got, want := d.mod(x), new(big.Int).Mod(x, n); got.Cmp(want) != 0 {
				t.Errorf("%d words modulo %d: got %x, want %x", words+more, words, got, want)
			}
		}
	}
}
