package lint

import (
	"slices"
	"time"

	"github.com/zmap/zcrypto/encoding/asn1"
	"github.com/zmap/zcrypto/x509"
)

// brief is what is kept of a certificate when the whole is let go, which takes some
// six kilobytes: what checks ask of certificates other than the one they judge.
type brief struct {
	rawSubject, rawIssuer, tbs, signature []byte
	subjectKeyID, authorityKeyID          []byte
	notBefore, notAfter                   time.Time
	algorithm                             x509.SignatureAlgorithm // of the signature
	version                               int32
	decoded, selfSigned, assertsCA        bool
	namesHosts, identified                bool // there are DNS names, a [Certificate.DeviceIdentifier]
	endorsement                           bool // see [Certificate.IsEndorsement]
	plain                                 bool // the decoder was shown the bytes as they are
}

// take keeps a certificate that was decoded.
func (c *Certificate) take(x *x509.Certificate) {
	c.brief = brief{
		rawSubject: x.RawSubject, rawIssuer: x.RawIssuer, tbs: x.RawTBSCertificate, signature: x.Signature,
		subjectKeyID: x.SubjectKeyId, authorityKeyID: x.AuthorityKeyId,
		notBefore: x.NotBefore, notAfter: x.NotAfter, algorithm: x.SignatureAlgorithm, version: int32(min(x.Version, 1<<30)), //nolint:gosec // just bounded
		decoded: true, selfSigned: x.SelfSigned, assertsCA: x.BasicConstraintsValid && x.IsCA, namesHosts: len(x.DNSNames) > 0,
	}
	c.whole.Store(x)
	c.identified = c.DeviceIdentifier() != ""
	c.endorsement = slices.ContainsFunc(x.UnknownExtKeyUsage, endorsementPurpose.Equal)
}

// endorsementPurpose is tcg-kp-EKCertificate (TCG EK Credential Profile).
var endorsementPurpose = asn1.ObjectIdentifier{2, 23, 133, 8, 1}

// Decoded reports whether the certificate can be decoded.
func (c *Certificate) Decoded() bool { return c.decoded }

// X509 is the certificate, not to be changed; nil where it cannot be decoded. It is
// at hand while the certificate is judged, and always of a CA certificate. Of any
// other it may be decoded for this call, so there are cheaper ways to ask for single
// fields.
func (c *Certificate) X509() *x509.Certificate {
	if x := c.whole.Load(); x != nil || !c.decoded {
		return x
	}
	return readCertificate(c.DER, c.Digest, func([]byte) *Key { return c.Key }).whole.Load()
}

// RawSubject is the DER of the subject name. Like the other fields that are asked for
// alone it is empty where the certificate cannot be decoded.
func (c *Certificate) RawSubject() []byte { return c.rawSubject }

// RawIssuer is the DER of the issuer name.
func (c *Certificate) RawIssuer() []byte { return c.rawIssuer }

// NotBefore is the beginning of the validity.
func (c *Certificate) NotBefore() time.Time { return c.notBefore }

// NotAfter is the end of the validity.
func (c *Certificate) NotAfter() time.Time { return c.notAfter }

// hold has the whole certificate at hand until [Certificate.letGo].
func (c *Certificate) hold() {
	if c.whole.Load() == nil {
		c.whole.Store(c.X509())
	}
}

// letGo keeps no more than is asked for later, unless the certificate is of a CA,
// which is asked for with every certificate below it. What is remembered of it goes,
// too.
func (c *Certificate) letGo() {
	if !c.decoded || c.assertsCA || c.version < 3 {
		return
	}
	if c.record.Load() == nil {
		r := recordOf(c)
		c.record.Store(&r)
	}
	c.whole.Store(nil)
	c.Memo.forget()
}
