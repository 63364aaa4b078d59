package tlsprobe

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"probity/evidence"
	"probity/fixtures/measure"
	"probity/internal/wire/tlswire"
)

// farmVariable tells a child process of the benchmark to serve.
const farmVariable = "PROBITY_TLS_FARM"

// farmSize is how many endpoints the farm has.
const farmSize = 200

// TestFarm is the server process of BenchmarkGrab: half its endpoints have an RSA
// key of 2048 bits, half one on P-256. It prints their addresses and serves until
// its standard input ends.
func TestFarm(t *testing.T) {
	versions := os.Getenv(farmVariable)
	if versions == "" {
		t.Skip("a process of BenchmarkGrab only")
	}
	config := func(bits int) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{certificate(t, bits)}, MinVersion: tls.VersionTLS12}
		if versions == "tls1.2" {
			c.MaxVersion = tls.VersionTLS12
		}
		return c
	}
	configs := []*tls.Config{config(0), config(2048)}
	var list strings.Builder
	for i := range farmSize {
		d := serve(t, func(c net.Conn) { io.Copy(io.Discard, tls.Server(c, configs[i%2])) })
		list.WriteString("farm " + d.address + "\n")
	}
	os.Stdout.WriteString(list.String() + "farm ready\n")
	io.Copy(io.Discard, os.Stdin)
}

// farm starts the server process and returns a session for each endpoint.
func farm(b *testing.B, versions string) []*direct {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestFarm$")
	cmd.Env = append(os.Environ(), farmVariable+"="+versions)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	var text strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(text.String(), "farm ready") {
		n, err := out.Read(buf)
		if err != nil {
			b.Fatalf("the farm ended: %v\n%s", err, text.String())
		}
		text.Write(buf[:n])
	}
	go io.Copy(io.Discard, out)
	var all []*direct
	for line := range strings.Lines(text.String()) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "farm 127"); ok {
			all = append(all, &direct{address: "127" + address})
		}
	}
	return all
}

// BenchmarkGrab measures the processor time of the scanner for certificate, chain
// and parameters in one connection. The servers are another process.
func BenchmarkGrab(b *testing.B) {
	for _, versions := range []string{"tls1.3", "tls1.2"} {
		b.Run(versions, func(b *testing.B) {
			endpoints := farm(b, versions)
			tables := newTables()
			var next, bad atomic.Int64
			began := measure.ProcessorTime(b)
			b.ResetTimer()
			var workers sync.WaitGroup
			for range 8 * runtime.GOMAXPROCS(0) {
				workers.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						r := &run{tables: tables, session: endpoints[i%int64(len(endpoints))]}
						o := r.offer(evidence.OfferFull, tlswire.VersionTLS13, fullSuites())
						o.groups, o.limit = computed(), fullBytes
						if obs, _, err := take(b.Context(), r.session, o); err != nil || len(obs.Certs) == 0 {
							bad.Add(1)
						}
					}
				})
			}
			workers.Wait()
			b.StopTimer()
			b.ReportMetric(float64((measure.ProcessorTime(b)-began).Microseconds())/float64(b.N), "cpu-us/endpoint")
			if n := bad.Load(); n > 0 {
				b.Errorf("%d of %d grabs have no certificate", n, b.N)
			}
		})
	}
}
