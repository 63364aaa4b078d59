package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdx509 "crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"probity/evidence"
	"probity/lint"
)

// TestPublicWebValidity judges leafs under a root of its own that stands for a
// public one.
func TestPublicWebValidity(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	root := &stdx509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Public Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: issued.AddDate(-5, 0, 0), NotAfter: issued.AddDate(5, 0, 0),
	}
	rootDER, err := stdx509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	check := publicWebValidity(func() map[string][][]byte {
		c, err := stdx509.ParseCertificate(rootDER)
		if err != nil {
			t.Fatal(err)
		}
		return map[string][][]byte{string(c.RawSubject): {rootDER}}
	})
	for _, tt := range []struct {
		name string
		days int
		root string
		want evidence.Outcome
	}{
		{"exactly the limit", 200, "Public Root", evidence.Pass},
		{"a day more", 201, "Public Root", evidence.Fail},
		{"another issuer", 201, "Site Root", evidence.NotApplicable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parent := *root
			parent.Subject.CommonName = tt.root
			leaf := &stdx509.Certificate{
				SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "viewer"},
				NotBefore: issued, NotAfter: issued.Add(time.Duration(tt.days)*day - time.Second),
			}
			der, err := stdx509.CreateCertificate(rand.Reader, leaf, &parent, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			c := lint.NewCorpus([]evidence.Observation{{
				Kind: evidence.KindTLS, Result: evidence.ResultData, At: issued,
				Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
				Certs:    []evidence.Presented{{Role: evidence.RoleServer, DER: der}},
			}}, nil)
			// Years later, when the root has expired, the answer is the same.
			results, err := lint.Run(c, []lint.Job{{Check: check}}, issued.AddDate(20, 0, 0), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := results[0]; len(got) != 1 || got[0].Outcome != tt.want {
				t.Errorf("got %+v, want %s", results, tt.want)
			}
		})
	}
}

func TestPublicRoots_all(t *testing.T) {
	want := 0
	for range bundle.Roots() {
		want++
	}
	got := 0
	for _, ders := range publicRoots() {
		got += len(ders)
	}
	if got != want || want < 100 {
		t.Errorf("%d of the %d bundled roots are decoded", got, want)
	}
}

func TestPublicLimit(t *testing.T) {
	for date, want := range map[string]int{
		"2018-02-28": 1187, "2018-03-01": 825, "2020-08-31": 825, "2020-09-01": 398, "2026-03-14": 398, "2026-03-15": 200,
		"2027-03-15": 100, "2029-03-14": 100, "2029-03-15": 47,
	} {
		issued, err := time.Parse(time.DateOnly, date)
		if err != nil {
			t.Fatal(err)
		}
		if got := publicLimit(issued); got != want {
			t.Errorf("issued %s: got %d days, want %d", date, got, want)
		}
	}
}
