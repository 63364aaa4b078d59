package key

import (
	"math/big"

	"probity/lint"
)

// fullOrder asks that the key is no point of a small subgroup: with such a key,
// every signature verifies or every shared secret is known.
func fullOrder() lint.Check {
	return lint.Check{
		Name:   "key/full_order",
		Source: "RFC 7748 section 6; RFC 8032 section 8.9; NIST SP 800-186 section D.1",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			if k.Algorithm == lint.EC { // the curves with a name here have the cofactor 1
				switch k.Point {
				case lint.PointValid:
					return lint.Passf("The key is a point of a curve without small subgroups.")
				case lint.PointInvalid:
					return lint.Failf("The key is no point of the curve %s, or the one at infinity.", k.Curve)
				case lint.PointUnchecked:
				}
				if k.Curve == "" {
					return lint.Inconclusivef("The key names no curve.")
				}
				return lint.Inconclusivef("Whether the key is a point of the curve %s is not known: its arithmetic is not at hand.", k.Curve)
			}
			small, ok := smallOrders(k.Algorithm)
			switch {
			case !ok:
				return otherKind(k)
			case len(k.Public) != k.FixedLength:
				return lint.Inconclusivef("The key has %d bytes instead of %d.", len(k.Public), k.FixedLength)
			case small.holds(k.Public):
				return lint.Failf("The %s key is a point of small order.", k.Algorithm)
			case k.Point == lint.PointInvalid:
				return lint.Failf("The %s key is no point of the curve.", k.Algorithm)
			}
			return lint.Passf("The %s key is no point of small order.", k.Algorithm)
		}),
	}
}

// smallOrder are the coordinates of the points of small order: y of an Edwards
// curve, u of a Montgomery curve, modulo p.
type smallOrder struct {
	p     *big.Int
	bits  int // of a coordinate; higher ones are no part of it
	coord []*big.Int
}

// smallOrders knows the points of order 1, 2, 4 and 8.
func smallOrders(algorithm lint.KeyAlgorithm) (smallOrder, bool) {
	number := func(hex string) *big.Int { n, _ := new(big.Int).SetString(hex, 16); return n }
	one := big.NewInt(1)
	p25519 := new(big.Int).Lsh(one, 255)
	p25519.Sub(p25519, big.NewInt(19))
	p448 := new(big.Int).Lsh(one, 448)
	p448.Sub(p448, new(big.Int).Lsh(one, 224)).Sub(p448, one)
	switch algorithm { //nolint:exhaustive // the others are on no such curve
	case lint.Ed25519:
		y := number("5fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826")
		return smallOrder{p25519, 255, []*big.Int{new(big.Int), one, new(big.Int).Sub(p25519, one), y, new(big.Int).Sub(p25519, y)}}, true
	case lint.X25519:
		return smallOrder{p25519, 255, []*big.Int{
			new(big.Int), one, new(big.Int).Sub(p25519, one),
			number("b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0"),
			number("57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5f"),
		}}, true
	case lint.Ed448, lint.X448:
		return smallOrder{p448, 448, []*big.Int{new(big.Int), one, new(big.Int).Sub(p448, one)}}, true
	}
	return smallOrder{}, false
}

func (s smallOrder) holds(public []byte) bool {
	c := lint.LittleEndian(public)
	mask := new(big.Int).Lsh(big.NewInt(1), uint(s.bits))
	c.Mod(c, mask).Mod(c, s.p)
	for _, small := range s.coord {
		if c.Cmp(small) == 0 {
			return true
		}
	}
	return false
}
