//go:build cgo

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence/store"
	"probity/fixtures/traffic"
)

// TestRead_early: what captures amount to does not depend on whether that was begun
// while they were read, on top of an earlier resolution or not, or afterwards.
func TestRead_early(t *testing.T) {
	first, _ := traffics(t, traffic.Config{Seed: 11, Bytes: 3 << 20, Density: 8})
	second, _ := traffics(t, traffic.Config{Seed: 12, Bytes: 2 << 20, Density: 8})
	const at = "2026-11-23T10:00:00Z"
	dir := t.TempDir()
	db := func(name string) string { return filepath.Join(dir, name+".db") }
	read := func(name string, args ...string) {
		probity(t, exitOK, append([]string{"read", "--db", db(name), "--at", at, "--fail-on", "none", "--quiet"}, args...)...)
	}
	judge := func(name string) {
		a := &app{stderr: os.Stderr, now: time.Now}
		j, err := a.newJudgement(judgeFlags{at: at, failOn: "none"})
		if err != nil {
			t.Fatal(err)
		}
		f := storeFlags{db: db(name)}
		st, err := a.openWriter(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if err := a.assess(t.Context(), st, f, j, nil); err != nil {
			t.Fatal(err)
		}
	}
	read("meanwhile", first, second)
	read("afterwards", first, second, "--record-only")
	judge("afterwards")
	if diff := cmp.Diff(amounts(t, db("afterwards")), amounts(t, db("meanwhile"))); diff != "" {
		t.Errorf("-afterwards +meanwhile:\n%.4000s", diff)
	}
	read("resumed", first)
	read("resumed", second)
	read("repeated", first, "--record-only")
	judge("repeated")
	read("repeated", second, "--record-only")
	judge("repeated")
	if diff := cmp.Diff(amounts(t, db("repeated")), amounts(t, db("resumed"))); diff != "" {
		t.Errorf("-repeated +resumed:\n%.4000s", diff)
	}
}

// amounts lists the findings of the newest assessment and the assets, one a line.
func amounts(t *testing.T, db string) (lines []string) {
	t.Helper()
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	line := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	runs, err := st.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	findings, err := st.Findings(t.Context(), runs[len(runs)-1].Run.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range findings.Len() {
		line(findings.At(i))
	}
	assets, err := st.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range assets {
		line(a)
	}
	if findings.Len() < 1000 || len(assets) < 10 {
		t.Fatalf("%s: only %d findings and %d assets", db, findings.Len(), len(assets))
	}
	return lines
}
