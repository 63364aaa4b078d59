package key

import (
	"crypto/ecdh"
	"math/big"
	"testing"

	"probity/lint"
)

// TestKnownPoints_library asks the standard library for the public keys of private
// numbers.
func TestKnownPoints_library(t *testing.T) {
	for name, curve := range map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521()} {
		c, ok := lint.CurveOf(name)
		if !ok {
			t.Fatalf("no curve %s", name)
		}
		table := knownPoints(name)
		for want, d := range map[string]*big.Int{
			"1 or -1": big.NewInt(1), "2 or -2": big.NewInt(2), "255 or -255": big.NewInt(255),
			"2^8": new(big.Int).Lsh(big.NewInt(1), 8), "2^63": new(big.Int).Lsh(big.NewInt(1), 63), "": big.NewInt(70_001),
		} {
			for _, d := range []*big.Int{d, new(big.Int).Sub(c.N, d)} {
				k, err := curve.NewPrivateKey(d.FillBytes(make([]byte, c.Size())))
				if err != nil {
					t.Fatal(err)
				}
				if got := table[string(abscissa(k.PublicKey().Bytes()))]; got != want {
					t.Errorf("%s: the private key %v: got %q, want %q", name, d, got, want)
				}
			}
		}
	}
}

// TestSmallOrders doubles the points of Ed25519 three times: those of small order
// and no others end at the neutral one. Only y² matters to doubling.
func TestSmallOrders(t *testing.T) {
	s, ok := smallOrders(lint.Ed25519)
	if !ok {
		t.Fatal("no curve")
	}
	one := big.NewInt(1)
	d := new(big.Int).ModInverse(big.NewInt(121666), s.p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, s.p)
	divide := func(a, b *big.Int) *big.Int {
		b = new(big.Int).ModInverse(new(big.Int).Mod(b, s.p), s.p)
		return b.Mul(b, a).Mod(b, s.p)
	}
	order8 := func(y *big.Int) bool {
		for range 3 {
			y2 := new(big.Int).Mul(y, y)
			dy2 := new(big.Int).Mul(d, y2)
			x2 := divide(new(big.Int).Sub(y2, one), dy2.Add(dy2, one))
			xy := new(big.Int).Mul(x2, y2)
			y = divide(y2.Add(y2, x2), xy.Sub(one, xy.Mul(xy, d)))
		}
		return y.Cmp(one) == 0
	}
	for _, y := range s.coord {
		if !order8(y) {
			t.Errorf("y = %v is of no small order", y)
		}
	}
	if base := divide(big.NewInt(4), big.NewInt(5)); order8(base) {
		t.Error("the base point is of small order")
	}
	// The Montgomery curve is the same group: u = (1 + y) / (1 - y).
	m, _ := smallOrders(lint.X25519)
	for _, y := range s.coord {
		if y.Cmp(one) == 0 {
			continue // at infinity
		}
		u := divide(new(big.Int).Add(one, y), new(big.Int).Sub(one, y))
		if !m.holds(littleEndian(u, 32)) {
			t.Errorf("u = %v of y = %v is not known", u, y)
		}
	}
	// Encodings that are not reduced, and the bit above, change nothing.
	for _, public := range [][]byte{littleEndian(s.p, 32), littleEndian(new(big.Int).SetBit(s.p, 255, 1), 32)} {
		if !s.holds(public) || !m.holds(public) {
			t.Errorf("%x is zero", public)
		}
	}
}

func littleEndian(n *big.Int, size int) []byte {
	b := n.FillBytes(make([]byte, size))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

func BenchmarkKnownPoints(b *testing.B) {
	for _, name := range scalarCurves() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				knownPoints(name)
			}
		})
	}
}
