package active

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/dicomprobe"
	"probity/scanner/probe/sshprobe"
	"probity/scanner/probe/tlsprobe"
)

// buffered makes a peer on a pipe that takes what is sent before it answers, as
// a network would.
func buffered(serve func(net.Conn)) func(string, net.Conn) {
	return func(_ string, c net.Conn) {
		near, far := net.Pipe()
		go func() {
			io.Copy(near, c)
			near.Close()
			io.Copy(io.Discard, c)
		}()
		go func() {
			io.Copy(c, near)
			c.Close()
			near.Close()
		}()
		serve(far)
		far.Close()
	}
}

// record frames a handshake message, or anything else, in TLS records.
func record(kind byte, body []byte) []byte {
	var out []byte
	for len(body) > 0 {
		n := min(len(body), 1<<14)
		out = append(out, kind, 3, 3, byte(n>>8), byte(n))
		out = append(out, body[:n]...)
		body = body[n:]
	}
	return out
}

func message(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// serverHello chooses TLS 1.2 and ECDHE-ECDSA with AES-128-GCM.
func serverHello() []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	return message(2, append(body, 0, 0xc0, 0x2b, 0))
}

func certificates(der []byte, n int) []byte {
	one := append([]byte{byte(len(der) >> 16), byte(len(der) >> 8), byte(len(der))}, der...)
	list := bytes.Repeat(one, n)
	return message(11, append([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}, list...))
}

// TestRun_hostilePeers scans hostile peers with the probers of the product:
// time, bytes and connections stay within the plan, every probe has its row, and
// the observations say what happened.
func TestRun_hostilePeers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	forever := func(what []byte) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := c.Write(what); err != nil {
					return
				}
			}
		}
	}
	after := func(what []byte) func(net.Conn) {
		return func(c net.Conn) {
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				return
			}
			if _, err := c.Write(what); err == nil {
				io.Copy(io.Discard, c)
			}
		}
	}
	slowly := func(what []byte) func(net.Conn) {
		return func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for _, b := range what {
				time.Sleep(990 * time.Millisecond)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}
	}
	tests := map[string]struct {
		serve func(net.Conn)
		want  evidence.Result // of the first observation over TLS
		says  string          // what its detail holds
	}{
		"accepts and is silent":  {func(c net.Conn) { io.Copy(io.Discard, c) }, evidence.ResultTimeout, "no answer: "},
		"takes nothing":          {func(net.Conn) { time.Sleep(time.Hour) }, evidence.ResultTimeout, "no answer: "},
		"closes at once":         {func(net.Conn) {}, evidence.ResultReset, "no answer: "},
		"zeros without end":      {forever(make([]byte, 4096)), evidence.ResultData, ""}, // which is not TLS
		"records without end":    {forever(record(22, message(0, nil))), evidence.ResultError, "damaged: handshake message of type 0 before the ServerHello"},
		"empty records":          {forever([]byte{22, 3, 3, 0, 0}), evidence.ResultError, "damaged: record of type 22 is empty"},
		"warnings without end":   {forever(record(21, []byte{1, 90})), evidence.ResultError, "damaged: more than 16 warning alerts"},
		"a byte a second":        {slowly(record(22, serverHello())), evidence.ResultTimeout, " bytes and no ServerHello: "},
		"10,000 certificates":    {after(record(22, append(serverHello(), certificates(der, 10_000)...))), evidence.ResultData, "damaged: handshake message of type 11 and "},
		"a giant certificate":    {after(record(22, append(serverHello(), certificates(make([]byte, 15<<20), 1)...))), evidence.ResultData, "damaged: handshake message of type 11 and 15728646 bytes"},
		"lengths that lie":       {after(record(22, append(serverHello(), message(11, bytes.Repeat([]byte{0xff}, 64))...))), evidence.ResultData, "damaged: certificate list: malformed"},
		"half a ServerHello":     {after(record(22, serverHello())[:20]), evidence.ResultTimeout, "20 bytes and no ServerHello: "},
		"a message of 16 MiB":    {after([]byte{22, 3, 3, 0, 4, 2, 255, 255, 255}), evidence.ResultError, "damaged: handshake message of type 2 and 16777215 bytes"},
		"escapes of a terminal":  {forever([]byte("\x1b]0;x\x07\r\n")), evidence.ResultData, ""},
		"a flight without end":   {after(append(record(22, serverHello()), bytes.Repeat(record(22, message(0, nil)), 1<<16)...)), evidence.ResultData, "the flight does not end: "},
		"a handshake, then more": {handshakeThenFlood(der, key), evidence.ResultData, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				probers := []scanner.Prober{tlsprobe.New(), sshprobe.New(), dicomprobe.New()}
				p := plan(t, "22,104,2575,8443", scanner.DefaultRates(), probers, "", "10.0.0.1")
				n, b := &network{serve: buffered(tt.serve)}, &book{}
				began := time.Now()
				sum, err := Run(t.Context(), p, options(b, n, probers...))
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				time.Sleep(2 * time.Hour) // for the servers to notice
				checkBounds(t, p, sum, b, took)
				var first *evidence.Observation
				for i, o := range b.obs {
					if first == nil && o.Facts.TLS != nil {
						first = &b.obs[i]
					}
					if o.Result != evidence.ResultData && o.Detail == "" {
						t.Errorf("%s %s says %q and not why", o.Endpoint, o.Kind, o.Result)
					}
				}
				if first == nil {
					t.Fatalf("no observation over TLS: %+v", b.rows)
				}
				if first.Result != tt.want {
					t.Errorf("observed %q (%s), want %q", first.Result, first.Detail, tt.want)
				}
				if !strings.Contains(first.Detail, tt.says) || tt.says == "" && first.Detail != "" {
					t.Errorf("the observation says %q, want %q", first.Detail, tt.says)
				}
			})
		})
	}
}

// checkBounds holds a run against the limits of its plan.
func checkBounds(t *testing.T, p *scanner.Plan, sum Summary, b *book, took time.Duration) {
	t.Helper()
	tot := p.Totals()
	if sum.Connections > tot.MaxConnections || sum.BytesSent > tot.MaxBytes || sum.BytesReceived > sum.Connections*p.Rates.MaxBytes {
		t.Errorf("summary %+v exceeds the plan %+v", sum, tot)
	}
	if most := time.Duration(sum.Connections+1) * (p.Rates.MaxTime + time.Second); took > most {
		t.Errorf("the run took %v, at most %v", took, most)
	}
	if sum.Sent+sum.Skipped+sum.NotNeeded < tot.Probes {
		t.Errorf("%d probes are planned, summary %+v", tot.Probes, sum)
	}
	kept := 0
	for _, o := range b.obs {
		for _, r := range o.Raw {
			kept += len(r.Data)
		}
		for _, c := range o.Certs {
			kept += len(c.DER)
		}
	}
	if int64(kept) > 2*sum.BytesReceived+tot.MaxBytes { // hellos are kept too
		t.Errorf("%d bytes are kept of %d received", kept, sum.BytesReceived)
	}
}

// handshakeThenFlood completes handshakes and then sends without end.
func handshakeThenFlood(der []byte, key *ecdsa.PrivateKey) func(net.Conn) {
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return func(c net.Conn) {
		s := tls.Server(c, config)
		if s.Handshake() != nil {
			return
		}
		for {
			if _, err := s.Write(make([]byte, 1<<14)); err != nil {
				return
			}
		}
	}
}
