package lint

import (
	"crypto/rand"
	"crypto/rsa"
	stdx509 "crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
)

// shapes are certificates that are decoded in each of the ways there are, and some
// that cannot be.
func shapes(t *testing.T) map[string][]byte {
	t.Helper()
	root := sign(t, caTemplate("A"), nil, ecKey(t, "a"))
	issue := func(key any, change func(*stdx509.Certificate)) []byte {
		c := leafTemplate()
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(7), testTime, testTime.AddDate(1, 0, 0)
		c.Subject.SerialNumber = "SN-7"
		change(c)
		der, err := stdx509.CreateCertificate(rand.Reader, c, root.cert, key, root.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	key := ecKey(t, "leaf").Public()
	// DistributionPoint with a name relative to the issuer (RFC 5280 section 4.2.1.13).
	points := []byte{0x30, 0x14, 0x30, 0x12, 0xa0, 0x10, 0xa1, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x05, 'p', 'o', 'i', 'n', 't'}
	return map[string][]byte{
		"ca": root.der,
		"leaf": issue(key, func(c *stdx509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{"a.test"}, []stdx509.ExtKeyUsage{stdx509.ExtKeyUsageCodeSigning}
		}),
		"identity": issue(key, func(c *stdx509.Certificate) { c.DNSNames = nil }),
		"points": issue(key, func(c *stdx509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: points}}
		}),
		"hidden": issue(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 60000, 1), E: 65537}, func(*stdx509.Certificate) {}),
		"broken": root.der[:len(root.der)-1],
		"long":   make([]byte, maxCertificate+1),
	}
}

// TestCertificate_letGo: a certificate that was let go says the same.
func TestCertificate_letGo(t *testing.T) {
	for name, der := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			c, again := parseCertificate(der), parseCertificate(der)
			if decodes := name != "broken" && name != "long"; c.Decoded() != decodes {
				t.Fatalf("decoded %t: %v", c.Decoded(), c.ParseError)
			}
			again.letGo()
			if kept := again.whole.Load() != nil; kept != (name == "ca") {
				t.Errorf("kept whole: %t", kept)
			}
			type says struct {
				Subject, Issuer, Device, Critical string
				CA, SelfSigned, CodeSigning       bool
				Extensions                        map[string][]byte
				IDevID                            bool
			}
			said := func(c *Certificate) says {
				s := says{
					c.Subject(), c.Issuer(), c.DeviceIdentifier(), unknownCritical(c), c.IsCA(), c.SelfSigned(), c.HasExtKeyUsage(x509.ExtKeyUsageCodeSigning),
					make(map[string][]byte), (&Env{Policy: &Policy{ManufacturerIssuers: []string{"CN=A"}}}).IsIDevID(c),
				}
				for _, id := range []string{"2.5.29.17", "2.5.29.31", "2.5.29.35", "1.3.6.1.5.5.7.1.24"} {
					if value, _, ok := c.Extension(id); ok {
						s.Extensions[id] = value
					}
				}
				return s
			}
			if diff := cmp.Diff(said(c), said(again)); diff != "" {
				t.Errorf("(-held +let go):\n%s", diff)
			}
			if r := again.record.Load(); r != nil {
				if diff := cmp.Diff(recordOf(c), *r, cmp.AllowUnexported(Record{}), cmp.Comparer(func(a, b *big.Int) bool { return a == b || a.Cmp(b) == 0 })); diff != "" {
					t.Errorf("record (-held +let go):\n%s", diff)
				}
			}
		})
	}
}

// TestLibrary_read: who reads a certificate from a library gets what the decoder makes
// of its bytes, and the corpus what it would have read itself.
func TestLibrary_read(t *testing.T) {
	l := NewLibrary()
	for name, der := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			want, err := x509.ParseCertificate(der)
			got := l.Read(der)
			if (err == nil) != (got != nil) || got != nil && got.Subject.String() != want.Subject.String() {
				t.Fatalf("got %v, want %v, %v", got, want, err)
			}
			c, fresh := l.certificate(evidence.DigestOf(der), der), parseCertificate(der)
			if c.Decoded() != fresh.Decoded() || c.KeyHidden != fresh.KeyHidden || c.Subject() != fresh.Subject() {
				t.Errorf("got %+v, want %+v", c, fresh)
			}
		})
	}
}
