package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdx509 "crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"go/build"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
		{"exactly the limit, without what the Forum asks for", 200, "Public Root", evidence.Warn},
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
			if got := slices.Collect(results[0]); len(got) != 1 || got[0].Outcome != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
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

// TestPublicWebValidity_realChains judges the chains of public web servers that the
// tests of Go's crypto/x509 hold, below the bundled roots, and again without them.
func TestPublicWebValidity_realChains(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(build.Default.GOROOT, "src/crypto/x509/verify_test.go"))
	if err != nil {
		t.Skip("Go is installed without its tests")
	}
	// The certificates are constants in back quotes.
	source = bytes.ReplaceAll(source, []byte("`"), []byte("\n"))
	var obs []evidence.Observation
	for {
		var block *pem.Block
		if block, source = pem.Decode(source); block == nil {
			break
		}
		obs = append(obs, evidence.Observation{
			ID: int64(len(obs) + 1), Run: 1, Kind: evidence.KindArtefact, Result: evidence.ResultData, Method: evidence.Import,
			Endpoint: evidence.Endpoint{Transport: evidence.File, Name: fmt.Sprintf("%d.pem", len(obs))},
			Certs:    []evidence.Presented{{Role: evidence.RoleFile, DER: block.Bytes}},
			Facts:    evidence.Facts{Artefact: &evidence.ArtefactFacts{Format: "pem"}},
		})
	}
	judged := func(roots func() map[string][][]byte) map[string]string {
		corpus := lint.NewCorpus(obs, nil)
		results, err := lint.Run(corpus, []lint.Job{{Check: publicWebValidity(roots)}}, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), nil)
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[string]string)
		for i, r := range slices.Collect(results[0]) {
			if name := corpus.CertificateSubjects()[i].Subject(); r.Outcome != evidence.NotApplicable {
				out[name[:min(len(name), 32)]] = string(r.Outcome) + ": " + r.Detail
			}
		}
		return out
	}
	want := map[string]string{
		"CN=udctest.ads.vt.edu,O=Virginia": `pass: The lifetime of 592 days is within the 825 days allowed under the public root "CN=GlobalSign,O=GlobalSign,OU=GlobalSign Root CA - R3".`,
		"CN=www.google.com":                `pass: The lifetime of 84 days is within the 398 days allowed under the public root "CN=GTS Root R1,O=Google Trust Services LLC,C=US".`,
	}
	if diff := cmp.Diff(want, judged(publicRoots)); diff != "" {
		t.Errorf("below the bundled roots (-want +got)\n%s", diff)
	}
	if got := judged(func() map[string][][]byte { return nil }); len(got) > 0 {
		t.Errorf("without a public root: %v", got)
	}
}
