package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"probity/evidence"
	"probity/evidence/tlog"
)

// cursor walks a logged table in the order of its ids, which is the order of its
// entries in the log.
type cursor struct {
	table table
	rows  *sql.Rows
	row   []any
	ptrs  []any
	id    int64
	ok    bool // row holds a row
}

func (c *cursor) advance() error {
	if c.ok = c.rows.Next(); !c.ok {
		return c.rows.Err()
	}
	if err := c.rows.Scan(c.ptrs...); err != nil {
		return err
	}
	id, isInt := c.row[0].(int64)
	if !isInt {
		return fmt.Errorf("%s: id is a %T", c.table.name, c.row[0])
	}
	c.id = id
	return nil
}

// logCheck is the state of [verifier.checkLog].
type logCheck struct {
	*verifier
	cursors map[string]*cursor
	audit   *tlog.Audit
	checks  map[string][]check // by table
	ended   map[int64]bool     // runs whose end was logged
	line    []byte
	next    int64 // seq of the next entry
}

// checkLog walks the log and all tables side by side: the entries are without a
// gap, each is the leaf of its row, no row is without an entry, and the tree has
// the root that each checkpoint says at its size.
func (v *verifier) checkLog(ctx context.Context) (err error) {
	l := &logCheck{verifier: v, cursors: make(map[string]*cursor), ended: make(map[int64]bool)}
	l.checks, _ = declared(tablesSQL())
	defer func() { err = errors.Join(err, l.close()) }()
	for _, t := range v.tables {
		rows, err := v.tx.QueryContext(ctx, t.selectSQL()+" ORDER BY id") //nolint:rowserrcheck // advance checks it
		if err != nil {
			return err
		}
		c := &cursor{table: t, rows: rows}
		c.row, c.ptrs = scanRow(len(t.columns))
		l.cursors[t.name] = c
		if err := c.advance(); err != nil {
			return err
		}
	}
	l.audit = tlog.NewAudit(v.expected())
	err = each(ctx, v.tx, "SELECT seq, kind, ref, leaf FROM entry ORDER BY seq", func(scan scanFunc) error {
		var seq, ref int64
		var kind string
		var leaf sql.RawBytes
		if err := scan(&seq, &kind, &ref, &leaf); err != nil {
			return err
		}
		return l.entry(seq, kind, ref, leaf)
	})
	if err != nil {
		return err
	}
	return l.finish()
}

func (l *logCheck) close() error {
	var errs []error
	for _, c := range l.cursors {
		errs = append(errs, c.rows.Close())
	}
	return errors.Join(errs...)
}

// expected are the checkpoints that the log must bear: its own, by what their
// rows say, and those from outside.
func (v *verifier) expected() []tlog.Checkpoint {
	var all []tlog.Checkpoint
	for size, s := range v.seals {
		all = append(all, tlog.Checkpoint{Origin: v.report.Origin, Size: size, Root: tlog.Hash(toDigest(s.root))})
	}
	for i, c := range v.outside {
		if v.key == nil {
			continue // the missing key is a problem already
		}
		if _, err := tlog.OpenCheckpoint(c.note, v.key); err != nil {
			v.problem("", -1, "outside checkpoint %d: %v", i+1, err)
			continue
		}
		if c.Origin != v.report.Origin {
			v.problem("", -1, "outside checkpoint %d is of the log %q, this is %q", i+1, c.Origin, v.report.Origin)
			continue
		}
		v.anchors = append(v.anchors, c.Size)
		if !slices.Contains(all, c.Checkpoint) {
			all = append(all, c.Checkpoint)
		}
	}
	return all
}

// entry compares one entry with the next row of its table.
func (l *logCheck) entry(seq int64, kind string, ref int64, leaf []byte) error {
	if seq != l.next {
		l.problem("entry", l.next, "is missing: the log goes on with %d", seq)
	}
	l.next = seq + 1
	if len(leaf) != len(tlog.Hash{}) {
		l.problem("entry", seq, "the leaf has %d bytes", len(leaf))
		return nil
	}
	l.audit.Append(tlog.Hash(leaf))
	c, ok := l.cursors[kind]
	if !ok {
		l.problem("entry", seq, "the kind %q is not known", kind)
		return nil
	}
	for c.ok && c.id < ref {
		l.problem(kind, c.id, "is not in the log")
		if err := c.advance(); err != nil {
			return err
		}
	}
	if !c.ok || c.id != ref {
		l.problem(kind, ref, "is in the log (entry %d), but the row is missing", seq)
		return nil
	}
	var err error
	if l.line, err = tlog.AppendLine(l.line[:0], kind, c.row); err != nil {
		l.problem(kind, ref, "%v", err)
	} else if h := tlog.LeafHash(l.line); !bytes.Equal(h[:], leaf) {
		l.problem(kind, ref, "differs from its entry %d in the log", seq)
	} else {
		l.order(seq, kind, c.row)
		l.constraints(kind, ref, c.row)
	}
	return c.advance()
}

// constraints holds a row against the CHECK constraints of its table, which the
// connection of the writer does not evaluate and the integrity check of SQLite
// 3.54.1 does not report.
func (l *logCheck) constraints(kind string, id int64, row []any) {
	for _, c := range l.checks[kind] {
		if c.column < len(row) && !c.ok(row[c.column]) {
			l.problem(kind, id, "does not satisfy %s", c.text)
		}
	}
}

// order checks what the sequence of the log itself says: nothing joins a run
// after its end, and a checkpoint stands right behind what it covers.
func (l *logCheck) order(seq int64, kind string, row []any) {
	id, _ := row[0].(int64)
	second, _ := row[1].(int64)
	switch kind {
	case l.tables[kindRunEnd].name:
		l.ended[second] = true
	case l.tables[kindScope].name, l.tables[kindProbe].name, l.tables[kindObservation].name, l.tables[kindFinding].name,
		"subject", "verdict":
		if l.ended[second] {
			l.problem(kind, id, "was added to run %d after its end", second)
		}
	case l.tables[kindCheckpoint].name:
		if second != seq {
			l.problem(kind, id, "covers %d entries but stands behind %d", second, seq)
		}
	}
}

// finish looks at what is left over and at the roots.
func (l *logCheck) finish() error {
	for _, t := range l.tables {
		for c := l.cursors[t.name]; c.ok; {
			l.problem(t.name, c.id, "is not in the log")
			if err := c.advance(); err != nil {
				return err
			}
		}
	}
	tree, errs := l.audit.Finish()
	bad := make(map[int64]bool)
	for _, err := range errs {
		e, ok := errors.AsType[*tlog.InconsistentError](err)
		if !ok {
			return err
		}
		bad[e.Checkpoint.Size] = true
		if s, inside := l.seals[e.Checkpoint.Size]; inside && toDigest(s.root) == evidence.Digest(e.Checkpoint.Root) {
			l.problem("checkpoint", s.id, "%v", err)
		} else {
			l.problem("", -1, "outside %v", err)
		}
	}
	for _, size := range l.anchors {
		if !bad[size] {
			l.report.Anchored = max(l.report.Anchored, size)
		}
	}
	l.report.Entries = tree.Size()
	h := head{tree: tree, sealed: l.report.Sealed.Size}
	l.report.Unsealed = h.unsealed()
	return nil
}
