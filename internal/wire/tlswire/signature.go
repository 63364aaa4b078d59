package tlswire

import (
	"crypto"
	_ "crypto/sha1" //nolint:gosec // DSA and ECDSA sign with it before TLS 1.2 (RFC 8422 section 5.4)
	_ "crypto/sha256"
	_ "crypto/sha512"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/sigwire"
)

// DSASignature reads the signature of a ServerKeyExchange over the randoms of both
// hellos and the parameters (RFC 5246 section 7.4.3), where it is one of DSA or
// ECDSA; otherwise it returns nil.
func (k ServerKeyExchange) DSASignature(version, suite uint16, client, server [32]byte) *evidence.Signature {
	if len(k.Signature) == 0 {
		return nil
	}
	s, _ := Lookup(suite)
	dsa := strings.HasSuffix(s.KeyExchange, "_ECDSA") || strings.HasSuffix(s.KeyExchange, "_DSS")
	return DSASignature(version, k.SignatureScheme, dsa, k.Signature, client[:], server[:], k.Params)
}

// DSASignature reads a signature over the parts of signed, one after the other,
// where it is one of DSA or ECDSA with a hash that is known; otherwise it returns nil.
// From TLS 1.2 on the scheme tells (RFC 5246 section 7.4.1.4.1, RFC 8446 section
// 4.2.3); before, dsa says whether the key is of these kinds, and the hash is SHA-1.
func DSASignature(version, scheme uint16, dsa bool, signature []byte, signed ...[]byte) *evidence.Signature {
	hash := crypto.SHA1
	if version >= VersionTLS12 {
		const kindDSA, kindECDSA = 2, 3
		kind := scheme & 0xff
		dsa = kind == kindDSA || kind == kindECDSA
		hash = map[uint16]crypto.Hash{2: crypto.SHA1, 3: crypto.SHA224, 4: crypto.SHA256, 5: crypto.SHA384, 6: crypto.SHA512}[scheme>>8]
	}
	s := sigwire.ParseDER(signature)
	if !dsa || s == nil || !hash.Available() {
		return nil
	}
	h := hash.New()
	for _, part := range signed {
		h.Write(part)
	}
	s.Digest = h.Sum(nil)
	return s
}

// Verify13 is what a server signs in CertificateVerify of TLS 1.3, given the hash
// of the transcript up to its Certificate (RFC 8446 section 4.4.3).
func Verify13(transcript []byte) []byte {
	return slices.Concat(slices.Repeat([]byte{0x20}, 64), []byte("TLS 1.3, server CertificateVerify\x00"), transcript)
}
