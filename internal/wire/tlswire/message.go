package tlswire

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Bounds of a certificate list.
const (
	MaxCertificates    = 32
	MaxCertificateSize = 64 << 10 // bytes of DER
	maxAuthorities     = 1024
)

// ParseCertificate reads the body of a Certificate message of TLS 1.2 and
// earlier (RFC 5246 section 7.4.2). An empty list, by which a client says that
// it has none, is well formed. If the list is damaged or beyond
// [MaxCertificates] or [MaxCertificateSize], the certificates before that place
// are returned together with the error.
func ParseCertificate(body []byte) ([][]byte, error) {
	s := cryptobyte.String(body)
	var list, der cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil, fmt.Errorf("certificate list: %w", errMalformed)
	}
	var out [][]byte
	for !list.Empty() {
		if len(out) == MaxCertificates {
			return out, fmt.Errorf("certificate list: more than %d certificates", MaxCertificates)
		}
		if !list.ReadUint24LengthPrefixed(&der) || len(der) == 0 {
			return out, fmt.Errorf("certificate list: entry %d: %w", len(out), errMalformed)
		}
		if len(der) > MaxCertificateSize {
			return out, fmt.Errorf("certificate list: entry %d has %d bytes: more than %d", len(out), len(der), MaxCertificateSize)
		}
		out = append(out, slices.Clone([]byte(der)))
	}
	return out, nil
}

// CertificateRequest is a server's wish for a client certificate.
type CertificateRequest struct {
	Types            []byte   // ClientCertificateType
	SignatureSchemes []uint16 // TLS 1.2 only
	Authorities      [][]byte // DER of distinguished names
}

// ParseCertificateRequest reads the body of a CertificateRequest of TLS 1.2,
// which has signature algorithms (RFC 5246 section 7.4.4), or of an earlier
// version, which has none (RFC 4346 section 7.4.4).
func ParseCertificateRequest(body []byte, version uint16) (CertificateRequest, error) {
	var (
		r                          CertificateRequest
		s                          = cryptobyte.String(body)
		types, schemes, list, name cryptobyte.String
		ok                         bool
	)
	if !s.ReadUint8LengthPrefixed(&types) {
		return r, fmt.Errorf("CertificateRequest: %w", errMalformed)
	}
	r.Types = slices.Clone([]byte(types))
	if version >= VersionTLS12 {
		if ok = s.ReadUint16LengthPrefixed(&schemes); ok {
			r.SignatureSchemes, ok = uint16s(schemes)
		}
		if !ok {
			return CertificateRequest{}, fmt.Errorf("CertificateRequest: signature algorithms: %w", errMalformed)
		}
	}
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return CertificateRequest{}, fmt.Errorf("CertificateRequest: authorities: %w", errMalformed)
	}
	for !list.Empty() {
		if len(r.Authorities) == maxAuthorities {
			return CertificateRequest{}, fmt.Errorf("CertificateRequest: more than %d authorities", maxAuthorities)
		}
		if !list.ReadUint16LengthPrefixed(&name) {
			return CertificateRequest{}, fmt.Errorf("CertificateRequest: authority %d: %w", len(r.Authorities), errMalformed)
		}
		r.Authorities = append(r.Authorities, slices.Clone([]byte(name)))
	}
	return r, nil
}

// ServerKeyExchange is the public part of a server's ephemeral key.
type ServerKeyExchange struct {
	Group           uint16 // named curve of ECDHE; 0 for explicit curves and other exchanges
	DHBits          int    // bits of the prime of finite-field Diffie-Hellman
	Key             []byte // the ephemeral public key: an encoded point or Ys; nil for explicit curves
	SignatureScheme uint16 // TLS 1.2 only; 0 if unsigned
	// Params are the bytes that are signed, after the two randoms; Signature is
	// nil if there is none, as in anonymous and PSK exchanges.
	Params, Signature []byte
}

// ParseServerKeyExchange reads the body of a ServerKeyExchange, whose form
// depends on the suite (RFC 5246 section 7.4.3, RFC 8422 section 5.4, RFC 4279,
// RFC 5489, for RSA_EXPORT RFC 2246 section 7.4.3) and, for the signature, on the
// version. Other exchanges that name neither a curve nor a Diffie-Hellman prime
// are an error.
func ParseServerKeyExchange(body []byte, suite, version uint16) (ServerKeyExchange, error) {
	var k ServerKeyExchange
	row, ok := Lookup(suite)
	if !ok || row.TLS13 {
		return k, fmt.Errorf("ServerKeyExchange: suite %s has no known form", SuiteName(suite))
	}
	s := cryptobyte.String(body)
	if strings.Contains(row.KeyExchange, "PSK") {
		var hint cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&hint) {
			return k, fmt.Errorf("ServerKeyExchange: identity hint: %w", errMalformed)
		}
	}
	switch {
	case strings.HasPrefix(row.KeyExchange, "ECDHE") || strings.HasPrefix(row.KeyExchange, "ECDH_anon"):
		ok = k.curve(&s)
	case row.Has("dhe"):
		ok = k.prime(&s)
	case strings.HasPrefix(row.KeyExchange, "RSA_EXPORT"): // modulus and exponent of a small key
		var n, e cryptobyte.String
		ok = s.ReadUint16LengthPrefixed(&n) && s.ReadUint16LengthPrefixed(&e)
	case row.KeyExchange == "PSK" || row.KeyExchange == "RSA_PSK": // the hint is all
		ok = true
	default:
		return k, fmt.Errorf("ServerKeyExchange: %s names no group", row.KeyExchange)
	}
	if !ok {
		return ServerKeyExchange{}, fmt.Errorf("ServerKeyExchange: %w", errMalformed)
	}
	// Anonymous and PSK exchanges are unsigned: nothing follows the key.
	if s.Empty() {
		return k, nil
	}
	k.Params = slices.Clone(body[:len(body)-len(s)])
	if version >= VersionTLS12 && !s.ReadUint16(&k.SignatureScheme) {
		return ServerKeyExchange{}, fmt.Errorf("ServerKeyExchange: signature: %w", errMalformed)
	}
	var signature cryptobyte.String
	if s.ReadUint16LengthPrefixed(&signature) && len(signature) > 0 {
		k.Signature = slices.Clone([]byte(signature))
	}
	return k, nil
}

// CertificateVerify is the client's proof that it holds the key of its
// certificate.
type CertificateVerify struct {
	SignatureScheme uint16 // TLS 1.2 only; 0 before
	Signature       []byte
}

// ParseCertificateVerify reads the body of a CertificateVerify of TLS 1.2 (RFC
// 5246 section 7.4.8) or of an earlier version, which names no scheme.
func ParseCertificateVerify(body []byte, version uint16) (CertificateVerify, error) {
	var v CertificateVerify
	s := cryptobyte.String(body)
	var signature cryptobyte.String
	if version >= VersionTLS12 && !s.ReadUint16(&v.SignatureScheme) || !s.ReadUint16LengthPrefixed(&signature) || !s.Empty() {
		return CertificateVerify{}, fmt.Errorf("CertificateVerify: %w", errMalformed)
	}
	v.Signature = slices.Clone([]byte(signature))
	return v, nil
}

// curve reads ECParameters and the point (RFC 8422 section 5.4). Explicit
// curves are deprecated there and end the reading.
func (k *ServerKeyExchange) curve(s *cryptobyte.String) bool {
	const namedCurve = 3
	var kind uint8
	var point cryptobyte.String
	if !s.ReadUint8(&kind) {
		return false
	}
	if kind != namedCurve {
		*s = nil
		return true
	}
	if !s.ReadUint16(&k.Group) || !s.ReadUint8LengthPrefixed(&point) {
		return false
	}
	k.Key = slices.Clone([]byte(point))
	return true
}

// prime reads ServerDHParams (RFC 5246 section 7.4.3).
func (k *ServerKeyExchange) prime(s *cryptobyte.String) bool {
	var p, g, y cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&p) || !s.ReadUint16LengthPrefixed(&g) || !s.ReadUint16LengthPrefixed(&y) {
		return false
	}
	k.DHBits, k.Key = bitLen(p), slices.Clone([]byte(y))
	return true
}

// bitLen returns the length in bits of a big-endian number.
func bitLen(b []byte) int {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	n := len(b) * 8
	for v := b[0]; v&0x80 == 0; v <<= 1 {
		n--
	}
	return n
}

// ParseCertificateStatus reads the body of a CertificateStatus and returns the
// DER of the OCSP response (RFC 6066 section 8).
func ParseCertificateStatus(body []byte) ([]byte, error) {
	const ocsp = 1
	s := cryptobyte.String(body)
	var kind uint8
	var response cryptobyte.String
	if !s.ReadUint8(&kind) || kind != ocsp || !s.ReadUint24LengthPrefixed(&response) || len(response) == 0 || !s.Empty() {
		return nil, fmt.Errorf("CertificateStatus: %w", errMalformed)
	}
	return slices.Clone([]byte(response)), nil
}

// ParseNewSessionTicket reads the body of a NewSessionTicket and returns the
// lifetime hint in seconds. All versions begin alike (RFC 5077 section 3.3,
// RFC 8446 section 4.6.1).
func ParseNewSessionTicket(body []byte) (lifetime uint32, err error) {
	s := cryptobyte.String(body)
	if !s.ReadUint32(&lifetime) || len(s) < 2 {
		return 0, fmt.Errorf("NewSessionTicket: %w", errMalformed)
	}
	return lifetime, nil
}

// AlertFatal is the level of an alert that ends the connection.
const AlertFatal uint8 = 2

// ParseAlert reads the body of an alert record: level and description (RFC 8446
// section 6).
func ParseAlert(body []byte) (level, description uint8, err error) {
	if len(body) != 2 {
		return 0, 0, fmt.Errorf("alert of %d bytes: %w", len(body), errMalformed)
	}
	return body[0], body[1], nil
}
