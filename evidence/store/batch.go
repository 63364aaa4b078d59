package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
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
	conn  *sql.Conn
	tx    *sql.Tx
	head  head
	blobs map[evidence.Digest]kept // of the observations that are recorded
	row   []any
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
	conn, err := s.w.Conn(ctx)
	if err != nil {
		return explain(s.path, err)
	}
	defer conn.Close() //nolint:errcheck // gives it back to the pool
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return explain(s.path, err)
	}
	b := &batch{s: s, conn: conn, tx: tx, head: s.head, blobs: make(map[evidence.Digest]kept)}
	b.head.tree = s.head.tree.Clone()
	err = b.checkHead(ctx)
	if err == nil {
		err = do(b)
	}
	if err == nil && b.err == nil && (b.head.unsealed() >= sealEntries || s.now().Sub(b.head.at) >= sealEvery) {
		err = b.seal()
	}
	if err == nil {
		err = b.flush(numKinds - 1)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback() // fails only where SQLite has undone it already, as on a full disk
		s.forget()
		return explain(s.path, err)
	}
	s.head = b.head
	s.remember(b.blobs)
	return nil
}

// forget drops what a transaction that was undone has left in memory.
func (s *Store) forget() {
	for _, a := range s.rows {
		a.reset()
	}
	s.entries.reset()
	s.certificates.reset()
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
// columns after id, in their order; nil, int64, string and []byte. They must not
// change until the batch has ended. The row waits in memory until [batch.flush].
func (b *batch) insert(k kind, values ...any) int64 {
	if b.err != nil {
		return 0
	}
	t := &b.s.tables[k]
	id := b.head.last[k] + 1
	b.row = append(append(b.row[:0], id), values...)
	for _, c := range b.s.checks[k] {
		if !c.ok(b.row[c.column]) {
			b.err = fmt.Errorf("append to %s: %v does not satisfy %s", t.name, b.row[c.column], c.text)
			return 0
		}
	}
	b.line, b.err = tlog.AppendLine(b.line[:0], t.name, b.row[:len(t.columns)])
	if b.err != nil {
		return 0
	}
	leaf := tlog.LeafHash(b.line)
	b.s.entries.add([]any{b.head.tree.Size(), t.name, id, leaf[:]})
	b.s.rows[k].add(b.row)
	b.head.tree.Append(leaf)
	b.head.last[k] = id
	if b.s.rows[k].full() {
		b.err = b.flush(k)
	} else if b.s.entries.full() {
		b.err = b.flush(-1)
	}
	return id
}

// flush hands the rows that wait to SQLite: those of the kinds up to last, in the
// order of the kinds, so that a row comes after those it points to, and all
// entries of the log.
func (b *batch) flush(last kind) error {
	if b.err != nil {
		return b.err
	}
	err := b.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", driverConn)
		}
		for k := range last + 1 {
			if err := b.s.rows[k].flush(conn); err != nil {
				return err
			}
		}
		if last >= kindBlob {
			if err := b.s.certificates.flush(conn); err != nil {
				return err
			}
		}
		return b.s.entries.flush(conn)
	})
	if b.err == nil {
		b.err = err
	}
	return err
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
	// The row of a checkpoint goes in when the log is exactly what it covers.
	if err := b.flush(numKinds - 1); err != nil {
		return err
	}
	b.insert(kindCheckpoint, c.Size, c.Root[:], string(note))
	b.head.sealed, b.head.at = c.Size, b.s.now()
	return b.err
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
