//go:build cgo && linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	_ "github.com/mattn/go-sqlite3" // the driver

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner/identify/churn"
)

// resolving runs "asset resolve" as a process of its own and returns its processor
// time, its wall time and its peak of resident memory in MB.
func resolving(t testing.TB, db string, flags ...string) (used, wall time.Duration, peak float64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, append([]string{"asset", "resolve", "--db", db}, flags...)...)
	status := filepath.Join(t.TempDir(), "status")
	cmd.Env = append(os.Environ(), asCommand+"=1", peakFile+"="+status)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(start), float64(peakOf(t, status)) / 1e6
}

// simulatedSite is a simulated site whose observations go into a database.
type simulatedSite struct {
	t     testing.TB
	world *churn.World
	st    *store.Store
	runs  map[int64]int64 // by the run of the simulation
}

func simulate(t testing.TB, seed uint64, devices int) *simulatedSite {
	s := &simulatedSite{t: t, runs: map[int64]int64{}}
	s.world = churn.New(t, seed, devices, func(o evidence.Observation, _ int) { s.record(o) })
	return s
}

func (s *simulatedSite) record(o evidence.Observation) {
	ctx := context.Background()
	run, ok := s.runs[o.Run]
	if !ok {
		begun, err := s.st.BeginRun(ctx, evidence.Run{Mode: evidence.ModeActive, Started: o.At, Tool: "test"}, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		run = begun.ID
		s.runs[o.Run] = run
	}
	o.ID, o.Run = 0, run
	if err := s.st.Record(ctx, o); err != nil {
		s.t.Fatal(err)
	}
}

// observe opens the database and does as the site's scanner and sensor do.
func (s *simulatedSite) observe(db string, weeks func(w *churn.World)) {
	s.t.Helper()
	ctx := context.Background()
	var err error
	if s.st, err = store.Open(ctx, db, store.Options{Now: time.Now}); err != nil {
		s.t.Fatal(err)
	}
	weeks(s.world)
	for _, run := range s.runs {
		if _, err := s.st.EndRun(ctx, evidence.RunEnd{Run: run, Ended: time.Now(), Status: evidence.StatusComplete}); err != nil {
			s.t.Fatal(err)
		}
	}
	clear(s.runs)
	if err := s.st.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// contents are what "asset list" says of a database, with every detail.
func contents(t testing.TB, db string) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "asset", "list", "--json", "--db", db)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sqlite changes a database behind the program's back.
func sqlite(t testing.TB, db, statements string) {
	t.Helper()
	file, err := sql.Open("sqlite3", db)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// TestAssetResolve_newProcess resolves week after week, each in a process of its
// own: the devices are byte for byte those of a resolution of everything. What was
// left and is damaged is noticed and made again, and verify does not mind.
func TestAssetResolve_newProcess(t *testing.T) {
	db := filepath.Join(t.TempDir(), "e.db")
	s := simulate(t, 61, 60)
	for range 3 {
		s.observe(db, func(w *churn.World) { w.Observe(); w.Week() })
		resolving(t, db)
	}
	went := contents(t, db)
	resolving(t, db, "--anew")
	if anew := contents(t, db); !bytes.Equal(went, anew) {
		t.Errorf("week by week and at once differ:\n%.2000s\n%.2000s", went, anew)
	}
	for _, harm := range []string{
		"DELETE FROM proj_identity_place WHERE id%3=0",
		"UPDATE proj_identity_place SET record=substr(record,1,length(record)-2)",
		"DELETE FROM proj_identity_held WHERE identifier=(SELECT max(identifier) FROM proj_identity_held)",
		"DELETE FROM proj_asset_sum; DELETE FROM proj_asset_name; DELETE FROM proj_claim",
		"UPDATE proj_identity SET maker='another'",
		"UPDATE proj_identity SET leaf=x'00'",
		"DELETE FROM proj_identity",
	} {
		sqlite(t, db, harm)
		s.observe(db, func(w *churn.World) { w.Observe(); w.Week() })
		resolving(t, db)
		went := contents(t, db)
		resolving(t, db, "--anew")
		if anew := contents(t, db); !bytes.Equal(went, anew) {
			t.Errorf("after %q the devices are others than from the evidence", harm)
		}
	}
	r, err := store.Verify(t.Context(), db, store.VerifyOptions{})
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("verify: %v %v", err, r.Problems)
	}
}

// TestAssetsNamed: an asset that is looked up is byte for byte that of the list, by its
// id, by one that it had and by each address, and a damaged one is noticed.
func TestAssetsNamed(t *testing.T) {
	db := filepath.Join(t.TempDir(), "e.db")
	s := simulate(t, 62, 60)
	for range 3 {
		s.observe(db, func(w *churn.World) { w.Observe(); w.Week() })
	}
	resolving(t, db)
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	all, err := st.Assets(t.Context())
	if err != nil || len(all) < 60 {
		t.Fatalf("%d assets: %v", len(all), err)
	}
	byID := map[string]evidence.Asset{}
	for _, a := range all {
		byID[a.ID] = a
	}
	looked := 0
	for _, a := range all {
		names := []string{a.ID}
		for _, stay := range a.Stays {
			names = append(names, stay.ID, stay.Addr.String())
		}
		for _, name := range names {
			got, err := st.AssetsNamed(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, g := range got {
				looked++
				found = found || g.ID == a.ID
				if diff := cmp.Diff(byID[g.ID], g, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
					t.Fatalf("%s by %s (-listed +looked up):\n%s", g.ID, name, diff)
				}
			}
			if !found {
				t.Errorf("%s is not found by %s", a.ID, name)
			}
		}
	}
	if got, err := st.AssetsNamed(t.Context(), "nothing"); err != nil || len(got) > 0 || looked < len(all) {
		t.Errorf("of no name: %v, %v; %d looked up", got, err, looked)
	}
	sqlite(t, db, "DELETE FROM proj_claim WHERE asset=(SELECT id FROM proj_asset WHERE asset='"+all[0].ID+"')")
	if _, err := st.AssetsNamed(t.Context(), all[0].ID); !errors.Is(err, store.ErrProjection) {
		t.Errorf("a damaged asset: %v", err)
	}
	if _, err := st.AssetsNamed(t.Context(), all[1].ID); err != nil {
		t.Errorf("another: %v", err)
	}
}

// BenchmarkAssetResolve resolves 100,000 devices with 2 million observations from
// the database, then nothing more, a run that adds a quarter of 1 %, and one that adds
// 1 %, of one part of the network, and one of devices anywhere. Each is a process of its own; its processor time, wall time
// and peak of resident memory are those that the kernel counts.
func BenchmarkAssetResolve(b *testing.B) {
	for b.Loop() {
		db := filepath.Join(b.TempDir(), "e.db")
		s := simulate(b, 1, 100_000)
		s.observe(db, func(w *churn.World) {
			for w.Observations() < 2_000_000 {
				w.Observe()
				w.Week()
			}
		})
		report := func(name string, flags ...string) {
			used, wall, peak := resolving(b, db, flags...)
			b.ReportMetric(used.Seconds(), "cpu-s/"+name)
			b.ReportMetric(wall.Seconds(), "s/"+name)
			b.ReportMetric(peak, "MB/"+name)
		}
		b.ReportMetric(float64(s.world.Observations()), "observations")
		report("all", "--anew")
		report("nothing") // what it takes to see that nothing was added
		for _, part := range []struct {
			name string
			look func(*churn.World)
		}{
			{"quarter", func(w *churn.World) { w.Limit(6) }},
			{"network", func(w *churn.World) { w.Limit(24) }},
			{"anywhere", func(w *churn.World) { w.Sample(20) }},
		} {
			before := s.world.Observations()
			s.observe(db, func(w *churn.World) { part.look(w); w.Observe() })
			b.ReportMetric(100*float64(s.world.Observations()-before)/float64(before), "%/"+part.name)
			report(part.name)
		}
		if info, err := os.Stat(db); err == nil {
			b.ReportMetric(float64(info.Size())/1e6, "MB/database")
		}
	}
}
