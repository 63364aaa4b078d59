//go:build cgo && linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"probity/evidence"
)

// TestPlan_large plans sixteen million devices: what it allocates in all does not
// depend on their number.
func TestPlan_large(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	probity(t, exitOK, "plan", "10.0.0.0/8", "--max-addresses", "20000000", "--max-probes", "10", "--output", filepath.Join(t.TempDir(), "plan"))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 100<<20 {
		t.Errorf("planning allocated %d MiB", n>>20)
	}
}

// maxRSS is the most memory that a process had, in KiB.
func maxRSS(s *os.ProcessState) int64 {
	return s.SysUsage().(*syscall.Rusage).Maxrss
}

// BenchmarkScan_endpoints scans live endpoints in one run, by number: the memory
// of the scanner stays the same.
func BenchmarkScan_endpoints(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			targets := filepath.Join(dir, "targets.txt")
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, "127.100.%d.%d:20046\n", i/250, 1+i%250)
			}
			if err := os.WriteFile(targets, []byte(text.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			// One listener answers on every address, of the loopback interface alone.
			lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
				var bound error
				err := c.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), "lo") })
				return errors.Join(err, bound)
			}}
			l, err := lc.Listen(b.Context(), "tcp", "0.0.0.0:20046")
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			go answer(l)
			for i := 0; b.Loop(); i++ {
				db := filepath.Join(dir, fmt.Sprint(i, ".db"))
				cmd, stderr := process(b, "scan", "--targets", targets, "--db", db, "--rate", "1000000", "--asset-rate", "1000000", "--quiet", "--fail-on", "none")
				if err := cmd.Run(); err != nil {
					b.Fatalf("%v: %s", err, stderr)
				}
				b.ReportMetric(float64(maxRSS(cmd.ProcessState))/1024, "MiB")
				b.ReportMetric(float64((cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Microseconds())/float64(n), "CPU-µs/endpoint")
				runs, rows := parts(b, db)
				b.ReportMetric(runs[0].End.Ended.Sub(runs[0].Run.Started).Seconds(), "s-probing") // the rest is judging
				if len(rows) != n || runs[0].End.Status != evidence.StatusComplete || runs[0].End.Reached != int64(n) {
					b.Fatalf("%d rows, end %+v", len(rows), runs[0].End)
				}
			}
		})
	}
}

// answer refuses every TLS hello by an alert.
func answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			if _, err := io.ReadFull(c, make([]byte, 5)); err == nil {
				_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 70})
				_, _ = io.Copy(io.Discard, c)
			}
		}()
	}
}
