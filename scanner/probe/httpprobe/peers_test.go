package httpprobe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner"
)

// direct is a session without a gate.
type direct struct {
	endpoint evidence.Endpoint
	level    scanner.Level
}

func (d direct) Endpoint() evidence.Endpoint { return d.endpoint }
func (d direct) Level() scanner.Level        { return d.level }
func (d direct) Now() time.Time              { return time.Now() }

func (d direct) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", d.endpoint.HostPort())
}

// place reserves a free port of loopback.
func place(t *testing.T) evidence.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.MustParseAddrPort(l.Addr().String())
	return evidence.Endpoint{Addr: at.Addr(), Port: at.Port(), Transport: evidence.TCP}
}

// start runs a program for the length of the test, until it listens at every
// endpoint.
func start(t *testing.T, at []evidence.Endpoint, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for _, ep := range at {
		deadline := time.Now().Add(10 * time.Second)
		for {
			c, err := net.Dial("tcp", ep.HostPort())
			if err == nil {
				c.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not listen: %v", program, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func ask(t *testing.T, at evidence.Endpoint, prior ...evidence.Observation) *evidence.HTTPFacts {
	t.Helper()
	obs, err := New().Probe(t.Context(), direct{at, scanner.Standard}, prior)
	if err != nil || len(obs) != 1 || obs[0].Facts.HTTP == nil {
		t.Fatalf("%+v, %v", obs, err)
	}
	return obs[0].Facts.HTTP
}

// speaksTLS is what the TLS prober would have seen.
func speaksTLS() evidence.Observation {
	return evidence.Observation{Facts: evidence.Facts{TLS: &evidence.TLSFacts{Version: 0x0304}}}
}

func TestPeer_nginx(t *testing.T) {
	nginx := peer.Require(t, "nginx")["nginx"]
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	clear, secure := place(t), place(t)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	private := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	config := write("nginx.conf", fmt.Appendf(nil, `daemon off; master_process off; error_log %[1]s/error.log; pid %[1]s/pid;
events {}
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s; return 301 https://127.0.0.1:%[3]d$request_uri; }
  server { listen %[4]s ssl; ssl_certificate %[5]s; ssl_certificate_key %[6]s; add_header Strict-Transport-Security "max-age=600"; default_type text/html;
    location = / { return 200 "<title>Pump</title><input type=password>"; }
    location = /favicon.ico { default_type image/x-icon; return 200 "icon"; } }
}`, dir, clear.HostPort(), secure.Port, secure.HostPort(), cert, private))
	start(t, []evidence.Endpoint{clear, secure}, nginx, "-c", config, "-p", dir)

	anyServer := cmpopts.IgnoreFields(evidence.HTTPFacts{}, "Server", "TitleSHA256", "Clock")
	want := &evidence.HTTPFacts{Status: 301, MediaType: "text/html", Redirect: evidence.RedirectHTTPS}
	if diff := cmp.Diff(want, ask(t, clear), anyServer); diff != "" {
		t.Errorf("in clear (-want +got):\n%s", diff)
	}
	want = &evidence.HTTPFacts{
		TLS: true, Status: 200, MediaType: "text/html", HSTS: true, HSTSAge: 600, LoginForm: true, IconSHA256: digest([]byte("icon")),
		IconMD5: "baec6461b0d69dde1b861aefbe375d8a",
	}
	got := ask(t, secure, speaksTLS())
	if diff := cmp.Diff(want, got, anyServer); diff != "" {
		t.Errorf("over TLS (-want +got):\n%s", diff)
	}
	if got.Clock == nil || got.Clock.Skew().Abs() > 2*time.Second { // one clock for both
		t.Errorf("clock %+v", got.Clock)
	}
	if got.TitleSHA256 != digest([]byte("Pump")) || len(got.Server) < len("nginx") || got.Server[:5] != "nginx" {
		t.Errorf("title %s, server %q", got.TitleSHA256, got.Server)
	}
}

func TestPeer_python(t *testing.T) {
	python := peer.Require(t, "python3")["python3"]
	at := place(t)
	start(t, []evidence.Endpoint{at}, python, "-m", "http.server", fmt.Sprint(at.Port), "--bind", "127.0.0.1")
	got := ask(t, at)
	if got.Status != 200 || got.TLS || got.MediaType != "text/html" || got.TitleSHA256 == "" {
		t.Errorf("%+v", got)
	}
}
