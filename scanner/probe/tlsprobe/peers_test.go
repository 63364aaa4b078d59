package tlsprobe

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// metered counts what a session sends, and that no two connections are open at
// the same time.
type metered struct {
	*direct
	t     *testing.T
	sent  int
	conns int
	open  bool
}

type meteredConn struct {
	net.Conn
	m *metered
}

func (m *metered) Dial(ctx context.Context) (net.Conn, error) {
	if m.open {
		m.t.Error("a connection is opened before the last one was closed")
	}
	c, err := m.direct.Dial(ctx)
	if err != nil {
		return nil, err
	}
	m.conns++
	m.open = true
	return &meteredConn{c, m}, nil
}

func (c *meteredConn) Write(p []byte) (int, error) { c.m.sent += len(p); return c.Conn.Write(p) }
func (c *meteredConn) Close() error                { c.m.open = false; return c.Conn.Close() }

// tool runs a program to its end.
func tool(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
}

// start runs a server until the end of the test and returns a session on it.
func start(t *testing.T, port, program string, args ...string) *metered {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	m := &metered{direct: &direct{address: "127.0.0.1:" + port, level: scanner.Gentle}, t: t}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		c, err := m.direct.Dial(t.Context())
		if err == nil {
			c.Close()
			m.dials = 0
			return m
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(output.Name())
			t.Fatalf("%s ended:\n%s", program, text)
		case <-tick.C:
		}
	}
	t.Fatalf("%s does not listen", program)
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// keyPair makes a self-signed certificate with the openssl program.
func keyPair(t *testing.T, openssl, name string, args ...string) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	tool(t, openssl, append([]string{"req", "-x509", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=" + name, "-days", "2"}, args...)...)
	return cert, key
}

// choices lists the distinct values of what a server chose, by version.
func choices(obs []evidence.Observation, of func(*evidence.TLSFacts) uint16) map[uint16][]uint16 {
	out := map[uint16][]uint16{}
	for _, o := range obs {
		if f := o.Facts.TLS; f.Version != 0 && of(f) != 0 {
			out[f.Version] = append(out[f.Version], of(f))
		}
	}
	for v := range out {
		slices.Sort(out[v])
		out[v] = slices.Compact(out[v])
	}
	return out
}

func suiteOf(f *evidence.TLSFacts) uint16 { return f.CipherSuite }

// oneByOne finds what a server supports in the plain way, by one hello for each
// suite of each version and one for each group of TLS 1.3.
func oneByOne(t *testing.T, d scanner.Session) (suites map[uint16][]uint16, groups13 []uint16) {
	t.Helper()
	r := &run{tables: newTables(), session: d}
	suites = map[uint16][]uint16{}
	try := func(o offer) *evidence.TLSFacts {
		o.limit = manyBytes
		obs, _, err := ask(t.Context(), d, o)
		if err != nil {
			t.Fatal(err)
		}
		return obs.Facts.TLS
	}
	for _, v := range []uint16{tlswire.VersionSSL3, tlswire.VersionTLS10, tlswire.VersionTLS11, tlswire.VersionTLS12} {
		for _, s := range r.tables.all {
			if f := try(r.offer(evidence.OfferSuites, v, []uint16{s.ID})); f.Version == v {
				suites[v] = append(suites[v], s.ID)
			}
		}
		slices.Sort(suites[v])
	}
	for _, id := range r.tables.tls13 {
		o := r.offer(evidence.OfferRetry, tlswire.VersionTLS13, []uint16{id})
		o.exact, o.groups = true, retryGroups()
		if f := try(o); f.Version != 0 {
			suites[tlswire.VersionTLS13] = append(suites[tlswire.VersionTLS13], id)
		}
	}
	for _, g := range retryGroups() {
		o := r.offer(evidence.OfferRetry, tlswire.VersionTLS13, r.tables.tls13)
		o.exact, o.groups = true, []uint16{g}
		if f := try(o); f.Version != 0 {
			groups13 = append(groups13, g)
		}
	}
	slices.Sort(groups13)
	return suites, groups13
}

// TestPeer_exhaustive holds an enumeration by elimination against one hello for
// each suite, and its cost against its bound.
func TestPeer_exhaustive(t *testing.T) {
	paths := peer.Require(t, "openssl", "nginx")
	rsaCert, rsaKey := keyPair(t, paths["openssl"], "rsa", "-newkey", "rsa:2048")
	ecCert, ecKey := keyPair(t, paths["openssl"], "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	for _, tt := range []struct {
		name, protocols, ciphers string
		prefer                   string
		both                     bool
	}{
		{"1.2 and 1.3", "TLSv1.2 TLSv1.3", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "on", true},
		{"everything", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", "ALL:@SECLEVEL=0", "off", true},
		{"ECDSA only", "TLSv1.2", "ECDHE:@SECLEVEL=0", "on", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, port := t.TempDir(), freePort(t)
			certs := fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", ecCert, ecKey)
			if tt.both {
				certs += fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", rsaCert, rsaKey)
			}
			text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen 127.0.0.1:%[2]s ssl http2; %[3]s ssl_protocols %[4]s; ssl_ciphers %[5]s; ssl_prefer_server_ciphers %[6]s; ssl_ecdh_curve auto; } }`,
				dir, port, certs, tt.protocols, tt.ciphers, tt.prefer)
			config := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			m := start(t, port, paths["nginx"], "-c", config, "-p", dir)
			want, groups13 := oneByOne(t, m)
			m.conns, m.sent, m.level = 0, 0, scanner.Exhaustive
			obs, err := New().Probe(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := choices(obs, suiteOf)
			for v := range want {
				if diff := gocmp.Diff(want[v], got[v]); len(want[v]) > 0 && diff != "" {
					t.Errorf("suites of %s (-want +got):\n%s", tlswire.VersionName(v), diff)
				}
			}
			var groups []uint16
			for _, list := range choices(obs, func(f *evidence.TLSFacts) uint16 { return f.Group }) {
				groups = append(groups, list...)
			}
			for _, o := range obs {
				groups = append(groups, o.Facts.TLS.ServerGroups...)
			}
			for _, g := range groups13 {
				if !slices.Contains(groups, g) {
					t.Errorf("group %s was not found", tlswire.GroupName(g))
				}
			}
			bound := 6
			for _, v := range []uint16{tlswire.VersionSSL3, tlswire.VersionTLS10, tlswire.VersionTLS11, tlswire.VersionTLS12, tlswire.VersionTLS13} {
				bound += len(want[v]) + 1
			}
			schemes := choices(obs, func(f *evidence.TLSFacts) uint16 { return f.SignatureScheme })
			t.Logf("%d connections, bound %d; %d bytes sent; %d groups, %d schemes", m.conns, bound, m.sent, len(groups13), len(schemes[tlswire.VersionTLS12]))
			if m.conns > bound {
				t.Errorf("%d connections, bound %d", m.conns, bound)
			}
			if t.Failed() {
				var b strings.Builder
				for _, o := range obs {
					f := o.Facts.TLS
					fmt.Fprintf(&b, "%s %#x: %s %s %s %s of %d suites, %d groups, %d schemes; %q %q\n", f.Offer, f.OfferedMax, tlswire.VersionName(f.Version), tlswire.SuiteName(f.CipherSuite),
						tlswire.GroupName(f.Group), tlswire.SchemeName(f.SignatureScheme), len(f.OfferedSuites), len(f.OfferedGroups), len(f.OfferedSchemes), f.ClientALPN, o.Detail)
				}
				t.Log(b.String())
			}
		})
	}
}
