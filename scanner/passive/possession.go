package passive

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // old devices sign with it
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/md5" //nolint:gosec // TLS 1.0 and 1.1 sign with it (RFC 4346 section 7.4.3)
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // as above; a weak hash is judged elsewhere
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
	"probity/internal/wire/sigwire"
	"probity/internal/wire/tlswire"
)

// Bounds of the RSA keys that are computed with: crypto/rsa refuses smaller ones,
// and larger ones cost an adversary nothing and us much.
const (
	minProofBits = 1024
	maxProofBits = 16384

	maxDSABits      = 4096
	maxSubgroupBits = 512 // of DSA
)

// proof is a signature in a handshake, and what it is to be of.
type proof struct {
	certificate     []byte
	version, scheme uint16
	signature       []byte
	signed          []byte
}

// serverProof is the signature of a ServerKeyExchange over the two randoms and the
// ephemeral key (RFC 5246 section 7.4.3, RFC 8422 section 5.4).
func serverProof(answer, offer *tlsSide) (proof, bool) {
	if answer.server == nil || offer.client == nil || len(answer.certs) == 0 || len(answer.kex) == 0 {
		return proof{}, false
	}
	h := answer.server
	k, err := tlswire.ParseServerKeyExchange(answer.kex, h.CipherSuite, h.Version)
	if err != nil || len(k.Signature) == 0 {
		return proof{}, false
	}
	signed := slices.Concat(offer.client.Random[:], h.Random[:], k.Params)
	return proof{certificate: answer.certs[0], version: h.Version, scheme: k.SignatureScheme, signature: k.Signature, signed: signed}, true
}

// clientProof is the signature of a CertificateVerify over all messages before it
// (RFC 5246 section 7.4.8; RFC 6347 section 4.2.6 for DTLS).
func clientProof(answer, offer *tlsSide) (proof, bool) {
	if answer.server == nil || len(offer.certs) == 0 || len(offer.verify) == 0 || answer.odd || offer.odd {
		return proof{}, false
	}
	version := answer.server.Version
	v, err := tlswire.ParseCertificateVerify(offer.verify, version)
	if err != nil || len(v.Signature) == 0 {
		return proof{}, false
	}
	hello, rest := offer.transcript(tlswire.TypeClientHello, tlswire.TypeCertificateVerify)
	_, said := answer.transcript(tlswire.TypeServerHello, tlswire.TypeServerHelloDone)
	if hello == nil || said == nil {
		return proof{}, false
	}
	// A Certificate and a ClientKeyExchange follow the hello.
	signed := slices.Concat(hello, said, rest[len(hello):])
	return proof{certificate: offer.certs[0], version: version, scheme: v.SignatureScheme, signature: v.Signature, signed: signed}, true
}

// pledge is a proof that is still to be checked, and where what it shows goes.
type pledge struct {
	proof
	held      *evidence.Possession
	signature **evidence.Signature
	key       any // of the certificate, once it was read; nil where it is not read
	read      bool
}

// subject is the key of the certificate.
func (p *pledge) subject() any {
	if !p.read {
		p.key, p.read = subjectKey(p.certificate), true
	}
	return p.key
}

// cost is about what the check costs, with a signature of P-256 as 1.
func (p *pledge) cost() int {
	switch k := p.subject().(type) {
	case *rsa.PublicKey:
		const cheap = 4096 // the square of the length counts
		n := k.N.BitLen()
		return 1 + (n/cheap)*(n/cheap)
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return 1
		case 384, 224:
			return 8
		}
		return 20
	case *dsa.PublicKey:
		const kilobit = 1024
		n := 1 + k.P.BitLen()/kilobit
		return 4 * n * n
	}
	return 1
}

// check says whether the signature is one of the key of the certificate, and what
// its numbers are if it is one of DSA or ECDSA.
func (p *pledge) check() (evidence.Possession, *evidence.Signature) {
	held, s := possession(p.subject(), p.version, p.scheme, p.signed, p.proof.signature), p.numbers()
	if s != nil {
		s.Verified = held == evidence.PossessionVerified
	}
	return held, s
}

// numbers are those of a signature of DSA or ECDSA, unchecked; nil for any other.
func (p *pledge) numbers() *evidence.Signature {
	_, dsa := p.subject().(*dsa.PublicKey)
	_, ec := p.key.(*ecdsa.PublicKey)
	return tlswire.DSASignature(p.version, p.scheme, dsa || ec, p.proof.signature, p.signed)
}

// verifies reports whether a signature of DSA or ECDSA, of which the digest is known,
// is one of the key of a certificate.
func verifies(certificate []byte, s *evidence.Signature) bool {
	r, n := new(big.Int).SetBytes(s.R), new(big.Int).SetBytes(s.S)
	switch k := subjectKey(certificate).(type) {
	case *ecdsa.PublicKey:
		return ecdsa.Verify(k, s.Digest, r, n)
	case *dsa.PublicKey:
		if _, bounded := signatureAlgorithm(k, tlswire.VersionTLS11, 0); bounded {
			return dsa.Verify(k, s.Digest[:min(len(s.Digest), (k.Q.BitLen()+7)/8)], r, n)
		}
	}
	return false
}

// transcript returns the last message of kind first, and all from it on: up to a
// message of kind last, which is a part of it only for the server. It returns nil
// where a message is missing.
func (t *tlsSide) transcript(first, last uint8) (begin, all []byte) {
	list := slices.Clone(t.said)
	if t.carrier == carrierDTLS { // datagrams overtake each other
		slices.SortStableFunc(list, func(a, b []byte) int { return cmp.Compare(dtlsSequence(a), dtlsSequence(b)) })
	}
	for i, m := range list {
		switch {
		case m[0] == first:
			begin, all = m, bytes.Clone(m)
			continue
		case begin == nil, t.carrier == carrierDTLS && dtlsSequence(m) != dtlsSequence(list[i-1])+1:
			return nil, nil // a message was lost
		case m[0] == last && last == tlswire.TypeCertificateVerify:
			return begin, all
		}
		all = append(all, m...)
		if m[0] == last {
			return begin, all
		}
	}
	return nil, nil
}

// dtlsSequence is the number of a message (RFC 6347 section 4.2.2).
func dtlsSequence(m []byte) int {
	const header, number = 12, 4
	if len(m) < header {
		return 0
	}
	return int(binary.BigEndian.Uint16(m[number:]))
}

// possession says whether signature is one of a key.
func possession(key any, version, scheme uint16, signed, signature []byte) evidence.Possession {
	a, ok := signatureAlgorithm(key, version, scheme)
	if !ok {
		return ""
	}
	digest := signed
	switch {
	case a.hash == crypto.MD5SHA1:
		m, s := md5.Sum(signed), sha1.Sum(signed) //nolint:gosec // see the imports
		digest = append(m[:], s[:]...)
	case a.hash != 0:
		h := a.hash.New()
		h.Write(signed)
		digest = h.Sum(nil)
	}
	valid := false
	switch k := key.(type) {
	case *rsa.PublicKey:
		if a.pss {
			valid = rsa.VerifyPSS(k, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			valid = rsa.VerifyPKCS1v15(k, a.hash, digest, signature) == nil
		}
	case *ecdsa.PublicKey:
		valid = ecdsa.VerifyASN1(k, digest, signature)
	case *dsa.PublicKey:
		if s := sigwire.ParseDER(signature); s != nil {
			digest = digest[:min(len(digest), (k.Q.BitLen()+7)/8)] // FIPS 186-4 section 4.6
			valid = dsa.Verify(k, digest, new(big.Int).SetBytes(s.R), new(big.Int).SetBytes(s.S))
		}
	case ed25519.PublicKey:
		valid = ed25519.Verify(k, signed, signature)
	}
	if valid {
		return evidence.PossessionVerified
	}
	return evidence.PossessionRefuted
}

// algorithm is how a signature is made; hash is 0 for Ed25519.
type algorithm struct {
	hash crypto.Hash
	pss  bool
}

// signatureAlgorithm reads a scheme (RFC 8446 section 4.2.3, RFC 5246 section
// 7.4.1.4.1) for a key. Before TLS 1.2 the key alone decides.
func signatureAlgorithm(key any, version, scheme uint16) (algorithm, bool) {
	const rsaKind, dsaKind, ecdsaKind, intrinsic, ed = 1, 2, 3, 8, 0x0807
	hash, kind := scheme>>8, scheme&0xff
	hashes := map[uint16]crypto.Hash{2: crypto.SHA1, 4: crypto.SHA256, 5: crypto.SHA384, 6: crypto.SHA512}
	pss := map[uint16]crypto.Hash{4: crypto.SHA256, 5: crypto.SHA384, 6: crypto.SHA512, 9: crypto.SHA256, 10: crypto.SHA384, 11: crypto.SHA512}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minProofBits || n > maxProofBits {
			return algorithm{}, false
		}
		switch {
		case version < tlswire.VersionTLS12:
			return algorithm{hash: crypto.MD5SHA1}, true
		case hash == intrinsic:
			return algorithm{pss[kind], true}, pss[kind] != 0
		}
		return algorithm{hash: hashes[hash]}, kind == rsaKind && hashes[hash] != 0
	case *ecdsa.PublicKey:
		if version < tlswire.VersionTLS12 {
			return algorithm{hash: crypto.SHA1}, true
		}
		return algorithm{hash: hashes[hash]}, kind == ecdsaKind && hashes[hash] != 0
	case *dsa.PublicKey:
		if k.P.BitLen() > maxDSABits || k.Q.BitLen() > maxSubgroupBits || k.G.Cmp(k.P) >= 0 || k.Y.Cmp(k.P) >= 0 {
			return algorithm{}, false
		}
		if version < tlswire.VersionTLS12 {
			return algorithm{hash: crypto.SHA1}, true
		}
		return algorithm{hash: hashes[hash]}, kind == dsaKind && hashes[hash] != 0
	case ed25519.PublicKey:
		return algorithm{}, scheme == ed
	}
	return algorithm{}, false
}

// subjectKey returns the key of a certificate; nil for one that is not read. Only
// the way to the key is parsed, so that a certificate with other faults counts.
func subjectKey(der []byte) any {
	in := cryptobyte.String(der)
	var certificate, tbs, spki cryptobyte.String
	if !in.ReadASN1(&certificate, cbasn1.SEQUENCE) || !certificate.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) || !tbs.SkipASN1(cbasn1.INTEGER) {
		return nil
	}
	for range 4 { // signature, issuer, validity, subject
		if !tbs.SkipASN1(cbasn1.SEQUENCE) {
			return nil
		}
	}
	if !tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return nil
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil
	}
	return key
}
