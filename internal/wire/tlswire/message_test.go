package tlswire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	mu   sync.Mutex
	sent bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.sent.Write(b)
	r.mu.Unlock()
	return r.Conn.Write(b)
}

func testCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump"}, NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pair returns two ends of a loopback connection. A [net.Pipe] has no buffer:
// both sides of a TLS 1.3 handshake may write at once and wait for ever.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// handshake runs crypto/tls against itself and returns what each side sent.
func handshake(t *testing.T, client, server *tls.Config) (fromClient, fromServer []Message) {
	t.Helper()
	c, s := pair(t)
	rc, rs := &recorder{Conn: c}, &recorder{Conn: s}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn := tls.Server(rs, server)
		_, _ = conn.Write([]byte("x"))
		_ = s.Close()
	})
	conn := tls.Client(rc, client)
	_, _ = io.ReadAll(conn) // the handshake may fail on purpose
	_ = c.Close()
	wg.Wait()
	var err error
	if fromClient, err = feed(NewStream(Limits{}), rc.sent.Bytes(), 100); err != nil {
		t.Fatal(err)
	}
	if fromServer, err = feed(NewStream(Limits{}), rs.sent.Bytes(), 100); err != nil {
		t.Fatal(err)
	}
	return fromClient, fromServer
}

func body(t *testing.T, list []Message, kind uint8) []byte {
	t.Helper()
	for _, m := range list {
		if m.Type == kind && m.Kind == Handshake {
			return m.Body
		}
	}
	t.Fatalf("no handshake message of type %d", kind)
	return nil
}

func TestParse_cryptoTLS12(t *testing.T) {
	cert := testCertificate(t)
	fromClient, fromServer := handshake(t,
		&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12, ServerName: "pump.example", NextProtos: []string{"h2", "x"}},
		&tls.Config{Certificates: []tls.Certificate{{Certificate: cert.Certificate, PrivateKey: cert.PrivateKey, OCSPStaple: []byte("staple")}}, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"x"}})

	ch, err := ParseClientHello(body(t, fromClient, TypeClientHello))
	if err != nil {
		t.Fatal(err)
	}
	if ch.ServerName != "pump.example" || ch.MaxVersion() != VersionTLS12 || !ch.ExtendedMasterSecret || !ch.RenegotiationInfo || !ch.StatusRequest ||
		len(ch.Suites) == 0 || len(ch.Groups) == 0 || len(ch.SignatureSchemes) == 0 || !cmp.Equal(ch.ALPN, []string{"h2", "x"}) {
		t.Errorf("ClientHello: %+v", ch)
	}
	sh, err := ParseServerHello(body(t, fromServer, TypeServerHello))
	if err != nil {
		t.Fatal(err)
	}
	// The server could do TLS 1.3, so that it must set the sentinel.
	if sh.Version != VersionTLS12 || sh.DowngradeSentinel != "tls1.2" || !sh.ExtendedMasterSecret || !sh.SecureRenegotiation || !sh.StatusRequest || sh.ALPN != "x" {
		t.Errorf("ServerHello: %+v", sh)
	}
	for side, list := range map[string][]Message{"server": fromServer, "client": fromClient} {
		got, err := ParseCertificate(body(t, list, TypeCertificate))
		if err != nil || !cmp.Equal(got, cert.Certificate) {
			t.Errorf("%s: certificates differ: %v", side, err)
		}
	}
	status, err := ParseCertificateStatus(body(t, fromServer, TypeCertificateStatus))
	if err != nil || string(status) != "staple" {
		t.Errorf("CertificateStatus: %q, %v", status, err)
	}
	ske, err := ParseServerKeyExchange(body(t, fromServer, TypeServerKeyExchange), sh.CipherSuite, sh.Version)
	if err != nil || GroupBits(ske.Group) == 0 || ske.SignatureScheme != uint16(tls.ECDSAWithP256AndSHA256) {
		t.Errorf("ServerKeyExchange: %+v, %v", ske, err)
	}
	cr, err := ParseCertificateRequest(body(t, fromServer, TypeCertificateRequest), sh.Version)
	if err != nil || len(cr.SignatureSchemes) == 0 || len(cr.Types) == 0 {
		t.Errorf("CertificateRequest: %+v, %v", cr, err)
	}
}

func TestParse_cryptoTLS10(t *testing.T) {
	cert := testCertificate(t)
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	_, fromServer := handshake(t, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, ClientCAs: pool})
	sh, err := ParseServerHello(body(t, fromServer, TypeServerHello))
	if err != nil || sh.Version != VersionTLS10 {
		t.Fatalf("ServerHello: %+v, %v", sh, err)
	}
	cr, err := ParseCertificateRequest(body(t, fromServer, TypeCertificateRequest), sh.Version)
	if err != nil || !cmp.Equal(cr.Authorities, [][]byte{parsed.RawSubject}) || cr.SignatureSchemes != nil {
		t.Errorf("CertificateRequest: %+v, %v", cr, err)
	}
	ske, err := ParseServerKeyExchange(body(t, fromServer, TypeServerKeyExchange), sh.CipherSuite, sh.Version)
	if err != nil || ske.Group == 0 || ske.SignatureScheme != 0 {
		t.Errorf("ServerKeyExchange: %+v, %v", ske, err)
	}
}

func TestParse_cryptoTLS13(t *testing.T) {
	cert := testCertificate(t)
	fromClient, fromServer := handshake(t, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}},
		&tls.Config{Certificates: []tls.Certificate{cert}, CurvePreferences: []tls.CurveID{tls.CurveP384}})
	var hellos []ServerHello
	for _, m := range fromServer {
		if m.Type == TypeServerHello {
			sh, err := ParseServerHello(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			hellos = append(hellos, sh)
		}
	}
	if len(hellos) != 2 || !hellos[0].HelloRetryRequest || hellos[1].HelloRetryRequest {
		t.Fatalf("want a HelloRetryRequest and a ServerHello, got %+v", hellos)
	}
	for _, h := range hellos {
		if h.Version != VersionTLS13 || h.Group != uint16(tls.CurveP384) {
			t.Errorf("version %s, group %s", VersionName(h.Version), GroupName(h.Group))
		}
	}
	n := 0
	for _, m := range fromClient {
		if m.Type == TypeClientHello {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d ClientHellos, want 2", n)
	}
}

// TestClientHello_accepted offers our own hellos to crypto/tls.
func TestClientHello_accepted(t *testing.T) {
	cert := testCertificate(t)
	for _, tt := range []struct {
		name  string
		hello ClientHello
		want  func(ServerHello) bool
	}{
		{
			"tls1.2",
			ClientHello{Version: VersionTLS12, Suites: []uint16{0xc02b}, Groups: []uint16{0x001d}, SignatureSchemes: []uint16{0x0403}, RenegotiationInfo: true},
			func(h ServerHello) bool { return h.Version == VersionTLS12 && h.SecureRenegotiation },
		},
		{
			"tls1.0",
			ClientHello{Version: VersionTLS10, Suites: []uint16{0xc009}, Groups: []uint16{0x0017}, ExtendedMasterSecret: true},
			func(h ServerHello) bool { return h.Version == VersionTLS10 && h.ExtendedMasterSecret },
		},
		{
			"tls1.3 without a key share",
			ClientHello{Version: VersionTLS12, SupportedVersions: []uint16{VersionTLS13}, Suites: []uint16{0x1301}, Groups: []uint16{0x0018}, SignatureSchemes: []uint16{0x0403}},
			func(h ServerHello) bool { return h.HelloRetryRequest && h.Group == 0x0018 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := tt.hello.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			c, s := pair(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				_ = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10}).HandshakeContext(t.Context())
				_ = s.Close()
			})
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			wg.Wait()
			list, err := NewStream(Limits{}).Feed(buf[:n])
			if err != nil {
				t.Fatal(err)
			}
			sh, err := ParseServerHello(body(t, list, TypeServerHello))
			if err != nil || !tt.want(sh) {
				t.Errorf("ServerHello: %+v, %v", sh, err)
			}
		})
	}
}

func TestClientHello_roundTrip(t *testing.T) {
	want := ClientHello{
		Version: VersionTLS12, Random: [32]byte{1, 2}, SessionID: []byte{9}, Suites: []uint16{0x1301, 0xc02f}, Compression: []byte{1, 0},
		SupportedVersions: []uint16{0x1a1a, VersionTLS13, VersionTLS12}, Groups: []uint16{0x001d}, SignatureSchemes: []uint16{0x0804},
		ServerName: "a.example", ALPN: []string{"h2"}, KeyShares: []KeyShare{{Group: 0x001d, Data: make([]byte, 32)}},
		ExtendedMasterSecret: true, RenegotiationInfo: true, StatusRequest: true, SessionTicket: true, PSKModes: []byte{1}, SCT: true, Cookie: []byte{7, 7},
		Extensions: []uint16{0, 23, 65281, 10, 11, 5, 13, 16, 43, 35, 45, 18, 44, 51}, PointFormats: []byte{0},
	}
	b, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseClientHello(b[recordHeader+handshakeHeader:])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.MaxVersion() != VersionTLS13 {
		t.Errorf("MaxVersion %#04x", got.MaxVersion())
	}
}

func TestClientHello_ssl3(t *testing.T) {
	b, err := ClientHello{Version: VersionSSL3, Suites: []uint16{0x000a}, RenegotiationInfo: true, ServerName: "unsent", Groups: []uint16{23}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte{22, 3, 0, 0, 47, 1, 0, 0, 43, 3, 0}, make([]byte, 33)...)
	want = append(want, 0, 4, 0, 0x0a, 0, 0xff, 1, 0)
	if !bytes.Equal(b, want) {
		t.Errorf("got  %x\nwant %x", b, want)
	}
}

func TestClientHello_tooLong(t *testing.T) {
	if _, err := (ClientHello{Version: VersionTLS12, Suites: make([]uint16, 9000)}).Marshal(); err == nil {
		t.Error("a hello of 18,000 bytes was built")
	}
	if _, err := (ClientHello{Version: VersionTLS12, SessionID: make([]byte, 256)}).Marshal(); err == nil {
		t.Error("a session id of 256 bytes was built")
	}
}

func TestParseCertificate_partial(t *testing.T) {
	list := func(n, size int) []byte {
		var l []byte
		for range n {
			l = append(l, byte(size>>16), byte(size>>8), byte(size))
			l = append(l, make([]byte, size)...)
		}
		return append([]byte{byte(len(l) >> 16), byte(len(l) >> 8), byte(len(l))}, l...)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		n    int
		ok   bool
	}{
		{"none", []byte{0, 0, 0}, 0, true},
		{"most", list(32, 2), 32, true},
		{"too many", list(33, 2), 32, false},
		{"too large", list(1, MaxCertificateSize+1), 0, false},
		{"cut", []byte{0, 0, 8, 0, 0, 1, 0xaa, 0, 0, 2, 0xbb}, 1, false},
		{"trailing", []byte{0, 0, 0, 0}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCertificate(tt.in)
			if len(got) != tt.n || (err == nil) != tt.ok {
				t.Errorf("%d certificates, error %v; want %d, ok %v", len(got), err, tt.n, tt.ok)
			}
		})
	}
}

func TestParseServerKeyExchange_forms(t *testing.T) {
	dh := []byte{0, 4, 0, 0x1f, 0xff, 0xff, 0, 1, 2, 0, 1, 5}
	for _, tt := range []struct {
		name    string
		in      []byte
		suite   uint16
		version uint16
		want    ServerKeyExchange
		ok      bool
	}{
		{"dhe tls1.2", append(dh, 4, 1, 0, 1, 9), 0x009e, VersionTLS12, ServerKeyExchange{DHBits: 21, Key: []byte{5}, SignatureScheme: 0x0401, Params: dh, Signature: []byte{9}}, true},
		{"dhe tls1.0", append(dh, 0, 1, 7), 0x0033, VersionTLS10, ServerKeyExchange{DHBits: 21, Key: []byte{5}, Params: dh, Signature: []byte{7}}, true},
		{"anonymous", dh, 0x0034, VersionTLS12, ServerKeyExchange{DHBits: 21, Key: []byte{5}}, true},
		{"dhe_psk", append([]byte{0, 1, 'h'}, dh...), 0x00aa, VersionTLS12, ServerKeyExchange{DHBits: 21, Key: []byte{5}}, true},
		{"named curve", []byte{3, 0, 0x17, 1, 4, 4, 3, 0, 0}, 0xc02b, VersionTLS12, ServerKeyExchange{Group: 0x17, Key: []byte{4}, SignatureScheme: 0x0403, Params: []byte{3, 0, 0x17, 1, 4}}, true},
		{"explicit curve", []byte{1, 9, 9}, 0xc02b, VersionTLS12, ServerKeyExchange{}, true},
		{"cut", []byte{3, 0}, 0xc02b, VersionTLS12, ServerKeyExchange{}, false},
		{"static rsa", dh, 0x002f, VersionTLS12, ServerKeyExchange{}, false},
		{"tls1.3 suite", dh, 0x1301, VersionTLS12, ServerKeyExchange{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseServerKeyExchange(tt.in, tt.suite, tt.version)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != tt.ok {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseNewSessionTicket(t *testing.T) {
	for _, in := range [][]byte{{0, 0, 14, 16, 0, 1, 7}, {0, 0, 14, 16, 0, 0}} {
		if got, err := ParseNewSessionTicket(in); got != 3600 || err != nil {
			t.Errorf("%x: %d, %v", in, got, err)
		}
	}
	if _, err := ParseNewSessionTicket([]byte{0, 0, 14, 16, 0}); err == nil {
		t.Error("a ticket without its length is taken")
	}
}

func TestCountSCTs(t *testing.T) {
	for in, want := range map[string]int{"\x00\x07\x00\x01a\x00\x02bc": 2, "\x00\x00": 0, "": -1, "\x00\x03\x00\x01": -1, "\x00\x02\x00\x00": -1} {
		got, ok := CountSCTs([]byte(in))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%x: %d, want %d", in, got, want)
		}
	}
}

func TestSSL2(t *testing.T) {
	hello := SSL2ClientHello([16]byte{1})
	if int(hello[1]) != len(hello)-2 || hello[2] != 1 || len(hello) != 2+9+21+16 {
		t.Errorf("CLIENT-HELLO: %x", hello)
	}
	got, err := ParseSSL2ServerHello([]byte{0x80, 18, 4, 0, 1, 0, 2, 0, 2, 0, 3, 0, 2, 0x30, 0x82, 1, 0, 0x80, 7, 7, 0xff})
	want := SSL2ServerHello{Version: VersionSSL2, Certificate: []byte{0x30, 0x82}, Ciphers: []uint32{0x010080}}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("SERVER-HELLO: %s %v", cmp.Diff(want, got), err)
	}
	if _, err := ParseSSL2ServerHello([]byte{0x80, 3, 4, 0, 1}); err == nil {
		t.Error("a cut SERVER-HELLO was read")
	}
}

func FuzzParseClientHello(f *testing.F) {
	b, err := ClientHello{Version: VersionTLS12, SupportedVersions: []uint16{VersionTLS13}, Suites: []uint16{0x1301}, ServerName: "a", ALPN: []string{"h2"}, Groups: []uint16{29}}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[9:])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseClientHello(b)
		if err != nil {
			return
		}
		out, err := h.body()
		if err != nil {
			return // an SSL 3.0 list that only fits without the signalling suite
		}
		again, err := ParseClientHello(out)
		if err != nil {
			t.Fatalf("own hello: %v", err)
		}
		if !cmp.Equal(h.Suites, again.Suites) && h.Version != VersionSSL3 {
			t.Fatalf("suites changed: %v, %v", h.Suites, again.Suites)
		}
	})
}

func FuzzParseServerHello(f *testing.F) {
	f.Add(append([]byte{3, 3}, make([]byte, 36)...))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseServerHello(b) })
}

func FuzzParseMessages(f *testing.F) {
	f.Add([]byte{0, 0, 4, 0, 0, 1, 0x30}, uint16(0xc02b), uint16(0x0303))
	f.Add([]byte{3, 0, 0x17, 1, 4, 4, 3, 0, 0}, uint16(0xc02b), uint16(0x0303))
	f.Add([]byte{1, 1, 0, 0, 0, 0}, uint16(0x0033), uint16(0x0301))
	f.Fuzz(func(t *testing.T, b []byte, suite, version uint16) {
		certs, _ := ParseCertificate(b)
		total := 0
		for _, c := range certs {
			total += len(c)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of certificates from %d", total, len(b))
		}
		_, _ = ParseCertificateRequest(b, version)
		if k, err := ParseServerKeyExchange(b, suite, version); err == nil {
			_ = k.DSASignature(version, suite, [32]byte{}, [32]byte{})
		}
		_ = DSASignature(version, suite, true, b, b)
		_, _ = ParseCertificateStatus(b)
		_, _ = ParseCertificateVerify(b, version)
		_, _ = ParseNewSessionTicket(b)
		_, _, _ = ParseAlert(b)
		if ticket, err := ParseTicket(b, version); err == nil && (len(ticket.Value) > len(b) || len(ticket.Name()) > len(ticket.Value)) {
			t.Fatalf("a ticket of %d bytes from %d", len(ticket.Value), len(b))
		}
	})
}

func FuzzParseSSL2ServerHello(f *testing.F) {
	f.Add([]byte{0x80, 18, 4, 0, 1, 0, 2, 0, 2, 0, 3, 0, 2, 0x30, 0x82, 1, 0, 0x80, 7, 7})
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseSSL2ServerHello(b) })
}
