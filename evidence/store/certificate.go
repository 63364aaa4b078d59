package store

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
)

// parsedCertificate are the columns of v_certificate that are in the DER. Fields
// that could not be read are nil or empty. It is read with less care for the
// rules than a verifier takes, because a certificate with a negative serial must
// be listed, too.
type parsedCertificate struct {
	spki               any // SHA-256
	subject, issuer    any
	serial             any // lower-case hex of the INTEGER's content octets, without leading zero octet
	notBefore          any // Unix seconds
	notAfter           any
	keyAlgorithm       any
	keyBits            any
	signatureAlgorithm any
	isCA               any // 0, 1
}

var errMalformed = errors.New("malformed certificate")

// parseCertificate reads the TBSCertificate of RFC 5280 section 4.1 as far as it
// can; on an error the fields read until then are set.
func parseCertificate(der []byte) (c parsedCertificate, err error) {
	input := cryptobyte.String(der)
	var cert, tbs, sigAlg, validity cryptobyte.String
	if !input.ReadASN1(&cert, cbasn1.SEQUENCE) || !cert.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return c, errMalformed
	}
	var serial cryptobyte.String
	if !tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) || !tbs.ReadASN1(&serial, cbasn1.INTEGER) {
		return c, errMalformed
	}
	if len(serial) > 1 && serial[0] == 0 {
		serial = serial[1:]
	}
	c.serial = hex.EncodeToString(serial)
	var oid asn1.ObjectIdentifier
	if !tbs.ReadASN1(&sigAlg, cbasn1.SEQUENCE) || !sigAlg.ReadASN1ObjectIdentifier(&oid) {
		return c, errMalformed
	}
	c.signatureAlgorithm = nameOf(oid)
	var issuer, subject, spki cryptobyte.String
	if !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return c, errMalformed
	}
	c.issuer = nameText(issuer)
	if !tbs.ReadASN1(&validity, cbasn1.SEQUENCE) {
		return c, errMalformed
	}
	c.notBefore, c.notAfter = readTime(&validity), readTime(&validity)
	if !tbs.ReadASN1Element(&subject, cbasn1.SEQUENCE) {
		return c, errMalformed
	}
	c.subject = nameText(subject)
	if !tbs.ReadASN1Element(&spki, cbasn1.SEQUENCE) {
		return c, errMalformed
	}
	sum := evidence.DigestOf(spki)
	c.spki = sum[:]
	c.keyAlgorithm, c.keyBits = keyOf(spki)
	c.isCA = isCA(tbs)
	return c, nil
}

// nameText is the RFC 2253 form of a distinguished name.
func nameText(der []byte) any {
	rdn, ok := plainName(der)
	if !ok {
		if rest, err := asn1.Unmarshal(der, &rdn); err != nil || len(rest) > 0 {
			return nil
		}
	}
	return clean(rdn.String())
}

// plainName reads a name whose values are all strings of ASCII in UTF8String or
// PrintableString, as nearly all are. It reports false for any other, which
// package asn1 reads: by reflection, and with ten times the effort.
func plainName(der []byte) (pkix.RDNSequence, bool) {
	input := cryptobyte.String(der)
	var sequence cryptobyte.String
	if !input.ReadASN1(&sequence, cbasn1.SEQUENCE) || !input.Empty() {
		return nil, false
	}
	var rdns pkix.RDNSequence
	for !sequence.Empty() {
		var set cryptobyte.String
		if !sequence.ReadASN1(&set, cbasn1.SET) {
			return nil, false
		}
		var rdn pkix.RelativeDistinguishedNameSET
		for !set.Empty() {
			var attribute, value cryptobyte.String
			var tag cbasn1.Tag
			var a pkix.AttributeTypeAndValue
			if !set.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&a.Type) ||
				!attribute.ReadAnyASN1(&value, &tag) || !attribute.Empty() ||
				tag != cbasn1.UTF8String && tag != cbasn1.PrintableString || !plainText(value) {
				return nil, false
			}
			a.Value = string(value)
			rdn = append(rdn, a)
		}
		rdns = append(rdns, rdn)
	}
	return rdns, true
}

// plainText reports whether a text has only letters, digits, blanks and such marks
// as are allowed in every type of string (X.680 section 41.4).
func plainText(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == ' ', c == '-', c == '.', c == ',', c == '/', c == ':', c == '(', c == ')':
		default:
			return false
		}
	}
	return true
}

func readTime(s *cryptobyte.String) any {
	var t time.Time
	if s.PeekASN1Tag(cbasn1.UTCTime) {
		if !s.ReadASN1UTCTime(&t) {
			return nil
		}
	} else if !s.ReadASN1GeneralizedTime(&t) {
		return nil
	}
	return t.Unix()
}

// keyOf names the algorithm of a SubjectPublicKeyInfo and its size: the bits of
// the modulus for RSA and of the prime for DSA, of the field for a known curve.
func keyOf(der cryptobyte.String) (algorithm, bits any) {
	var spki, alg, key cryptobyte.String
	var oid, curve asn1.ObjectIdentifier
	if !der.ReadASN1(&spki, cbasn1.SEQUENCE) || !spki.ReadASN1(&alg, cbasn1.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) {
		return nil, nil
	}
	name := nameOf(oid)
	switch name {
	case "RSA":
		var seq cryptobyte.String
		n := new(big.Int)
		if spki.ReadASN1BitStringAsBytes((*[]byte)(&key)) && key.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.ReadASN1Integer(n) {
			return name, int64(n.BitLen())
		}
	case "DSA":
		var seq cryptobyte.String
		p := new(big.Int)
		if alg.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.ReadASN1Integer(p) {
			return name, int64(p.BitLen())
		}
	case "EC":
		if alg.ReadASN1ObjectIdentifier(&curve) {
			if b, ok := curveBits(curve); ok {
				return name, b
			}
		}
	case "Ed25519", "X25519":
		return name, int64(255)
	case "Ed448":
		return name, int64(448)
	}
	return name, nil
}

// curveBits is the size of the field of the curves of RFC 5480 section 2.1.1.1
// and RFC 5639 section 4.1.
func curveBits(oid asn1.ObjectIdentifier) (int64, bool) {
	switch oid.String() {
	case "1.2.840.10045.3.1.1":
		return 192, true
	case "1.3.132.0.33":
		return 224, true
	case "1.2.840.10045.3.1.7", "1.3.132.0.10", "1.3.36.3.3.2.8.1.1.7":
		return 256, true
	case "1.3.132.0.34", "1.3.36.3.3.2.8.1.1.11":
		return 384, true
	case "1.3.36.3.3.2.8.1.1.13":
		return 512, true
	case "1.3.132.0.35":
		return 521, true
	}
	return 0, false
}

// nameOf names the algorithms of RFC 3279, RFC 4055, RFC 5758 and RFC 8410; for
// any other it returns the dotted identifier.
func nameOf(oid asn1.ObjectIdentifier) string {
	id := oid.String()
	switch id {
	case "1.2.840.113549.1.1.1":
		return "RSA"
	case "1.2.840.10040.4.1":
		return "DSA"
	case "1.2.840.10045.2.1":
		return "EC"
	case "1.3.101.110":
		return "X25519"
	case "1.3.101.112":
		return "Ed25519"
	case "1.3.101.113":
		return "Ed448"
	case "1.2.840.113549.1.1.2":
		return "MD2-RSA"
	case "1.2.840.113549.1.1.4":
		return "MD5-RSA"
	case "1.2.840.113549.1.1.5":
		return "SHA1-RSA"
	case "1.2.840.113549.1.1.11":
		return "SHA256-RSA"
	case "1.2.840.113549.1.1.12":
		return "SHA384-RSA"
	case "1.2.840.113549.1.1.13":
		return "SHA512-RSA"
	case "1.2.840.113549.1.1.10":
		return "RSA-PSS"
	case "1.2.840.10040.4.3":
		return "SHA1-DSA"
	case "2.16.840.1.101.3.4.3.2":
		return "SHA256-DSA"
	case "1.2.840.10045.4.1":
		return "SHA1-ECDSA"
	case "1.2.840.10045.4.3.2":
		return "SHA256-ECDSA"
	case "1.2.840.10045.4.3.3":
		return "SHA384-ECDSA"
	case "1.2.840.10045.4.3.4":
		return "SHA512-ECDSA"
	}
	return id
}

// isCA reads basicConstraints (RFC 5280 section 4.2.1.9) from what follows the
// key in a TBSCertificate.
func isCA(tbs cryptobyte.String) any {
	var exts, list cryptobyte.String
	var present bool
	for _, unique := range []uint8{1, 2} {
		if !tbs.SkipOptionalASN1(cbasn1.Tag(unique).ContextSpecific()) {
			return nil
		}
	}
	if !tbs.ReadOptionalASN1(&exts, &present, cbasn1.Tag(3).Constructed().ContextSpecific()) {
		return nil
	}
	if !present {
		return int64(0)
	}
	if !exts.ReadASN1(&list, cbasn1.SEQUENCE) {
		return nil
	}
	for !list.Empty() {
		var ext, value, bc cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			!ext.SkipOptionalASN1(cbasn1.BOOLEAN) || !ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return nil
		}
		if oid.String() != "2.5.29.19" {
			continue
		}
		var ca bool
		if !value.ReadASN1(&bc, cbasn1.SEQUENCE) || bc.PeekASN1Tag(cbasn1.BOOLEAN) && !bc.ReadASN1Boolean(&ca) {
			return nil
		}
		return bit(ca)
	}
	return int64(0)
}

// certificateColumns are those of the projection of certificates.
func certificateColumns() []string {
	return strings.Fields("blob spki_sha256 subject issuer serial not_before_s not_after_s key_algorithm key_bits signature_algorithm is_ca")
}

// projectCertificate writes the projection of a presented certificate.
func (b *batch) projectCertificate(blob int64, der []byte) {
	// What is no certificate is listed by its digest alone.
	c, _ := parseCertificate(der)
	b.s.certificates.add([]any{blob, c.spki, c.subject, c.issuer, c.serial, c.notBefore, c.notAfter, c.keyAlgorithm, c.keyBits, c.signatureAlgorithm, c.isCA})
	if b.s.certificates.full() {
		b.err = b.flush(kindBlob)
	}
}

// rebuildCertificates writes the rows of the projection that are missing.
func (s *Store) rebuildCertificates(ctx context.Context) error {
	var blobs []int64
	err := each(ctx, s.w, "SELECT DISTINCT blob FROM presented WHERE blob NOT IN (SELECT blob FROM proj_certificate) ORDER BY blob", func(scan scanFunc) error {
		var id int64
		err := scan(&id)
		blobs = append(blobs, id)
		return err
	})
	if err != nil || len(blobs) == 0 {
		return err
	}
	return s.write(ctx, func(b *batch) error {
		for _, id := range blobs {
			var der []byte
			if err := b.tx.QueryRowContext(ctx, "SELECT data FROM blob WHERE id=?", id).Scan(&der); err != nil {
				return err
			}
			b.projectCertificate(id, der)
		}
		return b.err
	})
}
