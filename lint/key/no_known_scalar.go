package key

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"fmt"
	"math/big"
	"sync"

	"probity/lint"
)

const (
	smallScalars = 256 // every smaller private number is tried, and its negative
	powersOfTwo  = 64  // every smaller power of two
)

// noKnownScalar asks that the private key is not one that anybody would try
// first: a small number, a power of two, one byte many times over, or bytes that
// count up.
func noKnownScalar() lint.Check {
	tables := make(map[string]func() map[string]string)
	for _, name := range scalarCurves() {
		tables[name] = sync.OnceValue(func() map[string]string { return knownPoints(name) })
	}
	for _, name := range []lint.KeyAlgorithm{lint.Ed25519, lint.X25519} {
		tables[string(name)] = sync.OnceValue(func() map[string]string { return knownStrings(name) })
	}
	return lint.Check{
		Name:   "key/no_known_scalar",
		Source: "FIPS 186-5 appendix A.2; CWE-1241, CWE-321",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			name, public := string(k.Algorithm), k.Public
			if k.Algorithm == lint.EC {
				name = k.Curve
				if k.Point != lint.PointValid {
					return lint.NotApplicablef("The key is no point of a curve that is known here.")
				}
			}
			table, ok := tables[name]
			if !ok {
				return otherKind(k)
			}
			return lint.Remember(&k.Memo, "key/no_known_scalar", func() lint.Verdict {
				if k.Algorithm == lint.EC {
					public = abscissa(public)
				}
				if private := table()[string(public)]; private != "" {
					return lint.Failf("The private key is known to everybody: %s.", private)
				}
				return lint.Passf("The private key is no small number, no power of two and no simple sequence of bytes.")
			})
		}),
	}
}

// scalarCurves names the curves on which private numbers are tried.
func scalarCurves() []string {
	return []string{
		"P-192", "P-224", "P-256", "P-384", "P-521", "secp192k1", "secp224k1", "secp256k1",
		"brainpoolP192r1", "brainpoolP224r1", "brainpoolP256r1", "brainpoolP320r1", "brainpoolP384r1", "brainpoolP512r1",
	}
}

// abscissa is the x of an encoded point, which it shares with its negative.
func abscissa(point []byte) []byte {
	if point[0] == 4 {
		return point[1 : 1+(len(point)-1)/2]
	}
	return point[1:]
}

// knownPoints maps the abscissas of a curve to what their private number is.
func knownPoints(curve string) map[string]string {
	c, ok := lint.CurveOf(curve)
	if !ok {
		return nil
	}
	out := make(map[string]string)
	add := func(x *big.Int, private string) {
		key := string(x.FillBytes(make([]byte, c.Size())))
		if out[key] == "" {
			out[key] = private
		}
	}
	fast := standardCurve(curve)
	add(c.X, "1 or -1")
	x, y := c.Add(c.X, c.Y, c.X, c.Y)
	for d := 2; d < smallScalars; d++ {
		add(x, fmt.Sprintf("%d or -%d", d, d))
		x, y = c.Add(x, y, c.X, c.Y)
	}
	x, y = c.X, c.Y
	for i := 1; i < powersOfTwo; i++ {
		x, y = c.Add(x, y, x, y)
		add(x, fmt.Sprintf("2^%d", i))
	}
	if fast == nil {
		return out
	}
	for _, p := range bytePatterns(c.N.BitLen() / 8) {
		scalar := append(make([]byte, c.Size()-len(p.bytes)), p.bytes...)
		if private, err := fast.NewPrivateKey(scalar); err == nil { // not where it is beyond the order
			add(new(big.Int).SetBytes(abscissa(private.PublicKey().Bytes())), p.text)
		}
	}
	return out
}

// standardCurve is the arithmetic of the standard library, or nil.
func standardCurve(name string) ecdh.Curve {
	switch name {
	case "P-256":
		return ecdh.P256()
	case "P-384":
		return ecdh.P384()
	case "P-521":
		return ecdh.P521()
	}
	return nil
}

// knownStrings maps public keys whose private half is a string of bytes.
func knownStrings(algorithm lint.KeyAlgorithm) map[string]string {
	out := make(map[string]string)
	for _, p := range bytePatterns(32) {
		if algorithm == lint.Ed25519 {
			private := ed25519.NewKeyFromSeed(p.bytes)
			out[string(private[ed25519.SeedSize:])] = p.text
			continue
		}
		if private, err := ecdh.X25519().NewPrivateKey(p.bytes); err == nil {
			out[string(private.PublicKey().Bytes())] = p.text
		}
	}
	return out
}

type bytePattern struct {
	bytes []byte
	text  string
}

// bytePatterns are strings of n bytes that come to mind first.
func bytePatterns(n int) []bytePattern {
	var out []bytePattern
	for b := range 256 {
		out = append(out, bytePattern{bytes.Repeat([]byte{byte(b)}, n), fmt.Sprintf("every byte is %#02x", b)})
	}
	for _, from := range []int{0, 1} {
		up := make([]byte, n)
		for i := range up {
			up[i] = byte(from + i)
		}
		out = append(out, bytePattern{up, fmt.Sprintf("the bytes count up from %d", from)})
	}
	for _, small := range []byte{1, 2, 3} {
		last := make([]byte, n)
		last[n-1] = small
		out = append(out, bytePattern{last, fmt.Sprintf("the last byte is %d, all others 0", small)})
		first := make([]byte, n)
		first[0] = small
		out = append(out, bytePattern{first, fmt.Sprintf("the first byte is %d, all others 0", small)})
	}
	return out
}
