package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"probity/evidence"
	"probity/evidence/tlog"
)

// load takes up an existing log: its key must be the one that signed it, and the
// log must bear its checkpoints, because the next one would vouch for all before
// it. What an earlier process left unended or unsealed is ended and sealed.
func (s *Store) load(ctx context.Context, o Options) error {
	var verifier string
	err := s.w.QueryRowContext(ctx, "SELECT origin, (SELECT verifier FROM signing_key WHERE id=1) FROM store WHERE id=1").Scan(&s.origin, &verifier)
	if errors.Is(err, sql.ErrNoRows) {
		return s.inconsistent("the row that names the log is missing")
	}
	if err != nil {
		return err
	}
	if err := s.loadKey(keyFile(s.path, o), verifier); err != nil {
		return err
	}
	if err := s.loadTree(ctx); err != nil {
		return err
	}
	for k, t := range s.tables {
		if t.since > s.version {
			continue
		}
		if err := s.w.QueryRowContext(ctx, "SELECT coalesce(max(id),0) FROM "+t.name).Scan(&s.head.last[k]); err != nil {
			return err
		}
	}
	if s.head.unsealed() > 0 {
		if err := s.checkTail(ctx); err != nil {
			return err
		}
	}
	if err := s.upgrade(ctx); err != nil {
		return err
	}
	s.prepare()
	if err := s.abortUnended(ctx); err != nil {
		return err
	}
	return s.rebuildCertificates(ctx)
}

func (s *Store) inconsistent(what string) error {
	return &FileError{Path: s.path, Kind: ErrInconsistent, What: what, Mend: "nothing was written; run probity verify on it and continue from a copy that is whole"}
}

func (s *Store) loadKey(file, verifier string) error {
	k, err := tlog.LoadKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &FileError{
			Path: file, Kind: ErrKeyMissing, What: fmt.Sprintf("the signing key of %q is missing", s.path),
			Mend: "put it back; a log cannot be continued without its key, so else begin a new database with --db",
		}
	}
	if err != nil {
		return err
	}
	if k.Public() != verifier {
		return &FileError{
			Path: file, Kind: ErrKeyForeign, What: fmt.Sprintf("this is not the key that signs %q", s.path),
			Mend: "give the right key file, or begin a new database with --db",
		}
	}
	s.key = k
	return nil
}

// loadTree rebuilds the tree from the leaves and compares it with every
// checkpoint and the signature of each.
func (s *Store) loadTree(ctx context.Context) error {
	v, err := tlog.ParseVerifier(s.key.Public())
	if err != nil {
		return err
	}
	var cs []tlog.Checkpoint
	err = each(ctx, s.w, "SELECT size, note FROM checkpoint ORDER BY id", func(scan scanFunc) error {
		var size int64
		var note string
		if err := scan(&size, &note); err != nil {
			return err
		}
		c, err := tlog.OpenCheckpoint([]byte(note), v)
		if err != nil || c.Origin != s.origin || c.Size != size {
			return s.inconsistent(fmt.Sprintf("the checkpoint at %d entries is not signed by its key", size))
		}
		cs = append(cs, c)
		s.head.sealed = size
		return nil
	})
	if err != nil {
		return err
	}
	audit := tlog.NewAudit(cs)
	next := int64(0)
	err = each(ctx, s.w, "SELECT seq, leaf FROM entry ORDER BY seq", func(scan scanFunc) error {
		var seq int64
		var leaf sql.RawBytes
		if err := scan(&seq, &leaf); err != nil {
			return err
		}
		if seq != next || len(leaf) != len(tlog.Hash{}) {
			return s.inconsistent(fmt.Sprintf("entry %d of the log is missing or malformed", next))
		}
		audit.Append(tlog.Hash(leaf))
		next++
		return nil
	})
	if err != nil {
		return err
	}
	tree, errs := audit.Finish()
	if len(errs) > 0 {
		return s.inconsistent(errs[0].Error())
	}
	s.head.tree, s.head.at = tree, s.now()
	return nil
}

// checkTail compares the entries behind the last checkpoint with their rows, so
// that a seal is never put on a leaf that no row bears.
func (s *Store) checkTail(ctx context.Context) error {
	byName := make(map[string]table)
	for _, t := range s.tables {
		byName[t.name] = t
	}
	type tail struct {
		kind string
		ref  int64
		leaf []byte
	}
	var all []tail
	err := each(ctx, s.w, "SELECT kind, ref, leaf FROM entry WHERE seq>=? ORDER BY seq", func(scan scanFunc) error {
		var e tail
		err := scan(&e.kind, &e.ref, &e.leaf)
		all = append(all, e)
		return err
	}, s.head.sealed)
	if err != nil {
		return err
	}
	for _, e := range all {
		t, ok := byName[e.kind]
		if !ok {
			return s.inconsistent(fmt.Sprintf("the log has an entry of the unknown kind %q", e.kind))
		}
		row, ptrs := scanRow(len(t.columns))
		err := s.w.QueryRowContext(ctx, t.selectSQL()+" WHERE id=?", e.ref).Scan(ptrs...)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		line, lineErr := tlog.AppendLine(nil, t.name, row)
		if err != nil || lineErr != nil || tlog.LeafHash(line) != tlog.Hash(e.leaf) {
			return s.inconsistent(fmt.Sprintf("%s %d differs from its entry in the log", e.kind, e.ref))
		}
	}
	return nil
}

// abortUnended ends the runs that a process before this one began and did not
// end, and seals what it left. The lock says that no such process is alive.
func (s *Store) abortUnended(ctx context.Context) error {
	var runs []int64
	err := each(ctx, s.w, "SELECT id FROM run WHERE id NOT IN (SELECT run FROM run_end) ORDER BY id", func(scan scanFunc) error {
		var id int64
		err := scan(&id)
		runs = append(runs, id)
		return err
	})
	if err != nil || len(runs) == 0 && s.head.unsealed() == 0 {
		return err
	}
	return s.write(ctx, func(b *batch) error {
		for _, run := range runs {
			b.insertEnd(evidence.RunEnd{
				Run: run, Ended: s.now(), Status: evidence.StatusAborted,
				Note: "cut off; ended when the database was next opened",
			})
		}
		return b.seal()
	})
}

type scanFunc func(dest ...any) error

// each calls do for every row of a query.
func each(ctx context.Context, q querier, query string, do func(scanFunc) error, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err is checked
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanRow returns n values and the pointers that a Scan fills them through.
func scanRow(n int) (row, ptrs []any) {
	row, ptrs = make([]any, n), make([]any, n)
	for i := range row {
		ptrs[i] = &row[i]
	}
	return row, ptrs
}

// clean is text as the canonical line can hold it: what is not UTF-8, and NUL,
// becomes U+FFFD. The exact bytes are in the raw evidence.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
