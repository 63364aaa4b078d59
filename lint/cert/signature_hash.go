package cert

import (
	"bytes"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/lint"
)

// signatureHash asks for a signature that cannot be forged by a collision.
func signatureHash() lint.Check {
	// NIST SP 800-131A disallowed SHA-1 signatures after 2013.
	cutOff := time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)
	return lint.Check{
		Name:   "cert/signature_hash",
		Source: "RFC 5280 section 4.1.1.2; RFC 6151; NIST SP 800-131A rev. 2 section 9",
		Certificate: lint.Decoded(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			inner, outer, ok := signatureIdentifiers(s.DER)
			if !ok {
				return lint.Inconclusivef("The signature algorithm cannot be read.")
			}
			if !bytes.Equal(inner, outer) {
				return lint.Failf("The signature algorithm inside the signed part differs from the one outside.")
			}
			hash := weakHash(inner)
			switch {
			case hash == "":
				return lint.Passf("The signature does not use MD2, MD4, MD5 or SHA-1.")
			case s.SelfSigned():
				return lint.Passf("The signature uses %s, but the certificate is self-signed, so nothing rests on it.", hash)
			case s.NotBefore().Before(cutOff):
				return lint.Warnf("The signature uses %s; the certificate was issued at %s, before the end of 2013.", hash, lint.Time(s.NotBefore()))
			}
			return lint.Failf("The signature uses %s; the certificate was issued at %s.", hash, lint.Time(s.NotBefore()))
		}),
	}
}

// signatureIdentifiers returns the two AlgorithmIdentifiers of a certificate.
func signatureIdentifiers(der []byte) (inner, outer []byte, ok bool) {
	in := cryptobyte.String(der)
	var cert, tbs, a, b cryptobyte.String
	ok = in.ReadASN1(&cert, cbasn1.SEQUENCE) && cert.ReadASN1(&tbs, cbasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) && tbs.SkipASN1(cbasn1.INTEGER) &&
		tbs.ReadASN1Element(&a, cbasn1.SEQUENCE) && cert.ReadASN1Element(&b, cbasn1.SEQUENCE)
	return a, b, ok
}

// weakHash names the broken hash of an AlgorithmIdentifier, or returns "".
func weakHash(identifier []byte) string {
	in := cryptobyte.String(identifier)
	var body, oid cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) {
		return ""
	}
	switch string(oid) { // the encoded identifier, which costs less than its digits
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02": // 1.2.840.113549.1.1.2
		return "MD2"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x03": // 1.2.840.113549.1.1.3
		return "MD4"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04": // 1.2.840.113549.1.1.4
		return "MD5"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", // 1.2.840.113549.1.1.5
		"\x2b\x0e\x03\x02\x1d",         // 1.3.14.3.2.29
		"\x2b\x0e\x03\x02\x1b",         // 1.3.14.3.2.27
		"\x2a\x86\x48\xce\x38\x04\x03", // 1.2.840.10040.4.3
		"\x2a\x86\x48\xce\x3d\x04\x01": // 1.2.840.10045.4.1
		return "SHA-1"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a": // 1.2.840.113549.1.1.10
		return weakPSSHash(body)
	}
	return ""
}

// weakPSSHash reads RSASSA-PSS-params (RFC 4055 section 3.1), where an absent
// hash means SHA-1.
func weakPSSHash(params cryptobyte.String) string {
	var body, tagged, algorithm cryptobyte.String
	var present bool
	var oid asn1.ObjectIdentifier
	if params.Empty() {
		return "SHA-1"
	}
	if !params.ReadASN1(&body, cbasn1.SEQUENCE) ||
		!body.ReadOptionalASN1(&tagged, &present, cbasn1.Tag(0).Constructed().ContextSpecific()) {
		return ""
	}
	if !present {
		return "SHA-1"
	}
	if tagged.ReadASN1(&algorithm, cbasn1.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&oid) {
		switch oid.String() {
		case "1.3.14.3.2.26":
			return "SHA-1"
		case "1.2.840.113549.2.5":
			return "MD5"
		}
	}
	return ""
}
