package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	sqlite3 "github.com/mattn/go-sqlite3"

	"probity/evidence"
	"probity/evidence/tlog"
)

// Status is the verdict of [Verify].
type Status string

// The verdicts. A database that cannot be judged at all is an error instead.
const (
	StatusOK         Status = "ok"         // bears its log, a pinned key and an outside checkpoint
	StatusTampered   Status = "tampered"   // at least one problem
	StatusUnsealed   Status = "unsealed"   // sound, but entries at the end are under no signature
	StatusUnanchored Status = "unanchored" // sound, but only by its own word: no pinned key, or no checkpoint from outside
)

// maxProblems is how many problems a report lists; the rest is counted.
const maxProblems = 100

// VerifyOptions are what the verifier knows from elsewhere.
type VerifyOptions struct {
	// PublicKey is the text of the public key file, got on a way that the holder
	// of the database does not control. Empty: the key in the database is used,
	// and the verdict is at best unanchored.
	PublicKey string
	// Checkpoints are signed notes that were kept outside of the database.
	Checkpoints [][]byte
}

// Problem is something that cannot be so in an untouched database.
type Problem struct {
	Table string // empty: the file as a whole
	Row   int64  // id of the row, for the table entry its seq; -1: no single row
	What  string
}

func (p Problem) String() string {
	switch {
	case p.Table == "":
		return p.What
	case p.Row < 0:
		return p.Table + ": " + p.What
	}
	return fmt.Sprintf("%s %d: %s", p.Table, p.Row, p.What)
}

// VerifyReport is what [Verify] found.
type VerifyReport struct {
	Status       Status
	Origin       string
	PublicKey    string // in the database
	KeyPinned    bool   // the signatures were checked under a key given from outside
	Entries      int64  // of the log
	Checkpoints  int    // in the database
	Sealed       Checkpoint
	Unsealed     int64 // entries at the end that no checkpoint covers
	Anchored     int64 // size of the largest outside checkpoint that the log bears; 0: none
	Problems     []Problem
	ProblemCount int // of all, also of those beyond the list
	// Limits says what this verification cannot know.
	Limits []string
}

// Verify checks the database at path against its own log and against what the
// verifier knows from elsewhere. It opens the file to read and trusts nothing in
// it: the schema is compared before any table is read. A database that is
// damaged or changed gives a report with problems; an error means that it could
// not be checked (no such file, not a probity database, a newer schema, an
// unusable public key).
func Verify(ctx context.Context, path string, o VerifyOptions) (VerifyReport, error) {
	v := &verifier{}
	if o.PublicKey != "" {
		key, err := tlog.ParseVerifier(o.PublicKey)
		if err != nil {
			return VerifyReport{}, fmt.Errorf("pinned key: %w", err)
		}
		v.pinned = key
	}
	for i, note := range o.Checkpoints {
		c, err := tlog.ParseCheckpoint(note)
		if err != nil {
			return VerifyReport{}, fmt.Errorf("outside checkpoint %d: %w", i+1, err)
		}
		v.outside = append(v.outside, outsideCheckpoint{c, note})
	}
	if err := checkFile(path); err != nil {
		return VerifyReport{}, explain(path, err)
	}
	db, err := openPool(path, readMode(path), 1)
	if err != nil {
		return VerifyReport{}, explain(path, err)
	}
	err = v.run(ctx, db, path)
	if err = errors.Join(err, db.Close()); err != nil {
		return VerifyReport{}, explain(path, err)
	}
	v.conclude()
	return v.report, nil
}

type outsideCheckpoint struct {
	tlog.Checkpoint
	note []byte
}

type verifier struct {
	tables  []table // of the file's version
	version int64
	pinned  *tlog.Verifier
	outside []outsideCheckpoint
	tx      *sql.Tx
	report  VerifyReport
	key     *tlog.Verifier // pinned, or the one in the database
	seals   map[int64]seal // by size
	anchors []int64        // sizes of the outside checkpoints that are signed by key and of this log
}

// seal is a checkpoint row.
type seal struct {
	id   int64
	root []byte
	note string
}

func (v *verifier) problem(table string, row int64, format string, args ...any) {
	v.report.ProblemCount++
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, Problem{table, row, fmt.Sprintf(format, args...)})
	}
}

// run does the steps in order, in one read transaction, so that a writer at work
// does not matter. Steps that read the tables are left out when the schema is not
// ours: its views and triggers could be anything.
func (v *verifier) run(ctx context.Context, db *sql.DB, path string) (err error) {
	v.tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer v.tx.Rollback() //nolint:errcheck // only read
	if v.version, err = checkIdentity(ctx, v.tx, path); err != nil {
		return err
	}
	v.tables = tablesOf(v.version)
	same, err := v.checkSchema(ctx)
	if err = v.damage(err); err != nil || !same {
		return err
	}
	for _, step := range []func(context.Context) error{
		v.checkFile, v.readSeals, v.checkLog, v.checkBlobs, v.checkRows,
	} {
		if err := v.damage(step(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// damage turns what SQLite says about a damaged file into a problem: that is a
// finding about the evidence, not a failure to look.
func (v *verifier) damage(err error) error {
	if se, ok := errors.AsType[sqlite3.Error](err); ok && (se.Code == sqlite3.ErrCorrupt || se.Code == sqlite3.ErrNotADB) {
		v.problem("", -1, "SQLite cannot read it: %v", se)
		return nil
	}
	return err
}

func (v *verifier) checkSchema(ctx context.Context) (same bool, err error) {
	want, err := declaredSchema(ctx, v.version)
	if err != nil {
		return false, err
	}
	got, err := schemaOf(ctx, v.tx)
	if err != nil {
		return false, err
	}
	if fingerprint(want) == fingerprint(got) {
		return true, nil
	}
	for _, o := range want {
		if !slices.Contains(got, o) {
			v.problem(o.Table, -1, "the schema lacks the %s %s as probity declares it", o.Type, o.Name)
		}
	}
	for _, o := range got {
		if !slices.Contains(want, o) {
			v.problem(o.Table, -1, "the schema has a %s %s that probity does not declare", o.Type, o.Name)
		}
	}
	return false, nil
}

func (v *verifier) checkFile(ctx context.Context) error {
	err := each(ctx, v.tx, fmt.Sprintf("PRAGMA integrity_check(%d)", maxProblems), func(scan scanFunc) error {
		var what string
		err := scan(&what)
		if err == nil && what != "ok" {
			v.problem("", -1, "integrity check: %s", what)
		}
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, v.tx, "PRAGMA foreign_key_check", func(scan scanFunc) error {
		var table, parent string
		var row sql.NullInt64
		var fk int64
		err := scan(&table, &row, &parent, &fk)
		if err == nil {
			v.problem(table, row.Int64, "points to a row of %s that does not exist", parent)
		}
		return err
	})
}

// readSeals reads the checkpoints and checks their signatures, and finds the key
// that they are checked under.
func (v *verifier) readSeals(ctx context.Context) error {
	err := v.tx.QueryRowContext(ctx, "SELECT origin FROM store WHERE id=1").Scan(&v.report.Origin)
	if err == nil {
		err = v.tx.QueryRowContext(ctx, "SELECT verifier FROM signing_key WHERE id=1").Scan(&v.report.PublicKey)
	}
	if errors.Is(err, sql.ErrNoRows) {
		v.problem("store", 1, "the rows that name the log and its key are missing")
	} else if err != nil {
		return err
	}
	v.key, v.report.KeyPinned = v.pinned, v.pinned != nil
	if inside, err := tlog.ParseVerifier(v.report.PublicKey); err != nil {
		v.problem("signing_key", 1, "%v", err)
	} else if v.key == nil {
		v.key = inside
	}
	v.seals = make(map[int64]seal)
	return each(ctx, v.tx, "SELECT id, size, root, note FROM checkpoint ORDER BY id", func(scan scanFunc) error {
		var s seal
		var size int64
		if err := scan(&s.id, &size, &s.root, &s.note); err != nil {
			return err
		}
		v.report.Checkpoints++
		v.seals[size] = s
		if v.key == nil {
			return nil
		}
		c, err := tlog.OpenCheckpoint([]byte(s.note), v.key)
		switch {
		case err != nil:
			v.problem("checkpoint", s.id, "%v", err)
		case c.Origin != v.report.Origin || c.Size != size || evidence.Digest(c.Root) != toDigest(s.root):
			v.problem("checkpoint", s.id, "the signed note says %q, %d entries, root %x; the row does not", c.Origin, c.Size, c.Root[:])
		default:
			v.report.Sealed = Checkpoint{Origin: c.Origin, Size: c.Size, Root: evidence.Digest(c.Root), Note: []byte(s.note)}
		}
		return nil
	})
}

func (v *verifier) checkBlobs(ctx context.Context) error {
	return each(ctx, v.tx, "SELECT id, sha256, size, data FROM blob ORDER BY id", func(scan scanFunc) error {
		var id, size int64
		var sum, data sql.RawBytes
		if err := scan(&id, &sum, &size, &data); err != nil {
			return err
		}
		if got := evidence.DigestOf(data); got != toDigest(sum) {
			v.problem("blob", id, "the bytes have the SHA-256 %s, the row says %x", got, []byte(sum))
		} else if size != int64(len(data)) {
			v.problem("blob", id, "there are %d bytes, the row says %d", len(data), size)
		}
		return nil
	})
}

// rowCheck is a query for rows that no constraint of the schema refuses.
type rowCheck struct {
	since       int64 // schema version
	table, what string
	query       string
}

// rowChecks ask what no constraint can: that a finding is judged by a rule of its
// run's catalogue, that a fail has something to show, and that lists of rows name
// rows that are there.
func rowChecks() []rowCheck {
	valid := func(column string) string {
		return "CASE WHEN json_valid(" + column + ") THEN " + column + " ELSE '[]' END"
	}
	subjects, observations := "json_each("+valid("v.subjects")+") n", "json_each("+valid("s.observations")+")"
	return []rowCheck{
		{
			1, "finding", "fails without an observation to show for it",
			"SELECT id FROM finding f WHERE outcome='fail' AND NOT EXISTS(SELECT 1 FROM finding_evidence e WHERE e.finding=f.id)",
		},
		{
			1, "finding", "is judged by a rule that is not in the catalogue of its run",
			`SELECT f.id FROM finding f JOIN run n ON n.id=f.run JOIN rule r ON r.id=f.rule JOIN catalogue c ON c.id=r.catalogue
				WHERE c.sha256 IS NOT n.catalogue_sha256`,
		},
		{
			1, "observation", "belongs to another run than its probe",
			"SELECT o.id FROM observation o JOIN probe p ON p.id=o.probe WHERE o.run<>p.run",
		},
		{
			3, "verdict", "fails without an observation to show for it",
			"SELECT DISTINCT v.id FROM verdict v JOIN " + subjects + " JOIN subject s ON s.id=n.value" +
				" WHERE v.outcome='fail' AND NOT EXISTS(SELECT 1 FROM " + observations + ")",
		},
		{
			3, "verdict", "is judged by a rule that is not in the catalogue of its run",
			`SELECT v.id FROM verdict v JOIN run n ON n.id=v.run JOIN rule r ON r.id=v.rule JOIN catalogue c ON c.id=r.catalogue
				WHERE c.sha256 IS NOT n.catalogue_sha256`,
		},
		{
			3, "verdict", "does not count its subjects and their keys",
			"SELECT id FROM verdict v WHERE findings<>(SELECT count(*) FROM " + subjects + ") OR length(keys)<>32*findings",
		},
		{
			3, "verdict", "names a subject that is not one of its run",
			"SELECT DISTINCT v.id FROM verdict v JOIN " + subjects + " LEFT JOIN subject s ON s.id=n.value AND s.run=v.run WHERE s.id IS NULL",
		},
		{
			3, "verdict", "judges what another one judges by the same rule",
			"SELECT max(v.id) FROM verdict v JOIN " + subjects + " GROUP BY v.run, substr(v.keys,32*n.key+1,32) HAVING count(*)>1",
		},
		{
			3, "subject", "rests on an observation that is not there",
			"SELECT DISTINCT s.id FROM subject s JOIN " + observations + " n LEFT JOIN observation o ON o.id=n.value WHERE o.id IS NULL",
		},
	}
}

func (v *verifier) checkRows(ctx context.Context) error {
	for _, c := range rowChecks() {
		if c.since > v.version {
			continue
		}
		err := each(ctx, v.tx, c.query, func(scan scanFunc) error {
			var id int64
			err := scan(&id)
			if err == nil {
				v.problem(c.table, id, "%s", c.what)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// conclude draws the verdict.
func (v *verifier) conclude() {
	r := &v.report
	switch {
	case r.ProblemCount > 0:
		r.Status = StatusTampered
	case r.Unsealed > 0:
		r.Status = StatusUnsealed
	case !r.KeyPinned || r.Anchored == 0:
		r.Status = StatusUnanchored
	default:
		r.Status = StatusOK
	}
	if !r.KeyPinned {
		r.Limits = append(r.Limits, "No public key was given from outside: whoever replaced the file and its key is not noticed.")
	}
	if r.Anchored == 0 {
		r.Limits = append(r.Limits, "No checkpoint was given from outside: that the file was put back to an earlier state is not noticed.")
	} else if r.Anchored < r.Sealed.Size {
		r.Limits = append(r.Limits, fmt.Sprintf("The outside checkpoints cover the first %d entries: what came after could have been put back.", r.Anchored))
	}
	if r.Unsealed > 0 {
		r.Limits = append(r.Limits, fmt.Sprintf("The last %d entries are under no signature yet: they could have been changed together with the log.", r.Unsealed))
	}
	r.Limits = append(r.Limits,
		"Whoever holds the signing key can write a log anew; only checkpoints from before that show it.",
		"That the network told the truth, and that every run was recorded, cannot be seen from the file.",
		"Assets, claims and parsed certificate fields (tables proj_*) are derived and not covered; the raw bytes are.")
}
