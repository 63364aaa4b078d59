package batch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/pki"
)

const profileText = `
name: pump IDevID
issuers: ["CN=Factory CA,O=Acme"]
keys:
  - {algorithm: EC, curve: P-256}
signatures: [ECDSA-SHA256]
validity: {min_days: 365, max_days: 3660}
subject:
  O: Acme
  serialNumber: "PX-[0-9]{4}"
optional_subject: [OU]
key_usage: [digitalSignature]
extended_key_usage: [clientAuth]
certificates_per_device: 1
`

func parse(t *testing.T, text string) *Profile {
	t.Helper()
	p, err := ParseProfile("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseProfile_mistakes(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no name", "keys: []\n", "add name"},
		{"unknown key", "name: x\nkey_usages: [a]\n", "key_usage"},
		{"unknown usage", "name: x\nkey_usage: [sign]\n", `p.yaml:2:13: unknown key usage "sign": want digitalSignature`},
		{"bad pattern", "name: x\nsubject: {CN: \"(\"}\n", "p.yaml:2:15: subject: CN: error parsing regexp"},
		{"unknown attribute", "name: x\nsubject: {XX: a}\n", `unknown name "XX"`},
		{"bad identifier", "name: x\nidentifier: serial\n", `unknown identifier "serial"`},
		{"bad OID", "name: x\npolicies: [first]\n", `"first" is neither an object identifier`},
		{"curve of RSA", "name: x\nkeys: [{algorithm: RSA, curve: P-256}]\n", "only EC keys have a curve"},
		{"validity", "name: x\nvalidity: {min_days: 5, max_days: 4}\n", "min_days <= max_days"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ParseProfile("p.yaml", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// factory issues certificates.
type factory struct {
	t  testing.TB
	ca pki.Authority
}

func newFactory(t testing.TB) *factory {
	t.Helper()
	key := ecKey(t, "ca", elliptic.P256())
	ca, err := pki.SelfSigned(key, pki.Template{
		Serial: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Acme"}, CommonName: "Factory CA"},
		NotBefore: day(0), NotAfter: day(9000), CA: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &factory{t: t, ca: ca}
}

func day(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }

func ecKey(t testing.TB, label string, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := pki.ECKey(pki.NewSeed(77).Derive(label), curve)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// good is a template that the profile takes.
func good(serial int64, id string) pki.Template {
	return pki.Template{
		Serial: big.NewInt(serial), Subject: pkix.Name{Organization: []string{"Acme"}, SerialNumber: id},
		NotBefore: day(0), NotAfter: day(3000),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func (f *factory) issue(key string, tpl pki.Template) []byte {
	f.t.Helper()
	der, err := f.ca.Issue(ecKey(f.t, key, elliptic.P256()).Public(), tpl)
	if err != nil {
		f.t.Fatal(err)
	}
	return der
}

func fields(d []Deviation) []string {
	var out []string
	for _, x := range d {
		out = append(out, string(x.Outcome)+" "+x.Field)
	}
	return out
}

func TestCheck(t *testing.T) {
	f := newFactory(t)
	for _, tt := range []struct {
		name   string
		change func(*pki.Template)
		want   []string
	}{
		{"as declared", func(*pki.Template) {}, nil},
		{"optional attribute", func(c *pki.Template) { c.Subject.OrganizationalUnit = []string{"X"} }, nil},
		{"too long", func(c *pki.Template) { c.NotAfter = day(4000) }, []string{"fail validity"}},
		{"too short", func(c *pki.Template) { c.NotAfter = day(30) }, []string{"fail validity"}},
		{"wrong organisation", func(c *pki.Template) { c.Subject.Organization = []string{"Acme Ltd"} }, []string{"fail subject.O"}},
		{"no serial number", func(c *pki.Template) { c.Subject.SerialNumber = "" }, []string{"fail subject.serialNumber"}},
		{"more than the pattern", func(c *pki.Template) { c.Subject.SerialNumber = "PX-00011" }, []string{"fail subject.serialNumber"}},
		{"one more attribute", func(c *pki.Template) { c.Subject.Locality = []string{"Ulm"} }, []string{"warn subject.L"}},
		{"a name", func(c *pki.Template) { c.DNSNames = []string{"a.example"} }, []string{"warn subjectAltName.dns"}},
		{"no purpose", func(c *pki.Template) { c.ExtKeyUsage = nil }, []string{"fail extKeyUsage"}},
		{"a CA", func(c *pki.Template) { c.CA, c.KeyUsage = true, x509.KeyUsageCertSign }, []string{"fail basicConstraints", "fail keyUsage"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tpl := good(5, "PX-0001")
			tt.change(&tpl)
			got := parse(t, profileText).Judge(Place{File: "a.pem", Number: 1}, f.issue("k", tpl))
			if diff := cmp.Diff(tt.want, fields(got.entry.Deviations)); diff != "" {
				t.Errorf("deviations (-want +got):\n%s\n%v", diff, got.entry.Deviations)
			}
		})
	}
	if got := parse(t, profileText).Judge(Place{File: "a.pem", Number: 1}, []byte{0x30, 0}); len(got.entry.Deviations) != 1 || got.ok {
		t.Errorf("not a certificate: got %v, want one deviation", got.entry.Deviations)
	}
}

func TestBatch_repeats(t *testing.T) {
	f := newFactory(t)
	p := parse(t, profileText)
	earlier := f.issue("k0", good(100, "PX-0100"))
	ders := [][]byte{
		f.issue("k1", good(1, "PX-0001")),
		f.issue("k2", good(2, "PX-0002")),
		f.issue("k1", good(3, "PX-0003")), // key of the first
		f.issue("k4", good(2, "PX-0004")), // serial of the second
		f.issue("k5", good(5, "PX-0100")), // identifier of an earlier one
		f.issue("k6", good(6, "PX-0006")),
	}
	ders = append(ders, ders[5])
	b := New(p)
	b.AddEarlier(p.Judge(Place{Run: 7, File: "old.pem", Number: 1}, earlier))
	// Batches have files of the same names.
	b.AddEarlier(p.Judge(Place{Run: 7, File: "6.pem", Number: 1}, f.issue("k2", good(7, "PX-0007"))))
	b.AddEarlier(p.Judge(Place{Run: 7, File: "5.pem", Number: 1}, f.issue("k5", good(8, "PX-0008"))))
	for i, der := range ders {
		b.Add(p.Judge(Place{File: fmt.Sprintf("%d.pem", i+1), Number: 1}, der))
	}
	b.Finish()
	var got []string
	for _, e := range b.Entries {
		got = append(got, fmt.Sprintf("%s %s %s", e.Place, e.Outcome(), strings.Join(e.Repeats, " ")))
	}
	want := []string{
		"1.pem:1 fail The same key is in 3.pem:1.",
		"2.pem:1 fail The same key is in 6.pem:1 (run 7). The same issuer gave the same serial number to 4.pem:1.",
		"3.pem:1 fail The same key is in 1.pem:1.",
		"4.pem:1 fail The same issuer gave the same serial number to 2.pem:1.",
		`5.pem:1 fail The same key is in 5.pem:1 (run 7). The identifier "PX-0100" also names old.pem:1 (run 7).`,
		"6.pem:1 fail The same certificate is 7.pem:1.",
		"7.pem:1 fail The same certificate is 6.pem:1.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]evidence.Outcome{RuleUnique: evidence.Fail, RuleProfile: evidence.Pass}, b.Outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// TestBatch_again reads a batch that an earlier run has kept: that repeats nothing.
func TestBatch_again(t *testing.T) {
	f := newFactory(t)
	p := parse(t, profileText)
	der := f.issue("k1", good(1, "PX-0001"))
	b := New(p)
	b.AddEarlier(p.Judge(Place{Run: 7, File: "1.pem", Number: 1}, der))
	b.Add(p.Judge(Place{File: "1.pem", Number: 1}, der))
	b.Finish()
	if len(b.Repeats) != 0 {
		t.Errorf("got %v, want nothing", b.Repeats)
	}
	b.Fail("2.pem", fmt.Errorf("truncated"))
	if got := b.Outcomes()[RuleUnique]; got != evidence.Inconclusive {
		t.Errorf("an unreadable file: got %s, want inconclusive", got)
	}
	if got := New(p).Outcomes()[RuleUnique]; got != evidence.NotApplicable {
		t.Errorf("an empty batch: got %s, want not-applicable", got)
	}
}

// TestBatch_divisors says where keys stand that share a divisor, or are remembered.
func TestBatch_divisors(t *testing.T) {
	f := newFactory(t)
	p := parse(t, profileText)
	b := New(p)
	for i := range 3 {
		b.Add(p.Judge(Place{File: fmt.Sprintf("%d.pem", i), Number: 1}, f.issue(fmt.Sprint("k", i), good(int64(i+1), fmt.Sprintf("PX-000%d", i)))))
	}
	b.Finish()
	b.SharedDivisor(1024, true, []string{"0.pem:1", "1.pem:1 (run 7)"}, []string{"1.pem:1"})
	b.SharedDivisor(17, false, []string{"0.pem:1", "2.pem:1"}, nil)
	b.RememberedKey([]string{"1.pem:1"}, []string{"2.pem:1"})
	b.RememberedKey([]string{"1.pem:1"}, []string{"2.pem:1"}) // said already
	var got []string
	for _, e := range b.Entries {
		got = append(got, strings.Join(e.Repeats, " "))
	}
	want := []string{
		"The key shares a prime of 1024 bits with 1.pem:1 (run 7), 1.pem:1 (remembered): anyone can compute both. " +
			"The key shares a divisor of 17 bits with 2.pem:1: it is no product of two large primes.",
		"The same key is in 2.pem:1 (remembered).",
		"The key shares a divisor of 17 bits with 0.pem:1: it is no product of two large primes.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("repeats (-want +got):\n%s", diff)
	}
}

// TestProfile_devicePairs allows an RSA and an EC certificate for each device.
func TestProfile_devicePairs(t *testing.T) {
	f := newFactory(t)
	p := parse(t, strings.Replace(profileText, "certificates_per_device: 1", "certificates_per_device: 2", 1))
	b := New(p)
	for i := range 3 {
		b.Add(p.Judge(Place{File: fmt.Sprintf("%d.pem", i), Number: 1}, f.issue(fmt.Sprint("k", i), good(int64(i+1), "PX-0001"))))
		b.Finish()
		if want := i / 2; len(b.Repeats) != want {
			t.Errorf("%d certificates with one identifier: got %v, want %d repeats", i+1, b.Repeats, want)
		}
	}
}

func BenchmarkBatch(b *testing.B) {
	f := newFactory(b)
	p, err := ParseProfile("p.yaml", []byte(profileText))
	if err != nil {
		b.Fatal(err)
	}
	der := f.issue("k", good(5, "PX-0001"))
	batch := New(p)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		batch.Add(p.Judge(Place{File: "a.pem", Number: i}, der))
	}
}
