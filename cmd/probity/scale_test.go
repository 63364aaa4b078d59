//go:build cgo && linux

package main

import (
	"bufio"
	"encoding/json"
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
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probity/evidence"
	"probity/fixtures/lab"
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

// BenchmarkPlan_large plans sixteen million devices in a process of its own.
func BenchmarkPlan_large(b *testing.B) {
	for b.Loop() {
		cmd, stderr := process(b, "plan", "10.0.0.0/8", "--max-addresses", "20000000", "--max-probes", "10", "--output", filepath.Join(b.TempDir(), "plan"))
		if err := cmd.Run(); err != nil {
			b.Fatalf("%v: %s", err, stderr)
		}
		b.ReportMetric(float64(maxRSS(cmd.ProcessState))/1024, "MiB")
	}
}

// BenchmarkScan_lab scans simulated hospitals, which another process serves, and
// holds every fail and warn against the truth in both directions. The memory is
// that of probing and judging.
func BenchmarkScan_lab(b *testing.B) {
	for _, devices := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(devices), func(b *testing.B) {
			dir := b.TempDir()
			truth := otherLab(b, devices, dir)
			for i := 0; b.Loop(); i++ {
				db := filepath.Join(dir, fmt.Sprint(i, ".db"))
				cmd, stderr := process(b, "scan", "--targets", filepath.Join(dir, "targets.txt"), "--policy", filepath.Join(dir, "policy.yaml"),
					"--db", db, "--at", labAt.Format(time.RFC3339), "--rate", "20000", "--asset-rate", "200", "--parallel", "64", "--quiet", "--fail-on", "none")
				if err := cmd.Run(); err != nil {
					b.Fatalf("%v: %s", err, stderr)
				}
				runs, _ := parts(b, db)
				end := runs[0].End
				b.ReportMetric(float64(end.Reached), "endpoints")
				b.ReportMetric(float64((cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Milliseconds())/float64(end.Reached), "CPU-ms/endpoint")
				b.ReportMetric(float64(maxRSS(cmd.ProcessState))/1024, "MiB")
				b.ReportMetric(end.Ended.Sub(runs[0].Run.Started).Seconds(), "s-probing") // the rest is judging
				b.StopTimer()
				want := expected(truth)
				if diff := cmp.Diff(want, negatives(b, db)); diff != "" || len(want) < devices/10 {
					b.Fatalf("%d fails and warns in the truth (-truth +found):\n%s", len(want), diff)
				}
				b.ReportMetric(float64(len(want)), "negatives")
				b.StartTimer()
			}
		})
	}
}

// otherLab starts a lab in a process of its own, and returns its truth.
func otherLab(b *testing.B, devices int, dir string) (truth lab.Truth) {
	b.Helper()
	cmd, stderr := process(b, "lab", "--devices", fmt.Sprint(devices), "--seed", "6", "--at", labAt.Format(time.RFC3339), "--dir", dir)
	out, err1 := cmd.StdoutPipe()
	if err := errors.Join(err1, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it was interrupted
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatalf("the lab ended: %q, %v\n%s", line, err, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err == nil {
		err = json.Unmarshal(text, &truth)
	}
	if err != nil {
		b.Fatal(err)
	}
	return truth
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
