package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"probity/evidence"
	"probity/evidence/tlog"
)

// readers is the number of connections that read at the same time. An iterator
// holds one while it runs.
const readers = 4

// Options say how to open a database.
type Options struct {
	// ReadOnly opens an existing database to read. Any number of processes may.
	ReadOnly bool
	// KeyFile holds the signing key. The first writable Open creates it; the
	// default is the path of the database with ".key" appended.
	KeyFile string
	// Origin names the log in its checkpoints. It is fixed when the database is
	// created; the default is "probity/" and a random UUID.
	Origin string
	// Now is the clock. A writable store needs one.
	Now func() time.Time
	// Gather is how long the first row of a transaction of the probe ledger waits
	// for rows of other callers. A transaction has a price of its own, which is that
	// of several rows. Zero: it does not wait.
	Gather time.Duration
}

// Store is an open database. Its methods may be called from several goroutines;
// writes are done one after another.
type Store struct {
	path   string
	now    func() time.Time
	tables [numKinds]table
	// version is the schema version of the file.
	version int64
	w, r    *sql.DB // one writer, several readers; w is nil when read-only
	lock    *fileLock
	key     *tlog.Key
	origin  string
	checks  [numKinds][]check

	gather  time.Duration
	queueMu sync.Mutex  // guards queue
	queue   *probeQueue // takes rows; nil: the next row begins one

	mu      sync.Mutex // guards what follows
	rows    [numKinds]*appender
	entries *appender // of the log
	// certificates is the projection; its rows wait with those of the batch.
	certificates *appender
	blobs        map[evidence.Digest]kept // some of the certificates in the database
	search       driver.StmtQueryContext  // blobs by digest
	head         head
	open         map[int64]bool // runs begun and not ended
	pending      []evidence.Observation
	weight       int // rows that pending will become
	bytes        int // that pending holds
	timer        *time.Timer
	late         error // of a commit that no call waited for
}

// head is the state of the log after the last commit.
type head struct {
	tree   tlog.Tree
	last   [numKinds]int64 // highest id
	sealed int64           // size of the last checkpoint; 0: none
	at     time.Time       // of the last checkpoint in this session
}

// unsealed is the number of entries that no checkpoint covers. The entry of the
// last checkpoint itself does not count: the checkpoint determines it.
func (h *head) unsealed() int64 {
	if h.sealed == 0 {
		return h.tree.Size()
	}
	return h.tree.Size() - h.sealed - 1
}

// Open opens the database at path and, unless it is read-only, creates it (with
// mode 0600) and its signing key when they do not exist. A writable Open checks
// that the log bears its checkpoints before it continues it, ends runs that were
// cut off with the status aborted, and seals what they left.
//
// Errors match the ones of this package: [ErrNotDatabase], [ErrForeign],
// [ErrNewer], [ErrReadOnly], [ErrLocked], [ErrDiskFull], [ErrCorrupt],
// [ErrInconsistent], [ErrKeyMissing], [ErrKeyForeign], [tlog.ErrKeyMode] and
// [fs.ErrNotExist].
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s := &Store{path: path, now: o.Now, tables: tables(), open: make(map[int64]bool), gather: o.Gather}
	if o.ReadOnly {
		if err := s.openReaders(ctx); err != nil {
			return nil, errors.Join(explain(path, err), s.closePools())
		}
		return s, nil
	}
	if o.Now == nil {
		return nil, fmt.Errorf("open %q for writing: no clock given", path)
	}
	if err := s.openWritable(ctx, o); err != nil {
		return nil, errors.Join(explain(path, err), s.closePools())
	}
	return s, nil
}

func (s *Store) openReaders(ctx context.Context) (err error) {
	if err := checkFile(s.path); err != nil {
		return err
	}
	if s.r, err = openPool(s.path, readMode(s.path), readers); err != nil {
		return err
	}
	s.version, err = checkIdentity(ctx, s.r, s.path)
	return err
}

// readMode is immutable where nobody can write beside a file that was closed
// cleanly: on a medium that is read-only. SQLite would otherwise want to create
// its side files there.
func readMode(path string) access {
	if _, err := os.Stat(path + "-wal"); err == nil {
		return readOnly
	}
	if writableDir(path) {
		return readOnly
	}
	return immutable
}

func checkFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &FileError{Path: path, Kind: ErrNotDatabase, What: "this is not a file", Mend: "give a database file with --db"}
	}
	return nil
}

// checkIdentity tells our databases from others and from those of the future.
func checkIdentity(ctx context.Context, q querier, path string) (version int64, err error) {
	var id int64
	if err := q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, err
	}
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	switch {
	case id != applicationID:
		return 0, &FileError{Path: path, Kind: ErrForeign, What: "this is a database, but not one of probity", Mend: "give another file with --db; this one was not touched"}
	case version > schemaVersion:
		return 0, &FileError{
			Path: path, Kind: ErrNewer, What: fmt.Sprintf("the schema has version %d, this program knows up to %d", version, schemaVersion),
			Mend: "use the probity that wrote it, or a newer one",
		}
	case version < 1:
		return 0, &FileError{Path: path, Kind: ErrCorrupt, What: fmt.Sprintf("the schema version is %d", version), Mend: "continue from a copy that is whole"}
	}
	return version, nil
}

func (s *Store) openWritable(ctx context.Context, o Options) (err error) {
	if s.lock, err = acquire(s.path); err != nil {
		return err
	}
	fresh, err := createFile(s.path)
	if err != nil {
		return err
	}
	empty, err := s.inspect(ctx)
	if err != nil {
		return removeFresh(fresh, s.path, err)
	}
	if s.w, err = openPool(s.path, readWrite, 1); err != nil {
		return removeFresh(fresh, s.path, err)
	}
	if empty {
		err = s.create(ctx, o)
	} else {
		err = s.load(ctx, o)
	}
	if err != nil {
		return removeFresh(fresh, s.path, err)
	}
	s.r, err = openPool(s.path, readOnly, readers)
	return err
}

// inspect looks at an existing file without writing to it, which the writer's
// settings would do, and says whether it is still to be filled.
func (s *Store) inspect(ctx context.Context) (empty bool, err error) {
	db, err := openPool(s.path, readOnly, 1)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var objects int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return false, err
	}
	if objects == 0 {
		return true, nil
	}
	s.version, err = checkIdentity(ctx, db, s.path)
	return false, err
}

// createFile makes an empty file that only its owner may read, and says whether
// it did. SQLite gives its side files the same mode.
func createFile(path string) (fresh bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, checkFile(path)
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// removeFresh leaves nothing behind where nothing was begun.
func removeFresh(fresh bool, path string, err error) error {
	if !fresh {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if e := os.Remove(path + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// create writes the schema and the first two rows: which log this is and who
// signs it.
func (s *Store) create(ctx context.Context, o Options) error {
	id, err := newUUID()
	if err != nil {
		return err
	}
	s.origin = o.Origin
	if s.origin == "" {
		s.origin = "probity/" + id
	}
	if s.key, err = loadOrCreateKey(keyFile(s.path, o), s.origin); err != nil {
		return err
	}
	declare := func(tx *sql.Tx) error {
		q := fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;\n", applicationID, schemaVersion)
		_, err := tx.ExecContext(ctx, q+schemaText(schemaVersion))
		return err
	}
	if err := s.inTx(ctx, declare); err != nil {
		return err
	}
	s.version = schemaVersion
	s.prepare()
	return s.write(ctx, func(b *batch) error {
		now := s.now()
		b.insert(kindStore, id, s.origin, int64(tlog.CanonVersion), now.UnixMilli())
		b.insert(kindSigningKey, s.key.Public(), now.UnixMilli())
		return b.seal()
	})
}

func (s *Store) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.w.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // fails only where SQLite has undone it already, as on a full disk
		return err
	}
	return tx.Commit()
}

func keyFile(path string, o Options) string {
	if o.KeyFile != "" {
		return o.KeyFile
	}
	return path + ".key"
}

func loadOrCreateKey(path, name string) (*tlog.Key, error) {
	k, err := tlog.LoadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.CreateKey(path, name)
	}
	return k, err
}

// prepare makes ready what appends rows.
func (s *Store) prepare() {
	checks, _ := declared(tablesSQL())
	for k, t := range s.tables {
		s.checks[k] = checks[t.name]
		s.rows[k] = newAppender(t.name, slices.Concat(t.columns, t.stored))
	}
	s.entries = newAppender("entry", []string{"seq", "kind", "ref", "leaf"})
	s.certificates = newAppender("proj_certificate", certificateColumns())
	s.blobs = make(map[evidence.Digest]kept)
}

// release closes what prepare and the batches compiled.
func (s *Store) release() error {
	var errs []error
	if s.entries == nil {
		return nil
	}
	conn, err := s.w.Conn(context.Background())
	if err != nil {
		return err
	}
	err = conn.Raw(func(any) error {
		if s.search != nil {
			errs = append(errs, closeRaw(s.search))
		}
		for _, a := range append(s.rows[:], s.entries, s.certificates) {
			errs = append(errs, a.close())
		}
		return nil
	})
	return errors.Join(append(errs, err, conn.Close())...)
}

// Close keeps what is pending, seals it, and lets the next writer in. Runs that
// were not ended stay so and become aborted at the next writable Open.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.w != nil && s.lock != nil {
		if err = s.flush(context.Background()); err == nil && s.head.unsealed() > 0 {
			err = s.write(context.Background(), (*batch).seal)
		}
	}
	return explain(s.path, errors.Join(err, s.closePools()))
}

func (s *Store) closePools() error {
	if s.timer != nil {
		s.timer.Stop()
	}
	var errs []error
	if s.r != nil {
		errs = append(errs, s.r.Close())
	}
	if s.w != nil {
		errs = append(errs, s.release())
		// Back to a single file that also opens on a read-only medium. Where a
		// reader is at work in another process this fails, and the file stays in
		// WAL mode, which is as good.
		_, _ = s.w.ExecContext(context.Background(), "PRAGMA busy_timeout=0; PRAGMA journal_mode=DELETE")
		errs = append(errs, s.w.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	s.r, s.w, s.lock = nil, nil, nil
	return errors.Join(errs...)
}

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a UUID: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
