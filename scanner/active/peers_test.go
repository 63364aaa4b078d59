package active_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/active"
	"probity/scanner/probe/dicomprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/sshprobe"
	"probity/scanner/probe/tlsprobe"
)

// ledger keeps what a run recorded.
type ledger struct {
	mu   sync.Mutex
	rows []evidence.ProbeRecord
	obs  []evidence.Observation
}

func (l *ledger) RecordProbe(_ context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.Probe == scanner.ResponseProbe { // which no plan lists
		return nil
	}
	l.rows = append(l.rows, rec)
	l.obs = append(l.obs, obs...)
	return nil
}

func probers() []scanner.Prober {
	return []scanner.Prober{tlsprobe.New(), sshprobe.New(), dicomprobe.New()}
}

// scan runs a plan of one target; ports act as their table entry or, if action
// is given, as that one.
func scan(t *testing.T, level scanner.Level, action scanner.Action, target string) *ledger {
	t.Helper()
	table, err := scanner.LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	ap := netip.MustParseAddrPort(target)
	port := table.Lookup(evidence.TCP, ap.Port())
	if action != "" {
		port.Action = action
	}
	targets, err := scanner.LoadTargets([]string{ap.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	rates := scanner.DefaultRates()
	rates.Global, rates.Asset = 1000, 1000
	plan, err := scanner.NewPlan(scanner.Scope{Targets: targets}, table, []scanner.Port{port}, level, rates, probers())
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{}
	if _, err := active.Run(t.Context(), plan, active.Options{Probers: probers(), Ledger: l, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	return l
}

// offer returns the first answer to an offer.
func (l *ledger) offer(t *testing.T, name evidence.Offer) (*evidence.TLSFacts, evidence.Observation) {
	t.Helper()
	for _, o := range l.obs {
		if o.Facts.TLS != nil && o.Facts.TLS.Offer == name {
			return o.Facts.TLS, o
		}
	}
	t.Fatalf("offer %q was not made: %s", name, l)
	return nil, evidence.Observation{}
}

// first is the answer to the first offer, or to the handshake that was completed
// after it where that shows more.
func (l *ledger) first(t *testing.T) (*evidence.TLSFacts, evidence.Observation) {
	t.Helper()
	for _, o := range slices.Backward(l.obs) {
		if o.Facts.TLS != nil && o.Facts.TLS.Offer == evidence.OfferFull {
			return o.Facts.TLS, o
		}
	}
	return l.offer(t, evidence.OfferFull)
}

// accepted lists the weak classes that a server chose, by suite.
func (l *ledger) accepted() []evidence.SuiteClass {
	var out []evidence.SuiteClass
	for _, o := range l.obs {
		if f := o.Facts.TLS; f != nil && f.Version != 0 && f.Version < tlswire.VersionTLS13 {
			s, _ := tlswire.Lookup(f.CipherSuite)
			for _, c := range s.Classes {
				if c != evidence.ClassCBC {
					out = append(out, c)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// String shows what a test failed on.
func (l *ledger) String() string {
	var b strings.Builder
	for _, r := range l.rows {
		fmt.Fprintf(&b, "\n%s %s %s (%s) %d connections, %d/%d bytes", r.Endpoint, r.Probe, r.Outcome, r.Reason, r.Connections, r.BytesSent, r.BytesReceived)
	}
	for _, o := range l.obs {
		fmt.Fprintf(&b, "\n  %s %s %q", o.Kind, o.Result, o.Detail)
		switch f := o.Facts; {
		case f.TLS != nil:
			alert := -1
			if f.TLS.Alert != nil {
				alert = int(*f.TLS.Alert)
			}
			fmt.Fprintf(&b, " %s: %s %s group %d dh %d scheme %#x stage %s client %q alert %d comp %d certs %d sentinel %q spoke %q classes %v",
				f.TLS.Offer, tlswire.VersionName(f.TLS.Version), tlswire.SuiteName(f.TLS.CipherSuite), f.TLS.Group, f.TLS.DHBits,
				f.TLS.SignatureScheme, f.TLS.Handshake, f.TLS.ClientAuth, alert, f.TLS.Compression, len(o.Certs), f.TLS.DowngradeSentinel, f.TLS.Spoke, f.TLS.OfferedClasses)
		case f.SSH != nil:
			fmt.Fprintf(&b, " %+v", *f.SSH)
		case f.DICOM != nil:
			fmt.Fprintf(&b, " %+v", *f.DICOM)
		}
	}
	return b.String()
}

// freePort returns a port of 127.0.0.1 that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs a peer until the end of the test, and waits until it listens.
func start(t *testing.T, port, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		if t.Failed() {
			text, _ := os.ReadFile(output.Name())
			t.Logf("%s said:\n%.4000s", filepath.Base(program), text)
		}
	})
	address := net.JoinHostPort("127.0.0.1", port)
	if strings.Contains(port, ":") { // an address of its own
		address = port
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 250 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
			return address
		}
		select {
		case <-done:
			t.Fatalf("%s ended before it listened", program)
		case <-tick.C:
		}
	}
	t.Fatalf("%s does not listen on %s", program, address)
	return ""
}

// isolated does the same with a peer that listens on all addresses.
func isolated(t *testing.T, port, program string, args ...string) string {
	t.Helper()
	return tlsmatrix.Isolated(t, port, program, args...).Address
}

// pki is a CA with one server certificate, in files.
type pki struct {
	cert, key, ca string
	leaf, caDER   []byte
	caName        []byte
}

func newPKI(t *testing.T, key crypto.Signer) pki {
	t.Helper()
	dir := t.TempDir()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ward CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "pump-1"}, DNSNames: []string{"pump-1.hospital.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	p := pki{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), ca: filepath.Join(dir, "ca.pem")}
	if p.caDER, err = x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey); err != nil {
		t.Fatal(err)
	}
	if p.leaf, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(p.caDER)
	if err != nil {
		t.Fatal(err)
	}
	p.caName = parsed.RawSubject
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, text := range map[string][]byte{
		p.cert: slices.Concat(block("CERTIFICATE", p.leaf), block("CERTIFICATE", p.caDER)),
		p.key:  block("PRIVATE KEY", der),
		p.ca:   block("CERTIFICATE", p.caDER),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (p pki) wantChain(t *testing.T, o evidence.Observation) {
	t.Helper()
	var got [][]byte
	for i, c := range o.Certs {
		if c.Position != i || c.Role != evidence.RoleServer {
			t.Errorf("certificate %d: position %d, role %q", i, c.Position, c.Role)
		}
		got = append(got, c.DER)
	}
	if diff := cmp.Diff([][]byte{p.leaf, p.caDER}, got); diff != "" {
		t.Errorf("chain of offer %q differs from the server's (%d certificates)", o.Facts.TLS.Offer, len(got))
	}
}

func TestPeer_openssl(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	old := "@SECLEVEL=0"
	tests := []struct {
		name       string
		key        func(*testing.T) crypto.Signer
		args       []string
		version    uint16
		stage      evidence.HandshakeStage
		client     evidence.ClientAuth
		tls12      bool // a ServerHello for at most TLS 1.2
		sentinel   string
		legacy     []uint16 // versions accepted below TLS 1.2
		weak       []evidence.SuiteClass
		onlyHand   bool // the certificate is seen by hand-built hellos only
		connection int
	}{
		{
			name: "RSA, TLS 1.2 and 1.3", key: rsaKey, version: 0x304, stage: evidence.StageComplete, client: evidence.ClientAuthNotAsked,
			tls12: true, sentinel: "tls1.2", weak: []evidence.SuiteClass{evidence.ClassDHE, evidence.ClassStaticRSA}, connection: 7,
		},
		{
			name: "ECDSA, TLS 1.2 and 1.3", key: ecKey, version: 0x304, stage: evidence.StageComplete, client: evidence.ClientAuthNotAsked,
			tls12: true, sentinel: "tls1.2", connection: 5,
		},
		{
			name: "TLS 1.3 only", key: ecKey, args: []string{"-tls1_3"}, version: 0x304, stage: evidence.StageComplete,
			client: evidence.ClientAuthNotAsked, connection: 6,
		},
		{
			name: "TLS 1.2 only", key: ecKey, args: []string{"-tls1_2"}, version: 0x303, stage: evidence.StageCertificate,
			client: evidence.ClientAuthNotAsked, tls12: true, connection: 5,
		},
		{
			name: "ChaCha20 by retry on P-384", key: ecKey, args: []string{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "P-384"},
			version: 0x304, stage: evidence.StageComplete, client: evidence.ClientAuthNotAsked, connection: 6,
		},
		{
			name: "client certificate required, TLS 1.3", key: ecKey, args: []string{"-Verify", "1", "-tls1_3"}, version: 0x304,
			stage: evidence.StageComplete, client: evidence.ClientAuthRequired, connection: 6,
		},
		{
			name: "client certificate required, TLS 1.2", key: rsaKey, args: []string{"-Verify", "1", "-tls1_2", "-cipher", "ECDHE"}, version: 0x303,
			stage: evidence.StageCertificate, client: evidence.ClientAuthRequired, tls12: true, connection: 6,
		},
		{
			name: "client certificate requested, TLS 1.3", key: ecKey, args: []string{"-verify", "1", "-tls1_3"}, version: 0x304,
			stage: evidence.StageComplete, client: evidence.ClientAuthRequested, connection: 6,
		},
		{
			name: "client certificate requested, TLS 1.2", key: ecKey, args: []string{"-verify", "1", "-tls1_2"}, version: 0x303,
			stage: evidence.StageComplete, client: evidence.ClientAuthRequested, tls12: true, connection: 6,
		},
		{
			name: "TLS 1.0 only", key: rsaKey, args: []string{"-tls1", "-cipher", "ECDHE-RSA-AES128-SHA:" + old}, version: 0x301,
			stage: evidence.StageCertificate, client: evidence.ClientAuthNotAsked, tls12: true, legacy: []uint16{0x301}, connection: 5,
		},
		{
			name: "TLS 1.1 and 1.0", key: rsaKey, args: []string{"-no_tls1_3", "-no_tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:" + old}, version: 0x302,
			stage: evidence.StageCertificate, client: evidence.ClientAuthNotAsked, tls12: true, legacy: []uint16{0x302, 0x301}, connection: 6,
		},
		{
			name: "NULL only", key: rsaKey, args: []string{"-tls1_2", "-cipher", "NULL-SHA:" + old}, stage: evidence.StageNone,
			tls12: true, weak: []evidence.SuiteClass{evidence.ClassNULL, evidence.ClassStaticRSA}, onlyHand: true, connection: 6,
		},
		{
			name: "anonymous only", key: rsaKey, args: []string{"-tls1_2", "-cipher", "aNULL:" + old}, stage: evidence.StageNone,
			tls12: true, weak: []evidence.SuiteClass{evidence.ClassAnonymous, evidence.ClassDHE, evidence.ClassNULL}, connection: 7,
		},
		{
			name: "DHE of 2048 bits and AEAD", key: rsaKey, args: []string{"-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"}, version: 0x303,
			stage: evidence.StageCertificate, client: evidence.ClientAuthNotAsked, tls12: true, weak: []evidence.SuiteClass{evidence.ClassDHE}, connection: 5,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, port := newPKI(t, tt.key(t)), freePort(t)
			args := append([]string{"s_server", "-quiet", "-naccept", "100", "-accept", "127.0.0.1:" + port, "-cert", p.cert, "-cert_chain", p.ca, "-key", p.key, "-CAfile", p.ca}, tt.args...)
			l := scan(t, scanner.Gentle, "", start(t, port, openssl, args...))
			full, obs := l.first(t)
			if full.Version != tt.version || full.Handshake != tt.stage || full.ClientAuth != tt.client {
				t.Errorf("full: %s, stage %s, client certificate %q", tlswire.VersionName(full.Version), full.Handshake, full.ClientAuth)
			}
			hand, handObs := l.offer(t, evidence.OfferTLS12)
			if (hand.Version != 0) != tt.tls12 || hand.DowngradeSentinel != tt.sentinel {
				t.Errorf("at most TLS 1.2: %s, sentinel %q", tlswire.VersionName(hand.Version), hand.DowngradeSentinel)
			}
			if !tt.tls12 && (hand.Alert == nil || handObs.Result != evidence.ResultData) {
				t.Errorf("refusal of TLS 1.2 is %q with alert %v", handObs.Result, hand.Alert)
			}
			if tt.version != 0 {
				p.wantChain(t, obs)
				if full.SignatureScheme == 0 && full.Version >= 0x303 || full.Group == 0 && full.DHBits == 0 {
					t.Errorf("full: scheme %#x, group %d, prime of %d bits", full.SignatureScheme, full.Group, full.DHBits)
				}
			}
			if tt.onlyHand {
				p.wantChain(t, handObs)
			}
			if asked := tt.client == evidence.ClientAuthRequired || tt.client == evidence.ClientAuthRequested; asked {
				if diff := cmp.Diff([][]byte{p.caName}, full.Authorities); diff != "" {
					t.Errorf("authorities of the certificate request (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(tt.weak, l.accepted()); diff != "" {
				t.Errorf("weak classes accepted (-want +got):\n%s", diff)
			}
			var legacy []uint16
			for _, o := range l.obs {
				if f := o.Facts.TLS; f != nil && slices.Contains([]evidence.Offer{evidence.OfferTLS11, evidence.OfferTLS10, evidence.OfferSSL3}, f.Offer) && f.Version != 0 {
					legacy = append(legacy, f.Version)
				}
			}
			if diff := cmp.Diff(tt.legacy, legacy); diff != "" {
				t.Errorf("old versions accepted (-want +got):\n%s", diff)
			}
			if row := l.rows[0]; row.Connections != int64(tt.connection) || row.Connections > 8 || row.BytesSent > 5<<10 {
				t.Errorf("%d connections, want %d; %d bytes sent", row.Connections, tt.connection, row.BytesSent)
			}
			if t.Failed() {
				t.Log(l)
			}
		})
	}
}

func TestPeer_nginx(t *testing.T) {
	nginx := peer.Require(t, "nginx")["nginx"]
	for _, tt := range []struct {
		verify, protocols string
		want              evidence.ClientAuth
		version           uint16
	}{
		// nginx judges the client certificate in HTTP: the handshake completes.
		{"on", "TLSv1.2", evidence.ClientAuthRequested, 0x303},
		{"on", "TLSv1.2 TLSv1.3", evidence.ClientAuthRequested, 0x304},
		{"optional", "TLSv1.2 TLSv1.3", evidence.ClientAuthRequested, 0x304},
		{"off", "TLSv1.2 TLSv1.3", evidence.ClientAuthNotAsked, 0x304},
		{"off", "TLSv1 TLSv1.1 TLSv1.2", evidence.ClientAuthNotAsked, 0x303},
	} {
		t.Run(tt.verify+"_"+strings.ReplaceAll(tt.protocols, " ", "_"), func(t *testing.T) {
			p, port, dir := newPKI(t, rsaKey(t)), freePort(t), t.TempDir()
			text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen 127.0.0.1:%[2]s ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_client_certificate %[5]s;
ssl_verify_client %[6]s; ssl_protocols %[7]s; ssl_ciphers ALL:@SECLEVEL=0; } }`, dir, port, p.cert, p.key, p.ca, tt.verify, tt.protocols)
			config := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			l := scan(t, scanner.Gentle, "", start(t, port, nginx, "-c", config, "-p", dir))
			full, obs := l.first(t)
			stage := evidence.StageComplete
			if tt.version < 0x304 && tt.want == evidence.ClientAuthNotAsked { // nothing to be learned from the rest
				stage = evidence.StageCertificate
			}
			if row := l.rows[0]; row.Connections > 8 || row.BytesSent > 5<<10 {
				t.Errorf("%d connections, %d bytes sent", row.Connections, row.BytesSent)
			}
			if full.ClientAuth != tt.want || full.Version != tt.version || full.Handshake != stage {
				t.Errorf("client certificate %q, %s, stage %q:%s", full.ClientAuth, tlswire.VersionName(full.Version), full.Handshake, l)
			}
			p.wantChain(t, obs)
			tls12, _ := l.offer(t, evidence.OfferTLS12)
			if tls12.SecureRenegotiation == nil || !*tls12.SecureRenegotiation || tls12.ExtendedMasterSecret == nil || !*tls12.ExtendedMasterSecret {
				t.Errorf("renegotiation %v, extended master secret %v, want both", tls12.SecureRenegotiation, tls12.ExtendedMasterSecret)
			}
			if tls10, _ := l.offer(t, evidence.OfferTLS11); (tls10.Version != 0) != strings.Contains(tt.protocols, "TLSv1.1") {
				t.Errorf("at most TLS 1.1: %s", tlswire.VersionName(tls10.Version))
			}
		})
	}
}

func TestPeer_nginxPlain(t *testing.T) {
	nginx := peer.Require(t, "nginx")["nginx"]
	port, dir := freePort(t), t.TempDir()
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen 127.0.0.1:%[2]s; } }`, dir, port)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := scan(t, scanner.Exhaustive, "", start(t, port, nginx, "-c", config, "-p", dir))
	full, _ := l.offer(t, evidence.OfferFull)
	if !full.NotTLS || full.Spoke != "http" || l.rows[0].Connections != 1 {
		t.Errorf("plain HTTP:%s", l)
	}
}

func TestPeer_openssh(t *testing.T) {
	paths := peer.Require(t, "sshd", "ssh-keygen")
	dir := t.TempDir()
	if os.Getuid() == 0 { // sshd wants the directory that its service unit makes
		const separation = "/run/sshd"
		if err := os.Mkdir(separation, 0o755); err == nil {
			t.Cleanup(func() { os.Remove(separation) })
		}
	}
	var keys []string
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		name := filepath.Join(dir, kind)
		if out, err := exec.CommandContext(t.Context(), paths["ssh-keygen"], "-q", "-t", kind, "-N", "", "-f", name).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		text, err := os.ReadFile(name + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.Join(strings.Fields(string(text))[:2], " "))
	}
	port := freePort(t)
	args := []string{"-D", "-e", "-f", "/dev/null", "-o", "ListenAddress=127.0.0.1", "-p", port, "-o", "PidFile=none"}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		args = append(args, "-h", filepath.Join(dir, kind))
	}
	address := start(t, port, paths["sshd"], args...)
	for level, want := range map[scanner.Level]int{scanner.Gentle: 1, scanner.Standard: 3} {
		// Not an SSH port by its number: the server's own banner leads there.
		l := scan(t, level, "", address)
		if len(l.rows) != 2 || l.rows[0].Connections != 1 || l.rows[1].Probe != "ssh" || l.rows[1].Connections != int64(want) {
			t.Errorf("%s: %s", level, l)
		}
		var got []string
		for _, o := range l.obs {
			for _, k := range o.Keys {
				got = append(got, k.Algorithm+" "+base64.StdEncoding.EncodeToString(k.Blob))
			}
			if f := o.Facts.SSH; f != nil && (!strings.HasPrefix(f.Version, "SSH-2.0-OpenSSH") || len(f.KEX) < 3 || len(f.Ciphers) < 3 || len(f.MACs) < 3 || !slices.Contains(f.HostKeys, "ssh-ed25519")) {
				t.Errorf("%s: facts %+v", level, f)
			}
		}
		slices.Sort(got)
		all := slices.Clone(keys)
		slices.Sort(all)
		if want == 1 && (len(got) != 1 || !slices.Contains(all, got[0])) || want == 3 && !slices.Equal(all, got) {
			t.Errorf("%s: host keys %q, want %d of %q", level, got, want, all)
		}
	}
}

func TestPeer_dcmtk(t *testing.T) {
	paths := peer.Require(t, "storescp", "dcmqrscp")
	port := freePort(t)
	t.Run("storescp", func(t *testing.T) {
		l := scan(t, scanner.Gentle, scanner.ActionDICOM, isolated(t, port, paths["storescp"], "--output-directory", t.TempDir(), port))
		o := l.obs[len(l.obs)-1]
		if f := o.Facts.DICOM; f == nil || f.PDU != "ac" || !strings.HasPrefix(f.ImplementationUID, "1.2.276.0.7230010.3.0.3.6.") ||
			!strings.HasPrefix(f.Implementation, "OFFIS_DCMTK_") || f.MaxPDU != 16384 || f.Accepted != 1 || o.Detail != "" {
			t.Errorf("association:%s", l)
		}
		// It hangs up on the first hello, which might be too new for it, so it gets
		// one in an older form.
		if len(l.rows) != 2 || l.rows[0].Connections != 2 || l.rows[1].Connections != 1 {
			t.Errorf("want two hellos and one association:%s", l)
		}
	})
	t.Run("storescp_tls", func(t *testing.T) {
		p, port := newPKI(t, rsaKey(t)), freePort(t)
		address := isolated(t, port, paths["storescp"], "+tls", p.key, p.cert, "-ic", "--output-directory", t.TempDir(), port)
		l := scan(t, scanner.Gentle, scanner.ActionDICOM, address)
		full, obs := l.first(t)
		if full.Handshake != evidence.StageComplete || full.ClientAuth == evidence.ClientAuthUnknown {
			t.Errorf("handshake:%s", l)
		}
		if len(obs.Certs) == 0 || !slices.Equal(obs.Certs[0].DER, p.leaf) {
			t.Errorf("certificate:%s", l)
		}
		if last := l.rows[1]; last.Probe != "dicom" || last.Outcome != evidence.ProbeNotNeeded || !strings.Contains(last.Reason, "speaks TLS") {
			t.Errorf("row of the second prober: %+v", last)
		}
	})
	t.Run("dcmqrscp", func(t *testing.T) {
		port, dir := freePort(t), t.TempDir()
		config := filepath.Join(dir, "dcmqrscp.cfg")
		text := fmt.Sprintf("NetworkTCPPort = %s\nMaxPDUSize = 16384\nMaxAssociations = 4\nHostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nWARD3 %s RW (9, 1024mb) ANY\nAETable END\n", port, dir)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l := scan(t, scanner.Gentle, scanner.ActionDICOM, isolated(t, port, paths["dcmqrscp"], "--single-process", "-c", config))
		if f := l.obs[len(l.obs)-1].Facts.DICOM; f == nil || f.PDU != "rj" || f.RejectResult != 1 || f.RejectSource != 1 || f.RejectReason != 7 {
			t.Errorf("rejection of an unknown title:%s", l)
		}
	})
}

// TestPeer_noHarm scans an archive that serves one association at a time, again
// and again, while a modality uses it: the modality must not notice.
func TestPeer_noHarm(t *testing.T) {
	paths := peer.Require(t, "storescp", "echoscu")
	port := freePort(t)
	address := isolated(t, port, paths["storescp"], "--output-directory", t.TempDir(), port)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var echoes, failures atomic.Int64
	var worst atomic.Int64
	modality := make(chan struct{})
	go func() {
		defer close(modality)
		for ctx.Err() == nil {
			began := time.Now()
			out, err := exec.CommandContext(t.Context(), paths["echoscu"], "-to", "5", "-ta", "5", "127.0.0.1", port).CombinedOutput()
			echoes.Add(1)
			worst.Store(max(worst.Load(), int64(time.Since(began))))
			if err != nil {
				failures.Add(1)
				t.Logf("echoscu: %v: %s", err, out)
			}
		}
	}()
	for echoes.Load() < 5 && failures.Load() == 0 {
		l := scan(t, scanner.Gentle, scanner.ActionDICOM, address)
		if f := l.obs[len(l.obs)-1].Facts.DICOM; f == nil || f.PDU != "ac" {
			t.Errorf("association:%s", l)
		}
	}
	stop()
	<-modality
	if failures.Load() > 0 {
		t.Errorf("%d of %d echoes failed during the scans", failures.Load(), echoes.Load())
	}
	t.Logf("%d echoes, the slowest %v", echoes.Load(), time.Duration(worst.Load()))
}

func TestPeer_mosquitto(t *testing.T) {
	mosquitto := peer.Require(t, "mosquitto")["mosquitto"]
	for _, required := range []bool{true, false} {
		p, port, dir := newPKI(t, ecKey(t)), freePort(t), t.TempDir()
		text := fmt.Sprintf("listener %s 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate %t\nallow_anonymous true\nuser root\n", port, p.ca, p.cert, p.key, required)
		config := filepath.Join(dir, "mosquitto.conf")
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l := scan(t, scanner.Gentle, "", start(t, port, mosquitto, "-c", config))
		full, _ := l.offer(t, evidence.OfferFull)
		want := map[bool]evidence.ClientAuth{true: evidence.ClientAuthRequired, false: evidence.ClientAuthNotAsked}[required]
		if full.ClientAuth != want || full.Version != 0x304 {
			t.Errorf("required %t:%s", required, l)
		}
	}
}

func TestPeer_snmpd(t *testing.T) {
	snmpd := peer.Require(t, "snmpd")["snmpd"]
	dir := t.TempDir()
	config := filepath.Join(dir, "snmpd.conf")
	if err := os.WriteFile(config, []byte("engineID ward-3-pump-7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const address = "127.53.7.1:1161" // a port that is known to be SNMP
	t.Setenv("SNMP_PERSISTENT_DIR", dir)
	t.Setenv("MIBS", "")
	// TCP is for the readiness only.
	start(t, address, snmpd, "-f", "-Lo", "-C", "-c", config, "-p", filepath.Join(dir, "pid"), "udp:"+address, "tcp:"+address)
	table, err := scanner.LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	targets, err := scanner.LoadTargets([]string{"udp/" + address})
	if err != nil {
		t.Fatal(err)
	}
	all := append(probers(), snmpprobe.New())
	plan, err := scanner.NewPlan(scanner.Scope{Targets: targets}, table, nil, scanner.Gentle, scanner.DefaultRates(), all)
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{}
	if _, err := active.Run(t.Context(), plan, active.Options{Probers: all, Ledger: l, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	if len(l.obs) != 1 || l.obs[0].Facts.SNMP == nil || !strings.Contains(string(l.obs[0].Facts.SNMP.EngineID), "ward-3-pump-7") || l.obs[0].Facts.SNMP.EngineBoots == 0 {
		t.Errorf("discovery:%s", l)
	}
}

// meter is a proxy that counts what passes through it.
type meter struct {
	connections, toServer, toClient atomic.Int64
	carrying                        sync.WaitGroup
}

// listen returns the address to connect to, and a function that ends the proxy
// and waits until all that passed is counted.
func (m *meter) listen(t *testing.T, server string) (address string, end func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.carrying.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.connections.Add(1)
			m.carrying.Go(func() { m.carry(c, server) })
		}
	})
	return l.Addr().String(), func() {
		l.Close()
		m.carrying.Wait()
	}
}

// carry counts in both directions until the client is gone. What the server says
// after that reaches nobody, and is not counted.
func (m *meter) carry(client net.Conn, server string) {
	defer client.Close()
	c, err := net.DialTimeout("tcp", server, time.Second)
	if err != nil {
		return
	}
	m.carrying.Go(func() {
		n, _ := io.Copy(client, c)
		m.toClient.Add(n)
		client.(*net.TCPConn).CloseWrite()
	})
	n, _ := io.Copy(c, client)
	m.toServer.Add(n)
	c.Close()
}

// TestLedger_agreesWithProxy holds the ledger against what a third party counted.
func TestLedger_agreesWithProxy(t *testing.T) {
	cert, err := tls.X509KeyPair(pemOf(t))
	if err != nil {
		t.Fatal(err)
	}
	// TLS 1.2 and a client that is always the one to end: every byte that the
	// server sends is read.
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12, SessionTicketsDisabled: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, c)
				c.(*tls.Conn).NetConn().Close()
			}()
		}
	}()
	var m meter
	address, end := m.listen(t, l.Addr().String())
	got := scan(t, scanner.Gentle, "", address)
	end()
	row := got.rows[0]
	if row.Connections != m.connections.Load() || row.BytesSent != m.toServer.Load() || row.BytesReceived != m.toClient.Load() {
		t.Errorf("ledger: %d connections, %d bytes sent, %d received; proxy: %d, %d, %d",
			row.Connections, row.BytesSent, row.BytesReceived, m.connections.Load(), m.toServer.Load(), m.toClient.Load())
	}
}

func pemOf(t *testing.T) (cert, key []byte) {
	t.Helper()
	p := newPKI(t, ecKey(t))
	cert, err := os.ReadFile(p.cert)
	if err != nil {
		t.Fatal(err)
	}
	key, err = os.ReadFile(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
