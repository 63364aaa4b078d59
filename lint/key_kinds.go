package lint

import (
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// fixedKey is a kind of key of which all have the same length.
type fixedKey struct {
	name           KeyAlgorithm
	bits, strength int
	length         int // in bytes
}

// fixedKeyOf knows the kinds of RFC 8410, RFC 9881 (ML-DSA), RFC 9909 (SLH-DSA) and
// RFC 9935 (ML-KEM), with the lengths of FIPS 203 table 3, FIPS 204 table 2 and FIPS
// 205 table 2. The strength of those against quantum computers is that against other
// computers.
func fixedKeyOf(oid string) (fixedKey, bool) {
	const (
		signatures = "2.16.840.1.101.3.4.3."
		kems       = "2.16.840.1.101.3.4.4."
	)
	switch oid {
	case "1.3.101.110":
		return fixedKey{X25519, 256, 128, 32}, true
	case "1.3.101.111":
		return fixedKey{X448, 448, 224, 56}, true
	case "1.3.101.112":
		return fixedKey{Ed25519, 256, 128, 32}, true
	case "1.3.101.113":
		return fixedKey{Ed448, 448, 224, 57}, true
	case signatures + "17":
		return fixedKey{"ML-DSA-44", 0, 128, 1312}, true
	case signatures + "18":
		return fixedKey{"ML-DSA-65", 0, 192, 1952}, true
	case signatures + "19":
		return fixedKey{"ML-DSA-87", 0, 256, 2592}, true
	case signatures + "20":
		return fixedKey{"SLH-DSA-SHA2-128s", 0, 128, 32}, true
	case signatures + "21":
		return fixedKey{"SLH-DSA-SHA2-128f", 0, 128, 32}, true
	case signatures + "22":
		return fixedKey{"SLH-DSA-SHA2-192s", 0, 192, 48}, true
	case signatures + "23":
		return fixedKey{"SLH-DSA-SHA2-192f", 0, 192, 48}, true
	case signatures + "24":
		return fixedKey{"SLH-DSA-SHA2-256s", 0, 256, 64}, true
	case signatures + "25":
		return fixedKey{"SLH-DSA-SHA2-256f", 0, 256, 64}, true
	case signatures + "26":
		return fixedKey{"SLH-DSA-SHAKE-128s", 0, 128, 32}, true
	case signatures + "27":
		return fixedKey{"SLH-DSA-SHAKE-128f", 0, 128, 32}, true
	case signatures + "28":
		return fixedKey{"SLH-DSA-SHAKE-192s", 0, 192, 48}, true
	case signatures + "29":
		return fixedKey{"SLH-DSA-SHAKE-192f", 0, 192, 48}, true
	case signatures + "30":
		return fixedKey{"SLH-DSA-SHAKE-256s", 0, 256, 64}, true
	case signatures + "31":
		return fixedKey{"SLH-DSA-SHAKE-256f", 0, 256, 64}, true
	case kems + "1":
		return fixedKey{"ML-KEM-512", 0, 128, 800}, true
	case kems + "2":
		return fixedKey{"ML-KEM-768", 0, 192, 1184}, true
	case kems + "3":
		return fixedKey{"ML-KEM-1024", 0, 256, 1568}, true
	}
	return fixedKey{}, false
}

// readFixed fills in a key of a kind with one length; of another, its object
// identifier is all that is known.
func (k *Key) readFixed(oid string) {
	f, ok := fixedKeyOf(oid)
	if !ok {
		k.Algorithm = KeyAlgorithm(oid)
		return
	}
	k.Algorithm, k.Bits, k.Strength, k.FixedLength = f.name, f.bits, f.strength, f.length
	if (f.name == Ed25519 || f.name == Ed448) && len(k.Public) == f.length {
		k.Point = edwardsOf(f.name).check(k.Public)
	}
}

// DSANumbers are the parameters and the public number of a DSA key (FIPS 186-4
// section 4.1).
type DSANumbers struct{ P, Q, G, Y *big.Int }

func (k *Key) readDSA(params cryptobyte.String, bits []byte) bool {
	var body, p, q, g, y cryptobyte.String
	if params.Empty() {
		return true // inherited parameters, RFC 3279 section 2.3.2
	}
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&p, cbasn1.INTEGER) || !body.ReadASN1(&q, cbasn1.INTEGER) {
		return false
	}
	k.Bits = integerBits(p)
	k.Strength = factoringStrength(k.Bits)
	k.TooLarge = k.Bits > MaxKeyBits || integerBits(q) > maxSubgroupBits
	public := cryptobyte.String(bits)
	if k.TooLarge || !body.ReadASN1(&g, cbasn1.INTEGER) || !public.ReadASN1(&y, cbasn1.INTEGER) ||
		negative(p) || negative(q) || negative(g) || negative(y) || max(integerBits(g), integerBits(y)) > MaxKeyBits {
		return true
	}
	number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	k.DSA = &DSANumbers{number(p), number(q), number(g), number(y)}
	return true
}

// PSSParameters are what an RSA-PSS key restricts its signatures to (RFC 4055
// section 3.1). The zero value is one that cannot be read.
type PSSParameters struct {
	Hash, MaskHash string // object identifiers
	Salt, Trailer  int
}

// readPSS reads RSASSA-PSS-params; what is absent has its default, all of them of
// the time of SHA-1.
func readPSS(params cryptobyte.String) *PSSParameters {
	const (
		sha1 = "1.3.14.3.2.26"
		mgf1 = "1.2.840.113549.1.1.8"
	)
	p := &PSSParameters{Hash: sha1, MaskHash: sha1, Salt: 20, Trailer: 1}
	var body cryptobyte.String
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) || !params.Empty() {
		return &PSSParameters{}
	}
	for tag := range uint8(4) {
		var field, inner cryptobyte.String
		var present bool
		if !body.ReadOptionalASN1(&field, &present, cbasn1.Tag(tag).Constructed().ContextSpecific()) {
			return &PSSParameters{}
		}
		if !present {
			continue
		}
		ok := true
		switch tag {
		case 0:
			ok = readAlgorithm(&field, &p.Hash, &inner)
		case 1:
			var mask string
			ok = readAlgorithm(&field, &mask, &inner) && mask == mgf1 && readAlgorithm(&inner, &p.MaskHash, new(cryptobyte.String))
		case 2:
			ok = field.ReadASN1Integer(&p.Salt)
		case 3:
			ok = field.ReadASN1Integer(&p.Trailer)
		}
		if !ok {
			return &PSSParameters{}
		}
	}
	if !body.Empty() {
		return &PSSParameters{}
	}
	return p
}

// readAlgorithm reads an AlgorithmIdentifier and leaves its parameters in rest.
func readAlgorithm(in *cryptobyte.String, oid *string, rest *cryptobyte.String) bool {
	var id asn1.ObjectIdentifier
	if !in.ReadASN1(rest, cbasn1.SEQUENCE) || !rest.ReadASN1ObjectIdentifier(&id) {
		return false
	}
	*oid = id.String()
	return true
}
