package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"probity/evidence"
	"probity/evidence/tlog"
)

// Between the ends of runs the log is sealed at least this often, so that a long
// run does not lie open to change.
const (
	sealEntries = 50_000
	sealEvery   = time.Minute
)

// batch is one write transaction: rows, their entries in the log, and the head
// of the log as it will be. The first error sticks and undoes all of it.
type batch struct {
	s     *Store
	tx    *sql.Tx
	stmts [numKinds]*sql.Stmt
	entry *sql.Stmt
	blob  *sql.Stmt                 // id of a blob by digest
	known *sql.Stmt                 // whether a certificate is projected
	blobs map[evidence.Digest]int64 // ids of blobs of this batch
	certs map[int64]bool            // blobs that are known to be projected
	head  head
	line  []byte
	err   error
}

// write runs do in a transaction. It is never cut short by ctx: a batch is small,
// and what was accepted is kept. The caller holds s.mu, or is alone.
func (s *Store) write(ctx context.Context, do func(*batch) error) error {
	if s.w == nil {
		return &FileError{Path: s.path, Kind: ErrReadOnly, What: "the database was opened to read", Mend: "open it for writing"}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return explain(s.path, err)
	}
	b := &batch{s: s, tx: tx, head: s.head, blobs: make(map[evidence.Digest]int64), certs: make(map[int64]bool)}
	b.head.tree = s.head.tree.Clone()
	err = b.checkHead(ctx)
	if err == nil {
		err = do(b)
	}
	if err == nil && b.err == nil && (b.head.unsealed() >= sealEntries || s.now().Sub(b.head.at) >= sealEvery) {
		err = b.seal()
	}
	if err == nil {
		err = b.err
	}
	if err != nil {
		_ = tx.Rollback() // fails only where SQLite has undone it already, as on a full disk
		return explain(s.path, err)
	}
	if err := tx.Commit(); err != nil {
		return explain(s.path, err)
	}
	s.head = b.head
	return nil
}

// checkHead makes sure that the log ends where this process left it.
func (b *batch) checkHead(ctx context.Context) error {
	var size int64
	if err := b.tx.QueryRowContext(ctx, "SELECT coalesce(max(seq)+1,0) FROM entry").Scan(&size); err != nil {
		return err
	}
	if size != b.head.tree.Size() {
		return b.s.inconsistent(fmt.Sprintf("the log has %d entries, this process wrote or read %d", size, b.head.tree.Size()))
	}
	return nil
}

// insert appends a row and its leaf and returns its id. Values are those of the
// columns after id, in their order; nil, int64, string and []byte.
func (b *batch) insert(k kind, values ...any) int64 {
	if b.err != nil {
		return 0
	}
	t := b.s.tables[k]
	id := b.head.last[k] + 1
	row := append([]any{id}, values...)
	b.line, b.err = tlog.AppendLine(b.line[:0], t.name, row[:len(t.columns)])
	if b.err != nil {
		return 0
	}
	leaf := tlog.LeafHash(b.line)
	if _, err := b.find(&b.stmts[k], b.s.stmts[k]).ExecContext(context.Background(), row...); err != nil { //nolint:sqlclosecheck // compiled once, closed with the store
		b.err = fmt.Errorf("append to %s: %w", t.name, err)
		return 0
	}
	if _, err := b.find(&b.entry, b.s.entry).ExecContext(context.Background(), b.head.tree.Size(), t.name, id, leaf[:]); err != nil { //nolint:sqlclosecheck // compiled once, closed with the store
		b.err = fmt.Errorf("append to the log: %w", err)
		return 0
	}
	b.head.tree.Append(leaf)
	b.head.last[k] = id
	return id
}

// find returns a compiled statement as one of the transaction, made on first use.
func (b *batch) find(in **sql.Stmt, compiled *sql.Stmt) *sql.Stmt {
	if *in == nil {
		*in = b.tx.StmtContext(context.Background(), compiled)
	}
	return *in
}

// seal signs the head of the log. The checkpoint is a row itself, so the next
// one covers it: none can vanish from the middle.
func (b *batch) seal() error {
	if b.err != nil || b.head.unsealed() == 0 {
		return b.err
	}
	c := tlog.Checkpoint{Origin: b.s.origin, Size: b.head.tree.Size(), Root: b.head.tree.Root()}
	note, err := c.Sign(b.s.key)
	if err != nil {
		return err
	}
	b.insert(kindCheckpoint, c.Size, c.Root[:], string(note))
	b.head.sealed, b.head.at = c.Size, b.s.now()
	return b.err
}

// insertBlob keeps data once, by its digest, and returns its id.
func (b *batch) insertBlob(data []byte) (id int64) {
	if b.err != nil {
		return 0
	}
	if data == nil {
		data = []byte{} // a nil slice would be NULL
	}
	sum := evidence.DigestOf(data)
	if id, ok := b.blobs[sum]; ok {
		return id
	}
	err := b.find(&b.blob, b.s.blob).QueryRowContext(context.Background(), sum[:]).Scan(&id) //nolint:sqlclosecheck // compiled once, closed with the store
	if errors.Is(err, sql.ErrNoRows) {
		id = b.insert(kindBlob, sum[:], int64(len(data)), data)
	} else if err != nil {
		b.err = err
	}
	b.blobs[sum] = id
	return id
}

// ms is the form of a time in the tables; the zero time is NULL.
func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func fromMS(v int64) time.Time { return time.UnixMilli(v).UTC() }

// digest is the form of an optional digest.
func digest(d evidence.Digest) any {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

func address(a netip.Addr) any {
	if !a.IsValid() {
		return nil
	}
	return clean(a.String())
}

func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

func optional(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

// toJSON is the form of structured values: compact, keys in the order of the
// struct or sorted.
func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return clean(string(b)), nil
}
