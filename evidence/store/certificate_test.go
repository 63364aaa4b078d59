package store

import (
	"crypto/x509/pkix"
	"encoding/asn1"
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

// FuzzPlainName holds the short way of reading names against package asn1.
func FuzzPlainName(f *testing.F) {
	for _, name := range []pkix.Name{
		{CommonName: "pump 1"}, {CommonName: "Müller"}, {Country: []string{"DE"}, Organization: []string{"Example, Inc."}, SerialNumber: "4711"},
	} {
		der, err := asn1.Marshal(name.ToRDNSequence())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, der []byte) {
		got, ok := plainName(der)
		if !ok {
			return
		}
		var want pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &want); err != nil || len(rest) > 0 {
			t.Fatalf("%x: package asn1 says %v, %d bytes left", der, err, len(rest))
		}
		if got.String() != want.String() {
			t.Errorf("%x: %q, want %q", der, got, want)
		}
	})
}

func TestPlainName(t *testing.T) {
	der, err := asn1.Marshal(pkix.Name{Country: []string{"DE"}, CommonName: "pump 1"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := plainName(der); !ok || got.String() != "CN=pump 1,C=DE" {
		t.Errorf("%q %v", got, ok)
	}
}
