package active

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/flawprobe"
	"probity/scanner/probe/tlsprobe"
)

// planAt plans port 8443 of one address at a level.
func planAt(t *testing.T, level scanner.Level, ports string, probers []scanner.Prober) *scanner.Plan {
	t.Helper()
	return planLevel(t, level, ports, scanner.DefaultRates(), probers, "", "10.0.0.1")
}

func certificateOf(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// cut is a connection that its owner loses after a number of bytes.
type cut struct {
	net.Conn
	left int
	sent *atomic.Int64
}

func (c *cut) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:min(len(p), c.left)])
	c.left -= n
	c.sent.Add(int64(n))
	if err == nil && n < len(p) {
		c.Close()
		return n, io.ErrClosedPipe
	}
	return n, err
}

// TestRun_cutAtEveryByte scans a server that loses the first connection at every
// byte of its flight, of TLS 1.3 at every seventh: what came before is kept, and
// the observation says that there should have been more.
func TestRun_cutAtEveryByte(t *testing.T) {
	cert := certificateOf(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version}
			step := 1
			if version == tls.VersionTLS13 { // every flight has to be computed
				step = 7
			}
			certified, complete := 0, false
			for n := 0; !complete; n += step {
				first, sent := scanCut(t, config, n)
				f := first.Facts.TLS
				complete = sent < n // the server had no more to say
				whole := f.Handshake == evidence.StageComplete || version == tls.VersionTLS12 && f.ClientAuth != evidence.ClientAuthUnknown
				switch {
				case complete && (first.Result != evidence.ResultData || first.Detail != "" || len(first.Certs) != 1):
					t.Errorf("whole: %s %q, %d certificates", first.Result, first.Detail, len(first.Certs))
				case !complete && !whole && first.Detail == "":
					t.Errorf("cut at byte %d: %s, and no word of it: %+v", n, first.Result, f)
				case n == 0 && first.Result != evidence.ResultReset:
					t.Errorf("cut before the first byte: %s %q", first.Result, first.Detail)
				case len(first.Certs) < certified:
					t.Errorf("cut at byte %d: the certificate is gone that fewer showed", n)
				}
				certified = len(first.Certs)
				if n > 4096 {
					t.Fatal("the flight does not end")
				}
			}
			if certified != 1 {
				t.Error("the certificate was never seen")
			}
		})
	}
}

// scanCut scans a server whose first connection is cut after n bytes. It returns
// the first observation and how many bytes were sent on that connection.
func scanCut(t *testing.T, config *tls.Config, n int) (first evidence.Observation, sent int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var count atomic.Int64
		var once sync.Once
		serve := func(c net.Conn) {
			var server *tls.Conn
			once.Do(func() { server = tls.Server(&cut{c, n, &count}, config) })
			if server == nil { // only the first connection counts
				return
			}
			if server.Handshake() != nil {
				time.Sleep(time.Second) // until what was sent has arrived
				return
			}
			io.Copy(io.Discard, c)
		}
		prober := tlsprobe.New()
		p, b := planAt(t, scanner.Gentle, "8443", []scanner.Prober{prober}), &book{}
		sum, err := Run(t.Context(), p, options(b, &network{serve: buffered(serve)}, prober))
		if err != nil || len(b.obs) == 0 {
			t.Fatalf("%d observations, %+v, %v", len(b.obs), sum, err)
		}
		checkBounds(t, p, sum, b, 0)
		first = b.obs[0]
		time.Sleep(time.Hour)
		sent = int(count.Load())
	})
	return first, sent
}

// TestRun_hostileTLS scans servers that keep to no rule of TLS with everything
// that a lab is asked: time, memory and bytes stay within the plan.
func TestRun_hostileTLS(t *testing.T) {
	cert := certificateOf(t)
	flight := append(serverHello(), certificates(cert.Certificate[0], 1)...)
	helloRequest := message(0, nil)
	repeat := func(c net.Conn, what []byte) {
		what = bytes.Repeat(what, 1+(16<<10)/len(what))
		for range 100 { // more than any budget
			if _, err := c.Write(what); err != nil {
				return
			}
		}
	}
	begin := func(c net.Conn, what []byte) bool {
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return false
		}
		go io.Copy(io.Discard, c)
		_, err := c.Write(what)
		return err == nil
	}
	for name, serve := range map[string]func(net.Conn){
		"wishes for renegotiation without end, in the flight": func(c net.Conn) {
			if begin(c, record(22, flight)) {
				repeat(c, record(22, helloRequest))
			}
		},
		"wishes for renegotiation without end, after the handshake": func(c net.Conn) {
			server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
			if server.Handshake() == nil {
				go io.Copy(io.Discard, c)
				repeat(c, record(22, make([]byte, 40)))
			}
		},
		"flights without end": func(c net.Conn) {
			if begin(c, nil) {
				repeat(c, record(22, flight))
			}
		},
		"empty fragments of application data": func(c net.Conn) {
			if begin(c, record(22, flight)) {
				repeat(c, []byte{23, 3, 3, 0, 0})
			}
		},
		"changes of cipher without end": func(c net.Conn) {
			if begin(c, record(22, serverHello())) {
				repeat(c, []byte{20, 3, 3, 0, 1, 1})
			}
		},
		"a handshake message in one-byte records, one a second": func(c net.Conn) {
			if begin(c, nil) {
				for _, b := range flight {
					time.Sleep(time.Second)
					if _, err := c.Write([]byte{22, 3, 3, 0, 1, b}); err != nil {
						return
					}
				}
			}
		},
		"tickets without end": func(c net.Conn) {
			server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
			if server.Handshake() == nil {
				go io.Copy(io.Discard, c)
				repeat(c, record(23, make([]byte, 300)))
			}
		},
		"an honest flight, then silence": func(c net.Conn) {
			if begin(c, record(22, append(append([]byte(nil), flight...), message(14, nil)...))) {
				time.Sleep(time.Hour)
			}
		},
		"echo": func(c net.Conn) { io.Copy(c, c) },
	} {
		for _, level := range []scanner.Level{scanner.Gentle, scanner.Exhaustive} {
			t.Run(fmt.Sprintf("%s/%s", name, level), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					probers := []scanner.Prober{tlsprobe.New(), flawprobe.New()}
					p, b := planAt(t, level, "8443", probers), &book{}
					began := time.Now()
					sum, err := Run(t.Context(), p, options(b, &network{serve: buffered(serve)}, probers...))
					if err != nil || len(b.obs) == 0 {
						t.Fatalf("%d observations, %+v, %v", len(b.obs), sum, err)
					}
					checkBounds(t, p, sum, b, time.Since(began))
					for _, o := range b.obs {
						if o.Result != evidence.ResultData && o.Detail == "" {
							t.Errorf("%s %s says %q and not why", o.Endpoint, o.Kind, o.Result)
						}
						if f := o.Facts.Flaw; f != nil && f.Shown == evidence.ShownYes {
							t.Errorf("%s is said to be shown: %s", f.Flaw, f.Reason)
						}
					}
					time.Sleep(2 * time.Hour)
				})
			})
		}
	}
}
