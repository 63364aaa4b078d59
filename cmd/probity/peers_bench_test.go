//go:build cgo && linux

package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

// site is a CA with a server's identity, and clients of every kind, in files.
type site struct {
	t       *testing.T
	dir     string
	ca      *x509.Certificate
	key     crypto.Signer
	serials int64
	secrets [][]byte // the private part of every key
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	now := time.Now()
	s.issue("ca", &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"Example Hospital"}, CommonName: "Ward CA"}, NotBefore: now.AddDate(-5, 0, 0), NotAfter: now.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	leaf := func(name string, mod func(*x509.Certificate)) {
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: name + ".ward.example"}, DNSNames: []string{name + ".ward.example"}, NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(1, 0, 0),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		}
		mod(c)
		s.issue(name, c)
	}
	leaf("server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	leaf("rsa", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	leaf("good", func(*x509.Certificate) {})
	leaf("expired", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0) })
	leaf("early", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.AddDate(1, 0, 0), now.AddDate(2, 0, 0) })
	leaf("purpose", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	var revoked *big.Int
	leaf("revoked", func(c *x509.Certificate) { revoked = big.NewInt(s.serials + 1) })
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: now.AddDate(0, 0, -1), NextUpdate: now.AddDate(0, 1, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: revoked, RevocationTime: now.AddDate(0, 0, -2)}},
	}, s.ca, s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.pem("crl", "X509 CRL", crl)
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

func (s *site) pem(name, kind string, blocks ...[]byte) {
	s.t.Helper()
	var b bytes.Buffer
	for _, der := range blocks {
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			s.t.Fatal(err)
		}
	}
	writeFile(s.t, s.file(name), b.String())
}

// issue writes NAME.pem (with the CA behind a leaf) and NAME.key.
func (s *site) issue(name string, c *x509.Certificate) {
	s.t.Helper()
	var key crypto.Signer
	var err error
	if name == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.serials++
	c.SerialNumber = big.NewInt(s.serials)
	parent, signer := s.ca, s.key
	if c.IsCA {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		s.t.Fatal(err)
	}
	chain := [][]byte{der}
	if c.IsCA {
		if s.ca, err = x509.ParseCertificate(der); err != nil {
			s.t.Fatal(err)
		}
		s.key = key
	} else {
		chain = append(chain, s.ca.Raw)
	}
	if ec, ok := key.(*ecdsa.PrivateKey); ok {
		secret, err := ec.Bytes()
		if err != nil {
			s.t.Fatal(err)
		}
		s.secrets = append(s.secrets, secret)
	}
	s.pem(name+".pem", "CERTIFICATE", chain...)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pem(name+".key", "PRIVATE KEY", pkcs8)
}

// clients are the flags that supply all clients; good is the positive control.
func (s *site) clients() []string {
	var out []string
	for flag, name := range map[string]string{
		"client": "good", "expired": "expired", "not-yet-valid": "early", "wrong-purpose": "purpose", "revoked": "revoked",
	} {
		out = append(out, "--"+flag+"-cert", s.file(name+".pem"), "--"+flag+"-key", s.file(name+".key"))
	}
	return append(out, "--crl", s.file("crl"))
}

// policyFile writes a site policy that trusts the CA.
func (s *site) policyFile() string {
	return writeFile(s.t, s.file("site.yaml"), "version: 1\nanchors: [ca.pem]\n")
}

// serveGo runs a crypto/tls server with an application until the end of the test.
func (s *site) serveGo(address string, auth tls.ClientAuthType) {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(s.file("server.pem"), s.file("server.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := os.ReadFile(s.file("crl"))
	if err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	crl, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: pool,
			VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error {
				for _, chain := range chains {
					for _, e := range crl.RevokedCertificateEntries {
						if e.SerialNumber.Cmp(chain[0].SerialNumber) == 0 {
							return errors.New("revoked")
						}
					}
				}
				return nil
			},
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "") // says that it was closed
	}()
	s.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// benched runs one bench test and returns its cells as "TLS 1.2|none: enforced
// in the handshake", and the path of the database.
func benched(t *testing.T, exit int, args ...string) ([]string, string) {
	t.Helper()
	db := filepath.Join(t.TempDir(), "bench.db")
	out := probity(t, exit, append([]string{"bench", "--i-own-this-device", "--asset-rate", "50", "--json", "--db", db}, args...)...)
	var result benchResult
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var cells []string
	for _, v := range result.Versions {
		if !v.Spoken {
			cells = append(cells, v.Version+"|not spoken")
		}
		for _, c := range v.Cells {
			cells = append(cells, fmt.Sprintf("%s|%s: %s", v.Version, c.Certificate, c.Enforcement))
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Log(out)
	}
	return cells, db
}

// both repeats the expectations for the two versions. The letters stand for
// none, good, self-signed, unknown CA, expired, not yet valid, wrong purpose and
// revoked: h handshake, a application, n not enforced, ? inconclusive, g accepted,
// - not tried.
func both(letters string) []string {
	return append(cellsOf("TLS 1.2", letters), cellsOf("TLS 1.3", letters)...)
}

func cellsOf(version, letters string) []string {
	kinds := []string{"none", "good", "self-signed", "unknown-ca", "expired", "not-yet-valid", "wrong-purpose", "revoked"}
	words := map[rune]string{
		'h': "enforced in the handshake", 'a': "enforced in the application", 'n': "not enforced", '?': "inconclusive", 'g': "accepted",
	}
	var out []string
	for i, l := range letters {
		if l != '-' {
			out = append(out, fmt.Sprintf("%s|%s: %s", version, kinds[i], words[l]))
		}
	}
	return out
}

// TestPeer_bench holds the verdict of every certificate against servers of
// others that enforce in different ways, or not at all.
func TestPeer_bench(t *testing.T) {
	s := newSite(t)
	openssl := peer.Require(t, "openssl")["openssl"]
	sServer := func(more ...string) func(*testing.T, string) {
		return func(t *testing.T, at string) {
			start(t, []string{at}, openssl, append([]string{
				"s_server", "-quiet", "-www", "-accept", at, "-cert", s.file("server.pem"), "-cert_chain", s.file("ca.pem"), "-key", s.file("server.key"),
				"-CAfile", s.file("ca.pem"), "-CRL", s.file("crl"), "-crl_check",
			}, more...)...)
		}
	}
	nginx := func(verify, more string) func(*testing.T, string) {
		return func(t *testing.T, at string) {
			host, port, err := net.SplitHostPort(at)
			if err != nil {
				t.Fatal(err)
			}
			serveNginx(t, host, []string{port}, fmt.Sprintf(
				"server { listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.2 TLSv1.3; ssl_client_certificate %s; ssl_verify_client %s; %s location / { return 200 hello; } }",
				at, s.file("server.pem"), s.file("server.key"), s.file("ca.pem"), verify, more))
		}
	}
	goServer := func(auth tls.ClientAuthType) func(*testing.T, string) {
		return func(t *testing.T, at string) {
			own := *s
			own.t = t
			own.serveGo(at, auth)
		}
	}
	mosquitto := func(t *testing.T, at string) {
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			t.Fatal(err)
		}
		config := fmt.Sprintf("listener %s %s\ncafile %s\ncertfile %s\nkeyfile %s\ncrlfile %s\nrequire_certificate true\nallow_anonymous true\nuser root\n",
			port, host, s.file("ca.pem"), s.file("server.pem"), s.file("server.key"), s.file("crl"))
		start(t, []string{at}, peer.Require(t, "mosquitto")["mosquitto"], "-c", writeFile(t, filepath.Join(t.TempDir(), "mosquitto.conf"), config))
	}
	for _, tt := range []struct {
		name, port string
		serve      func(t *testing.T, at string)
		exit       int
		rule       string
		want       []string
		bare       string // without any supplied certificate
	}{
		{"go", "8443", goServer(tls.RequireAndVerifyClientCert), exitOK, "pass", both("hghhhhhh"), "h-hhhhh"},
		{"go_optional", "8443", goServer(tls.VerifyClientCertIfGiven), exitNegative, "fail", both("nghhhhhh"), ""},
		{"go_any", "8443", goServer(tls.RequireAnyClientCert), exitNegative, "fail", both("hgnnnnnn"), "h-nnnnn"},
		{"nginx_on", "8443", nginx("on", "ssl_crl "+s.file("crl")+";"), exitOK, "pass", both("agaaaaaa"), "a-aaaaa"},
		{"nginx_optional_no_ca", "8443", nginx("optional_no_ca", ""), exitNegative, "fail", both("ngnaaaan"), "n-naaaa"},
		{"s_server_Verify", "8443", sServer("-Verify", "1"), exitNegative, "fail", both("hgnnnnnn"), "h-nnnnn"},
		{"s_server_Verify_return_error", "8443", sServer("-Verify", "1", "-verify_return_error"), exitOK, "pass", both("hghhhhhh"), "h-hhhhh"},
		{"mosquitto", "8883", mosquitto, exitOK, "pass", both("hghhhhhh"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := net.JoinHostPort(device(t, tt.port), tt.port)
			tt.serve(t, at)
			got, db := benched(t, tt.exit, append(s.clients(), "--policy", s.policyFile(), at)...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("cells (-want +got)\n%s", diff)
			}
			database{t, db}.want("SELECT rule, outcome FROM v_finding WHERE rule='MD-AUTH-002'", "MD-AUTH-002|"+tt.rule)
			s.noKeys(t, db)
			if tt.bare != "" {
				got, _ := benched(t, tt.exit, at)
				if diff := cmp.Diff(both(tt.bare), got); diff != "" {
					t.Errorf("cells without supplied certificates (-want +got)\n%s", diff)
				}
			}
		})
	}
}

// TestPeer_benchDICOM tries an archive that asks for certificates of its peers
// but has no revocation list. It listens on all addresses.
func TestPeer_benchDICOM(t *testing.T) {
	storescp := peer.Require(t, "storescp")["storescp"]
	if !isolated(t) {
		return
	}
	s := newSite(t)
	const at = "127.0.0.1:2762"
	start(t, []string{at}, storescp, "--ignore", "+tls", s.file("rsa.key"), s.file("rsa.pem"), "--add-cert-file", s.file("ca.pem"), "--require-peer-cert", "2762")
	got, db := benched(t, exitNegative, append(s.clients(), "--policy", s.policyFile(), at)...)
	if diff := cmp.Diff(both("hghhhhhn"), got); diff != "" {
		t.Errorf("cells (-want +got)\n%s", diff)
	}
	database{t, db}.want("SELECT rule, outcome FROM v_finding WHERE rule='MD-AUTH-002'", "MD-AUTH-002|fail")
}

// noKeys looks for the private keys in every form in the files of a database.
func (s *site) noKeys(t *testing.T, db string) {
	t.Helper()
	files, err := filepath.Glob(db + "*")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	good, err := os.ReadFile(s.file("good.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	if !bytes.Contains(all, block.Bytes) {
		t.Error("the certificate that was presented is not among the evidence")
	}
	for _, secret := range s.secrets {
		if bytes.Contains(all, secret) {
			t.Error("a private key is in the database")
		}
	}
}
