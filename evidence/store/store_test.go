package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probity/evidence"
)

func addrs() gocmp.Option { return gocmp.Comparer(func(a, b netip.Addr) bool { return a == b }) }

// TestTables_matchSchema keeps the canonical lines complete: a new column or
// table that is not logged must be declared so.
func TestTables_matchSchema(t *testing.T) {
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	ctx := t.Context()
	logged := map[string]bool{"entry": true}
	for _, tab := range s.tables {
		logged[tab.name] = true
		var got []string
		err := each(ctx, s.r, "SELECT name FROM pragma_table_info('"+tab.name+"') ORDER BY cid", func(scan scanFunc) error {
			var name string
			err := scan(&name)
			got = append(got, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(slices.Concat(tab.columns, tab.stored), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tab.name, diff)
		}
	}
	err := each(ctx, s.r, "SELECT name FROM sqlite_schema WHERE type='table'", func(scan scanFunc) error {
		var name string
		err := scan(&name)
		if !logged[name] && !strings.HasPrefix(name, "proj_") {
			t.Errorf("table %s is neither logged nor a projection", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Tables must be STRICT and have an explicit id.
	err = each(ctx, s.r, "SELECT name, sql FROM sqlite_schema WHERE type='table'", func(scan scanFunc) error {
		var name, text string
		err := scan(&name, &text)
		id := strings.HasSuffix(text, ") STRICT") && strings.Contains(text, "INTEGER PRIMARY KEY")
		if !id && (logged[name] || !strings.HasSuffix(text, ") STRICT, WITHOUT ROWID")) {
			t.Errorf("table %s is not STRICT or has no INTEGER PRIMARY KEY", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFingerprint fails when the schema changes: then schemaVersion must, too,
// and older databases need a way to be read.
func TestFingerprint(t *testing.T) {
	all, err := declaredSchema(t.Context(), schemaVersion)
	if err != nil {
		t.Fatal(err)
	}
	const want = "176ce281ecd7559fd4919ab5577e33b684bd9d78246016b8d041bb2b728138da"
	if got := fingerprint(all).String(); got != want {
		t.Errorf("schema version %d has fingerprint %s, want %s", schemaVersion, got, want)
	}
}

func TestStore_roundTrip(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "e ?#%41.db") // a name that a URI would read otherwise
	s := openT(t, path)
	der := testCert(t)
	run, err := s.BeginRun(ctx, testRun(evidence.ModeActive), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := testObservations(run.ID, der)
	probe := evidence.ProbeRecord{Run: run.ID, Endpoint: web, Probe: "tls", Started: testTime, Ended: testTime, Connections: 1, Outcome: evidence.ProbeSent, Reason: "r"}
	if err := s.RecordProbe(ctx, probe, want[:2]); err != nil {
		t.Fatal(err)
	}
	hostile := passiveObservation(run.ID, der)
	hostile.Endpoint.Name, hostile.Detail = "a\xffb\x00c", "<\u2028>"
	want = append(want, hostile)
	for _, o := range want[2:] {
		if err := s.Record(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	want[4].Endpoint.Name = "a\uFFFDb\uFFFDc"
	want[0].Probe, want[1].Probe = 1, 1
	for i := range want {
		want[i].ID = int64(i + 1)
	}
	var got []evidence.Observation
	for o, err := range s.Observations(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o)
	}
	if diff := gocmp.Diff(want, got, addrs(), cmpopts.IgnoreFields(evidence.Observation{}, "Raw")); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
	if &got[0].Certs[0].DER[0] != &got[1].Certs[0].DER[0] {
		t.Error("equal certificates do not share their bytes")
	}
	raw, err := s.Raw(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]evidence.Blob{{Media: "application/x-probity-tls", Data: []byte("hello")}, {Media: "x", Data: []byte{}}}, raw, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
	probes, err := s.Probes(ctx, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	probe.ID = 1
	if diff := gocmp.Diff([]evidence.ProbeRecord{probe}, probes, addrs()); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	for o, err := range s.Observations(ctx) { // an early stop gives the connection back
		if err != nil || o.ID != 1 {
			t.Fatal(o.ID, err)
		}
		break
	}
}

func TestStore_judgement(t *testing.T) {
	ctx := t.Context()
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	fill(t, s)
	runs, err := s.Runs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 3 {
		t.Fatalf("%d runs, want 3", len(runs))
	}
	wantRun := testRun(evidence.ModeAssess)
	wantRun.ID = 3
	want := RunInfo{
		Run:      wantRun,
		End:      &evidence.RunEnd{Run: 3, Ended: testTime.Add(time.Hour), Status: evidence.StatusComplete, Targets: 3, Reached: 2, PacketsSeen: 10, PacketsDropped: 1, Note: "end"},
		Findings: map[evidence.Outcome]int{evidence.Pass: 1, evidence.Fail: 1},
	}
	if diff := gocmp.Diff(want, runs[2]); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	var certs [][]byte
	for o, err := range s.Observations(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range o.Certs {
			certs = append(certs, c.DER)
		}
	}
	wantFindings := testFindings(certs[0])
	for i := range wantFindings {
		wantFindings[i].ID, wantFindings[i].Run = int64(i+1), 3
	}
	findings, err := s.Findings(ctx, 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(wantFindings, collect(findings), addrs()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	assets, err := s.Assets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(testAssets(), assets, addrs()); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	if err := s.SaveResolution(ctx, resolution(nil)); err != nil {
		t.Fatal(err)
	}
	if assets, err := s.Assets(ctx); err != nil || len(assets) != 0 {
		t.Errorf("after replacing by none: %v, %v", assets, err)
	}
}

// TestFindings_damaged: a list that does not fit its keys, or is empty, is an error.
func TestFindings_damaged(t *testing.T) {
	for name, damage := range map[string]string{
		"empty": "UPDATE verdict SET subjects='[]', keys=x''",
		"short": "UPDATE verdict SET subjects='[]'",
		"other": "UPDATE verdict SET subjects='[1000]'",
	} {
		path, _ := filled(t)
		attack(t, path, func(_ context.Context, c *sql.Conn) { exec(t, c, damage) })
		if _, err := reader(t, path).Findings(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "verdict 1: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSaveFindings_refuses(t *testing.T) {
	ctx := t.Context()
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	run, err := s.BeginRun(ctx, testRun(evidence.ModeAssess), nil)
	if err != nil {
		t.Fatal(err)
	}
	good := testFindings([]byte("x"))[:1]
	if err := s.SaveFindings(ctx, run.ID, sequence(good)); err == nil || !strings.Contains(err.Error(), "was not saved") {
		t.Errorf("without a catalogue: %v", err)
	}
	if err := s.SaveCatalogue(ctx, "1", catalogueDigest(), testRules()); err != nil {
		t.Fatal(err)
	}
	noEvidence, unknown, foreign := good[0], good[0], good[0]
	noEvidence.Outcome = evidence.Fail
	unknown.Rule = "MD-NO-001"
	foreign.Observations = []int64{99}
	for name, tt := range map[string]struct {
		fs   []evidence.Finding
		want string
	}{
		"fail without evidence": {[]evidence.Finding{noEvidence}, "without an observation"},
		"unknown rule":          {[]evidence.Finding{unknown}, "not in the catalogue"},
		"same key":              {[]evidence.Finding{good[0], good[0]}, "same key"},
		"no such observation":   {[]evidence.Finding{foreign}, "observation 99, which is not recorded"},
	} {
		err := s.SaveFindings(ctx, run.ID, sequence(append(slices.Clone(tt.fs), good[1:]...)))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if fs, err := s.Findings(ctx, run.ID); err != nil || fs.Len() != 0 {
		t.Errorf("refused findings left %v, %v", fs, err)
	}
	if err := s.SaveFindings(ctx, run.ID, sequence(good)); err != nil {
		t.Error(err)
	}
	if err := s.SaveFindings(ctx, run.ID, sequence(good)); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second time: %v", err)
	}
}

func TestStore_runNotOpen(t *testing.T) {
	ctx := t.Context()
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	fill(t, s)
	_, endErr := s.EndRun(ctx, evidence.RunEnd{Run: 1, Status: evidence.StatusComplete})
	for name, err := range map[string]error{
		"record":   s.Record(ctx, passiveObservation(1, nil)),
		"probe":    s.RecordProbe(ctx, evidence.ProbeRecord{Run: 1}, nil),
		"findings": s.SaveFindings(ctx, 1, sequence(nil)),
		"end":      endErr,
	} {
		if !errors.Is(err, ErrRunNotOpen) {
			t.Errorf("%s on an ended run: %v", name, err)
		}
	}
}

func TestRecord_refuses(t *testing.T) {
	ctx := t.Context()
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	run, err := s.BeginRun(ctx, testRun(evidence.ModePassive), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*evidence.Observation){
		"method":    func(o *evidence.Observation) { o.Method = "x" },
		"result":    func(o *evidence.Observation) { o.Result = "" },
		"transport": func(o *evidence.Observation) { o.Endpoint.Transport = "" },
		"role":      func(o *evidence.Observation) { o.Certs = []evidence.Presented{{Role: "x"}} },
		"probe":     func(o *evidence.Observation) { o.Probe = 1 },
	} {
		o := passiveObservation(run.ID, nil)
		change(&o)
		if err := s.Record(ctx, o); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
	if err := s.Record(ctx, passiveObservation(run.ID, nil)); err != nil {
		t.Error(err)
	}
}

// TestRecord_batches checks that a thousand rows are committed without a Flush.
func TestRecord_batches(t *testing.T) {
	ctx := t.Context()
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	run, err := s.BeginRun(ctx, testRun(evidence.ModePassive), nil)
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		if err := s.r.QueryRowContext(ctx, "SELECT count(*) FROM observation").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	o := passiveObservation(run.ID, []byte("x")) // weighs three rows
	for range batchRows / 3 {
		if err := s.Record(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 0 {
		t.Errorf("%d rows are kept before the batch is full", n)
	}
	if err := s.Record(ctx, o); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != batchRows/3+1 {
		t.Errorf("%d rows are kept when the batch is full", n)
	}
	big := o
	big.Raw = []evidence.Blob{{Data: make([]byte, batchBytes)}}
	if err := s.Record(ctx, big); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != batchRows/3+2 {
		t.Errorf("a batch full of bytes is not kept: %d", n)
	}
	// The timer's commit, without waiting for it.
	if err := s.Record(ctx, o); err != nil {
		t.Fatal(err)
	}
	s.flushLate()
	if n := count(); n != batchRows/3+3 {
		t.Errorf("a late commit kept %d rows", n)
	}
}

func TestStore_appendOnly(t *testing.T) {
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	fill(t, s)
	ctx := t.Context()
	old := openT(t, oldVersion(t, 2)) // has rows in the tables that are not written any more
	all := append([]table{{name: "entry", columns: []string{"seq", "kind", "ref", "leaf"}}}, s.tables[:]...)
	for _, tab := range all {
		db := s.w
		if strings.HasPrefix(tab.name, "finding") {
			db = old.w
		}
		id, cols := tab.columns[0], strings.Join(slices.Concat(tab.columns, tab.stored), ",")
		for what, query := range map[string]string{
			"update":  "UPDATE " + tab.name + " SET " + id + "=" + id,
			"delete":  "DELETE FROM " + tab.name,
			"replace": "INSERT OR REPLACE INTO " + tab.name + "(" + cols + ") SELECT " + cols + " FROM " + tab.name,
			"upsert":  "INSERT INTO " + tab.name + "(" + cols + ") SELECT " + cols + " FROM " + tab.name + " WHERE 1 ON CONFLICT DO UPDATE SET " + id + "=" + id,
		} {
			_, err := db.ExecContext(ctx, query)
			if err == nil {
				t.Errorf("%s of %s was carried out", what, tab.name)
			} else if !strings.Contains(err.Error(), "append-only") && !strings.Contains(err.Error(), "must") {
				t.Errorf("%s of %s: %v", what, tab.name, err)
			}
		}
	}
	if _, err := s.r.ExecContext(ctx, "INSERT INTO entry VALUES(0,'x',1,zeroblob(32))"); err == nil {
		t.Error("a reader's connection wrote")
	}
}

func TestOpen_files(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.db")
	s, err := Open(t.Context(), path, Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	mode := func(name string) fs.FileMode {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".key"} {
		if m := mode(path + suffix); m != 0o600 {
			t.Errorf("mode of %q is %v, want 0600", suffix, m)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := gocmp.Diff([]string{"e.db", "e.db.key", "e.db.key.pub"}, names); diff != "" {
		t.Errorf("files after Close (-want +got):\n%s", diff)
	}
	r := reader(t, path)
	if _, err := r.BeginRun(t.Context(), evidence.Run{}, nil); !errors.Is(err, ErrReadOnly) {
		t.Errorf("begin run on a reader: %v", err)
	}
	if _, err := r.Runs(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStore_sealsLongRuns checks that a run that does not end is sealed by the
// clock.
func TestStore_sealsLongRuns(t *testing.T) {
	ctx := t.Context()
	now := testTime
	s, err := Open(ctx, filepath.Join(t.TempDir(), "e.db"), Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, err := s.BeginRun(ctx, testRun(evidence.ModePassive), nil)
	if err != nil {
		t.Fatal(err)
	}
	record := func() Checkpoint {
		if err := cmp.Or(s.Record(ctx, passiveObservation(run.ID, nil)), s.Flush(ctx)); err != nil {
			t.Fatal(err)
		}
		c, err := s.LastCheckpoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := record()
	now = now.Add(sealEvery)
	second := record()
	if second.Size <= first.Size {
		t.Errorf("sealed at %d entries, a minute later at %d", first.Size, second.Size)
	}
	if third := record(); third.Size != second.Size {
		t.Errorf("sealed again at %d entries without need", third.Size)
	}
}

// TestRecordProbe_together records from many goroutines at the same time: each
// row has its own observations, and a row that cannot be kept is the only one that
// is not. Rows that are enough for a transaction do not wait for the time to gather
// more.
func TestRecordProbe_together(t *testing.T) {
	for _, gather := range []time.Duration{0, time.Hour} {
		t.Run(gather.String(), func(t *testing.T) { recordTogether(t, gather) })
	}
}

func recordTogether(t *testing.T, gather time.Duration) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "e.db")
	s, err := Open(ctx, path, Options{Now: clock(), Origin: "probity/test", Gather: gather})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, err := s.BeginRun(ctx, testRun(evidence.ModeActive), nil)
	if err != nil {
		t.Fatal(err)
	}
	der := testCert(t)
	const callers = maxTogether
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			o := passiveObservation(0, der)
			o.Method, o.Endpoint.Port, o.Raw = evidence.Active, uint16(i+1), []evidence.Blob{{Media: "x", Data: []byte{byte(i)}}, {Media: "y", Data: []byte("same")}}
			if i == 50 {
				o.Result = "odd"
			}
			errs[i] = s.RecordProbe(ctx, evidence.ProbeRecord{Run: run.ID, Endpoint: o.Endpoint, Outcome: evidence.ProbeSent}, []evidence.Observation{o})
		})
	}
	wg.Wait()
	for i, err := range errs {
		if (err != nil) != (i == 50) {
			t.Errorf("row %d: %v", i, err)
		}
	}
	ports := make(map[int64]uint16)
	rows, err := s.Probes(ctx, run.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rows {
		ports[p.ID] = p.Endpoint.Port
	}
	for o, err := range s.Observations(ctx) {
		if err != nil || ports[o.Probe] != o.Endpoint.Port {
			t.Errorf("observation of %s belongs to the probe of port %d, %v", o.Endpoint, ports[o.Probe], err)
		}
		delete(ports, o.Probe)
		raw, err := s.Raw(ctx, o.ID)
		if err != nil || len(raw) != 2 || raw[0].Data[0] != byte(o.Endpoint.Port-1) || string(raw[1].Data) != "same" {
			t.Errorf("raw bytes of %s: %v, %v", o.Endpoint, raw, err)
		}
	}
	if len(rows) != callers-1 || len(ports) != 0 {
		t.Errorf("%d rows, of which %d have no observation", len(rows), len(ports))
	}
	if r, err := Verify(ctx, path, VerifyOptions{}); err != nil || r.ProblemCount > 0 {
		t.Errorf("%v, %v", r.Problems, err)
	}
}
