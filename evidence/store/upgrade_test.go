package store

import (
	"compress/gzip"
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// version1 unpacks a database that the last program of schema version 1 wrote.
func version1(t *testing.T) string {
	t.Helper()
	f, err := os.Open("testdata/version1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/version1.key")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old.db")
	for name, b := range map[string][]byte{path: data, path + ".key": key} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// oldAssets are the assets in the database of version 1.
func oldAssets() []evidence.Asset {
	all := testAssets()
	all[0].Stays, all[0].Joins, all[0].Events, all[0].Facts = nil, nil, nil, nil
	for i := range all[0].Claims {
		all[0].Claims[i].Source = ""
	}
	return all
}

func TestVersion1_isReadAsItIs(t *testing.T) {
	path := version1(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, path, VerifyOptions{}); r.Status != StatusUnanchored || len(r.Problems) > 0 {
		t.Errorf("%s %v", r.Status, r.Problems)
	}
	s, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	assets, err := s.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(oldAssets(), assets, addrs()); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	if facts, err := s.AssetFacts(t.Context()); err != nil || len(facts) > 0 {
		t.Errorf("statements: %v, %v", facts, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("reading changed the file")
	}
}

// TestVersion1_isUpgraded opens an old database for writing: its schema is the
// one of a new database, its log goes on, and nothing in it is lost.
func TestVersion1_isUpgraded(t *testing.T) {
	path := version1(t)
	old := verifyT(t, path, VerifyOptions{})
	s := openT(t, path)
	assets, err := s.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(oldAssets(), assets, addrs()); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	got, err := schemaOf(t.Context(), s.r)
	if err != nil {
		t.Fatal(err)
	}
	want, err := declaredSchema(t.Context(), schemaVersion)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-new +upgraded):\n%s", diff)
	}
	run, err := s.BeginRun(t.Context(), testRun(evidence.ModeImport), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RecordAssetFacts(t.Context(), run.ID, testFacts()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EndRun(t.Context(), evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusComplete}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, path, VerifyOptions{Checkpoints: [][]byte{old.Sealed.Note}}); r.Status != StatusUnanchored || len(r.Problems) > 0 || r.Anchored != old.Sealed.Size {
		t.Errorf("%s, anchored up to %d of %d, %v", r.Status, r.Anchored, old.Sealed.Size, r.Problems)
	}
	s = openT(t, path)
	facts, err := s.AssetFacts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantFacts := testFacts()
	for i := range wantFacts {
		wantFacts[i].ID, wantFacts[i].Run, wantFacts[i].By = int64(i)+1, run.ID, testRun(evidence.ModeImport).Operator
	}
	if diff := gocmp.Diff(wantFacts, facts, addrs()); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
}

// TestVersion1_damagedIsNotUpgraded leaves a database alone whose log does not
// bear its checkpoints.
func TestVersion1_damagedIsNotUpgraded(t *testing.T) {
	path := version1(t)
	attack(t, path, func(_ context.Context, c *sql.Conn) { exec(t, c, "UPDATE entry SET leaf=zeroblob(32) WHERE seq=3") })
	if _, err := Open(t.Context(), path, Options{Now: clock()}); err == nil {
		t.Fatal("a damaged log was continued")
	}
	if r := verifyT(t, path, VerifyOptions{}); r.Status != StatusTampered {
		t.Errorf("status %s", r.Status)
	}
	s, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.version != 1 {
		t.Errorf("the schema has version %d now", s.version)
	}
}
