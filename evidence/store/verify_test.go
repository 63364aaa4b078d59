package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/evidence/tlog"
)

func TestVerify_status(t *testing.T) {
	path, full := filled(t)
	for _, tt := range []struct {
		name string
		o    VerifyOptions
		want Status
	}{
		{"key and checkpoint", full, StatusOK},
		{"no checkpoint", VerifyOptions{PublicKey: full.PublicKey}, StatusUnanchored},
		{"no key", VerifyOptions{Checkpoints: full.Checkpoints}, StatusUnanchored},
		{"nothing", VerifyOptions{}, StatusUnanchored},
	} {
		r := verifyT(t, path, tt.o)
		if r.Status != tt.want {
			t.Errorf("%s: %s, want %s: %v", tt.name, r.Status, tt.want, r.Problems)
		}
	}
	r := verifyT(t, path, full)
	if r.Origin != "probity/test" || r.Unsealed != 0 || r.Entries != r.Sealed.Size+1 || r.Anchored != r.Sealed.Size || !r.KeyPinned || r.Checkpoints < 4 || len(r.Limits) == 0 {
		t.Errorf("report: %+v", r)
	}
}

func TestVerify_wrongKeyOrCheckpoint(t *testing.T) {
	path, o := filled(t)
	otherPath, other := filled(t)
	if r := verifyT(t, path, VerifyOptions{PublicKey: other.PublicKey}); r.Status != StatusTampered {
		t.Errorf("another key: %s", r.Status)
	}
	// The other database has the same origin and its own key.
	if r := verifyT(t, path, VerifyOptions{PublicKey: o.PublicKey, Checkpoints: other.Checkpoints}); r.Status != StatusTampered {
		t.Errorf("a checkpoint that the key did not sign: %s", r.Status)
	}
	// A log written anew with the stolen key differs from the old checkpoint.
	for _, suffix := range []string{".key", ".key.pub"} {
		if err := os.Rename(otherPath+suffix, path+suffix); err != nil {
			t.Fatal(err)
		}
	}
	anew := filepath.Join(t.TempDir(), "anew.db")
	s, err := Open(t.Context(), anew, Options{Now: clock(), Origin: "probity/test", KeyFile: path + ".key"})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, anew, VerifyOptions{PublicKey: other.PublicKey}); r.Status != StatusUnanchored {
		t.Errorf("a rewritten log without anchor: %s %v", r.Status, r.Problems)
	}
	if r := verifyT(t, anew, other); r.Status != StatusTampered {
		t.Errorf("a rewritten log with the older checkpoint: %s", r.Status)
	}
	for name, bad := range map[string]VerifyOptions{
		"malformed key": {PublicKey: "x"}, "malformed checkpoint": {Checkpoints: [][]byte{[]byte("x")}},
	} {
		if r, err := Verify(t.Context(), path, bad); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestVerify_rollback puts the file back to an earlier state. From the file alone
// that cannot be seen, and Verify says so; with a newer checkpoint it is.
func TestVerify_rollback(t *testing.T) {
	path, o := filled(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	r := testRun(evidence.ModeImport)
	run, err := s.BeginRun(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := s.EndRun(t.Context(), evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusComplete})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.Checkpoints = append(o.Checkpoints, newer.Note)
	if r := verifyT(t, path, o); r.Status != StatusOK || r.Anchored != newer.Size {
		t.Fatalf("before: %s %v", r.Status, r.Problems)
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, path, VerifyOptions{PublicKey: o.PublicKey}); r.Status != StatusUnanchored || !strings.Contains(strings.Join(r.Limits, " "), "put back to an earlier state") {
		t.Errorf("without anchor: %s %v", r.Status, r.Limits)
	}
	if r := verifyT(t, path, o); r.Status != StatusTampered || !strings.Contains(fmt.Sprint(r.Problems), "the log has only") {
		t.Errorf("with the newer checkpoint: %s %v", r.Status, r.Problems)
	}
}

func TestVerify_unsealed(t *testing.T) {
	path, o := filled(t)
	live := openT(t, path)
	run, err := live.BeginRun(t.Context(), testRun(evidence.ModeImport), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, path, o); r.Status != StatusUnsealed || r.Unsealed != 1 {
		t.Errorf("while a run goes on: %s, %d unsealed, %v", r.Status, r.Unsealed, r.Problems)
	}
	if _, err := live.EndRun(t.Context(), evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusComplete}); err != nil {
		t.Fatal(err)
	}
	if r := verifyT(t, path, o); r.Status != StatusOK {
		t.Errorf("after its end: %s %v", r.Status, r.Problems)
	}
}

// TestVerify_mutations changes one thing at a time in every column of every
// logged table, in the log and in the schema, with the triggers dropped and put
// back, and expects each to be found. The columns come from the database, so a
// new one cannot be forgotten.
func TestVerify_mutations(t *testing.T) {
	path, o := filled(t)
	mutateAll(t, path, o, func(table string) bool { return !strings.HasPrefix(table, "finding") })
}

// TestVerify_mutationsOfVersion2 does the same with the tables that this program
// reads and does not write any more.
func TestVerify_mutationsOfVersion2(t *testing.T) {
	path := oldVersion(t, 2)
	key, err := tlog.LoadKey(path + ".key")
	if err != nil {
		t.Fatal(err)
	}
	c, err := reader(t, path).LastCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := VerifyOptions{PublicKey: key.Public(), Checkpoints: [][]byte{c.Note}}
	mutateAll(t, path, o, func(table string) bool { return strings.HasPrefix(table, "finding") })
}

func mutateAll(t *testing.T, path string, o VerifyOptions, which func(table string) bool) {
	t.Helper()
	master, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(t.TempDir(), "victim.db")
	mutate := func(name, wantIn string, do func(ctx context.Context, c *sql.Conn)) {
		t.Helper()
		if err := os.WriteFile(victim, master, 0o600); err != nil {
			t.Fatal(err)
		}
		attack(t, victim, do)
		r := verifyT(t, victim, o)
		if wantIn == "" {
			if r.Status != StatusOK {
				t.Errorf("%s: %s, want ok: %v", name, r.Status, r.Problems)
			}
		} else if r.Status != StatusTampered {
			t.Errorf("%s: %s", name, r.Status)
		} else if wantIn != "entry" && !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Table == wantIn }) {
			// An entry is named by the row that it stands for.
			t.Errorf("%s: no problem names the table %s: %v", name, wantIn, r.Problems)
		}
	}
	mutate("no change", "", func(context.Context, *sql.Conn) {})
	n := 0
	for _, m := range mutations(t, path, which) {
		mutate(m.sql, m.table, func(_ context.Context, c *sql.Conn) {
			res, err := c.ExecContext(t.Context(), m.sql)
			if err != nil {
				t.Fatalf("%s: %v", m.sql, err)
			}
			if changed, err := res.RowsAffected(); err != nil || changed == 0 {
				t.Fatalf("%s changed nothing: %v", m.sql, err)
			}
		})
		n++
	}
	if which("verdict") {
		mutate("malformed list", "verdict", func(_ context.Context, c *sql.Conn) { exec(t, c, "UPDATE verdict SET subjects='x'") })
		mutate("malformed evidence", "subject", func(_ context.Context, c *sql.Conn) { exec(t, c, "UPDATE subject SET observations='x'") })
	}
	mutate("vacuum", "", func(_ context.Context, c *sql.Conn) { exec(t, c, "VACUUM") })
	mutate("projection dropped", "", func(_ context.Context, c *sql.Conn) { exec(t, c, "DELETE FROM proj_certificate") })
	t.Logf("%d mutations", n)
}

type mutation struct{ table, sql string }

func mutations(t *testing.T, path string, which func(table string) bool) []mutation {
	t.Helper()
	r := reader(t, path)
	var all []mutation
	names := []string{"entry"}
	for _, tab := range tables() {
		if which(tab.name) {
			names = append(names, tab.name)
		}
	}
	for _, name := range names {
		add := func(format string, args ...any) {
			all = append(all, mutation{name, fmt.Sprintf(format, args...)})
		}
		type column struct{ name, typ string }
		var cols []column
		err := each(t.Context(), r.r, "SELECT name, type FROM pragma_table_info('"+name+"') ORDER BY cid", func(scan scanFunc) error {
			var c column
			err := scan(&c.name, &c.typ)
			cols = append(cols, c)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		id := cols[0].name
		var rows int
		if err := r.r.QueryRowContext(t.Context(), "SELECT count(*) FROM "+name).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows == 0 {
			t.Fatalf("the test database has no row in %s", name)
		}
		last := fmt.Sprintf("%s=(SELECT max(%s) FROM %s)", id, id, name)
		first := fmt.Sprintf("%s=(SELECT min(%s) FROM %s)", id, id, name)
		for _, where := range []string{first, last} {
			for i, c := range cols {
				switch {
				case i == 0:
					add("UPDATE %s SET %s=%s+1000000 WHERE %s", name, id, id, where)
				case c.typ == "INTEGER":
					add("UPDATE %s SET %s=coalesce(%s,0)+1000 WHERE %s", name, c.name, c.name, where)
				case c.typ == "TEXT":
					add("UPDATE %s SET %s=coalesce(%s,'')||' ' WHERE %s", name, c.name, c.name, where)
				case c.typ == "BLOB":
					add("UPDATE %s SET %s=randomblob(coalesce(max(length(%s),1),32)) WHERE %s", name, c.name, c.name, where)
				default:
					t.Fatalf("column %s.%s has the type %s", name, c.name, c.typ)
				}
			}
			add("DELETE FROM %s WHERE %s", name, where)
		}
		others := make([]string, 0, len(cols))
		for _, c := range cols[1:] {
			others = append(others, c.name)
		}
		// A copy under a new id; where a column is unique, it gets another value.
		var uniqueCols []string
		for _, c := range cols[1:] {
			switch name + "." + c.name {
			case "run.uuid", "signing_key.verifier":
				uniqueCols = append(uniqueCols, c.name+"||'x'")
			case "blob.sha256", "catalogue.sha256", "finding.finding_key":
				uniqueCols = append(uniqueCols, "randomblob(32)")
			case "run_end.run", "checkpoint.size", "rule.catalogue", "finding_evidence.finding", "verdict.first_finding":
				uniqueCols = append(uniqueCols, c.name+"+1000")
			default:
				uniqueCols = append(uniqueCols, c.name)
			}
		}
		add("INSERT INTO %s(%s,%s) SELECT %s+1000000,%s FROM %s WHERE %s", name, id, strings.Join(others, ","), id, strings.Join(uniqueCols, ","), name, last)
		if rows > 1 {
			add("UPDATE %s SET %s=-%s", name, id, id) // the order is turned round
		}
	}
	return all
}

// TestVerify_swap lets two rows of a table change places, each keeping a valid
// number.
func TestVerify_swap(t *testing.T) {
	path, o := filled(t)
	attack(t, path, func(_ context.Context, c *sql.Conn) {
		exec(t, c, "UPDATE scope SET id=-1 WHERE id=1; UPDATE scope SET id=1 WHERE id=2; UPDATE scope SET id=2 WHERE id=-1")
	})
	if r := verifyT(t, path, o); r.Status != StatusTampered || r.Problems[0].Table != "scope" || r.Problems[0].Row != 1 {
		t.Errorf("%s %v", r.Status, r.Problems)
	}
}

// TestVerify_recomputed is the attacker who knows the format: row and leaf are
// changed together. Only the signature shows it.
func TestVerify_recomputed(t *testing.T) {
	path, o := filled(t)
	attack(t, path, func(ctx context.Context, c *sql.Conn) {
		exec(t, c, "UPDATE scope SET reason='' WHERE id=2")
		row, ptrs := scanRow(5)
		if err := c.QueryRowContext(ctx, tables()[kindScope].selectSQL()+" WHERE id=2").Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		line, err := tlog.AppendLine(nil, "scope", row)
		if err != nil {
			t.Fatal(err)
		}
		leaf := tlog.LeafHash(line)
		exec(t, c, "UPDATE entry SET leaf=? WHERE kind='scope' AND ref=2", leaf[:])
	})
	r := verifyT(t, path, o)
	if r.Status != StatusTampered || !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Table == "checkpoint" }) {
		t.Errorf("%s %v", r.Status, r.Problems)
	}
	if _, err := Open(t.Context(), path, Options{Now: clock()}); err == nil || !strings.Contains(err.Error(), "verify") {
		t.Errorf("the changed log was continued: %v", err)
	}
}

func TestVerify_schema(t *testing.T) {
	for name, query := range map[string]string{
		"trigger gone":       "DROP TRIGGER run_no_update",
		"view changed":       "DROP VIEW v_run; CREATE VIEW v_run AS SELECT 1",
		"table more":         "CREATE TABLE x(a)",
		"index gone":         "DROP INDEX scope_run",
		"view hides a table": "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=replace(sql,'append-only: run','append-only: ran') WHERE name='run_no_update'",
	} {
		path, o := filled(t)
		db := sql.OpenDB(connector{dsn: "file:" + path + "?mode=rw", access: unguarded})
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verifyT(t, path, o); r.Status != StatusTampered || !strings.Contains(r.Problems[0].What, "the schema") {
			t.Errorf("%s: %s %v", name, r.Status, r.Problems)
		}
	}
}

// TestVerify_semantics writes through the store what its methods refuse, so that
// log and rows agree and only the meaning is wrong.
func TestVerify_semantics(t *testing.T) {
	for name, tt := range map[string]struct {
		want string
		do   func(*batch)
	}{
		"fail without evidence": {"without an observation to show", func(b *batch) {
			subject := b.insert(kindSubject, int64(4), nil, nil, nil, nil, nil, nil, "", "[]")
			b.insert(kindVerdict, int64(4), int64(1), "low", "fail", "", "", int64(9), int64(1), numbers([]int64{subject}), make([]byte, 32))
		}},
		"word that the schema does not have": {"does not satisfy outcome IN(", func(b *batch) {
			b.s.checks[kindVerdict] = nil
			subject := b.insert(kindSubject, int64(4), nil, nil, nil, nil, nil, nil, "", "[]")
			b.insert(kindVerdict, int64(4), int64(1), "low", "odd", "", "", int64(9), int64(1), numbers([]int64{subject}), make([]byte, 32))
		}},
		"rule of another catalogue": {"not in the catalogue of its run", func(b *batch) {
			subject := b.insert(kindSubject, int64(4), nil, nil, nil, nil, nil, nil, "", "[]")
			b.insert(kindVerdict, int64(4), int64(2), "low", "pass", "", "", int64(9), int64(1), numbers([]int64{subject}), make([]byte, 32))
		}},
		"subject of another run": {"names a subject that is not one of its run", func(b *batch) {
			b.insert(kindVerdict, int64(4), int64(1), "low", "pass", "", "", int64(9), int64(1), "[1]", make([]byte, 32))
		}},
		"no subject": {"does not count its subjects", func(b *batch) {
			b.insert(kindVerdict, int64(4), int64(1), "low", "pass", "", "", int64(9), int64(1), "[]", make([]byte, 32))
		}},
		"judged twice": {"judges what another one judges", func(b *batch) {
			subject := b.insert(kindSubject, int64(4), nil, nil, nil, nil, nil, nil, "", "[]")
			b.insert(kindVerdict, int64(4), int64(1), "low", "pass", "", "", int64(9), int64(2), numbers([]int64{subject, subject}), make([]byte, 64))
		}},
		"observation that is not there": {"rests on an observation", func(b *batch) {
			b.insert(kindSubject, int64(4), nil, nil, nil, nil, nil, nil, "", "[99]")
		}},
		"after the end": {"was added to run 1 after its end", func(b *batch) { b.err = b.insertObservations([]evidence.Observation{passiveObservation(1, nil)}) }},
		"probe of another run": {"another run than its probe", func(b *batch) {
			o := passiveObservation(4, nil)
			o.Probe = 1
			b.err = b.insertObservations([]evidence.Observation{o})
		}},
	} {
		path, o := filled(t)
		s := openT(t, path)
		run, err := s.BeginRun(t.Context(), testRun(evidence.ModeImport), nil)
		if err != nil || run.ID != 4 {
			t.Fatal(run.ID, err)
		}
		if err := s.write(t.Context(), func(b *batch) error { tt.do(b); return b.err }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := s.EndRun(t.Context(), evidence.RunEnd{Run: 4, Ended: testTime, Status: evidence.StatusComplete}); err != nil {
			t.Fatal(err)
		}
		if r := verifyT(t, path, o); r.Status != StatusTampered || r.ProblemCount != 1 || !strings.Contains(r.Problems[0].What, tt.want) {
			t.Errorf("%s: %s %v", name, r.Status, r.Problems)
		}
	}
}

// TestVerify_damage flips bytes of the file. Verify must never panic, and never
// call a file sound whose evidence differs.
func TestVerify_damage(t *testing.T) {
	path, o := filled(t)
	master, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := dump(t, path)
	rnd := rand.New(rand.NewPCG(1, 2))
	victim := filepath.Join(t.TempDir(), "victim.db")
	verdicts := make(map[string]int)
	for range 150 {
		b := slices.Clone(master)
		for range 1 + rnd.IntN(3) {
			b[100+rnd.IntN(len(b)-100)] ^= byte(1 + rnd.IntN(255))
		}
		if err := os.WriteFile(victim, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), victim, o)
		switch {
		case err != nil:
			if _, ok := errors.AsType[*FileError](err); !ok {
				t.Errorf("untyped error: %v", err)
			}
			verdicts["error"]++
		case r.Status == StatusTampered:
			verdicts["tampered"]++
		default:
			verdicts[string(r.Status)]++
			if got := dump(t, victim); got != want {
				t.Error("a changed file is called", r.Status)
			}
		}
	}
	if verdicts["tampered"] == 0 {
		t.Error("no flip was noticed:", verdicts)
	}
	t.Log(verdicts)
}

// dump is everything that is evidence in a database, as text.
func dump(t *testing.T, path string) string {
	t.Helper()
	r := reader(t, path)
	var b strings.Builder
	for _, tab := range tables() {
		row, ptrs := scanRow(len(tab.columns) + len(tab.stored))
		err := each(t.Context(), r.r, "SELECT "+strings.Join(slices.Concat(tab.columns, tab.stored), ",")+" FROM "+tab.name+" ORDER BY id", func(scan scanFunc) error {
			err := scan(ptrs...)
			fmt.Fprintf(&b, "%s %v\n", tab.name, row)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func BenchmarkVerify(b *testing.B) {
	path := filepath.Join(b.TempDir(), "e.db")
	s := openT(b, path)
	record(b, s, 20_000)
	b.ResetTimer()
	var entries int64
	for b.Loop() {
		r, err := Verify(b.Context(), path, VerifyOptions{})
		if err != nil || r.ProblemCount > 0 {
			b.Fatal(err, r.Problems)
		}
		entries = r.Entries
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkRecord(b *testing.B) {
	s := openT(b, filepath.Join(b.TempDir(), "e.db"))
	for b.Loop() {
		record(b, s, 10_000)
	}
	b.ReportMetric(float64(s.head.tree.Size())/b.Elapsed().Seconds(), "rows/s")
}

// record writes a run of n observations, each with a certificate of which every
// tenth is new.
func record(b *testing.B, s *Store, n int) {
	b.Helper()
	ctx := context.Background()
	r := testRun(evidence.ModePassive)
	r.UUID = ""
	run, err := s.BeginRun(ctx, r, nil)
	if err != nil {
		b.Fatal(err)
	}
	der := testCert(b)
	for i := range n {
		if i%10 == 0 {
			der = slices.Clone(der)
			der[len(der)-1-i%8]++
		}
		o := passiveObservation(run.ID, der)
		o.At = o.At.Add(time.Duration(i) * time.Millisecond)
		if err := s.Record(ctx, o); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.EndRun(ctx, evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusComplete}); err != nil {
		b.Fatal(err)
	}
}
