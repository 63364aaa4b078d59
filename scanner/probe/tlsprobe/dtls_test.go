package tlsprobe

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// socket is a session on one UDP port.
type socket struct {
	t        *testing.T
	address  string
	dial     func(context.Context) (net.Conn, error) // nil: from here
	level    scanner.Level
	name     string
	sockets  int
	sent     int
	received int
}

func (s *socket) Endpoint() evidence.Endpoint {
	ap := netip.MustParseAddrPort(s.address)
	return evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.UDP, Name: s.name}
}
func (s *socket) Level() scanner.Level { return s.level }
func (s *socket) Now() time.Time       { return time.Now() }

func (s *socket) Dial(ctx context.Context) (net.Conn, error) {
	s.sockets++
	dial := s.dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", s.address)
		}
	}
	c, err := dial(ctx)
	return &countedSocket{c, s}, err
}

type countedSocket struct {
	net.Conn
	s *socket
}

func (c *countedSocket) Write(p []byte) (int, error) {
	c.s.sent += len(p)
	return c.Conn.Write(p)
}

func (c *countedSocket) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.s.received += n
	return n, err
}

// startUDP runs a server of datagrams until the end of the test. It is there once
// it prints the word.
func startUDP(t *testing.T, word, port, program string, args ...string) *socket {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe() // open, or openssl ends
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		var text strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			text.Write(buf[:n])
			if strings.Contains(text.String(), word) || err != nil {
				select {
				case said <- text.String():
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	if text := <-said; !strings.Contains(text, word) {
		t.Fatalf("%s ended:\n%s", program, text)
	}
	return &socket{t: t, address: "127.0.0.1:" + port, level: scanner.Gentle}
}

func listing(obs []evidence.Observation) string {
	var b strings.Builder
	for _, o := range obs {
		f := o.Facts.TLS
		alert := -1
		if f.Alert != nil {
			alert = int(*f.Alert)
		}
		fmt.Fprintf(&b, "\n%-7s max %04x %-6s %-8s %s %s %s alert %d, %d certificates, client %q; %s", f.Offer, f.OfferedMax, o.Result,
			tlswire.VersionName(f.Version), tlswire.SuiteName(f.CipherSuite), tlswire.GroupName(f.Group), tlswire.SchemeName(f.SignatureScheme), alert, len(o.Certs), f.ClientAuth, o.Detail)
	}
	return b.String()
}

// TestPeer_dtls asks servers that speak DTLS, with and without cookies, over
// fragments of small datagrams, and at every level.
func TestPeer_dtls(t *testing.T) {
	paths := peer.Require(t, "openssl", "gnutls-serv")
	rsaCert, rsaKey := keyPair(t, paths["openssl"], "rsa", "-newkey", "rsa:2048")
	ecCert, ecKey := keyPair(t, paths["openssl"], "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	both := []string{"-cert", ecCert, "-key", ecKey, "-dcert", rsaCert, "-dkey", rsaKey}
	type want struct {
		versions []uint16
		auth     evidence.ClientAuth
		certs    int // different leafs
		suites   int // of DTLS 1.2, at least
	}
	const tls11, tls12 = tlswire.VersionTLS11, tlswire.VersionTLS12
	for _, tt := range []struct {
		name  string
		level scanner.Level
		args  []string // of openssl s_server
		gnu   []string // of gnutls-serv
		want  want
	}{
		{"only 1.2", scanner.Gentle, append([]string{"-dtls1_2"}, both...), nil, want{[]uint16{tls12}, evidence.ClientAuthNotAsked, 2, 1}},
		{"all", scanner.Gentle, append([]string{"-dtls", "-Verify", "1", "-cipher", "ALL:@SECLEVEL=0"}, both...), nil, want{[]uint16{tls11, tls12}, evidence.ClientAuthRequested, 2, 2}},
		{"only 1.0 in fragments", scanner.Gentle, []string{"-dtls1", "-cert", rsaCert, "-key", rsaKey, "-cipher", "ALL:@SECLEVEL=0", "-mtu", "300"}, nil, want{[]uint16{tls11}, evidence.ClientAuthNotAsked, 1, 0}},
		{"every suite", scanner.Exhaustive, append([]string{"-dtls", "-cipher", "ALL:@SECLEVEL=0"}, both...), nil, want{[]uint16{tls11, tls12}, evidence.ClientAuthNotAsked, 2, 50}},
		{"cookies", scanner.Gentle, nil, []string{"--x509certfile", ecCert, "--x509keyfile", ecKey, "--require-client-cert", "--priority", "NORMAL:-VERS-DTLS1.0"}, want{[]uint16{tls12}, evidence.ClientAuthRequested, 1, 1}},
		{"cookies and weak", scanner.Exhaustive, nil, []string{"--x509certfile", rsaCert, "--x509keyfile", rsaKey, "--priority", "NORMAL:+VERS-DTLS1.0:+3DES-CBC:+ANON-DH:+ANON-ECDH"}, want{[]uint16{tls11, tls12}, evidence.ClientAuthRequested, 1, 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // GnuTLS is waited for
			port := freePort(t)
			// GnuTLS refuses by silence.
			s := &socket{t: t, address: "127.0.0.1:" + port}
			if tt.gnu != nil {
				s.dial = tlsmatrix.IsolatedUDP(t, "done", port, paths["gnutls-serv"], append([]string{"--udp", "--echo", "--port", port}, tt.gnu...)...)
			} else {
				s = startUDP(t, "ACCEPT", port, paths["openssl"], append([]string{"s_server", "-accept", "127.0.0.1:" + port}, tt.args...)...)
			}
			s.level = tt.level
			obs, err := NewDTLS().Probe(t.Context(), s, nil)
			t.Logf("%d sockets, %d sent, %d received", s.sockets, s.sent, s.received)
			if err != nil {
				t.Fatal(err)
			}
			got, leafs, versions := want{}, map[evidence.Digest]bool{}, map[uint16]bool{}
			for _, o := range obs {
				f := o.Facts.TLS
				if silent := tt.gnu != nil && o.Result == evidence.ResultTimeout; f.Carrier != "dtls" || o.Result != evidence.ResultData && !silent {
					t.Errorf("%s: %q, %s %s", f.Offer, f.Carrier, o.Result, o.Detail)
				}
				if f.Version != 0 {
					versions[f.Version] = true
				}
				if f.ClientAuth != evidence.ClientAuthUnknown {
					got.auth = f.ClientAuth
				}
				if len(o.Certs) > 0 {
					leafs[evidence.DigestOf(o.Certs[0].DER)] = true
				}
			}
			got.versions, got.certs = slices.Sorted(maps.Keys(versions)), len(leafs)
			got.suites = min(tt.want.suites, len(choices(obs, suiteOf)[tls12]))
			if diff := gocmp.Diff(tt.want, got, gocmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, listing(obs))
			}
			if tt.level == scanner.Gentle && (s.sockets > maxGentle || s.sent > 5<<10) {
				t.Errorf("%d sockets, %d bytes", s.sockets, s.sent)
			}
		})
	}
}
