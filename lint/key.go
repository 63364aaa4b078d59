package lint

import (
	"encoding/asn1"
	"math/big"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
)

// MaxKeyBits is the largest key, in bits, that is ever used in a computation.
// Larger ones are facts to report, not numbers to work with.
const MaxKeyBits = 16384

const (
	maxExponentBits = 256 // SP 800-56B rev. 2 section 6.2 bounds e to less than 2^256
	maxSubgroupBits = 512 // DSA q; FIPS 186-4 section 4.2 knows 160, 224 and 256
)

// KeyAlgorithm names the kind of a public key.
type KeyAlgorithm string

// The kinds that are told apart. Anything else is the dotted object identifier.
const (
	RSA     KeyAlgorithm = "RSA"
	RSAPSS  KeyAlgorithm = "RSA-PSS"
	DSA     KeyAlgorithm = "DSA"
	EC      KeyAlgorithm = "EC"
	Ed25519 KeyAlgorithm = "Ed25519"
	Ed448   KeyAlgorithm = "Ed448"
	X25519  KeyAlgorithm = "X25519"
	X448    KeyAlgorithm = "X448"
)

// PointState says whether the point of an EC key was found on its curve.
type PointState int

// The states of a point.
const (
	PointUnchecked PointState = iota // the curve's arithmetic is not at hand
	PointValid
	PointInvalid // also the point at infinity
)

// Key is a public key as its SubjectPublicKeyInfo states it. It is read apart
// from any certificate parser, so that keys no parser accepts can be judged.
type Key struct {
	Algorithm KeyAlgorithm
	SPKI      evidence.Digest // SHA-256 of the DER SubjectPublicKeyInfo
	// Bits is the length of the RSA modulus, the DSA prime or the EC field; 0
	// when it is not known.
	Bits int
	// Strength is the security strength in bits (SP 800-57 part 1 rev. 5 table 2
	// and table 4); 0 when it is not known.
	Strength int
	// N and E are the RSA modulus and exponent. They are nil where the key is
	// outside the bounds of computation.
	N, E *big.Int
	// ExponentBits is the length of the RSA exponent, also where E is nil.
	ExponentBits int
	// Curve is the name of the EC curve, its dotted object identifier when it has
	// no name here, or empty for explicit parameters.
	Curve string
	// Point is of EC, Ed25519 and Ed448 keys.
	Point PointState
	// Public is the content of the bit string, which is the key itself except for
	// RSA and DSA. HasParams is true where the algorithm has parameters.
	Public    []byte
	HasParams bool
	// FixedLength is the length of Public, in bytes, that all keys of the kind have; 0
	// where they differ.
	FixedLength int
	DSA         *DSANumbers    // nil where they are inherited or outside the bounds of computation
	PSS         *PSSParameters // nil where an RSA-PSS key states none
	// TooLarge is true where the key is outside the bounds of computation.
	TooLarge bool
	// Memo is for what checks compute of the key alone.
	Memo Memo
}

// IsRSA reports whether k is an RSA key of either encoding.
func (k *Key) IsRSA() bool { return k.Algorithm == RSA || k.Algorithm == RSAPSS }

// parseKey reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). It
// returns nil where the structure cannot be read.
func parseKey(spki []byte) *Key {
	k := &Key{SPKI: evidence.DigestOf(spki)}
	in := cryptobyte.String(spki)
	var body, algorithm, params cryptobyte.String
	var oid asn1.ObjectIdentifier
	var bits []byte
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&algorithm, cbasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) || !body.ReadASN1BitStringAsBytes(&bits) {
		return nil
	}
	params = algorithm
	k.Public, k.HasParams = bits, !params.Empty()
	ok := true
	switch name := oid.String(); name {
	case "1.2.840.113549.1.1.1": // RFC 3279 section 2.3.1
		k.Algorithm, ok = RSA, k.readRSA(bits)
	case "1.2.840.113549.1.1.10": // RFC 4055 section 3
		k.Algorithm, ok = RSAPSS, k.readRSA(bits)
		if k.HasParams {
			k.PSS = readPSS(params)
		}
	case "1.2.840.10040.4.1": // RFC 3279 section 2.3.2
		k.Algorithm, ok = DSA, k.readDSA(params, bits)
	case "1.2.840.10045.2.1": // RFC 5480 section 2.1
		k.Algorithm = EC
		k.readEC(params, bits)
	default:
		k.readFixed(name)
	}
	if !ok {
		return nil
	}
	return k
}

func (k *Key) readRSA(bits []byte) bool {
	in := cryptobyte.String(bits)
	var body, n, e cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&n, cbasn1.INTEGER) || !body.ReadASN1(&e, cbasn1.INTEGER) {
		return false
	}
	k.Bits, k.ExponentBits = integerBits(n), integerBits(e)
	k.Strength = factoringStrength(k.Bits)
	if k.Bits > MaxKeyBits || k.ExponentBits > maxExponentBits || negative(n) || negative(e) {
		k.TooLarge = k.Bits > MaxKeyBits || k.ExponentBits > maxExponentBits
		return true
	}
	k.N, k.E = new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	return true
}

func (k *Key) readEC(params cryptobyte.String, point []byte) {
	var oid asn1.ObjectIdentifier
	if !params.ReadASN1ObjectIdentifier(&oid) {
		return // explicit or implicit parameters, barred by RFC 5480 section 2.1.1
	}
	k.Curve, k.Bits = curveName(oid.String())
	k.Strength = min(k.Bits/2, 256) // as SP 800-57 part 1 table 2 ends
	k.Point = checkPoint(k.Curve, point)
}

// integerBits is the bit length of the magnitude of a non-negative DER INTEGER.
func integerBits(content []byte) int {
	for len(content) > 0 && content[0] == 0 {
		content = content[1:]
	}
	if len(content) == 0 {
		return 0
	}
	top := 8
	for content[0]>>(top-1) == 0 {
		top--
	}
	return (len(content)-1)*8 + top
}

func negative(content []byte) bool { return len(content) == 0 || content[0]&0x80 != 0 }

// factoringStrength is the strength of an RSA modulus or a DSA prime of the
// given length (SP 800-57 part 1 rev. 5 table 2). Lengths up to seven bits short
// of a step count as the step: generators that do not fix the top bit make them.
func factoringStrength(bits int) int {
	switch rounded := (bits + 7) / 8 * 8; {
	case rounded >= 15360:
		return 256
	case rounded >= 7680:
		return 192
	case rounded >= 3072:
		return 128
	case rounded >= 2048:
		return 112
	case rounded >= 1024:
		return 80
	default:
		return max(bits/16, 1)
	}
}

// curveName gives the name and the field size of a named curve: SEC 2 versions 1 and
// 2, RFC 5480 section 2.1.1.1, RFC 5639 section 4.1. Names are those of OpenSSL except
// for the NIST prime curves.
func curveName(oid string) (name string, bits int) {
	c, known := namedCurves()[oid]
	if !known {
		return oid, 0
	}
	return c.name, c.bits
}

// namedCurve is a curve with an object identifier.
type namedCurve struct {
	name string
	bits int // of its field
}

var namedCurves = sync.OnceValue(func() map[string]namedCurve {
	return map[string]namedCurve{
		"1.2.840.10045.3.1.1":   {"P-192", 192},
		"1.2.840.10045.3.1.7":   {"P-256", 256},
		"1.3.36.3.3.2.8.1.1.1":  {"brainpoolP160r1", 160},
		"1.3.36.3.3.2.8.1.1.2":  {"brainpoolP160t1", 160},
		"1.3.36.3.3.2.8.1.1.3":  {"brainpoolP192r1", 192},
		"1.3.36.3.3.2.8.1.1.4":  {"brainpoolP192t1", 192},
		"1.3.36.3.3.2.8.1.1.5":  {"brainpoolP224r1", 224},
		"1.3.36.3.3.2.8.1.1.6":  {"brainpoolP224t1", 224},
		"1.3.36.3.3.2.8.1.1.7":  {"brainpoolP256r1", 256},
		"1.3.36.3.3.2.8.1.1.8":  {"brainpoolP256t1", 256},
		"1.3.36.3.3.2.8.1.1.9":  {"brainpoolP320r1", 320},
		"1.3.36.3.3.2.8.1.1.10": {"brainpoolP320t1", 320},
		"1.3.36.3.3.2.8.1.1.11": {"brainpoolP384r1", 384},
		"1.3.36.3.3.2.8.1.1.12": {"brainpoolP384t1", 384},
		"1.3.36.3.3.2.8.1.1.13": {"brainpoolP512r1", 512},
		"1.3.36.3.3.2.8.1.1.14": {"brainpoolP512t1", 512},
		"1.3.132.0.1":           {"sect163k1", 163},
		"1.3.132.0.2":           {"sect163r1", 163},
		"1.3.132.0.3":           {"sect239k1", 239},
		"1.3.132.0.4":           {"sect113r1", 113},
		"1.3.132.0.5":           {"sect113r2", 113},
		"1.3.132.0.6":           {"secp112r1", 112},
		"1.3.132.0.7":           {"secp112r2", 112},
		"1.3.132.0.8":           {"secp160r1", 160},
		"1.3.132.0.9":           {"secp160k1", 160},
		"1.3.132.0.10":          {"secp256k1", 256},
		"1.3.132.0.15":          {"sect163r2", 163},
		"1.3.132.0.16":          {"sect283k1", 283},
		"1.3.132.0.17":          {"sect283r1", 283},
		"1.3.132.0.22":          {"sect131r1", 131},
		"1.3.132.0.23":          {"sect131r2", 131},
		"1.3.132.0.24":          {"sect193r1", 193},
		"1.3.132.0.25":          {"sect193r2", 193},
		"1.3.132.0.26":          {"sect233k1", 233},
		"1.3.132.0.27":          {"sect233r1", 233},
		"1.3.132.0.28":          {"secp128r1", 128},
		"1.3.132.0.29":          {"secp128r2", 128},
		"1.3.132.0.30":          {"secp160r2", 160},
		"1.3.132.0.31":          {"secp192k1", 192},
		"1.3.132.0.32":          {"secp224k1", 224},
		"1.3.132.0.33":          {"P-224", 224},
		"1.3.132.0.34":          {"P-384", 384},
		"1.3.132.0.35":          {"P-521", 521},
		"1.3.132.0.36":          {"sect409k1", 409},
		"1.3.132.0.37":          {"sect409r1", 409},
		"1.3.132.0.38":          {"sect571k1", 571},
		"1.3.132.0.39":          {"sect571r1", 571},
	}
})
