//go:build cgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/evidence/store"
	"probity/fixtures/lab"
	"probity/reports"
)

// labAt is the instant at which the labs of the tests are judged.
var labAt = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// serveLab starts a lab for the length of the test and returns its truth and
// its folder.
func serveLab(t *testing.T, devices int, seed uint64) (lab.Truth, string) {
	t.Helper()
	l, err := lab.New(lab.Config{Devices: devices, Seed: seed, At: labAt})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := l.WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- l.Serve(ctx, time.Now, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the lab ended with: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return l.Truth(), dir
}

// probity runs one command in this process.
func probity(t testing.TB, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now}
	if got := a.run(t.Context(), args); got != want {
		t.Fatalf("probity %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, want, stderr.String())
	}
	return stdout.String()
}

// negatives are the fail and warn findings of the newest assessment in the form
// of the truth.
func negatives(t testing.TB, db string) []string {
	t.Helper()
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	runs, err := st.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := runs[len(runs)-1].Run
	if last.Mode != evidence.ModeAssess {
		t.Fatalf("the last run is of mode %q", last.Mode)
	}
	findings, err := st.Findings(t.Context(), last.ID)
	if err != nil {
		t.Fatal(err)
	}
	assets, err := st.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string][]string{}
	for _, a := range assets {
		for _, addr := range a.Addresses {
			addresses[a.ID] = append(addresses[a.ID], addr.String())
		}
	}
	var out []string
	for i := range findings.Len() {
		f := findings.At(i)
		if f.Outcome != evidence.Fail && f.Outcome != evidence.Warn {
			continue
		}
		var places []string
		where := "fleet"
		switch {
		case f.Subject.Group != nil:
			where = string(f.Subject.Group.Kind)
			for _, e := range f.Subject.Group.Endpoints {
				places = append(places, e.String())
			}
		case f.Subject.Endpoint.Addr.IsValid():
			where, places = "endpoint", []string{f.Subject.Endpoint.String()}
		case f.Subject.Asset != "":
			where, places = "device", addresses[f.Subject.Asset]
		case !f.Subject.Certificate.IsZero():
			where = "certificate " + f.Subject.Certificate.String()
		}
		out = append(out, fmt.Sprint(f.Rule, " ", f.Outcome, " ", where, " ", places))
	}
	slices.Sort(out)
	return out
}

func expected(truth lab.Truth) []string {
	var out []string
	for _, d := range truth.Devices {
		for _, f := range d.Findings {
			where, places := "endpoint", []string{f.Endpoint}
			if f.Endpoint == "" {
				where, places = "device", slices.Clone(d.Addresses)
				slices.Sort(places)
			}
			out = append(out, fmt.Sprint(f.Rule, " ", f.Outcome, " ", where, " ", places))
		}
	}
	for _, f := range truth.Fleet {
		where := f.Kind
		if where == "" {
			where = "fleet"
		}
		out = append(out, fmt.Sprint(f.Rule, " ", f.Outcome, " ", where, " ", f.Endpoints))
	}
	slices.Sort(out)
	return out
}

// TestLab_truth scans labs of three seeds and compares every fail and warn with
// the truth, in both directions.
func TestLab_truth(t *testing.T) {
	for _, seed := range []uint64{2, 3, 4} {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			truth, dir := serveLab(t, 60, seed)
			db := filepath.Join(dir, "evidence.db")
			probity(t, exitNegative, "scan", "--targets", filepath.Join(dir, "targets.txt"),
				"--policy", filepath.Join(dir, "policy.yaml"), "--db", db, "--at", labAt.Format(time.RFC3339),
				"--rate", "2000", "--asset-rate", "200", "--parallel", "64", "--quiet")
			want := expected(truth)
			if len(want) < 20 {
				t.Fatalf("the truth lists only %d findings", len(want))
			}
			if diff := cmp.Diff(want, negatives(t, db)); diff != "" {
				t.Errorf("fails and warns (-truth +found):\n%s", diff)
			}
			wantIdentities(t, truth, db)
			probity(t, exitQualified, "verify", "--db", db)
		})
	}
}

// TestLab_sameEvidenceSameFindings judges one scan twice, and compares the
// reports byte for byte.
func TestLab_sameEvidenceSameFindings(t *testing.T) {
	_, dir := serveLab(t, 60, 5)
	db := filepath.Join(dir, "evidence.db")
	probity(t, exitNegative, "scan", "--targets", filepath.Join(dir, "targets.txt"),
		"--policy", filepath.Join(dir, "policy.yaml"), "--db", db, "--at", labAt.Format(time.RFC3339),
		"--rate", "2000", "--asset-rate", "200", "--parallel", "64", "--quiet")
	first := probity(t, exitOK, "report", "--db", db, "--max", "0")
	if !strings.Contains(first, "MD-DUP-001") {
		t.Errorf("the report does not name MD-DUP-001:\n%s", first)
	}
	if second := probity(t, exitOK, "report", "--db", db, "--max", "0"); first != second {
		t.Errorf("two reports differ:\n%s", cmp.Diff(first, second))
	}
	holdRawDigests(t, db)
}

// holdRawDigests holds the digests that a report has of raw bytes against the bytes in
// the database, and what a page shows of them against both.
func holdRawDigests(t *testing.T, path string) {
	t.Helper()
	var doc struct{ Observations []reports.Observation }
	if err := json.Unmarshal([]byte(probity(t, exitOK, "report", "--db", path, "--format", "json")), &doc); err != nil {
		t.Fatal(err)
	}
	page := probity(t, exitOK, "report", "--db", path, "--format", "html")
	st, err := store.Open(t.Context(), path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	digests, shown := 0, 0
	for _, o := range doc.Observations {
		blobs, err := st.Raw(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{}
		for _, b := range blobs {
			want = append(want, evidence.DigestOf(b.Data).String())
		}
		if !slices.Equal(o.Raw, want) {
			t.Errorf("observation %d: raw bytes %q, want %q", o.ID, o.Raw, want)
		}
		digests += len(want)
		for _, sum := range want {
			shown += min(1, strings.Count(page, sum))
		}
	}
	if digests < 100 || shown < 100 {
		t.Errorf("%d digests of raw bytes, %d of them on the page", digests, shown)
	}
}
