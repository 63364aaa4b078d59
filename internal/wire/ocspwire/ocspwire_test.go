package ocspwire

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"probity/evidence"
)

func when(day int) time.Time { return time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC) }

// response makes a signed response of x/crypto/ocsp.
func response(t testing.TB, status int) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "responder"}, NotBefore: when(1), NotAfter: when(30)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{
		Status: status, SerialNumber: big.NewInt(0xabcdef), ThisUpdate: when(2), NextUpdate: when(9),
		RevokedAt: when(1), RevocationReason: ocsp.KeyCompromise, IssuerHash: crypto.SHA1,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	for status, want := range map[int]evidence.OCSPStatus{
		ocsp.Good:    {Serial: "00abcdef", Status: "good", ThisUpdate: when(2), NextUpdate: when(9)},
		ocsp.Revoked: {Serial: "00abcdef", Status: "revoked", ThisUpdate: when(2), NextUpdate: when(9), RevokedAt: when(1)},
		ocsp.Unknown: {Serial: "00abcdef", Status: "unknown", ThisUpdate: when(2), NextUpdate: when(9)},
	} {
		got, err := Parse(response(t, status))
		if err != nil || got.Response != 0 || got.Produced.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		if diff := cmp.Diff([]evidence.OCSPStatus{want}, got.Statuses); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	// tryLater, without more.
	if got, err := Parse([]byte{0x30, 3, 0x0a, 1, 3}); err != nil || got.Response != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParse_refuse(t *testing.T) {
	whole := response(t, ocsp.Good)
	for n := range len(whole) {
		if f, err := Parse(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d give %+v", n, len(whole), f)
		}
	}
	for _, b := range [][]byte{{0x30, 3, 0x0a, 1, 0}, {0x30, 3, 0x0a, 1, 0xff}, {0x30, 5, 0x0a, 1, 0, 0xa0, 0}} {
		if f, err := Parse(b); err == nil {
			t.Errorf("%x gives %+v", b, f)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(response(f, ocsp.Good))
	f.Add(response(f, ocsp.Revoked))
	f.Add([]byte{0x30, 3, 0x0a, 1, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Parse(b)
		if len(got.Statuses) > MaxStatuses {
			t.Fatalf("%d statuses", len(got.Statuses))
		}
		for _, s := range got.Statuses {
			if len(s.Serial) > 2*maxSerial || s.Status == "" || err == nil && s.ThisUpdate.IsZero() && len(b) < 40 {
				t.Fatalf("%+v", s)
			}
		}
	})
}
