package ntt

import (
	"bytes"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/remyoudompheng/bigfft"
)

func number(r *rand.ChaCha8, words int) *big.Int {
	b := make([]byte, words*8)
	_, _ = r.Read(b)
	b[0] |= 0x80
	return new(big.Int).SetBytes(b)
}

// ones returns 2^(64*words)-1, whose products carry furthest.
func ones(words int) *big.Int {
	return new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 8*words))
}

func TestFields(t *testing.T) {
	product := big.NewInt(1)
	for _, f := range fields() {
		p := new(big.Int).SetUint64(f.p)
		if !p.ProbablyPrime(20) || f.p >= 1<<62 || (f.p-1)%(3<<32) != 0 {
			t.Errorf("%#x: not a prime below 2^62 with 3*2^32 dividing it less one", f.p)
		}
		for _, q := range []uint64{2, 3} {
			if f.pow(f.g, (f.p-1)/q) == 1 {
				t.Errorf("%#x: %d has no root of unity of every order", f.p, f.g)
			}
		}
		for _, x := range []uint64{0, 1, 2, f.p - 1, f.p / 3} {
			want := new(big.Int).Mul(new(big.Int).SetUint64(x), new(big.Int).SetUint64(f.p-2))
			if got := f.mul(x, f.p-2); got != want.Mod(want, p).Uint64() {
				t.Errorf("%#x: %d*(p-2) = %d, want %d", f.p, x, got, want)
			}
		}
		product.Mul(product, p)
	}
	if product.BitLen() < 185 {
		t.Errorf("the primes have a product of %d bits, want 185", product.BitLen())
	}
}

// TestMul goes over the lengths at which a transform changes its shape.
func TestMul(t *testing.T) {
	m := New()
	r := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{641, 1000, 1024, 1536, 1537, 4096, 8192, 8193, 12288, 20000} {
		for _, k := range []int{n, n/2 + 400, 641} {
			for _, f := range [][2]*big.Int{{number(r, n), number(r, k)}, {ones(n), ones(k)}, {ones(n), new(big.Int).SetBit(new(big.Int), 64*k-1, 1)}} {
				if got, want := m.Mul(f[0], f[1]), new(big.Int).Mul(f[0], f[1]); got.Cmp(want) != 0 {
					t.Errorf("%d by %d words: wrong product", n, k)
				}
			}
		}
	}
}

// TestMul_pieces multiplies numbers whose carries go from piece to piece.
func TestMul_pieces(t *testing.T) {
	m := New()
	power := func(words int) *big.Int { return new(big.Int).SetBit(new(big.Int), 64*words, 1) }
	for _, n := range []int{piece - 1, piece, 3*piece + 5} {
		for _, k := range []int{n, piece/2 + 3} {
			// (2^(64n)-1)*(2^(64k)-1)
			want := new(big.Int).Sub(power(n+k), power(n))
			want.Sub(want, power(k))
			want.Add(want, big.NewInt(1))
			if m.Mul(ones(n), ones(k)).Cmp(want) != 0 {
				t.Errorf("%d by %d words: wrong product", n, k)
			}
		}
	}
}

func TestJoin(t *testing.T) {
	m := New()
	r := rand.NewChaCha8([32]byte{2})
	for _, n := range []int{10, 700, 2048, 3000} {
		a, b, as, bs := number(r, n), ones(n+3), ones(n), number(r, n+2)
		product, cross := m.Join(a, as, b, bs)
		want := new(big.Int).Mul(as, b)
		want.Add(want, new(big.Int).Mul(bs, a))
		if product.Cmp(new(big.Int).Mul(a, b)) != 0 || cross.Cmp(want) != 0 {
			t.Errorf("%d words: wrong product or cross sum", n)
		}
	}
}

func TestWrapped(t *testing.T) {
	m := New()
	r := rand.NewChaCha8([32]byte{3})
	for _, n := range []int{100, 1500, 3072, 5000} {
		x, y, z := ones(n), number(r, n/2), ones(n/2-1)
		products, at := m.Wrapped(n, x, y, z)
		xy, xz := products[0], products[1]
		modulus := new(big.Int).Sub(new(big.Int).SetBit(new(big.Int), 64*at, 1), big.NewInt(1))
		for _, p := range [][2]*big.Int{{xy, y}, {xz, z}} {
			want := new(big.Int).Mul(x, p[1])
			if want.Sub(want, p[0]); at < n || want.Mod(want, modulus).Sign() != 0 {
				t.Errorf("%d words: wrong product modulo 2^(64*%d)-1", n, at)
			}
		}
	}
}

// TestLarge takes the paths that spare memory.
func TestLarge(t *testing.T) {
	m := New()
	m.large = 2048
	r := rand.NewChaCha8([32]byte{5})
	a, as, b, bs := number(r, 1100), number(r, 1000), ones(1200), ones(1050)
	product, cross := m.Join(a, as, b, bs)
	want := new(big.Int).Mul(as, b)
	want.Add(want, new(big.Int).Mul(bs, a))
	if product.Cmp(new(big.Int).Mul(a, b)) != 0 || cross.Cmp(want) != 0 {
		t.Error("Join: wrong product or cross sum")
	}
	if p, _ := m.Wrapped(2300, a, b, as); p[0].Cmp(product) != 0 || p[1].Cmp(new(big.Int).Mul(a, as)) != 0 {
		t.Error("Wrapped: wrong product")
	}
}

func TestEach(t *testing.T) {
	m := New()
	var calls [100]atomic.Int32
	m.Each(10, func(i int) {
		m.Each(10, func(j int) { calls[10*i+j].Add(1) })
	})
	for i := range calls {
		if n := calls[i].Load(); n != 1 {
			t.Errorf("%d: called %d times", i, n)
		}
	}
	if len(m.crew) != 0 {
		t.Errorf("%d hands still at work", len(m.crew))
	}
}

func FuzzMul(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{255}, uint16(700), uint16(900))
	f.Fuzz(func(t *testing.T, a, b []byte, n, k uint16) {
		grow := func(b []byte, words int) *big.Int {
			if len(b) == 0 {
				return new(big.Int)
			}
			return new(big.Int).SetBytes(bytes.Repeat(b, words*8/len(b)+1))
		}
		m := New()
		x, y := grow(a, int(n%2000)), grow(b, int(k%2000))
		if m.Mul(x, y).Cmp(new(big.Int).Mul(x, y)) != 0 {
			t.Errorf("%d by %d words: wrong product", Words(x), Words(y))
		}
	})
}

// BenchmarkMul multiplies two numbers of the given bits, on one processor, beside
// bigfft, a package that does the same by Fermat numbers, and math/big where that
// ends soon.
func BenchmarkMul(b *testing.B) {
	m := &Multiplier{plans: New().plans, crt: New().crt, large: large}
	r := rand.NewChaCha8([32]byte{4})
	for _, bits := range []int{1 << 16, 1 << 18, 1 << 20, 1 << 23, 1 << 26, 1 << 28} {
		x, y := number(r, bits/64), number(r, bits/64)
		for _, peer := range []struct {
			name string
			most int
			mul  func(x, y *big.Int) *big.Int
		}{
			{"ntt", 1 << 30, m.Mul},
			{"bigfft", 1 << 30, bigfft.Mul},
			{"big", 1 << 23, func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }},
		} {
			if bits > peer.most {
				continue
			}
			b.Run(fmt.Sprintf("bits=%d/%s", bits, peer.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					peer.mul(x, y)
				}
			})
		}
	}
}
