package store

import (
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// oldVersion unpacks a database that the last program of an older schema version
// wrote.
func oldVersion(t *testing.T, version int) string {
	t.Helper()
	name := fmt.Sprint("testdata/version", version)
	f, err := os.Open(name + ".db.gz")
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
	key, err := os.ReadFile(name + ".key")
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

// oldAssets are the assets in the database of a version.
func oldAssets(version int) []evidence.Asset {
	all := testAssets()
	if version > 1 {
		return all
	}
	all[0].Stays, all[0].Joins, all[0].Events, all[0].Facts = nil, nil, nil, nil
	for i := range all[0].Claims {
		all[0].Claims[i].Source = ""
	}
	return all
}

// oldFindings are the findings in the databases of versions 1 and 2.
func oldFindings(t *testing.T, s *Store) []evidence.Finding {
	t.Helper()
	var der []byte
	if err := s.r.QueryRowContext(t.Context(), "SELECT data FROM blob b JOIN proj_certificate c ON c.blob=b.id WHERE subject IS NOT NULL").Scan(&der); err != nil {
		t.Fatal(err)
	}
	all := testFindings(der)
	for i := range all {
		all[i].ID, all[i].Run = int64(i)+1, 3
	}
	return all
}

func TestOldVersion_isReadAsItIs(t *testing.T) {
	for version := 1; version < schemaVersion; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) { readAsItIs(t, version) })
	}
}

func readAsItIs(t *testing.T, version int) {
	t.Helper()
	path := oldVersion(t, version)
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
	if diff := gocmp.Diff(oldAssets(version), assets, addrs()); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	findings, err := s.Findings(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(oldFindings(t, s), collect(findings), addrs()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if facts, err := s.AssetFacts(t.Context()); err != nil || version == 1 && len(facts) > 0 {
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

// TestOldVersion_isUpgraded opens an old database for writing: its schema is the
// one of a new database, its log goes on, and nothing in it is lost.
func TestOldVersion_isUpgraded(t *testing.T) {
	for version := 1; version < schemaVersion; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) { upgraded(t, version) })
	}
}

func upgraded(t *testing.T, version int) {
	t.Helper()
	path := oldVersion(t, version)
	old := verifyT(t, path, VerifyOptions{})
	s := openT(t, path)
	assets, err := s.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(oldAssets(version), assets, addrs()); diff != "" {
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
	facts, err := s.AssetFacts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := goesOn(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, path, VerifyOptions{Checkpoints: [][]byte{old.Sealed.Note}}); r.Status != StatusUnanchored || len(r.Problems) > 0 || r.Anchored != old.Sealed.Size {
		t.Errorf("%s, anchored up to %d of %d, %v", r.Status, r.Anchored, old.Sealed.Size, r.Problems)
	}
	s = openT(t, path)
	for _, f := range testFacts() {
		f.ID, f.Run, f.By = int64(len(facts))+1, run, testRun(evidence.ModeImport).Operator
		facts = append(facts, f)
	}
	if got, err := s.AssetFacts(t.Context()); err != nil || gocmp.Diff(facts, got, addrs()) != "" {
		t.Errorf("statements (-want +got): %v\n%s", err, gocmp.Diff(facts, got, addrs()))
	}
	// Findings of both forms stand side by side, each with a number of its own.
	if diff := gocmp.Diff([]string{"3 1 1", "3 2 1", fmt.Sprint(run, " 3 1"), fmt.Sprint(run, " 4 1")}, rowsOf(t, s, "SELECT run||' '||finding||' '||count(*) FROM v_finding GROUP BY run, finding ORDER BY finding")); diff != "" {
		t.Errorf("v_finding (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]string{"2 1", "2 2", "4 1", "4 2"}, rowsOf(t, s, "SELECT finding||' '||observation FROM v_finding_evidence ORDER BY 1")); diff != "" {
		t.Errorf("v_finding_evidence (-want +got):\n%s", diff)
	}
}

// goesOn adds a run with statements and findings.
func goesOn(t *testing.T, s *Store) (run int64) {
	t.Helper()
	r, err := s.BeginRun(t.Context(), testRun(evidence.ModeImport), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RecordAssetFacts(t.Context(), r.ID, testFacts()); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveFindings(t.Context(), r.ID, sequence(testFindings([]byte("x")))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EndRun(t.Context(), evidence.RunEnd{Run: r.ID, Ended: testTime, Status: evidence.StatusComplete}); err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func rowsOf(t *testing.T, s *Store, query string) (all []string) {
	t.Helper()
	err := each(t.Context(), s.r, query, func(scan scanFunc) error {
		var row string
		err := scan(&row)
		all = append(all, row)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestVersion1_damagedIsNotUpgraded leaves a database alone whose log does not
// bear its checkpoints.
func TestVersion1_damagedIsNotUpgraded(t *testing.T) {
	path := oldVersion(t, 1)
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
