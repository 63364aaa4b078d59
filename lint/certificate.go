package lint

import (
	"bytes"
	stdx509 "crypto/x509"
	"crypto/x509/pkix"
	stdasn1 "encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
)

// maxCertificate is the longest certificate, in bytes, that is parsed. The
// largest standard signatures (SLH-DSA-256f) need some 50 KiB.
const maxCertificate = 256 << 10

// maxIdentifier is the longest object identifier, in bytes, in a certificate that is
// decoded. Registered ones have some 20; the decoder writes their digits in a time
// that grows with the square of the length.
const maxIdentifier = 512

// Certificate is one distinct certificate of a corpus. It is immutable.
type Certificate struct {
	Digest evidence.Digest // SHA-256 of DER
	DER    []byte
	// ParseError says why the certificate cannot be decoded; nil where it can.
	ParseError error
	// Key is the subject key; nil when not even its outline can be read.
	Key *Key
	// KeyHidden is true where the certificate was decoded without its subject key, because
	// the key is on a curve the decoder does not know, or too large to touch.
	// Its PublicKey is nil then.
	KeyHidden bool
	// Request is true for a PKCS #10 certification request: only Key is set.
	Request bool
	// Memo is for what checks compute of the certificate alone.
	Memo Memo

	brief
	whole  atomic.Pointer[x509.Certificate] // nil where it was let go
	record atomic.Pointer[Record]           // once it was let go

	subject, issuer               nameText
	plainSubjectOf, plainIssuerOf nameText
}

// parseCertificate decodes der. Hostile input is expected: nothing that der
// says makes it panic or compute with a key out of bounds.
func parseCertificate(der []byte) *Certificate {
	return readCertificate(der, evidence.DigestOf(der), parseKey)
}

// readCertificate is [parseCertificate] with the digest of der and with what
// reads its key.
func readCertificate(der []byte, sum evidence.Digest, key func(spki []byte) *Key) *Certificate {
	c := &Certificate{Digest: sum, DER: der}
	if len(der) > maxCertificate {
		c.ParseError = fmt.Errorf("%d bytes are more than the %d that are read of a certificate", len(der), maxCertificate)
		return c
	}
	outline, err := outlineOf(der)
	if err == nil && len(der) > 2*maxIdentifier && longIdentifier(der, 0) {
		err = fmt.Errorf("an object identifier is longer than the %d bytes that are read of one", maxIdentifier)
	}
	if err != nil {
		c.ParseError = err
		return c
	}
	c.Key = key(der[outline.spki.start:outline.spki.end])
	if c.Key == nil || !c.Key.TooLarge {
		var x *x509.Certificate
		if x, c.ParseError = decode(der); c.ParseError == nil {
			c.take(x)
			c.plain = true
			return c
		}
	}
	if c.showPoints(outline) || c.Key == nil || outline.oid.start == outline.oid.end {
		return c
	}
	c.hideKey(outline)
	return c
}

// showPoints decodes a certificate whose distribution points are named relative to
// the issuer of their lists (RFC 5280 section 4.2.1.13), which the decoder takes for
// a mistake: it is shown the extension under an unassigned number.
func (c *Certificate) showPoints(o outline) bool {
	const points, hidden = "2.5.29.31", "2.5.29.127"
	der := c.DER[o.spki.end:o.tbs.end]
	at := bytes.Index(der, []byte{0x06, 0x03, 0x55, 0x1d, 0x1f})
	if at < 0 || c.Key != nil && c.Key.TooLarge {
		return false
	}
	masked := bytes.Clone(c.DER)
	masked[o.spki.end+at+4] = 0x7f
	x, err := decode(masked)
	if err != nil {
		return false
	}
	shown := -1
	for i, e := range x.Extensions {
		if e.Id.String() == hidden {
			if shown >= 0 {
				return false // of two, one has that number itself
			}
			shown = i
		}
	}
	if shown < 0 {
		return false // the bytes were not those of the extension's number
	}
	x.Extensions[shown].Id[3] = 31
	x.ExtensionsMap[points] = x.Extensions[shown]
	delete(x.ExtensionsMap, hidden)
	c.asRead(x, o)
	return true
}

// asRead takes over what was decoded of bytes that differ from those of c.
func (c *Certificate) asRead(x *x509.Certificate, o outline) {
	x.Raw = c.DER
	x.RawTBSCertificate = c.DER[o.tbs.start:o.tbs.end]
	x.RawSubjectPublicKeyInfo = c.DER[o.spki.start:o.spki.end]
	c.ParseError = nil
	c.take(x)
}

// hideKey decodes the certificate with the algorithm identifier of its subject
// key replaced by an unassigned one, so that the decoder leaves the key alone,
// and then restores the original bytes.
func (c *Certificate) hideKey(o outline) {
	masked := bytes.Clone(c.DER)
	masked[o.oid.end-1] = 0x7f
	x, err := decode(masked)
	if err != nil {
		if c.ParseError == nil || c.Key.TooLarge {
			c.ParseError = err // of more than the key
		}
		return
	}
	c.asRead(x, o)
	c.KeyHidden = true
}

// decode calls the decoder. A panic in it becomes an error: the bytes come from
// the network and the decoder is not ours.
func decode(der []byte) (c *x509.Certificate, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("the decoder gave up: %v", r)
		}
	}()
	c, err = x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New(plainError(err.Error()))
	}
	return c, nil
}

// plainError cuts what encoding/asn1 says for its own developers: the two sets
// of field parameters that it compared.
func plainError(s string) string {
	if at := strings.IndexAny(s, "({"); at > 0 {
		s = strings.TrimSpace(s[:at])
	}
	return s
}

// span is a range of bytes of a certificate.
type span struct{ start, end int }

// outline holds the places of a certificate's parts.
type outline struct{ tbs, issuer, subject, spki, oid span }

// outlineOf finds the parts of a certificate (RFC 5280 section 4.1) by walking
// over its DER elements without looking into them.
func outlineOf(der []byte) (outline, error) {
	var o outline
	outer, inner, ok := element(der, 0, len(der))
	if !ok || der[0] != 0x30 {
		return o, errors.New("no ASN.1 SEQUENCE at the start")
	}
	if outer.end != len(der) {
		return o, fmt.Errorf("%d bytes follow the certificate", len(der)-outer.end)
	}
	var fields span
	if o.tbs, fields, ok = element(der, inner.start, inner.end); !ok || der[o.tbs.start] != 0x30 {
		return o, errors.New("no TBSCertificate")
	}
	at := fields.start
	skip := 5 // serialNumber, signature, issuer, validity, subject
	if at < fields.end && der[at] == 0xa0 {
		skip++ // version
	}
	for left := skip; left > 0; left-- {
		field, _, ok := element(der, at, fields.end)
		if !ok {
			return o, errors.New("TBSCertificate ends before the subject key")
		}
		switch left {
		case 3:
			o.issuer = field
		case 1:
			o.subject = field
		}
		at = field.end
	}
	var body, algorithm, parts span
	if o.spki, body, ok = element(der, at, fields.end); !ok || der[o.spki.start] != 0x30 {
		return o, errors.New("no SubjectPublicKeyInfo")
	}
	if algorithm, parts, ok = element(der, body.start, body.end); ok && der[algorithm.start] == 0x30 {
		if id, content, ok := element(der, parts.start, parts.end); ok && der[id.start] == 0x06 {
			o.oid = content
		}
	}
	return o, nil
}

// longIdentifier reports whether der, a series of DER elements, holds an object
// identifier of more than [maxIdentifier] bytes, also inside of strings, as
// extensions are.
func longIdentifier(der []byte, depth int) bool {
	const (
		deepest      = 32
		bitString    = 0x03
		octetString  = 0x04
		identifier   = 0x06
		constructed  = 0x20
		registeredID = 0x88 // RFC 5280 section 4.2.1.6
	)
	for at := 0; at < len(der) && depth < deepest; {
		whole, content, ok := element(der, at, len(der))
		if !ok {
			return false
		}
		long := content.end-content.start > maxIdentifier
		switch tag := der[at]; {
		case !long:
		case tag == identifier, tag == registeredID:
			return true
		case tag&constructed != 0, tag == octetString:
			if longIdentifier(der[content.start:content.end], depth+1) {
				return true
			}
		case tag == bitString:
			if longIdentifier(der[content.start+1:content.end], depth+1) {
				return true
			}
		}
		at = whole.end
	}
	return false
}

// element returns the extent of the DER element at start and of its content.
func element(der []byte, start, limit int) (whole, content span, ok bool) {
	if start+2 > limit || der[start]&0x1f == 0x1f {
		return whole, content, false
	}
	length, at := int(der[start+1]), start+2
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 3 || at+n > limit {
			return whole, content, false
		}
		length = 0
		for _, b := range der[at : at+n] {
			length = length<<8 | int(b)
		}
		at += n
	}
	if length > limit-at {
		return whole, content, false
	}
	return span{start, at + length}, span{at, at + length}, true
}

// parseRequest reads the subject key of a PKCS #10 request (RFC 2986 section 4).
func parseRequest(der []byte) *Certificate {
	c := &Certificate{Digest: evidence.DigestOf(der), DER: der, Request: true}
	c.ParseError = errors.New("a certification request is not a certificate")
	_, inner, ok := element(der, 0, len(der))
	if !ok {
		return c
	}
	_, info, ok := element(der, inner.start, inner.end)
	if !ok {
		return c
	}
	at := info.start
	for range 2 { // version, subject
		field, _, ok := element(der, at, info.end)
		if !ok {
			return c
		}
		at = field.end
	}
	if spki, _, ok := element(der, at, info.end); ok {
		c.Key = parseKey(der[spki.start:spki.end])
	}
	return c
}

// parseLoneKey reads a SubjectPublicKeyInfo that stands alone.
func parseLoneKey(der []byte) *Certificate {
	return &Certificate{
		Digest: evidence.DigestOf(der), DER: der, Request: true, Key: parseKey(der),
		ParseError: errors.New("a public key alone is not a certificate"),
	}
}

// NotCertificate is the verdict on what Request tells from a certificate.
func (c *Certificate) NotCertificate() Verdict {
	text := c.ParseError.Error()
	return NotApplicablef("%s.", strings.ToUpper(text[:1])+text[1:])
}

// Indefinite is the notAfter of a certificate without a well-defined end,
// 99991231235959Z (RFC 5280 section 4.1.2.5, IEEE 802.1AR-2018 section 8.7).
func Indefinite(t time.Time) bool {
	return t.Equal(time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC))
}

// Subject is the subject name as safe RFC 4514 text.
func (c *Certificate) Subject() string {
	if !c.Decoded() {
		return ""
	}
	return c.subject.of(c.RawSubject())
}

// Issuer is the issuer name as safe RFC 4514 text.
func (c *Certificate) Issuer() string {
	if !c.Decoded() {
		return ""
	}
	return c.issuer.of(c.RawIssuer())
}

// nameText is the safe text of a name, which is made when it is first asked for.
type nameText struct {
	once sync.Once
	text string
}

func (n *nameText) of(der []byte) string {
	return n.as(func() string { return safetext.Clean(NameText(der)) })
}

func (n *nameText) as(text func() string) string {
	n.once.Do(func() { n.text = text() })
	return n.text
}

// plainSubject and plainIssuer are the names as [plainName] has them.
func (c *Certificate) plainSubject() string {
	return c.plainSubjectOf.as(func() string { return plainName(c.RawSubject()) })
}

func (c *Certificate) plainIssuer() string {
	return c.plainIssuerOf.as(func() string { return plainName(c.RawIssuer()) })
}

// NameText renders a DER distinguished name as RFC 4514 text, the most specific
// part first. The text is untrusted.
func NameText(der []byte) string {
	var rdn pkix.RDNSequence
	if rest, err := stdasn1.Unmarshal(der, &rdn); err != nil || len(rest) != 0 {
		return fmt.Sprintf("#%x", der[:min(len(der), 64)])
	}
	// One attribute at a time: the library joins strings in a time that grows with
	// the square of their number.
	var text strings.Builder
	for i, set := range slices.Backward(rdn) {
		if i < len(rdn)-1 {
			text.WriteByte(',')
		}
		for j, attribute := range set {
			if j > 0 {
				text.WriteByte('+')
			}
			text.WriteString(pkix.RDNSequence{{attribute}}.String())
		}
	}
	return text.String()
}

// SameName compares two RFC 4514 texts, ignoring case and the blanks that some
// writers put around separators.
func SameName(a, b string) bool { return strings.EqualFold(tidyName(a), tidyName(b)) }

func tidyName(s string) string {
	for _, sep := range []string{",", "+", "="} {
		parts := strings.Split(s, sep)
		for i := range parts {
			if i > 0 {
				parts[i] = strings.TrimLeft(parts[i], " ")
			}
			if i < len(parts)-1 && !strings.HasSuffix(parts[i], `\ `) {
				parts[i] = strings.TrimRight(parts[i], " ")
			}
		}
		s = strings.Join(parts, sep)
	}
	return strings.TrimSpace(s)
}

// SelfIssued reports whether subject and issuer are the same name.
func (c *Certificate) SelfIssued() bool {
	return c.Decoded() && bytes.Equal(c.rawSubject, c.rawIssuer)
}

// SelfSigned reports whether the certificate is self-issued and not shown to be
// signed by another key. A signature that cannot be checked here counts as its
// own, as the names say so.
func (c *Certificate) SelfSigned() bool {
	return c.SelfIssued() && (c.selfSigned || c.KeyHidden || c.algorithm == x509.UnknownSignatureAlgorithm)
}

// IsCA reports whether the certificate asserts cA TRUE.
func (c *Certificate) IsCA() bool {
	return c.assertsCA
}

// hardwareModuleName is id-on-hardwareModuleName, RFC 4108 section 5.
const hardwareModuleName = "1.3.6.1.5.5.7.8.4"

// DeviceIdentifier is what names the physical device in a certificate: the
// subject's serialNumber or, without one, the hardwareModuleName of the subject
// alternative name (IEEE 802.1AR-2018 sections 8.6 and 8.10.4), with the subject's
// organisation as its name space. It is empty where there is neither. The text
// is untrusted.
func (c *Certificate) DeviceIdentifier() string {
	if !c.Decoded() {
		return ""
	}
	scope := strings.Join(c.X509().Subject.Organization, "+")
	if s := c.X509().Subject.SerialNumber; s != "" {
		return scope + "/" + s
	}
	for _, n := range c.X509().OtherNames {
		if n.TypeID.String() == hardwareModuleName {
			return fmt.Sprintf("%s/hw:%x", scope, n.Value.Bytes)
		}
	}
	return ""
}

// IsEndorsement reports whether the certificate is of the endorsement key of a TPM,
// by tcg-kp-EKCertificate (TCG EK Credential Profile).
func (c *Certificate) IsEndorsement() bool { return c.endorsement }

// HasExtKeyUsage reports whether the certificate lists the purpose.
func (c *Certificate) HasExtKeyUsage(u x509.ExtKeyUsage) bool {
	return c.Decoded() && slices.Contains(c.X509().ExtKeyUsage, u)
}

// Extension returns the extension with the dotted object identifier.
func (c *Certificate) Extension(oid string) (value []byte, critical, ok bool) {
	if !c.Decoded() || c.whole.Load() == nil && !mentions(c.DER, oid) {
		return nil, false, false
	}
	e, ok := c.X509().ExtensionsMap[oid]
	return e.Value, e.Critical, ok
}

// mentions reports whether an object identifier stands anywhere in der.
func mentions(der []byte, oid string) bool {
	id, err := stdx509.ParseOID(oid)
	if err != nil {
		return true
	}
	b, err := id.MarshalBinary()
	return err != nil || bytes.Contains(der, b)
}

// unknownCritical returns the first critical extension that no standard defines, or ""
// (RFC 5280 section 6.1.4 (o) and 6.1.5 (f)).
func unknownCritical(c *Certificate) string {
	if !c.Decoded() {
		return ""
	}
	for _, e := range c.X509().Extensions {
		if e.Critical && !KnownExtension(e.Id.String()) {
			return e.Id.String()
		}
	}
	return ""
}

// KnownExtension reports whether an extension is one that RFC 5280 or a standard
// that builds on it defines, so that a validator may be expected to know it.
func KnownExtension(oid string) bool {
	switch oid {
	case "2.5.29.9", "2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.18", "2.5.29.19", "2.5.29.30", "2.5.29.31", "2.5.29.32",
		"2.5.29.33", "2.5.29.35", "2.5.29.36", "2.5.29.37", "2.5.29.46", "2.5.29.54", // RFC 5280 section 4.2.1
		"1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.1.11", // RFC 5280 section 4.2.2
		"1.3.6.1.5.5.7.1.3",                      // qcStatements, RFC 3739
		"1.3.6.1.5.5.7.1.7", "1.3.6.1.5.5.7.1.8", // addresses and AS numbers, RFC 3779
		"1.3.6.1.5.5.7.1.24",      // TLS features, RFC 7633
		"1.3.6.1.4.1.11129.2.4.2", // SCT list, RFC 6962
		"1.3.6.1.4.1.11129.2.4.3": // poison of a precertificate, RFC 6962
		return true
	}
	return false
}
