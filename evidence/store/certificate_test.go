package store

import (
	"encoding/hex"
	"testing"

	"probity/evidence"

	"github.com/google/go-cmp/cmp"
)

func TestParseCertificate(t *testing.T) {
	der := testCert(t)
	got, err := parseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	want := parsedCertificate{
		spki: got.spki, subject: "CN=pump 1,OU=Müller", issuer: "CN=pump 1,OU=Müller", serial: "beef",
		notBefore: testTime.Unix(), notAfter: int64(253402300799), keyAlgorithm: "EC", keyBits: int64(256),
		signatureAlgorithm: "SHA256-ECDSA", isCA: int64(1),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(parsedCertificate{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b, ok := got.spki.([]byte); !ok || len(b) != len(evidence.Digest{}) {
		t.Errorf("spki %v", got.spki)
	}
}

// TestParseCertificate_negativeSerial reads what crypto/x509 refuses.
func TestParseCertificate_negativeSerial(t *testing.T) {
	// SEQUENCE { SEQUENCE { INTEGER -1, SEQUENCE { OID sha1WithRSA } ... cut
	der, err := hex.DecodeString("301430120201ff300d06092a864886f70d0101050500")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseCertificate(der)
	if err == nil || got.serial != "ff" || got.signatureAlgorithm != "SHA1-RSA" {
		t.Errorf("%+v %v", got, err)
	}
}

func FuzzParseCertificate(f *testing.F) {
	f.Add(testCert(f))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x01})
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := parseCertificate(der)
		if err == nil && (c.serial == nil || c.spki == nil) {
			t.Errorf("no error and no serial or key: %+v", c)
		}
	})
}
