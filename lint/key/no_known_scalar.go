package key

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/big"
	"sync"

	"github.com/cloudflare/circl/dh/x448"
	"github.com/cloudflare/circl/sign/ed448"

	"probity/lint"
)

const (
	smallScalars = 256 // every smaller private number is tried, and its negative
	powersOfTwo  = 64  // every smaller power of two
)

// noKnownScalar asks that the private key is not one that anybody would try
// first: a small number, a power of two, one byte many times over, bytes that count
// up, or the test keys of RFC 7748.
func noKnownScalar() lint.Check {
	tables := make(map[string]func() map[string]string)
	for _, name := range scalarCurves() {
		tables[name] = sync.OnceValue(func() map[string]string { return knownPoints(name) })
	}
	for _, name := range []lint.KeyAlgorithm{lint.Ed25519, lint.X25519, lint.Ed448, lint.X448} {
		tables[string(name)] = sync.OnceValue(func() map[string]string { return knownStrings(name) })
	}
	return lint.Check{
		Name:   "key/no_known_scalar",
		Source: "FIPS 186-5 appendix A.2; RFC 7748 sections 5.2 and 6; CWE-1241, CWE-321",
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

// knownStrings maps public keys to what string of bytes their private half is.
func knownStrings(algorithm lint.KeyAlgorithm) map[string]string {
	out := make(map[string]string)
	add := func(p bytePattern) {
		if public := publicOfString(algorithm, p.bytes); public != nil {
			out[string(public)] = p.text
		}
	}
	for _, p := range bytePatterns(stringSize(algorithm)) {
		add(p)
	}
	for i, where := range []string{"the first scalar of section 5.2", "the second scalar of section 5.2", "Alice's in section 6", "Bob's in section 6"} {
		if algorithm == lint.X25519 || algorithm == lint.X448 {
			add(bytePattern{publishedScalar(algorithm, i), "a test key of RFC 7748, " + where})
		}
	}
	return out
}

// stringSize is the length of a private key in bytes (RFC 7748 section 5, RFC 8032
// sections 5.1.5 and 5.2.5).
func stringSize(algorithm lint.KeyAlgorithm) int {
	switch algorithm { //nolint:exhaustive // the others are no strings
	case lint.Ed448:
		return ed448.SeedSize
	case lint.X448:
		return x448.Size
	}
	return ed25519.SeedSize
}

// publicOfString computes the public key of a private string, nil where there is none.
func publicOfString(algorithm lint.KeyAlgorithm, private []byte) []byte {
	switch algorithm { //nolint:exhaustive // the others are no strings
	case lint.Ed25519:
		return ed25519.NewKeyFromSeed(private)[ed25519.SeedSize:]
	case lint.Ed448:
		return ed448.NewKeyFromSeed(private)[ed448.SeedSize:]
	case lint.X25519:
		if k, err := ecdh.X25519().NewPrivateKey(private); err == nil {
			return k.PublicKey().Bytes()
		}
	case lint.X448:
		var public, secret x448.Key
		copy(secret[:], private)
		x448.KeyGen(&public, &secret)
		return public[:]
	}
	return nil
}

// publishedScalar is one of the private keys that RFC 7748 prints: the two of section
// 5.2, Alice's and Bob's.
func publishedScalar(algorithm lint.KeyAlgorithm, i int) []byte {
	published := [...]string{
		"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
	}
	if algorithm == lint.X448 {
		published = [...]string{
			"3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3",
			"203d494428b8399352665ddca42f9de8fef600908e0d461cb021f8c538345dd77c3e4806e25f46d3315c44e0a5b4371282dd2c8d5be3095f",
			"9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
			"1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d",
		}
	}
	b, _ := hex.DecodeString(published[i])
	return b
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
