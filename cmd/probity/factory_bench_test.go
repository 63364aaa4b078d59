//go:build cgo && linux

package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// make writes the archive, in a process of its own, and returns what is wrong with
// what is in it.
func (f factory) make(b *testing.B) factoryTruth {
	b.Helper()
	order, err := json.Marshal(f)
	if err != nil {
		b.Fatal(err)
	}
	cmd := self(b)
	cmd.Env = append(os.Environ(), asFactory+"="+string(order))
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	var truth factoryTruth
	if err := json.Unmarshal(out, &truth); err != nil {
		b.Fatal(err)
	}
	return truth
}

// BenchmarkBatch is the whole test of batches of certificates, each in one archive:
// alone, into a store with moduli remembered, and a second batch of 10,000 against
// those. Members of both
// have the same names. The reports are read again, and held against all that the
// factory did wrong.
func BenchmarkBatch(b *testing.B) {
	for _, n := range benchSizes(b, 10_000, 100_000) {
		for _, kind := range []string{"EC", "RSA"} {
			b.Run(fmt.Sprintf("%d/%s", n, kind), func(b *testing.B) { benchmarkBatch(b, n, kind == "RSA") })
		}
	}
}

func benchmarkBatch(b *testing.B, n int, rsa bool) {
	dir := b.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	first := factory{Path: path("first/line.tar"), N: n, RSA: rsa}
	second := factory{Path: path("second/line.tar"), N: min(n, 10_000), RSA: rsa, Before: n}
	profile := path("profile.yaml")
	if err := errors.Join(os.WriteFile(profile, []byte(first.profile()), 0o600), os.Mkdir(path("first"), 0o700), os.Mkdir(path("second"), 0o700)); err != nil {
		b.Fatal(err)
	}
	truth, again := first.make(b), second.make(b)
	run := func(name string, f factory, truth factoryTruth, format string, more ...string) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				report := filepath.Join(b.TempDir(), "batch."+format)
				cmd := self(b, append([]string{"lint", "--batch", "line.tar", "--profile", profile, "--format", format, "--output", report, "--scratch", dir}, more...)...)
				cmd.Dir = filepath.Dir(f.Path)
				child(b, cmd)
				got := readFactoryReport(b, report, f.N)
				if diff := cmp.Diff(truth, got); diff != "" {
					b.Errorf("certificates with something wrong (-want +got):\n%s", diff)
				}
			}
		})
	}
	run("files", first, truth, "csv")
	keep := []string{"--db", path("evidence.db"), "--moduli", path("moduli")}
	run("store", first, truth, "junit", keep...)
	if _, err := os.Stat(path("evidence.db")); err != nil {
		return // that benchmark was not asked for
	}
	run("second", second, again, "csv", keep...)
}

// readFactoryReport reads which kinds of reasons each certificate has, and asks that
// all n are there.
func readFactoryReport(b *testing.B, report string, n int) factoryTruth {
	b.Helper()
	f, err := os.Open(report)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	got, rows := make(factoryTruth), 0
	take := func(name, passed, reasons string) {
		i, err := strconv.Atoi(strings.TrimSuffix(name[strings.LastIndexAny(name, "!/")+1:], ".der"))
		if err != nil {
			b.Fatal(err)
		}
		rows++
		if kinds := kindsOf(reasons); len(kinds) > 0 {
			got[i] = kinds
		}
		if passed == "" && reasons == "" || passed == "pass" && reasons != "" {
			b.Errorf("%s: %q for %q", name, passed, reasons)
		}
	}
	if filepath.Ext(report) == ".csv" {
		readFactoryCSV(b, f, take)
	} else {
		readFactoryJUnit(b, f, take)
	}
	if rows != n {
		b.Errorf("the report has %d certificates, want %d", rows, n)
	}
	return got
}

func readFactoryCSV(b *testing.B, in io.Reader, take func(name, passed, reasons string)) {
	b.Helper()
	r := csv.NewReader(in)
	r.ReuseRecord = true
	for first := true; ; first = false {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			b.Fatal(err)
		}
		if !first {
			take(row[0], row[4], row[5])
		}
	}
}

func readFactoryJUnit(b *testing.B, in io.Reader, take func(name, passed, reasons string)) {
	b.Helper()
	d := xml.NewDecoder(in)
	warns := make(map[string]string) // by the name of the file: those of the output follow the cases
	type testcase struct {
		Class   string `xml:"classname,attr"`
		Failure *struct {
			Text string `xml:",chardata"`
		} `xml:"failure"`
	}
	var passed []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		switch {
		case ok && start.Name.Local == "testcase":
			var c testcase
			if err := d.DecodeElement(&c, &start); err != nil {
				b.Fatal(err)
			}
			if c.Failure == nil {
				passed = append(passed, c.Class)
			} else {
				take(c.Class, "", c.Failure.Text)
			}
		case ok && start.Name.Local == "system-out":
			var text string
			if err := d.DecodeElement(&text, &start); err != nil {
				b.Fatal(err)
			}
			for line := range strings.Lines(text) {
				name, reason, _ := strings.Cut(line, " ")
				warns[name] += reason
			}
		}
	}
	for _, name := range passed {
		if reason := warns[name]; reason != "" {
			take(name, "", reason)
		} else {
			take(name, "pass", "")
		}
	}
}

// kindsOf returns the kinds of reasons in the text of a report, sorted.
func kindsOf(reasons string) []string {
	var out []string
	for kind, phrase := range map[string]string{
		"certificate": "The same certificate is ", "key": "The same key is in ", "serial": "The same issuer gave the same serial number to ",
		"identifier": "The identifier ", "prime": "The key shares a prime ", "profile": "MD-DUP-008 ",
	} {
		for range strings.Count(reasons, phrase) {
			out = append(out, kind)
		}
	}
	slices.Sort(out)
	return out
}

// BenchmarkLint is lint of EC certificates in one archive, as a process of its own, with
// the table that it prints.
func BenchmarkLint(b *testing.B) {
	for _, n := range benchSizes(b, 10_000, 100_000) {
		f := factory{Path: filepath.Join(b.TempDir(), "line.tar"), N: n}
		f.make(b)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				out := string(child(b, self(b, "lint", f.Path, "--scratch", b.TempDir())))
				for _, want := range []string{"high      MD-DUP-003", "critical  MD-DUP-002"} {
					if !strings.Contains(out, want) {
						b.Fatalf("the table does not say %q:\n%.4000s", want, out)
					}
				}
			}
		})
	}
}
