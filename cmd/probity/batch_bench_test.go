//go:build cgo && linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func plant(b *testing.B, path string, n, seed int) moduliTruth {
	b.Helper()
	cmd := self(b)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s=%d=%d", asPlanter, path, n, seed))
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	var parts [][][]int
	if err := json.Unmarshal(out, &parts); err != nil || len(parts) != 4 {
		b.Fatalf("%v: %s", err, out)
	}
	return moduliTruth{primes: parts[0], small: parts[1], equal: parts[2], bridge: parts[3][0][0]}
}

// child runs a process, reports what it took, and returns its output. It may end with
// exit code 1, a negative verdict.
func child(b *testing.B, cmd *exec.Cmd) []byte {
	b.Helper()
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	start := time.Now()
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, problems.Bytes())
	}
	b.ReportMetric(time.Since(start).Seconds(), "wall-s")
	b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s")
	b.ReportMetric(float64(maxRSS(cmd.ProcessState))/1024, "peak-MiB")
	b.ReportMetric(0, "ns/op")
	return out.Bytes()
}

// self runs the program as a process of its own.
func self(b *testing.B, args ...string) *exec.Cmd {
	b.Helper()
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), path, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// benchSizes are the numbers of moduli or certificates of a benchmark, or what
// PROBITY_TEST_MANY says, which may take minutes.
func benchSizes(b *testing.B, usual ...int) []int {
	b.Helper()
	text := os.Getenv("PROBITY_TEST_MANY")
	if text == "" {
		return usual
	}
	var out []int
	for t := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(t)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// BenchmarkBatchGCD is the whole command, in a process of its own, beside the same
// computation with bigfft and with GMP, in processes of theirs. Peers compute
// with what fits memory, so a million is left to the command.
func BenchmarkBatchGCD(b *testing.B) {
	for _, n := range benchSizes(b, 10_000, 100_000) {
		path := filepath.Join(b.TempDir(), "moduli.txt")
		truth := plant(b, path, n, 1)
		truth.bridge = 0 // nothing to share with
		b.Run(fmt.Sprintf("%d/probity", n), func(b *testing.B) {
			for b.Loop() {
				out := child(b, self(b, "lint", "--batch-gcd", "--json", "--scratch", b.TempDir(), path))
				if diff := cmp.Diff(truth, readTruth(b, out), cmp.AllowUnexported(moduliTruth{})); diff != "" {
					b.Errorf("shared (-want +got):\n%s", diff)
				}
			}
		})
		if n > 200_000 {
			continue
		}
		b.Run(fmt.Sprintf("%d/bigfft", n), func(b *testing.B) {
			cmd := func() *exec.Cmd {
				cmd := self(b)
				cmd.Env = append(os.Environ(), asBigfft+"="+path)
				return cmd
			}
			for b.Loop() {
				sameLines(b, truth, child(b, cmd()))
			}
		})
		b.Run(fmt.Sprintf("%d/gmp", n), func(b *testing.B) {
			program := filepath.Join(b.TempDir(), "batchgcd")
			if out, err := exec.CommandContext(b.Context(), "cc", "-O2", "-fopenmp", "-o", program, "testdata/peers/batchgcd.c", "-lgmp").CombinedOutput(); err != nil { //nolint:gosec // a fixed program
				b.Skipf("cc: %v (it wants libgmp-dev)\n%s", err, out)
			}
			for b.Loop() {
				sameLines(b, truth, child(b, exec.CommandContext(b.Context(), program, path)))
			}
		})
	}
}

// BenchmarkBatchGCD_add is the whole command that adds 1,000 moduli to a set which
// earlier ones made.
func BenchmarkBatchGCD_add(b *testing.B) {
	for _, n := range benchSizes(b, 10_000, 100_000) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			first, second, set := filepath.Join(dir, "first.txt"), filepath.Join(dir, "second.txt"), filepath.Join(dir, "set")
			bridge := plant(b, first, n, 1).bridge
			truth := plant(b, second, 1000, 2)
			truth.primes = append(truth.primes, []int{min(bridge, truth.bridge), max(bridge, truth.bridge)})
			slices.SortFunc(truth.primes, slices.Compare)
			truth.bridge, truth.small = 0, nil
			for b.Loop() {
				if err := os.RemoveAll(set); err != nil {
					b.Fatal(err)
				}
				command := func(path string) []byte {
					return child(b, self(b, "lint", "--batch-gcd", "--json", "--scratch", dir, "--moduli", set, path))
				}
				command(first)
				got := readTruth(b, command(second))
				got.small = nil // what the two files share by chance is there, too
				if diff := cmp.Diff(truth, got, cmp.AllowUnexported(moduliTruth{})); diff != "" {
					b.Errorf("shared (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// readTruth reads a report as lines of its one file.
func readTruth(b *testing.B, out []byte) moduliTruth {
	b.Helper()
	var doc moduliDocument
	if err := json.Unmarshal(out, &doc); err != nil {
		b.Fatal(err)
	}
	lines := func(labels []string) []int {
		var out []int
		for _, l := range labels {
			n, err := strconv.Atoi(l[strings.LastIndexByte(l, ':')+1:])
			if err != nil {
				b.Fatal(err)
			}
			out = append(out, n)
		}
		slices.Sort(out)
		return out
	}
	var t moduliTruth
	for _, s := range doc.Shared {
		if l := lines(s.Keys); s.Prime {
			t.primes = append(t.primes, l)
		} else {
			t.small = append(t.small, l)
		}
	}
	for _, e := range doc.Equal {
		t.equal = append(t.equal, lines(e))
	}
	for _, l := range [][][]int{t.primes, t.small, t.equal} {
		slices.SortFunc(l, slices.Compare)
	}
	return t
}

func sameLines(b *testing.B, truth moduliTruth, out []byte) {
	b.Helper()
	var got []int
	for f := range strings.FieldsSeq(string(out)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		got = append(got, n)
	}
	if diff := cmp.Diff(truth.flagged(), got); diff != "" {
		b.Errorf("lines that share something (-want +got):\n%s", diff)
	}
}
