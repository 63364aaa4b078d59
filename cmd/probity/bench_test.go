//go:build cgo

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence/store"
	"probity/fixtures/peer"
	"probity/fixtures/traffic"
)

// benchBytes is the size of the mixed capture: 1 GB, or PROBITY_BENCH_BYTES.
func benchBytes(b *testing.B) int64 {
	b.Helper()
	text := os.Getenv("PROBITY_BENCH_BYTES")
	if text == "" {
		return 1 << 30
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatalf("PROBITY_BENCH_BYTES: %v", err)
	}
	return n
}

// readCommand runs the whole command in a process of its own, with a new
// database, and returns the database, the peak memory in bytes and the seconds of
// processor time.
func readCommand(b *testing.B, path string, flags ...string) (db string, peak int64, cpu float64) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	db, status := filepath.Join(dir, "a.db"), filepath.Join(dir, "status")
	var stderr bytes.Buffer
	cmd := exec.CommandContext(b.Context(), exe, append([]string{"read", path, "--db", db, "--fail-on", "none"}, flags...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1", peakFile+"="+status)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != exitQualified {
		b.Fatalf("%v: %s", err, stderr.String())
	}
	return db, peakOf(b, status), cpuOf(cmd)
}

// peakOf returns the peak memory of a command, in bytes, out of its [peakFile].
func peakOf(t testing.TB, path string) int64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("%s: no peak memory", path)
	return 0
}

// cpuOf is the processor time of a command that ended, in seconds: unlike the time
// on the clock it does not depend on what else the machine does.
func cpuOf(cmd *exec.Cmd) float64 {
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

// BenchmarkPassive_mix reads a mixed capture with the whole command, SQLite
// included: with the report that a user gets, with judgement only, and with neither,
// and with the two programs it is held against, which do not judge. Their rows give
// the ratio of their time to each of ours.
func BenchmarkPassive_mix(b *testing.B) {
	path, truth := traffics(b, traffic.Mixed(1, benchBytes(b)))
	type ours struct {
		name           string
		flags          []string
		elapsed, spent float64
	}
	modes := []ours{
		{name: "probity-report"},
		{name: "probity-judged", flags: []string{"--quiet"}},
		{name: "probity", flags: []string{"--record-only"}},
	}
	for i := range modes {
		mode := &modes[i]
		b.Run(mode.name, func(b *testing.B) {
			b.SetBytes(truth.Bytes)
			var db string
			var peak int64
			for b.Loop() {
				db, peak, mode.spent = readCommand(b, path, mode.flags...)
			}
			b.ReportMetric(mode.spent, "cpu-s")
			mode.elapsed = b.Elapsed().Seconds() / float64(b.N)
			b.ReportMetric(float64(truth.Packets)/mode.elapsed, "packets/s")
			b.ReportMetric(float64(peak)/1e6, "peak-MB")
			if diff := cmp.Diff(wanted(truth), sightings(b, db)); diff != "" {
				b.Errorf("-truth +probity:\n%s", diff)
			}
		})
	}
	for _, p := range []struct {
		program string
		args    []string
	}{
		{"tshark", []string{"-r", path, "-Y", "tls.handshake", "-T", "fields", "-e", "tls.handshake.certificate", "-e", "tls.handshake.extensions_server_name"}},
		{"ndpiReader", []string{"-i", path, "-v", "2"}},
	} {
		b.Run(p.program, func(b *testing.B) {
			b.SetBytes(truth.Bytes)
			cpu := 0.0
			for b.Loop() {
				cpu = peerCommand(b, p.program, p.args...)
			}
			b.ReportMetric(cpu, "cpu-s")
			for _, mode := range modes {
				if mode.elapsed > 0 {
					b.ReportMetric(cpu/mode.spent, "cpu-x-of-"+mode.name)
					b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/mode.elapsed, "x-of-"+mode.name)
				}
			}
		})
	}
}

// peerCommand runs another program and returns the seconds of processor time.
func peerCommand(b *testing.B, name string, args ...string) (cpu float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), peer.Require(b, name)[name], args...)
	cmd.Stdout, cmd.Env = io.Discard, append(os.Environ(), "HOME="+b.TempDir())
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	return cpuOf(cmd)
}

// BenchmarkPassive_small reads small packets, with the whole command and with the
// program it is held against. BenchmarkRead_small of package passive is the same
// without a store.
func BenchmarkPassive_small(b *testing.B) {
	c := traffic.Mixed(2, benchBytes(b)/5)
	c.Small = true
	path, truth := traffics(b, c)
	for _, p := range []struct {
		name string
		run  func(b *testing.B) (cpu float64)
	}{
		{"probity", func(b *testing.B) float64 {
			b.Helper()
			_, _, cpu := readCommand(b, path, "--record-only")
			return cpu
		}},
		{"ndpiReader", func(b *testing.B) float64 {
			b.Helper()
			return peerCommand(b, "ndpiReader", "-i", path, "-v", "2")
		}},
	} {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(truth.Bytes)
			cpu := 0.0
			for b.Loop() {
				cpu = p.run(b)
			}
			b.ReportMetric(cpu, "cpu-s")
			b.ReportMetric(float64(truth.Packets)*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

// BenchmarkPassive_pipe reads ten times as much as the others out of a pipe, into
// which it is written as it is made, so that it is never on a disk. The time is
// that of the writer.
func BenchmarkPassive_pipe(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		db, status := filepath.Join(dir, "pipe.db"), filepath.Join(dir, "status")
		cmd, stderr := process(b, "read", "-", "--db", db, "--record-only")
		cmd.Env = append(cmd.Env, peakFile+"="+status)
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		truth, err := traffic.Write(in, traffic.Mixed(1, 10*benchBytes(b)))
		if err := errors.Join(err, in.Close(), cmd.Wait()); err != nil {
			b.Fatalf("%v: %s", err, stderr)
		}
		b.SetBytes(truth.Bytes)
		b.ReportMetric(cpuOf(cmd), "cpu-s")
		b.ReportMetric(float64(peakOf(b, status))/1e6, "peak-MB")
		if diff := cmp.Diff(wanted(truth), sightings(b, db)); diff != "" {
			b.Errorf("-truth +probity:\n%s", diff)
		}
		if err := os.Remove(db); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPassive_flood reads a million connections that never come about.
func BenchmarkPassive_flood(b *testing.B) {
	const connections = 1_000_000
	path := filepath.Join(b.TempDir(), "flood.pcap")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := traffic.Flood(f, 1, connections); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	var db string
	var peak int64
	for b.Loop() {
		db, peak, _ = readCommand(b, path, "--quiet")
	}
	b.ReportMetric(float64(peak)/1e6, "peak-MB")
	st, err := store.Open(b.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	runs, err := st.Runs(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if end := runs[0].End; end == nil || end.Status != "incomplete" {
		b.Errorf("the flood is not said: %+v", end)
	}
}
