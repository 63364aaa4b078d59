package all_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/lint"
)

// hierarchy is a set of CA certificates, some of them cross-certified or in a circle,
// some with faults, and leafs below them.
type hierarchy struct {
	w       *world
	r       *rand.Rand
	cas     []*x509.Certificate
	leafs   []*x509.Certificate
	anchors []*x509.Certificate
	purpose x509.ExtKeyUsage // any: none
}

var caNames = []string{"Root", "Old Root", "Site", "Ward", "Line", "Maker"}

func (w *world) hierarchy(seed uint64) *hierarchy {
	h := &hierarchy{w: w, r: rand.New(rand.NewPCG(seed, 9))}
	for i, name := range caNames {
		if i < 2 {
			h.cas = append(h.cas, h.ca(name, name))
			continue
		}
		for range 1 + h.r.IntN(2) { // one certificate or two, by different issuers
			issuer := caNames[h.r.IntN(len(caNames))]
			if issuer != name {
				h.cas = append(h.cas, h.ca(name, issuer))
			}
		}
	}
	for range 3 {
		h.leafs = append(h.leafs, h.leaf(caNames[h.r.IntN(len(caNames))]))
	}
	h.anchors = []*x509.Certificate{h.cas[h.r.IntN(2)]}
	if h.r.IntN(3) == 0 {
		h.anchors = append(h.anchors, h.cas[h.r.IntN(len(h.cas))])
	}
	h.purpose = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny}[h.r.IntN(3)]
	return h
}

// seldom is true once in 25 times.
func (h *hierarchy) seldom() bool { return h.r.IntN(25) == 0 }

func (h *hierarchy) ca(name, issuer string) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: !h.seldom(), MaxPathLen: -1,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	if c.IsCA {
		c.MaxPathLen = h.r.IntN(4) - 1
		c.MaxPathLenZero = c.MaxPathLen == 0
	}
	if h.seldom() {
		c.KeyUsage = x509.KeyUsageCRLSign
	}
	if h.seldom() {
		c.NotAfter = now.AddDate(0, 0, -1)
	}
	if h.seldom() {
		c.NotBefore = now.AddDate(0, 0, 1)
	}
	switch h.r.IntN(12) {
	case 0:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case 1:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	case 2:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case 3:
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 32473, 7}}
	}
	if c.IsCA {
		switch h.r.IntN(12) {
		case 0:
			c.PermittedDNSDomains = []string{"a.test"}
		case 1:
			c.ExcludedDNSDomains = []string{"b.test"}
		case 2:
			c.PermittedDNSDomains, c.ExcludedDNSDomains = []string{"test"}, []string{"x.a.test"}
		}
		c.PermittedDNSDomainsCritical = len(c.PermittedDNSDomains) > 0
	}
	if h.seldom() && c.IsCA {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 9}, Critical: true, Value: []byte{5, 0}}}
	}
	return h.sign(c, issuer)
}

func (h *hierarchy) leaf(issuer string) *x509.Certificate {
	return h.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "pump"}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{[]string{"x.a.test", "y.a.test", "x.b.test"}[h.r.IntN(3)]},
		NotBefore:   now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 1, 0),
	}, issuer)
}

func (h *hierarchy) sign(c *x509.Certificate, issuer string) *x509.Certificate {
	c.SerialNumber = big.NewInt(h.r.Int64() + 1)
	key, by := h.w.ec(c.Subject.CommonName), h.w.ec(issuer)
	if h.seldom() {
		by = h.w.ec("forger")
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}, PublicKey: by.Public()}
	if h.r.IntN(2) == 0 {
		parent.SubjectKeyId = []byte(issuer)
	}
	if c.IsCA {
		c.SubjectKeyId = []byte(c.Subject.CommonName)
	}
	der := must[[]byte](h.w.t)(x509.CreateCertificate(nil, c, parent, key.Public(), by))
	return h.w.parsed(der)
}

// path is what probity finds for a leaf.
func (h *hierarchy) path(leaf *x509.Certificate, cas []*x509.Certificate) lint.Path {
	ders := [][]byte{leaf.Raw}
	for _, c := range cas {
		ders = append(ders, c.Raw)
	}
	return pathOf(ders, h.anchors, h.purpose)
}

func pathOf(ders [][]byte, anchors []*x509.Certificate, purpose x509.ExtKeyUsage) lint.Path {
	o := evidence.Observation{
		ID: 1, Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: now,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
	}
	for i, der := range ders {
		o.Certs = append(o.Certs, evidence.Presented{Role: evidence.RoleServer, Position: i, DER: der})
	}
	policy := &lint.Policy{}
	for _, a := range anchors {
		policy.Anchors = append(policy.Anchors, a.Raw)
	}
	corpus := lint.NewCorpus([]evidence.Observation{o}, nil)
	env := &lint.Env{At: now, Policy: policy, Corpus: corpus}
	var presented []*lint.Certificate
	for _, der := range ders[1:] {
		presented = append(presented, corpus.Known(der))
	}
	return env.Path(corpus.Known(ders[0]), presented, env.Anchors(), zcryptoPurposes(purpose)...)
}

func zcryptoPurposes(u x509.ExtKeyUsage) []zx509.ExtKeyUsage {
	switch u {
	case x509.ExtKeyUsageServerAuth:
		return []zx509.ExtKeyUsage{zx509.ExtKeyUsageServerAuth}
	case x509.ExtKeyUsageClientAuth:
		return []zx509.ExtKeyUsage{zx509.ExtKeyUsageClientAuth}
	default:
		return nil
	}
}

// TestPath_go searches paths through generated hierarchies and compares with Go's own
// validator, which shares no code with that of the lint.
func TestPath_go(t *testing.T) {
	w := newWorld(t)
	found, failed := 0, 0
	for seed := range uint64(300) {
		h := w.hierarchy(seed)
		opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{h.purpose}}
		for _, a := range h.anchors {
			opts.Roots.AddCert(a)
		}
		for _, c := range h.cas {
			opts.Intermediates.AddCert(c)
		}
		for i, leaf := range h.leafs {
			_, err := leaf.Verify(opts)
			p := h.path(leaf, h.cas)
			if (err == nil) != (p.Certs != nil) {
				t.Errorf("hierarchy %d, leaf %d: Go says %v, probity %d certificates, %s", seed, i, err, len(p.Certs), p.Why)
			}
			if p.Certs == nil && p.Why == "" {
				t.Errorf("hierarchy %d, leaf %d: no path and no reason", seed, i)
			}
			if p.Certs == nil {
				failed++
			} else {
				found++
			}
		}
	}
	if found < 100 || failed < 100 {
		t.Errorf("%d leafs have a path and %d have none: too few to compare", found, failed)
	}
}

// TestPeer_paths asks OpenSSL about every way through generated hierarchies that leads
// from a leaf to an anchor, one by one: probity finds a path exactly where OpenSSL
// accepts one of them, and the path that it finds is one that OpenSSL accepts.
func TestPeer_paths(t *testing.T) {
	o := opensslVerifier{t, peer.Require(t, "openssl")["openssl"], t.TempDir()}
	w := newWorld(t)
	found, failed := 0, 0
	for seed := range uint64(40) {
		h := w.hierarchy(seed + 10_000)
		for i, leaf := range h.leafs {
			accepted := slices.ContainsFunc(h.ways([]*x509.Certificate{leaf}), func(way []*x509.Certificate) bool {
				return o.verify(way, h.purpose) == ""
			})
			p := h.path(leaf, h.cas)
			if p.Certs == nil {
				failed++
				if accepted {
					t.Errorf("hierarchy %d, leaf %d: OpenSSL accepts a path; probity: %s", seed, i, p.Why)
				}
				continue
			}
			found++
			var way []*x509.Certificate
			anyPurpose := false
			for _, c := range p.Certs {
				x := w.parsed(c.DER)
				way = append(way, x)
				anyPurpose = anyPurpose || slices.Contains(x.ExtKeyUsage, x509.ExtKeyUsageAny)
			}
			// OpenSSL takes anyExtendedKeyUsage of a CA for no purpose of TLS, which
			// RFC 5280 section 4.2.1.12 leaves to the application.
			if why := o.verify(way, h.purpose); why != "" && (!anyPurpose || h.purpose == x509.ExtKeyUsageAny) {
				t.Errorf("hierarchy %d, leaf %d: OpenSSL refuses the path of %d: %s", seed, i, len(way), why)
			}
		}
	}
	if found < 15 || failed < 15 {
		t.Errorf("%d leafs have a path and %d have none: too few to compare", found, failed)
	}
}

// ways are all rows of certificates from the last of path to an anchor whose names
// follow on each other, without a certificate twice.
func (h *hierarchy) ways(path []*x509.Certificate) [][]*x509.Certificate {
	last := path[len(path)-1]
	if slices.ContainsFunc(h.anchors, last.Equal) {
		return [][]*x509.Certificate{path}
	}
	var out [][]*x509.Certificate
	for _, c := range h.cas {
		if bytes.Equal(c.RawSubject, last.RawIssuer) && !slices.ContainsFunc(path, c.Equal) && len(path) < 6 {
			out = append(out, h.ways(append(slices.Clone(path), c))...)
		}
	}
	return out
}

type opensslVerifier struct {
	t       *testing.T
	openssl string
	dir     string
}

// verify returns why OpenSSL refuses a way from leaf to anchor, or "".
func (o opensslVerifier) verify(way []*x509.Certificate, purpose x509.ExtKeyUsage) string {
	o.t.Helper()
	write := func(name string, certs ...*x509.Certificate) string {
		var b bytes.Buffer
		for _, c := range certs {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
		path := filepath.Join(o.dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			o.t.Fatal(err)
		}
		return path
	}
	args := []string{"verify", "-partial_chain", "-attime", fmt.Sprint(now.Unix()), "-CAfile", write("anchor.pem", way[len(way)-1])}
	if len(way) > 2 {
		args = append(args, "-untrusted", write("untrusted.pem", way[1:len(way)-1]...))
	}
	switch purpose {
	case x509.ExtKeyUsageServerAuth:
		args = append(args, "-purpose", "sslserver")
	case x509.ExtKeyUsageClientAuth:
		args = append(args, "-purpose", "sslclient")
	default:
	}
	ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, o.openssl, append(args, write("leaf.pem", way[0]))...).CombinedOutput() //nolint:gosec // of the test
	if err == nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// TestPeer_pathFaults puts one fault into a sound hierarchy at a time: OpenSSL names it
// by a number, probity in words.
func TestPeer_pathFaults(t *testing.T) {
	o := opensslVerifier{t, peer.Require(t, "openssl")["openssl"], t.TempDir()}
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 9}, Critical: true, Value: []byte{5, 0}}
	for _, tt := range []struct {
		name            string
		root, sub, leaf func(*x509.Certificate)
		forged          bool
		openssl         string // "" where it accepts the path
		want            string // of probity's reason
	}{
		{name: "none"},
		{name: "issuer expired", sub: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, openssl: "error 10 ", want: "expired at"},
		{name: "issuer expires now", sub: func(c *x509.Certificate) { c.NotAfter = now.Add(time.Second) }},
		{name: "issuer not yet valid", sub: func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }, openssl: "error 9 ", want: "is not valid before"},
		{name: "anchor expired", root: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, openssl: "error 10 ", want: `"CN=Root" expired at`},
		{name: "no CA", sub: func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }, openssl: "error 79 ", want: "is no CA"},
		{name: "no basic constraints", sub: func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA, c.MaxPathLenZero = false, false, false }, openssl: "error 79 ", want: "is no CA"},
		{name: "key usage", sub: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, openssl: "error 79 ", want: "key usage of"},
		{name: "path too long", root: func(c *x509.Certificate) { c.MaxPathLenZero = true }, openssl: "error 25 ", want: "allows 0 intermediate certificates below it, and the path has 1"},
		{name: "name not permitted", sub: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"b.test"} }, openssl: "error 47 ", want: `do not allow "pump.a.test"`},
		{name: "name excluded", sub: func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"a.test"} }, openssl: "error 48 ", want: `do not allow "pump.a.test"`},
		{name: "address not permitted", sub: func(c *x509.Certificate) {
			c.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}}
		}, leaf: func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} }, openssl: "error 47 ", want: `do not allow "192.0.2.1"`},
		{name: "mail not permitted", sub: func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"a.test"} }, leaf: func(c *x509.Certificate) { c.EmailAddresses = []string{"pump@sub.a.test"} }, openssl: "error 47 ", want: "do not allow"},
		{name: "URI excluded", sub: func(c *x509.Certificate) { c.ExcludedURIDomains = []string{".a.test"} }, leaf: func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "https", Host: "x.a.test"}} }, openssl: "error 48 ", want: "do not allow"},
		{name: "purpose of the issuer", sub: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, openssl: "error 26 ", want: "does not allow serverAuth"},
		{name: "purpose of the anchor", root: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }, openssl: "error 26 ", want: `extended key usage of the CA "CN=Root"`},
		{name: "critical extension of the issuer", sub: func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{unknown} }, openssl: "error 34 ", want: "critical extension 1.3.6.1.4.1.32473.9"},
		{name: "critical extension of the leaf", leaf: func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{unknown} }, openssl: "error 34 ", want: "critical extension 1.3.6.1.4.1.32473.9"},
		{name: "signature", forged: true, openssl: "error 7 ", want: "does not verify with the key of"},
		{name: "another case of letters in the name", leaf: func(c *x509.Certificate) { c.Issuer.CommonName = "WARD  ca" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			issue := func(c, parent *x509.Certificate, key, by string, mod func(*x509.Certificate)) *x509.Certificate {
				c.SerialNumber, c.NotBefore, c.NotAfter, c.BasicConstraintsValid = w.serial(), now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0), true
				if mod != nil {
					mod(c)
				}
				if parent == nil {
					parent = c
				} else {
					parent = &x509.Certificate{Subject: parent.Subject}
				}
				if c.Issuer.CommonName != "" {
					parent.Subject = c.Issuer
				}
				return w.parsed(must[[]byte](t)(x509.CreateCertificate(nil, c, parent, w.ec(key).Public(), w.ec(by))))
			}
			ca := func(name string) *x509.Certificate {
				return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
			}
			root := issue(ca("Root"), nil, "root", "root", tt.root)
			sub := issue(ca("Ward CA"), root, "site", "root", tt.sub)
			by := "site"
			if tt.forged {
				by = "forger"
			}
			leaf := issue(&x509.Certificate{
				Subject: pkix.Name{CommonName: "pump"}, DNSNames: []string{"pump.a.test"}, KeyUsage: x509.KeyUsageDigitalSignature,
			}, sub, "leaf", by, tt.leaf)
			way := []*x509.Certificate{leaf, sub, root}
			if why := o.verify(way, x509.ExtKeyUsageServerAuth); tt.openssl == "" && why != "" || !strings.Contains(why, tt.openssl) {
				t.Errorf("OpenSSL says %q, want %q", why, tt.openssl)
			}
			p := pathOf([][]byte{leaf.Raw, sub.Raw}, []*x509.Certificate{root}, x509.ExtKeyUsageServerAuth)
			if tt.want == "" && p.Certs == nil || !strings.Contains(p.Why, tt.want) {
				t.Errorf("probity says %q, want %q", p.Why, tt.want)
			}
		})
	}
}
