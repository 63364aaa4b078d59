package lint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "embed"
	"math/big"
	"strings"
)

// curvesTSV holds the prime curves: p, a and b of y² = x³ + ax + b, the base point
// and its order, in hexadecimal (SEC 2, RFC 5639). All have the cofactor 1, so that
// every point but the one at infinity generates the whole group.
//
//go:embed data/curves.tsv
var curvesTSV string

// Curve is a prime curve in Weierstrass form.
type Curve struct {
	P, A, B, X, Y, N *big.Int
}

// CurveOf returns the curve of a name as in [Key.Curve].
func CurveOf(name string) (*Curve, bool) {
	for line := range strings.Lines(curvesTSV) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if f[0] != name || name == "curve" {
			continue
		}
		var numbers [6]*big.Int
		for i := range numbers {
			n, ok := new(big.Int).SetString(f[i+1], 16)
			if !ok {
				return nil, false
			}
			numbers[i] = n
		}
		return &Curve{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]}, true
	}
	return nil, false
}

// Size is the length of a coordinate in bytes.
func (c *Curve) Size() int { return (c.P.BitLen() + 7) / 8 }

// right is x³ + ax + b.
func (c *Curve) right(x *big.Int) *big.Int {
	r := new(big.Int).Mul(x, x)
	r.Add(r, c.A).Mul(r, x).Add(r, c.B)
	return r.Mod(r, c.P)
}

// holds reports whether an encoded point (SEC 1 section 2.3.3) lies on the curve.
// The point at infinity does not count.
func (c *Curve) holds(point []byte) bool {
	size := c.Size()
	if len(point) < 1+size {
		return false
	}
	x := new(big.Int).SetBytes(point[1 : 1+size])
	if x.Cmp(c.P) >= 0 {
		return false
	}
	switch {
	case point[0] == 4 && len(point) == 1+2*size:
		y := new(big.Int).SetBytes(point[1+size:])
		if y.Cmp(c.P) >= 0 {
			return false
		}
		y.Mul(y, y)
		return y.Mod(y, c.P).Cmp(c.right(x)) == 0
	case (point[0] == 2 || point[0] == 3) && len(point) == 1+size:
		return big.Jacobi(c.right(x), c.P) >= 0
	}
	return false
}

// Add returns the sum of two points of the curve; neither of them nor their sum may
// be the point at infinity.
func (c *Curve) Add(x1, y1, x2, y2 *big.Int) (x, y *big.Int) {
	slope, under := new(big.Int), new(big.Int)
	if x1.Cmp(x2) == 0 {
		slope.Mul(x1, x1)
		slope.Mul(slope, big.NewInt(3)).Add(slope, c.A)
		under.Lsh(y1, 1)
	} else {
		slope.Sub(y2, y1)
		under.Sub(x2, x1)
	}
	slope.Mul(slope, under.ModInverse(under.Mod(under, c.P), c.P)).Mod(slope, c.P)
	x = new(big.Int).Mul(slope, slope)
	x.Sub(x, x1).Sub(x, x2).Mod(x, c.P)
	y = new(big.Int).Sub(x1, x)
	y.Mul(y, slope).Sub(y, y1).Mod(y, c.P)
	return x, y
}

// checkPoint tells whether an encoded point lies on a curve.
func checkPoint(curve string, point []byte) PointState {
	var fast elliptic.Curve // those of the standard library
	switch curve {
	case "P-224":
		fast = elliptic.P224()
	case "P-256":
		fast = elliptic.P256()
	case "P-384":
		fast = elliptic.P384()
	case "P-521":
		fast = elliptic.P521()
	}
	if fast != nil && len(point) > 0 && point[0] == 4 {
		if _, err := ecdsa.ParseUncompressedPublicKey(fast, point); err != nil {
			return PointInvalid
		}
		return PointValid
	}
	c, ok := CurveOf(curve)
	switch {
	case !ok:
		return PointUnchecked
	case c.holds(point):
		return PointValid
	}
	return PointInvalid
}

// edwards is a curve of RFC 8032: a·x² + y² = 1 + d·x²·y².
type edwards struct {
	p, a, d *big.Int
}

// edwardsOf returns the curve of an Ed25519 or Ed448 key.
func edwardsOf(algorithm KeyAlgorithm) edwards {
	one := big.NewInt(1)
	if algorithm == Ed448 { // RFC 8032 section 5.2
		p := new(big.Int).Lsh(one, 448)
		p.Sub(p, new(big.Int).Lsh(one, 224)).Sub(p, one)
		return edwards{p, one, big.NewInt(-39081)}
	}
	p := new(big.Int).Lsh(one, 255) // section 5.1
	p.Sub(p, big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	return edwards{p, big.NewInt(-1), d}
}

// check tells whether an encoded point lies on the curve: the sign of x is in the
// highest bit of the last byte, and the rest is y, the lowest byte first.
func (e edwards) check(point []byte) PointState {
	y := LittleEndian(point)
	y.SetBit(y, 8*len(point)-1, 0)
	if y.Cmp(e.p) >= 0 {
		return PointInvalid
	}
	// x² = (1 - y²) / (a - d·y²), which has a root if the product has.
	y.Mul(y, y)
	over := new(big.Int).Sub(big.NewInt(1), y)
	under := y.Sub(e.a, y.Mul(y, e.d))
	if big.Jacobi(over.Mul(over, under).Mod(over, e.p), e.p) < 0 {
		return PointInvalid
	}
	return PointValid
}

// LittleEndian is the number whose lowest byte comes first.
func LittleEndian(b []byte) *big.Int {
	turned := make([]byte, len(b))
	for i, v := range b {
		turned[len(b)-1-i] = v
	}
	return new(big.Int).SetBytes(turned)
}
