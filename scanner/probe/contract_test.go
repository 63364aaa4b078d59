package probe_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/dicomprobe"
	"probity/scanner/probe/flawprobe"
	"probity/scanner/probe/mtlsprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/sshprobe"
	"probity/scanner/probe/tlsprobe"
)

// The contract of scanner.Prober, held against every prober by peers in memory.

const (
	budgetTime  = 10 * time.Second
	budgetBytes = 1 << 20
)

// bench is a session on a peer in memory. It notes every breach of the contract.
type bench struct {
	t        *testing.T
	endpoint evidence.Endpoint
	level    scanner.Level
	urls     []string
	refuse   error
	veto     int // veto from this connection on, from 1; 0: never
	peer     func(net.Conn)
	closed   func(n int) // a connection was closed, of n so far; nil: nobody asks

	mu    sync.Mutex
	conns []*benchConn
}

type benchConn struct {
	net.Conn
	b        *bench
	deadline time.Time
	mu       sync.Mutex
	sent     int64
	received int64
	closed   bool
}

func (c *benchConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	left := budgetBytes - c.received
	c.mu.Unlock()
	if left <= 0 {
		return 0, errors.New("byte budget")
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received += int64(n)
	return n, err
}

func (c *benchConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += int64(n)
	return n, err
}

func (c *benchConn) earlier(t time.Time) time.Time {
	if t.IsZero() || t.After(c.deadline) {
		return c.deadline
	}
	return t
}

func (c *benchConn) SetDeadline(t time.Time) error     { return c.Conn.SetDeadline(c.earlier(t)) }
func (c *benchConn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.earlier(t)) }

func (c *benchConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.earlier(t)) }

func (c *benchConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.b.closed != nil {
		c.b.closed(len(c.b.conns))
	}
	return c.Conn.Close()
}

func (c *benchConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (b *bench) Endpoint() evidence.Endpoint { return b.endpoint }
func (b *bench) Level() scanner.Level        { return b.level }
func (b *bench) Now() time.Time              { return time.Now() }
func (b *bench) URLs() []string              { return b.urls }

func (b *bench) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, c := range b.conns {
		if !c.isClosed() {
			b.t.Errorf("connection %d is dialled before connection %d was closed", len(b.conns)+1, i+1)
		}
	}
	if b.veto > 0 && len(b.conns)+1 >= b.veto {
		return nil, fmt.Errorf("%w: breaker open", scanner.ErrVetoed)
	}
	if b.refuse != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: b.refuse}
	}
	client, server := link()
	c := &benchConn{Conn: client, b: b, deadline: time.Now().Add(budgetTime)}
	if err := client.SetDeadline(c.deadline); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { client.Close() })
	b.conns = append(b.conns, c)
	go func() {
		defer server.Close()
		b.peer(server)
	}()
	return c, nil
}

// link is a pipe that buffers, as a network does: a write does not wait for the
// other side to read.
func link() (client, server net.Conn) {
	client, near := net.Pipe()
	far, server := net.Pipe()
	carry := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		io.Copy(io.Discard, from)
	}
	go carry(far, near)
	go carry(near, far)
	return client, server
}

// run probes and checks what holds whatever the peer does.
func (b *bench) run(ctx context.Context, p scanner.Prober) ([]evidence.Observation, error) {
	b.t.Helper()
	obs, err := p.Probe(ctx, b, nil)
	exchanges := p.Exchanges(b.level)
	if len(b.conns) > len(exchanges) {
		b.t.Errorf("%d connections, %d planned", len(b.conns), len(exchanges))
	}
	for i, c := range b.conns {
		if !c.isClosed() {
			b.t.Errorf("connection %d was left open", i+1)
			c.Close()
		}
		// What is sent on any connection is bounded by the largest that is planned.
		most := slices.MaxFunc(exchanges, func(x, y scanner.Exchange) int { return int(x.MaxBytes - y.MaxBytes) }).MaxBytes
		c.mu.Lock()
		if c.sent > most {
			b.t.Errorf("connection %d sent %d bytes, %d planned", i+1, c.sent, most)
		}
		c.mu.Unlock()
	}
	for _, o := range obs {
		if o.Method != evidence.Active || o.Endpoint != b.endpoint || o.Result == "" || o.Kind == "" || o.At.IsZero() {
			b.t.Errorf("observation is incomplete: %+v", o)
		}
		if strings.ContainsFunc(o.Detail, func(r rune) bool { return r < ' ' }) || len(o.Detail) > 2048 {
			b.t.Errorf("detail is not clean: %q", o.Detail)
		}
		for _, raw := range o.Raw {
			if len(raw.Data) == 0 || len(raw.Data) > budgetBytes {
				b.t.Errorf("blob %s of %d bytes", raw.Media, len(raw.Data))
			}
		}
	}
	return obs, err
}

// subject is a prober with a peer that answers it well.
type subject struct {
	prober scanner.Prober
	good   func(net.Conn)
	port   uint16
	mute   bool // it sends nothing
	urls   []string
}

// name tells subjects with the same prober apart.
func (s subject) name() string { return fmt.Sprintf("%s_%d", s.prober.Name(), s.port) }

func subjects(t *testing.T) []subject {
	t.Helper()
	return slices.Concat(services(t), identities(t), []subject{
		{prober: tlsprobe.New(), good: goodTLS(t), port: 443},
		{prober: benchProber(t), good: goodTLS(t), port: 2762},
		{prober: sshprobe.New(), good: goodSSH(t), port: 22},
		{prober: dicomprobe.New(), good: goodDICOM(t), port: 104},
		{prober: snmpprobe.New(), good: goodSNMP, port: 161},
		{prober: flawprobe.New(), good: goodTLS(t), port: 8443},
		{prober: tlsprobe.NewDTLS(), good: dtlsServer{cookie: []byte("cookie")}.serve, port: 4433},
	})
}

func benchProber(t *testing.T) scanner.Prober {
	t.Helper()
	p, err := mtlsprobe.New(mtlsprobe.Options{Seed: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func goodTLS(t *testing.T) func(net.Conn) {
	config := tlsConfig(t)
	return func(c net.Conn) {
		server := tls.Server(c, config)
		io.Copy(io.Discard, server)
	}
}

func tlsConfig(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, ClientAuth: tls.RequestClientCert}
}

func goodSSH(t *testing.T) func(net.Conn) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	return func(c net.Conn) {
		server, _, _, err := ssh.NewServerConn(c, config)
		if err == nil {
			t.Error("the prober authenticated")
			server.Close()
		}
	}
}

// goodDICOM answers as DCMTK does.
func goodDICOM(t *testing.T) func(net.Conn) {
	item := func(kind byte, value []byte) []byte { return append([]byte{kind, 0, 0, byte(len(value))}, value...) }
	body := slices.Concat([]byte{0, 1, 0, 0}, []byte("ANY-SCP         PROBITY         "), make([]byte, 32),
		item(0x10, []byte("1.2.840.10008.3.1.1.1")), item(0x21, append([]byte{1, 0, 0, 0}, item(0x40, []byte("1.2.840.10008.1.2"))...)),
		item(0x50, slices.Concat(item(0x51, []byte{0, 0, 64, 0}), item(0x52, []byte("1.2.276.0.7230010.3.0.3.6.7")), item(0x55, []byte("OFFIS_DCMTK_367")))))
	accept := append([]byte{2, 0, 0, 0, 0, byte(len(body))}, body...)
	return func(c net.Conn) {
		if _, err := readPDU(c); err != nil {
			return
		}
		if _, err := c.Write(accept); err != nil {
			return
		}
		release, err := readPDU(c)
		if err != nil {
			return
		}
		if release != 5 {
			t.Errorf("the association ends with a protocol data unit of type %d, want a release", release)
		}
		c.Write([]byte{6, 0, 0, 0, 0, 4, 0, 0, 0, 0})
	}
}

func readPDU(c net.Conn) (byte, error) {
	header := make([]byte, 6)
	if _, err := io.ReadFull(c, header); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, int(header[4])<<8|int(header[5])))
	return header[0], err
}

// goodSNMP answers with a report of its own engine, with the identifier of the
// request.
func goodSNMP(c net.Conn) {
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	tlv := func(tag byte, parts ...[]byte) []byte {
		value := slices.Concat(parts...)
		return append([]byte{tag, byte(len(value))}, value...)
	}
	engine := tlv(4, []byte("\x80\x00\x1f\x88\x04ward-3-pump-7"))
	i := bytes.Index(buf[:n], []byte{0x02, 0x04}) // the message identifier
	if i < 0 {
		return
	}
	id, empty, zero := buf[i:i+6], tlv(4), tlv(2, []byte{0})
	counter := tlv(0x30, tlv(6, []byte{0x2b, 6, 1, 6, 3, 15, 1, 1, 4, 0}), tlv(0x41, []byte{1})) // usmStatsUnknownEngineIDs.0
	report := tlv(0x30, tlv(2, []byte{3}),
		tlv(0x30, id, tlv(2, []byte{5, 0xdc}), tlv(4, []byte{0}), tlv(2, []byte{3})),
		tlv(4, tlv(0x30, engine, tlv(2, []byte{7}), tlv(2, []byte{2, 0}), empty, empty, empty)),
		tlv(0x30, engine, empty, tlv(0xa8, id, zero, zero, tlv(0x30, counter))))
	c.Write(report)
}

func (s subject) bench(t *testing.T, peer func(net.Conn)) *bench {
	return &bench{
		t: t, level: scanner.Exhaustive, peer: peer, urls: s.urls,
		endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: s.port, Transport: s.prober.Transport()},
	}
}

// TestContract_everyProber: each type that is a prober is a subject of the contract.
func TestContract_everyProber(t *testing.T) {
	held := map[string]bool{}
	for _, s := range subjects(t) {
		p := s.prober
		if within, ok := p.(overTLS); ok {
			p = within.Prober
		}
		held[strings.TrimPrefix(fmt.Sprintf("%T", p), "*")] = true
	}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	method := regexp.MustCompile(`(?m)^func \(\w* ?\*(\w+)\) Exchanges\(`)
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range method.FindAllSubmatch(text, -1) {
			found++
			if name := filepath.Dir(file) + "." + string(m[1]); !held[name] {
				t.Errorf("%s is no subject of the contract", name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d probers were found", found)
	}
}

func each(t *testing.T, test func(t *testing.T, s subject)) {
	for _, s := range subjects(t) {
		t.Run(s.name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, s) })
		})
	}
}

func TestContract_answered(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		obs, err := s.bench(t, s.good).run(t.Context(), s.prober)
		if err != nil || len(obs) == 0 || obs[0].Result != evidence.ResultData || len(obs[0].Raw) < 2 && !s.mute || len(obs[0].Raw) < 1 {
			t.Fatalf("observations %+v, error %v", obs, err)
		}
	})
}

func TestContract_refused(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		b := s.bench(t, s.good)
		b.refuse = syscall.ECONNREFUSED
		obs, err := b.run(t.Context(), s.prober)
		if err != nil || len(obs) != 1 || obs[0].Result != evidence.ResultRefused {
			t.Errorf("observations %+v, error %v; want one refusal", obs, err)
		}
	})
}

func TestContract_unreachable(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want evidence.Result
	}{{os.ErrDeadlineExceeded, evidence.ResultTimeout}, {syscall.EHOSTUNREACH, evidence.ResultError}} {
		each(t, func(t *testing.T, s subject) {
			b := s.bench(t, s.good)
			b.refuse = tt.err
			obs, err := b.run(t.Context(), s.prober)
			if err != nil || len(obs) != 1 || obs[0].Result != tt.want || obs[0].Detail == "" {
				t.Errorf("observations %+v, error %v; want one %s", obs, err, tt.want)
			}
		})
	}
}

func TestContract_vetoed(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		whole := s.bench(t, s.good)
		if _, err := whole.run(t.Context(), s.prober); err != nil {
			t.Fatal(err)
		}
		for veto := 1; veto <= len(whole.conns); veto++ {
			b := s.bench(t, s.good)
			b.veto = veto
			obs, err := b.run(t.Context(), s.prober)
			if !errors.Is(err, scanner.ErrVetoed) || len(obs) != veto-1 || len(b.conns) != veto-1 {
				t.Errorf("connection %d of %d vetoed: %d observations, %d connections, error %v", veto, len(whole.conns), len(obs), len(b.conns), err)
			}
		}
	})
}

func TestContract_silent(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		start := time.Now()
		b := s.bench(t, func(c net.Conn) { io.Copy(io.Discard, c) })
		obs, err := b.run(t.Context(), s.prober)
		if err != nil || len(obs) != 1 || obs[0].Result != evidence.ResultTimeout {
			t.Errorf("observations %+v, error %v; want one time-out", obs, err)
		}
		if took := time.Since(start); took > budgetTime || len(b.conns) != 1 {
			t.Errorf("%d connections in %v to a peer that says nothing", len(b.conns), took)
		}
	})
}

func TestContract_cancelled(t *testing.T) {
	each(t, func(t *testing.T, s subject) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		b := s.bench(t, func(c net.Conn) { io.Copy(io.Discard, c) })
		_, err := b.run(ctx, s.prober)
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second || len(b.conns) != 1 {
			t.Errorf("%d connections and error %v, %v after the start", len(b.conns), err, time.Since(start))
		}
		if _, err := s.bench(t, s.good).run(ctx, s.prober); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before the start: error %v", err)
		}
	})
}

// hostile peers: whatever they send, the prober returns in time and within its
// plan, and what it says is no fact of another protocol.
func TestContract_hostile(t *testing.T) {
	forever := func(unit []byte) func(net.Conn) {
		return func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for {
				if _, err := c.Write(unit); err != nil {
					return
				}
			}
		}
	}
	drip := func(c net.Conn) {
		go io.Copy(io.Discard, c)
		for {
			if _, err := c.Write([]byte{0x16}); err != nil {
				return
			}
			time.Sleep(300 * time.Millisecond)
		}
	}
	peers := map[string]func(net.Conn){
		"zeros without end":         forever(make([]byte, 4096)),
		"0xff without end":          forever(bytes.Repeat([]byte{0xff}, 4096)),
		"TLS warnings without end":  forever([]byte{21, 3, 3, 0, 2, 1, 90}),
		"TLS hello requests":        forever([]byte{22, 3, 3, 0, 4, 0, 0, 0, 0}),
		"TLS application data":      forever(append([]byte{23, 3, 3, 16, 0}, make([]byte, 4096)...)),
		"TLS message of 16 MiB":     forever(append([]byte{22, 3, 3, 16, 0, 11, 0xff, 0xff, 0xff}, make([]byte, 4092)...)),
		"SSL 2.0 record of 32 KiB":  forever(append([]byte{0xff, 0xff, 4, 0, 1, 0, 2}, make([]byte, 4096)...)),
		"SSH lines without end":     forever([]byte("hello\r\n")),
		"SSH banner without end":    forever([]byte("SSH-2.0-" + strings.Repeat("A", 4096))),
		"SSH packet of 4 GiB":       forever(append([]byte("SSH-2.0-x\r\n\xff\xff\xff\xff\x04"), make([]byte, 4096)...)),
		"DICOM answer of 4 GiB":     forever([]byte{2, 0, 0xff, 0xff, 0xff, 0xff, 0, 1}),
		"DICOM data without end":    forever([]byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 3}),
		"terminal escapes":          forever([]byte("\x1b]0;pwned\x07\x1b[31m\r\n")),
		"one byte after the other":  drip,
		"closes at once":            func(net.Conn) {},
		"closes after the question": func(c net.Conn) { c.Read(make([]byte, 4096)) },
	}
	for name, peer := range peers {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			each(t, func(t *testing.T, s subject) {
				start := time.Now()
				b := s.bench(t, peer)
				obs, err := b.run(t.Context(), s.prober)
				if err != nil || len(obs) == 0 {
					t.Errorf("observations %+v, error %v", obs, err)
				}
				if took, most := time.Since(start), budgetTime*time.Duration(len(b.conns)); took > most {
					t.Errorf("%d connections took %v", len(b.conns), took)
				}
				for _, o := range obs {
					if len(o.Certs) > 0 || len(o.Keys) > 0 || o.Facts.DICOM != nil || o.Facts.SNMP != nil ||
						o.Facts.HTTP != nil || o.Facts.SDC != nil || o.Facts.Banner != nil || o.Facts.RDP != nil || o.Facts.SMB != nil ||
						o.Facts.FHIR != nil || o.Facts.VNC != nil || o.Facts.MQTT != nil || o.Facts.OPCUA != nil || o.Facts.Identity != nil ||
						o.Facts.TLS != nil && o.Facts.TLS.Version != 0 {
						t.Errorf("facts out of nothing: %+v", o.Facts)
					}
				}
				time.Sleep(time.Minute) // for the peers to notice
			})
		})
	}
}

// record returns what the good peer says on its first connection.
func record(t *testing.T, s subject) []byte {
	t.Helper()
	var said []byte
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		first := true
		b := s.bench(t, nil)
		b.peer = func(c net.Conn) {
			mu.Lock()
			keep := first
			first = false
			mu.Unlock()
			if !keep {
				return
			}
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				s.good(server)
			}()
			go func() {
				io.Copy(client, c)
				client.Close() // the prober has hung up
			}()
			buf := make([]byte, 1<<16)
			for {
				n, err := client.Read(buf)
				mu.Lock()
				said = append(said, buf[:n]...)
				mu.Unlock()
				if err != nil {
					return
				}
				if _, err := c.Write(buf[:n]); err != nil {
					client.Close()
					return
				}
			}
		}
		if _, err := b.run(t.Context(), s.prober); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	})
	if len(said) == 0 {
		t.Fatal("nothing recorded")
	}
	return said
}

// replay says text on every connection, then closes.
func replay(text []byte, piece int) func(net.Conn) {
	return func(c net.Conn) {
		go io.Copy(io.Discard, c)
		for chunk := range slices.Chunk(text, piece) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	}
}

func TestContract_cutAndDamaged(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name(), func(t *testing.T) {
			said := record(t, s)
			for at := 0; at <= len(said); at += max(1, len(said)/50) {
				synctest.Test(t, func(t *testing.T) {
					obs, err := s.bench(t, replay(said[:at], 7)).run(t.Context(), s.prober)
					if err != nil || len(obs) == 0 {
						t.Errorf("cut at byte %d: observations %+v, error %v", at, obs, err)
					}
					time.Sleep(time.Minute)
				})
			}
			early := min(len(said), 120) // where the structure is
			for at := 0; at < early; at += max(1, early/40) {
				damaged := slices.Clone(said)
				damaged[at] ^= 0xff
				synctest.Test(t, func(t *testing.T) {
					obs, err := s.bench(t, replay(damaged, len(damaged))).run(t.Context(), s.prober)
					if err != nil || len(obs) == 0 {
						t.Errorf("damaged at byte %d: observations %+v, error %v", at, obs, err)
					}
					time.Sleep(time.Minute)
				})
			}
			synctest.Test(t, func(t *testing.T) {
				obs, err := s.bench(t, replay(said, 1)).run(t.Context(), s.prober)
				if err != nil || len(obs) == 0 {
					t.Errorf("byte by byte: observations %+v, error %v", obs, err)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
