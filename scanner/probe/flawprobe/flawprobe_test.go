package flawprobe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/scanner"
)

// line is a session on servers in memory, or on a port.
type line struct {
	serve func(net.Conn)
	port  string
	dials int
}

func (l *line) Endpoint() evidence.Endpoint {
	return evidence.Endpoint{Addr: netip.MustParseAddr("127.0.0.1"), Port: 443, Transport: evidence.TCP}
}
func (l *line) Level() scanner.Level { return scanner.Exhaustive }
func (l *line) Now() time.Time       { return time.Now() }

func (l *line) Dial(ctx context.Context) (net.Conn, error) {
	l.dials++
	if l.port != "" {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+l.port)
		if err != nil {
			return nil, err
		}
		return c, c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		l.serve(server)
	}()
	return client, client.SetDeadline(time.Now().Add(10 * time.Second))
}

// flawed is a server of TLS 1.2 with RSA key transport that has the flaws that
// are switched on. It is written from RFC 5246, RFC 6520 and the papers.
type flawed struct {
	key        *rsa.PrivateKey
	der        []byte
	beats      bool // heartbeats are announced
	bleeds     bool // and answered without a look at their length
	careful    bool // well-formed heartbeats are answered
	takesCCS   bool // a ChangeCipherSpec is taken at any time
	oracle     bool // padding errors are told apart
	shortOnly  bool // but only without ChangeCipherSpec and Finished
	moody      bool // answers alternate
	onlyECDHE  bool
	alertFirst byte // refuses every hello
	served     int
}

func newFlawed(t *testing.T) *flawed {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &flawed{key: key, der: der}
}

func frame(kind byte, body ...byte) []byte {
	return append([]byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

func read(c net.Conn) (kind byte, body []byte) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(c, header); err != nil {
		return 0, nil
	}
	body = make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil
	}
	return header[0], body
}

func (s *flawed) serve(c net.Conn) {
	// What is sent must not wait for what is still to be read.
	defer func() { go io.Copy(io.Discard, c) }()
	s.served++
	_, hello := read(c)
	if s.alertFirst != 0 || s.onlyECDHE && !bytes.Contains(hello, []byte{0xc0, 0x2f}) {
		c.Write(frame(21, 2, max(40, s.alertFirst)))
		return
	}
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 0x2f, 0)
	if s.beats && bytes.Contains(hello, []byte{0, 15, 0, 1, 1}) {
		body = append(body, 0, 5, 0, 15, 0, 1, 1)
	}
	flight := append([]byte{2, 0, 0, byte(len(body))}, body...)
	n := len(s.der)
	flight = append(flight, 11, byte((n+6)>>16), byte((n+6)>>8), byte(n+6), 0, byte((n+3)>>8), byte(n+3), 0, byte(n>>8), byte(n))
	flight = append(append(flight, s.der...), 14, 0, 0, 0)
	c.Write(frame(22, flight...))
	ciphers := 0
	for {
		kind, body := read(c)
		switch {
		case kind == 0:
			return
		case kind == 24:
			if !s.heartbeat(c, body) {
				return
			}
		case kind == 20 && s.takesCCS:
			if ciphers++; ciphers > 1 {
				c.Write(frame(21, 2, 20))
				return
			}
		case kind == 20:
			c.Write(frame(21, 2, 10))
			return
		case kind == 22:
			s.premaster(c, body)
			return
		}
	}
}

func (s *flawed) heartbeat(c net.Conn, body []byte) bool {
	length := int(body[1])<<8 | int(body[2])
	whole := 3+length+16 <= len(body)
	if s.bleeds || s.careful && whole {
		memory := append(bytes.Clone(body[3:]), "SECRET OF ANOTHER CONNECTION"...)
		c.Write(frame(24, append(append([]byte{2, body[1], body[2]}, memory[:length]...), make([]byte, 16)...)...))
	}
	return true
}

// premaster answers a ClientKeyExchange and what follows it.
func (s *flawed) premaster(c net.Conn, body []byte) {
	plain := new(big.Int).Exp(new(big.Int).SetBytes(body[6:]), s.key.D, s.key.N).FillBytes(make([]byte, s.key.Size()))
	bad := plain[0] != 0 || plain[1] != 2
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	kind, _ := read(c)
	followed := kind == 20
	if followed {
		read(c)
	}
	switch {
	case s.moody && s.served%2 == 0, s.oracle && bad && (!followed || !s.shortOnly):
		c.Write(frame(21, 2, 47))
	case followed:
		c.Write(frame(21, 2, 20))
	default:
		io.Copy(io.Discard, c) // it waits for what must follow
		c.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, c)
	}
}

// summary is one line a flaw; of ROBOT, the answers of each round.
func summary(obs []evidence.Observation) []string {
	var out []string
	round := 0
	for _, o := range obs {
		f := o.Facts.Flaw
		if f.Flaw != evidence.FlawROBOT || f.Answer == "" {
			out = append(out, string(f.Flaw)+" "+string(f.Shown)+": "+f.Reason)
			continue
		}
		if f.Message == 1 {
			out = append(out, "robot")
			round++
		}
		out[len(out)-1] += " " + f.Answer
	}
	return out
}

func TestProbe(t *testing.T) {
	s := newFlawed(t)
	const noBeats, refused = "heartbleed no: the server takes no heartbeats", "ccs-injection no: the early ChangeCipherSpec was refused: alert 10"
	const all20, silent = "robot alert 20 alert 20 alert 20 alert 20 alert 20", "robot silence silence silence silence silence"
	for name, tt := range map[string]struct {
		server flawed
		want   []string
	}{
		"sound":       {flawed{}, []string{noBeats, refused, all20, silent}},
		"bleeds":      {flawed{beats: true, bleeds: true}, []string{"heartbleed yes: a heartbeat of 2 bytes was answered with 6", refused, all20, silent}},
		"beats":       {flawed{beats: true, careful: true}, []string{"heartbleed no: the malformed heartbeat was discarded, a well-formed one answered", refused, all20, silent}},
		"beats never": {flawed{beats: true}, []string{"heartbleed unknown: the server announces heartbeats and answers none during the handshake", refused, all20, silent}},
		"takes a change of cipher": {flawed{takesCCS: true}, []string{
			noBeats, "ccs-injection yes: the early ChangeCipherSpec was taken, and what followed it read as encrypted: alert 20", all20, silent,
		}},
		"is an oracle": {flawed{oracle: true}, []string{noBeats, refused, "robot alert 20 alert 47 alert 20 alert 20 alert 20", "robot alert 20 alert 47 alert 20 alert 20 alert 20"}},
		"is an oracle before the rest": {flawed{oracle: true, shortOnly: true}, []string{
			noBeats, refused, all20, "robot silence alert 47 silence silence silence", "robot silence alert 47 silence silence silence",
		}},
		"is moody": {flawed{moody: true}, []string{noBeats, refused, "robot alert 20 alert 47 alert 20 alert 47 alert 20", "robot alert 47 alert 20 alert 47 alert 20 alert 47"}},
		"no RSA":   {flawed{onlyECDHE: true}, []string{noBeats, refused, "robot no: the server takes no RSA key transport"}},
		"only 1.3": {flawed{alertFirst: 70}, []string{
			"heartbleed no: the server refuses TLS 1.2 and below, to which the flaw belongs",
			"ccs-injection no: the server refuses TLS 1.2 and below, to which the flaw belongs",
			"robot no: the server refuses TLS 1.2 and below, to which the flaw belongs",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.server.key, tt.server.der = s.key, s.der
				l := &line{serve: tt.server.serve}
				obs, err := New().Probe(t.Context(), l, nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, summary(obs)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				for _, o := range obs {
					for _, b := range o.Raw {
						if bytes.Contains(b.Data, []byte("SECR")) {
							t.Errorf("%s keeps memory of the server", b.Media)
						}
					}
				}
				if most := len(New().Exchanges(scanner.Exhaustive)); l.dials > most || l.dials != len(obs) {
					t.Errorf("%d connections, %d planned, %d observations", l.dials, most, len(obs))
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// TestPadded holds the five forms against PKCS #1 v1.5 and RFC 5246.
func TestPadded(t *testing.T) {
	for n := 1; n <= messages; n++ {
		b, err := padded(n, 128)
		if err != nil || len(b) != 128 {
			t.Fatal(err)
		}
		zero := bytes.IndexByte(b[2:], 0) + 2
		got := []bool{b[0] == 0 && b[1] == 2, zero == 128-49, bytes.Equal(b[80:82], []byte{3, 3})}
		want := [][]bool{{true, true, true}, {false, true, true}, {true, false, true}, {true, false, false}, {true, true, false}}[n-1]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("form %d (first bytes, zero, version; -want +got):\n%s", n, diff)
		}
	}
}

// TestPeer_flaws: software of today has none of the flaws.
func TestPeer_flaws(t *testing.T) {
	paths := peer.Require(t, "openssl", "gnutls-serv")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	if out, err := exec.CommandContext(t.Context(), paths["openssl"], "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", key, "-out", cert, "-subj", "/CN=rsa", "-days", "2").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, tt := range []struct {
		name, program string
		args          []string
	}{
		{"openssl", "openssl", []string{"s_server", "-cipher", "ALL:@SECLEVEL=0", "-cert", cert, "-key", key, "-accept"}},
		{"openssl 1.0", "openssl", []string{"s_server", "-tls1", "-cipher", "ALL:@SECLEVEL=0", "-cert", cert, "-key", key, "-accept"}},
		{"gnutls", "gnutls-serv", []string{"--http", "--heartbeat", "--priority", "NORMAL:+RSA", "--x509certfile", cert, "--x509keyfile", key, "--port"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := &line{port: freePort(t)}
			if tt.program == "openssl" {
				start(t, "ACCEPT", paths[tt.program], append(tt.args, "127.0.0.1:"+l.port)...)
			} else { // it listens on all addresses
				front := tlsmatrix.Isolated(t, l.port, paths[tt.program], append(tt.args, l.port)...)
				_, l.port, _ = net.SplitHostPort(front.Address)
			}
			obs, err := New().Probe(t.Context(), l, nil)
			if err != nil {
				t.Fatal(err)
			}
			lines := summary(obs)
			t.Logf("%d connections:\n%s", l.dials, strings.Join(lines, "\n"))
			answers := 0
			for _, line := range lines {
				list, robot := strings.CutPrefix(line, "robot ")
				list = strings.ReplaceAll(list, "alert ", "alert-")
				if f := strings.Fields(list); robot {
					answers++
					for _, a := range f {
						if a != f[0] {
							t.Errorf("answers differ: %s", line)
						}
					}
				} else if strings.Contains(line, " yes: ") || strings.HasPrefix(line, "ccs") && !strings.Contains(line, " no: ") {
					t.Error(line)
				}
			}
			if answers != 2 || len(lines) != 4 {
				t.Errorf("%d rounds of ROBOT, want 2", answers)
			}
		})
	}
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

// start runs a server until the end of the test; it is there once it prints the
// word.
func start(t *testing.T, word, program string, args ...string) {
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
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	var text strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), word) {
		n, err := out.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("%s ended:\n%s", program, text.String())
		}
	}
	go io.Copy(io.Discard, out)
}
