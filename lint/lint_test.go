package lint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	stdx509 "crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/pki"
)

var testTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// issuer is a CA of the tests.
type issuer struct {
	cert *stdx509.Certificate
	der  []byte
	key  crypto.Signer
}

func ecKey(t testing.TB, label string) crypto.Signer {
	t.Helper()
	k, err := pki.ECKey(pki.NewSeed(1).Derive(label), elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, c *stdx509.Certificate, by *issuer, key crypto.Signer) *issuer {
	t.Helper()
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = testTime.AddDate(-1, 0, 0), testTime.AddDate(1, 0, 0)
	}
	if c.SerialNumber == nil {
		c.SerialNumber = big.NewInt(7)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := stdx509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := stdx509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, der, key}
}

func caTemplate(name string) *stdx509.Certificate {
	return &stdx509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: stdx509.KeyUsageCertSign}
}

func leafTemplate() *stdx509.Certificate {
	return &stdx509.Certificate{Subject: pkix.Name{CommonName: "pump"}}
}

var testEndpoint = evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP}

// served is one observation of a server's chain.
func served(run int64, ders ...[]byte) evidence.Observation {
	o := evidence.Observation{
		ID: run, Run: run, Kind: evidence.KindTLS, Method: evidence.Active, Result: evidence.ResultData, Endpoint: testEndpoint,
		At: testTime.Add(time.Duration(run) * time.Hour), Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: evidence.OfferFull, Version: 0x0304}},
	}
	for i, der := range ders {
		o.Certs = append(o.Certs, evidence.Presented{Role: evidence.RoleServer, Position: i, DER: der})
	}
	return o
}

func TestParamsFor(t *testing.T) {
	check := Check{Name: "cert/x", Params: []Param{
		{Name: "n", Default: 1}, {Name: "b", Default: false}, {Name: "s", Default: "a"}, {Name: "l", Default: []string{}}, {Name: "m", Default: map[string]int{}},
	}}
	for _, tt := range []struct {
		name string
		set  map[string]any
		want map[string]any
		err  string
	}{
		{"defaults", nil, map[string]any{"n": 1, "b": false, "s": "a", "l": []string{}, "m": map[string]int{}}, ""},
		{
			"yaml",
			map[string]any{"n": uint64(5), "b": true, "s": "z", "l": []any{"p"}, "m": map[string]any{"k": uint64(3)}},
			map[string]any{"n": 5, "b": true, "s": "z", "l": []string{"p"}, "m": map[string]int{"k": 3}},
			"",
		},
		{"json", map[string]any{"n": 5.0, "m": map[string]any{"k": 3.0}}, map[string]any{"n": 5, "b": false, "s": "a", "l": []string{}, "m": map[string]int{"k": 3}}, ""},
		{"unknown", map[string]any{"x": 1}, nil, `check cert/x has no parameter "x" (it has ["n" "b" "s" "l" "m"])`},
		{"not whole", map[string]any{"n": 1.5}, nil, `check cert/x: parameter "n": got 1.5, want a whole number`},
		{"text for a number", map[string]any{"n": "5"}, nil, `parameter "n": got 5, want a whole number`},
		{"list of numbers", map[string]any{"l": []any{1}}, nil, `parameter "l": got 1 in the list, want text`},
		{"map of texts", map[string]any{"m": map[string]any{"k": "3"}}, nil, `parameter "m": "k": got 3, want a whole number`},
		{"too large", map[string]any{"n": uint64(1 << 63)}, nil, "want a whole number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParamsFor(check, tt.set)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCorpus_currentFacts(t *testing.T) {
	old := sign(t, leafTemplate(), nil, ecKey(t, "a")).der
	renewed := sign(t, leafTemplate(), nil, ecKey(t, "b")).der
	legacy := served(1)
	legacy.Facts.TLS = &evidence.TLSFacts{Offer: evidence.OfferTLS11, Version: 0x0302}
	fixed := served(2)
	fixed.Result, fixed.Facts.TLS = evidence.ResultReset, &evidence.TLSFacts{Offer: evidence.OfferTLS11}
	timeout := served(3)
	timeout.Result, timeout.Facts.TLS = evidence.ResultTimeout, &evidence.TLSFacts{Offer: evidence.OfferFull}
	c := NewCorpus([]evidence.Observation{served(1, old), legacy, served(2, renewed), fixed, timeout}, nil)
	if got := c.Certificates(); len(got) != 1 || got[0].Digest != evidence.DigestOf(renewed) {
		t.Errorf("got %d certificates, want the renewed one only", len(got))
	}
	var current []string
	for _, o := range c.Endpoints()[0].Observations {
		current = append(current, string(o.Facts.TLS.Offer)+" "+string(o.Result))
	}
	// A reset settles the question, as the server answered another in that run; a
	// timeout settles nothing.
	if diff := cmp.Diff([]string{"full data", "tls1.1 reset"}, current); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCorpus_absent(t *testing.T) {
	refused := served(1)
	refused.Result = evidence.ResultRefused
	silent := served(1)
	silent.Result, silent.Endpoint.Addr = evidence.ResultTimeout, netip.MustParseAddr("192.0.2.2")
	filtered := served(1)
	filtered.Result, filtered.Endpoint.Port = evidence.ResultTimeout, 104
	c := NewCorpus([]evidence.Observation{refused, silent, filtered}, nil)
	var got []string
	for _, s := range c.Endpoints() {
		got = append(got, s.Endpoint.String())
	}
	// The host that refused is there, so its filtered port is inconclusive; at the
	// silent address nothing shows a host.
	if diff := cmp.Diff([]string{"tcp/192.0.2.1:104"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCorpus_clientCertificate(t *testing.T) {
	server, client := sign(t, leafTemplate(), nil, ecKey(t, "a")).der, sign(t, leafTemplate(), nil, ecKey(t, "b")).der
	o := served(1, server)
	o.Method, o.Peer = evidence.Passive, evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.9"), Port: 50123, Transport: evidence.TCP}
	o.Certs = append(o.Certs, evidence.Presented{Role: evidence.RoleClient, DER: client})
	var got []string
	for _, s := range NewCorpus([]evidence.Observation{o}, nil).CertificateSubjects() {
		got = append(got, s.Endpoint.String()+" "+string(s.Roles()[0]))
	}
	if diff := cmp.Diff([]string{"tcp/192.0.2.1:443 server", "tcp/192.0.2.9 client"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestPath_weakSignatures: whether a signature verifies is one question, how
// strong it is another.
func TestPath_weakSignatures(t *testing.T) {
	rsa1024, err := pki.RSAKey(pki.NewSeed(5), 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := pki.Template{
		Subject: pkix.Name{CommonName: "Old CA"}, Serial: big.NewInt(1), NotBefore: testTime.AddDate(-1, 0, 0), NotAfter: testTime.AddDate(1, 0, 0),
		CA: true, KeyUsage: stdx509.KeyUsageCertSign, SHA1: true,
	}
	for name, key := range map[string]crypto.Signer{"RSA-1024 with SHA-1": rsa1024, "ECDSA with SHA-1": ecKey(t, "sha1")} {
		t.Run(name, func(t *testing.T) {
			root, err := pki.SelfSigned(key, template)
			if err != nil {
				t.Fatal(err)
			}
			leaf := template
			leaf.CA, leaf.KeyUsage, leaf.Subject.CommonName = false, stdx509.KeyUsageDigitalSignature, "pump"
			der, err := root.Issue(ecKey(t, "leaf").Public(), leaf)
			if err != nil {
				t.Fatal(err)
			}
			c := NewCorpus([]evidence.Observation{served(1, der)}, nil)
			env := &Env{At: testTime, Corpus: c, Policy: &Policy{Anchors: [][]byte{root.DER}}}
			if p := env.Path(c.Certificates()[0], nil, env.Anchors()); len(p.Certs) != 2 {
				t.Errorf("no path: %s", p.Why)
			}
		})
	}
}

// TestPath_loop cross-certifies two CAs, which must not make the search run in
// circles.
func TestPath_loop(t *testing.T) {
	a := sign(t, caTemplate("A"), nil, ecKey(t, "a"))
	b := sign(t, caTemplate("B"), nil, ecKey(t, "b"))
	var obs []evidence.Observation
	ders := [][]byte{sign(t, leafTemplate(), a, ecKey(t, "leaf")).der, a.der, b.der}
	for i := range int64(12) {
		ab, ba := caTemplate("A"), caTemplate("B")
		ab.SerialNumber, ba.SerialNumber = big.NewInt(100+i), big.NewInt(200+i)
		ders = append(ders, sign(t, ab, b, a.key).der, sign(t, ba, a, b.key).der)
	}
	obs = append(obs, served(1, ders...))
	c := NewCorpus(obs, nil)
	env := &Env{At: testTime, Corpus: c, Policy: &Policy{Anchors: [][]byte{sign(t, caTemplate("Elsewhere"), nil, ecKey(t, "c")).der}}}
	s := c.CertificateSubjects()
	p := env.Path(s[len(s)-1].Certificate, s[len(s)-1].Presented(), env.Anchors())
	if p.Certs != nil || p.Why == "" {
		t.Errorf("got %+v, want no path and a reason", p)
	}
}

func TestPath_nameConstraints(t *testing.T) {
	root := sign(t, caTemplate("Root"), nil, ecKey(t, "root"))
	for _, tt := range []struct {
		name string
		ca   func(*stdx509.Certificate)
		leaf func(*stdx509.Certificate)
		ok   bool
	}{
		{"name within", func(c *stdx509.Certificate) { c.PermittedDNSDomains = []string{"a.test"} }, func(c *stdx509.Certificate) { c.DNSNames = []string{"x.A.test"} }, true},
		{"name outside", func(c *stdx509.Certificate) { c.PermittedDNSDomains = []string{"a.test"} }, func(c *stdx509.Certificate) { c.DNSNames = []string{"xa.test"} }, false},
		{"name excluded", func(c *stdx509.Certificate) { c.ExcludedDNSDomains = []string{"b.a.test"} }, func(c *stdx509.Certificate) { c.DNSNames = []string{"x.b.a.test"} }, false},
		{"address within", func(c *stdx509.Certificate) { c.PermittedIPRanges = cidr("10.0.0.0", 8, 32) }, func(c *stdx509.Certificate) { c.IPAddresses = ips("10.9.8.7") }, true},
		{"address outside", func(c *stdx509.Certificate) { c.PermittedIPRanges = cidr("10.0.0.0", 8, 32) }, func(c *stdx509.Certificate) { c.IPAddresses = ips("11.9.8.7") }, false},
		{"mail outside", func(c *stdx509.Certificate) { c.PermittedEmailAddresses = []string{"a.test"} }, func(c *stdx509.Certificate) { c.EmailAddresses = []string{"x@b.test"} }, false},
		{"mail within", func(c *stdx509.Certificate) { c.PermittedEmailAddresses = []string{".a.test"} }, func(c *stdx509.Certificate) { c.EmailAddresses = []string{"x@b.a.test"} }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca, leaf := caTemplate("Sub"), leafTemplate()
			tt.ca(ca)
			tt.leaf(leaf)
			sub := sign(t, ca, root, ecKey(t, "sub"))
			der := sign(t, leaf, sub, ecKey(t, "leaf")).der
			c := NewCorpus([]evidence.Observation{served(1, der, sub.der)}, nil)
			env := &Env{At: testTime, Corpus: c, Policy: &Policy{Anchors: [][]byte{root.der}}}
			s := c.CertificateSubjects()[1]
			if p := env.Path(s.Certificate, s.Presented(), env.Anchors()); (p.Certs != nil) != tt.ok {
				t.Errorf("got path %v (%s), want %v", p.Certs != nil, p.Why, tt.ok)
			}
		})
	}
}

// TestCertificate_hugeKey: a key out of bounds is measured and never used.
func TestCertificate_hugeKey(t *testing.T) {
	n := new(big.Int).SetBit(big.NewInt(1), 60000, 1)
	template := leafTemplate()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), testTime, testTime
	ca := sign(t, caTemplate("A"), nil, ecKey(t, "a"))
	der, err := stdx509.CreateCertificate(rand.Reader, template, ca.cert, &rsa.PublicKey{N: n, E: 65537}, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	c := parseCertificate(der)
	if c.Key == nil || !c.Key.TooLarge || c.Key.N != nil || c.Key.Bits != 60001 {
		t.Fatalf("key: got %+v", c.Key)
	}
	if !c.Decoded() || !c.KeyHidden || c.X509().PublicKey != nil || c.Subject() != "CN=pump" {
		t.Errorf("got %v, hidden %v, want a certificate without its key", c.ParseError, c.KeyHidden)
	}
	if err := check(c, c.X509().SignatureAlgorithm, c.X509().RawTBSCertificate, c.X509().Signature); !errors.Is(err, ErrUnverifiable) {
		t.Errorf("got %v, want ErrUnverifiable", err)
	}
}

func TestCurveName_openssl(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	out, err := exec.CommandContext(t.Context(), openssl, "ecparam", "-list_curves").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	known := 0
	for line := range strings.SplitSeq(string(out), "\n") {
		name, _, ok := strings.Cut(strings.TrimSpace(line), ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			continue
		}
		der, err := exec.CommandContext(t.Context(), openssl, "ecparam", "-name", name, "-outform", "DER").Output()
		var oid asn1.ObjectIdentifier
		if _, e := asn1.Unmarshal(der, &oid); err != nil || e != nil {
			continue // curves without an object identifier
		}
		got, bits := curveName(oid.String())
		aliases := map[string]string{"prime256v1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp224r1": "P-224", "prime192v1": "P-192"}
		if want, ok := aliases[name]; ok {
			name = want
		}
		if bits == 0 {
			continue
		}
		known++
		if got != name {
			t.Errorf("%s: got %q, openssl has %q", oid, got, name)
		}
	}
	if known < 10 {
		t.Errorf("only %d curves compared", known)
	}
}

func TestParseSSHKey(t *testing.T) {
	if k := ParseSSHKey([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + strings.Repeat("x", ed25519.PublicKeySize))); k == nil || k.Algorithm != Ed25519 {
		t.Errorf("ed25519: got %+v", k)
	} else if der, err := stdx509.MarshalPKIXPublicKey(ed25519.PublicKey(strings.Repeat("x", ed25519.PublicKeySize))); err != nil || k.SPKI != evidence.DigestOf(der) {
		t.Errorf("the digest is not that of the SubjectPublicKeyInfo: %v", err)
	}
	ec, ok := ecKey(t, "ssh").Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatal("no EC key")
	}
	point, err := ec.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	blob := "\x00\x00\x00\x13ecdsa-sha2-nistp256\x00\x00\x00\x08nistp256\x00\x00\x00\x41" + string(point)
	if k := ParseSSHKey([]byte(blob)); k == nil || k.Curve != "P-256" || k.Point != PointValid {
		t.Errorf("ecdsa: got %+v", k)
	}
	for _, bad := range []string{"", "\x00", "\x00\x00\x00\x07ssh-rsa", "\xff\xff\xff\xffssh-rsa", "\x00\x00\x00\x01x\x00\x00\x00\x01y"} {
		if k := ParseSSHKey([]byte(bad)); k != nil {
			t.Errorf("%q: got %+v, want nil", bad, k)
		}
	}
}

func FuzzParseSSHKey(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + strings.Repeat("x", 32)))
	f.Add([]byte("\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x01\x03\x00\x00\x00\x02\x00\x81"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		if k := ParseSSHKey(blob); k != nil && k.N != nil && k.N.BitLen() > MaxKeyBits {
			t.Fatalf("a key of %d bits", k.N.BitLen())
		}
	})
}

func TestSameName(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"CN=Device CA,O=Site", "cn = device ca , O=Site", true},
		{"CN=Device CA,O=Site", "O=Site,CN=Device CA", false},
		{`CN=a\ ,O=b`, "CN=a,O=b", false},
	} {
		if got := SameName(tt.a, tt.b); got != tt.want {
			t.Errorf("SameName(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}

func TestRole(t *testing.T) {
	root := sign(t, caTemplate("Site CA"), nil, ecKey(t, "root"))
	leaf := leafTemplate()
	leaf.Subject.SerialNumber = "S1"
	der := sign(t, leaf, root, ecKey(t, "leaf")).der
	c := NewCorpus([]evidence.Observation{served(1, der, root.der)}, nil)
	for _, tt := range []struct {
		name   string
		policy Policy
		want   []DeviceRole // CA, leaf
	}{
		{"seen only", Policy{}, []DeviceRole{RoleCA, RoleServer}},
		{"anchor", Policy{Anchors: [][]byte{root.der}}, []DeviceRole{RoleAnchor, RoleServer}},
		{"site issuer", Policy{Issuers: []string{"CN=Site CA"}}, []DeviceRole{RoleCA, RoleLDevID}},
		{"manufacturer", Policy{ManufacturerIssuers: []string{"CN=Site CA"}}, []DeviceRole{RoleCA, RoleIDevID}},
	} {
		env := &Env{At: testTime, Corpus: c, Policy: &tt.policy}
		var got []DeviceRole
		for _, s := range c.CertificateSubjects() {
			got = append(got, env.Role(s))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

// TestCertificate_longIdentifier asks that no object identifier is decoded whose
// digits take long to write, wherever it stands.
func TestCertificate_longIdentifier(t *testing.T) {
	long := append([]byte{0x2a}, make([]byte, 20_000)...)
	for _, tt := range []struct {
		name  string
		value any
	}{
		{"policy", []struct{ ID asn1.RawValue }{{asn1.RawValue{Tag: asn1.TagOID, Bytes: long}}}},
		{"registeredID", []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: long}}},
		{"nested", []any{[]any{asn1.RawValue{Tag: asn1.TagOctetString, Bytes: append([]byte{0x06, 0x82, 0x4e, 0x21}, long...)}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value, err := asn1.Marshal(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			leaf := caTemplate("leaf")
			leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: value}}
			c := parseCertificate(sign(t, leaf, nil, ecKey(t, "k")).der)
			if c.ParseError == nil || !strings.Contains(c.ParseError.Error(), "object identifier") {
				t.Errorf("got %v, want an error about the object identifier", c.ParseError)
			}
			leaf.ExtraExtensions[0].Value = append([]byte{4, 0x82, 0x4e, 0x20}, make([]byte, 20_000)...)
			if c := parseCertificate(sign(t, leaf, nil, ecKey(t, "k")).der); c.ParseError != nil {
				t.Errorf("another long extension: %v", c.ParseError)
			}
		})
	}
}

// TestNameText_library asks that names are written as the standard library does.
func TestNameText_library(t *testing.T) {
	for _, name := range []pkix.Name{
		{},
		{CommonName: "pump, \"1\"", Organization: []string{"A", "B"}, SerialNumber: "#7"},
		{CommonName: " x ", ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "y"}}},
	} {
		rdn := name.ToRDNSequence()
		der, err := asn1.Marshal(rdn)
		if err != nil {
			t.Fatal(err)
		}
		var read pkix.RDNSequence
		if _, err := asn1.Unmarshal(der, &read); err != nil {
			t.Fatal(err)
		}
		if got, want := NameText(der), read.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestPath_reasons asks for an explanation of each way that was tried: one CA of the
// name has expired, one has another key, and one may not sign.
func TestPath_reasons(t *testing.T) {
	root := sign(t, caTemplate("Root"), nil, ecKey(t, "root"))
	expired, usage := caTemplate("CA"), caTemplate("CA")
	expired.NotBefore, expired.NotAfter = testTime.AddDate(-3, 0, 0), testTime.AddDate(-1, 0, 0)
	usage.KeyUsage = stdx509.KeyUsageDigitalSignature
	ca := sign(t, caTemplate("CA"), nil, ecKey(t, "ca"))
	ders := [][]byte{
		sign(t, leafTemplate(), ca, ecKey(t, "leaf")).der,
		sign(t, expired, root, ecKey(t, "ca")).der, sign(t, usage, root, ecKey(t, "ca")).der, sign(t, caTemplate("CA"), root, ecKey(t, "other")).der,
	}
	env := &Env{At: testTime, Corpus: NewCorpus([]evidence.Observation{served(1, ders...)}, nil), Policy: &Policy{Anchors: [][]byte{root.der}}}
	s := env.Corpus.CertificateSubjects()
	p := env.Path(s[len(s)-1].Certificate, s[len(s)-1].Presented(), env.Anchors())
	text := strings.Join(append(p.Others, p.Why), "\n")
	for _, want := range []string{"expired at", "does not allow it to sign", "does not verify"} {
		if !strings.Contains(text, want) {
			t.Errorf("no word of %q in\n%s", want, text)
		}
	}
	if p.Certs != nil || len(p.Others) != 2 {
		t.Errorf("got %+v, want no path and two further reasons", p)
	}
}

// TestPath_crossSigned searches among CAs of which each has signed every other, as
// only somebody hostile would have it: the search ends, and says so.
func TestPath_crossSigned(t *testing.T) {
	const n = 9
	var own []*issuer
	for i := range n {
		own = append(own, sign(t, caTemplate(string(rune('A'+i))), nil, ecKey(t, string(rune('A'+i)))))
	}
	ders := [][]byte{sign(t, leafTemplate(), own[0], ecKey(t, "leaf")).der}
	for i, a := range own {
		for j, b := range own {
			if i != j {
				c := caTemplate(string(rune('A' + i)))
				c.SerialNumber = big.NewInt(int64(100 + j))
				ders = append(ders, sign(t, c, b, a.key).der)
			}
		}
	}
	env := &Env{At: testTime, Corpus: NewCorpus([]evidence.Observation{served(1, ders...)}, nil), Policy: &Policy{
		Anchors: [][]byte{sign(t, caTemplate("Elsewhere"), nil, ecKey(t, "e")).der},
	}}
	s := env.Corpus.CertificateSubjects()
	p := env.Path(s[len(s)-1].Certificate, s[len(s)-1].Presented(), env.Anchors())
	if p.Certs != nil || !slices.ContainsFunc(append(p.Others, p.Why), func(r string) bool { return strings.Contains(r, "issuers were tried") }) {
		t.Errorf("got %+v, want no path, and that no more issuers are tried", p)
	}
}
