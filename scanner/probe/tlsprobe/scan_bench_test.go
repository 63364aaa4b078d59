//go:build cgo && linux

package tlsprobe

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
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probity/evidence"
	"probity/evidence/store"
	"probity/fixtures/measure"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/active"
)

// hallVariable tells a child process of BenchmarkScan to serve.
const hallVariable = "PROBITY_TLS_HALL"

// hallPort is where every endpoint of the hall listens.
const hallPort = "20047"

// hallAddress is the address of an endpoint of the hall.
func hallAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 101, byte(i / 250), byte(1 + i%250)})
}

// TestHall is the server process of BenchmarkScan: one listener that answers on
// every address with a certificate of its own, half of them for an RSA key of 2048
// bits, half for one on P-256, each with that of its CA.
func TestHall(t *testing.T) {
	versions := os.Getenv(hallVariable)
	if versions == "" {
		t.Skip("a process of BenchmarkScan only")
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), "lo") })
		return errors.Join(err, bound)
	}}
	l, err := lc.Listen(t.Context(), "tcp", "0.0.0.0:"+hallPort)
	if err != nil {
		t.Fatal(err)
	}
	issue := issuer(t)
	certificates := make(map[netip.Addr]*tls.Certificate)
	for i := range 4000 {
		certificates[hallAddress(i)] = issue(i)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		at, err := netip.ParseAddrPort(h.Conn.LocalAddr().String())
		return certificates[at.Addr()], err
	}}
	if versions == "tls1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, tls.Server(c, config))
				c.Close()
			}()
		}
	}()
	os.Stdout.WriteString("hall ready\n")
	io.Copy(io.Discard, os.Stdin)
}

// issuer returns what makes the certificate of an endpoint.
func issuer(t *testing.T) func(i int) *tls.Certificate {
	ca, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey, err3 := rsa.GenerateKey(rand.Reader, 2048)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Hall CA"}, NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err4 := x509.CreateCertificate(rand.Reader, root, root, ca.Public(), ca)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return func(i int) *tls.Certificate {
		var key crypto.Signer = ec
		if i%2 == 1 {
			key = rsaKey
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: fmt.Sprint("pump ", i)},
			NotBefore: root.NotBefore, NotAfter: root.NotAfter, DNSNames: []string{fmt.Sprintf("pump%d.ward.example", i)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), ca)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: [][]byte{der, rootDER}, PrivateKey: key}
	}
}

// once is the prober with its first exchange alone.
type once struct{ *Prober }

func (o once) Exchanges(level scanner.Level) []scanner.Exchange {
	return o.Prober.Exchanges(level)[:1]
}

func (o once) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	r := &run{tables: o.tables, session: s, level: s.Level(), asked: map[evidence.Offer]bool{}}
	full := r.offer(evidence.OfferFull, tlswire.VersionTLS13, fullSuites())
	full.groups, full.limit = computed(), fullBytes
	_, _, err := r.take(ctx, full)
	return r.out, err
}

// into is the ledger of a run in a store.
type into struct {
	store *store.Store
	run   int64
}

func (l into) RecordProbe(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	rec.Run = l.run
	return l.store.RecordProbe(ctx, rec, obs)
}

// BenchmarkScan measures the processor time of a scan for certificate, chain and
// parameters of each endpoint in one connection, with gate, ledger and store, by
// the number of endpoints. The servers are another process.
func BenchmarkScan(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(active.GCPercent))
	for _, versions := range []string{"tls1.3", "tls1.2"} {
		for _, n := range []int{1000, 4000} {
			b.Run(fmt.Sprint(versions, "/", n), func(b *testing.B) {
				hall(b, versions)
				debug.FreeOSMemory()
				var used time.Duration
				for i := 0; b.Loop(); i++ {
					used += scanHall(b, filepath.Join(b.TempDir(), fmt.Sprint(i, ".db")), n)
				}
				b.ReportMetric(float64(used.Microseconds())/float64(b.N*n), "cpu-us/endpoint")
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.Sys-m.HeapReleased)/(1<<20), "MiB-Go")
			})
		}
	}
}

// hall starts the server process.
func hall(b *testing.B, versions string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestHall$")
	cmd.Env = append(os.Environ(), hallVariable+"="+versions)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	buf := make([]byte, 256)
	var text strings.Builder
	for !strings.Contains(text.String(), "hall ready") {
		n, err := out.Read(buf)
		if err != nil {
			b.Fatalf("the hall ended: %v\n%s", err, text.String())
		}
		text.Write(buf[:n])
	}
	go io.Copy(io.Discard, out)
}

// scanHall scans n endpoints into a new database and returns the processor time
// that this process used.
func scanHall(b *testing.B, path string, n int) time.Duration {
	b.Helper()
	st, err := store.Open(b.Context(), path, store.Options{Now: time.Now, Gather: scanner.DefaultRates().Gather()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	plan, prober := hallPlan(b, n)
	began := measure.ProcessorTime(b)
	record, err := st.BeginRun(b.Context(), evidence.Run{Mode: evidence.ModeActive, Started: time.Now()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	sum, err := active.Run(b.Context(), plan, active.Options{Probers: []scanner.Prober{prober}, Ledger: into{st, record.ID}, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := st.EndRun(b.Context(), evidence.RunEnd{Run: record.ID, Ended: time.Now(), Status: evidence.StatusComplete}); err != nil {
		b.Fatal(err)
	}
	used := measure.ProcessorTime(b) - began
	seen := make(map[evidence.Digest]bool)
	for o, err := range st.Observations(b.Context()) {
		if err != nil || len(o.Certs) != 2 || o.Facts.TLS.Handshake < evidence.StageCertificate {
			b.Fatalf("%v %+v", err, o)
		}
		seen[evidence.DigestOf(o.Certs[0].DER)] = true
	}
	if sum.Reached != n || sum.Connections != int64(n) || len(seen) != n {
		b.Fatalf("%d certificates; %+v", len(seen), sum)
	}
	return used
}

func hallPlan(b *testing.B, n int) (*scanner.Plan, scanner.Prober) {
	b.Helper()
	var names []string
	for i := range n {
		names = append(names, net.JoinHostPort(hallAddress(i).String(), hallPort))
	}
	targets, err1 := scanner.LoadTargets(names)
	ports, err2 := scanner.LoadPorts()
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	set, err := ports.Select("443")
	if err != nil {
		b.Fatal(err)
	}
	prober := once{New()}
	rates := scanner.DefaultRates()
	rates.Global, rates.Asset = 1e6, 1e6
	plan, err := scanner.NewPlan(scanner.Scope{Targets: targets}, ports, set, scanner.Gentle, rates, []scanner.Prober{prober})
	if err != nil {
		b.Fatal(err)
	}
	return plan, prober
}
