package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// What can be wrong with a database or its key. A caller tells them apart by
// [errors.Is] and shows the text of the error, which names the place and the
// mend.
var (
	ErrNotDatabase  = errors.New("not a database")            // another kind of file
	ErrForeign      = errors.New("not a probity database")    // a database of another program
	ErrNewer        = errors.New("newer schema")              // written by a newer probity
	ErrReadOnly     = errors.New("not writable")              // file or directory
	ErrLocked       = errors.New("locked by another process") // a second writer
	ErrDiskFull     = errors.New("disk full")                 // nothing of the batch was kept
	ErrCorrupt      = errors.New("damaged")                   // SQLite cannot read it
	ErrInconsistent = errors.New("log inconsistent")          // the log does not bear its own checkpoints; run verify
	ErrKeyMissing   = errors.New("signing key missing")       //
	ErrKeyForeign   = errors.New("signing key of another log")
	ErrRunNotOpen   = errors.New("run is not open") // ended, or begun by another process: a bug of the caller
)

// FileError says what is wrong with which file and what to do about it.
type FileError struct {
	Path string
	Kind error // one of the errors above, or of [fs]
	What string
	Mend string
	Err  error // cause; may be nil
}

func (e *FileError) Error() string {
	s := fmt.Sprintf("%q: %s", e.Path, e.What)
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s + ": " + e.Mend
}

// Unwrap returns the kind and the cause.
func (e *FileError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// explain turns what SQLite or the file system said about the database at path
// into a [FileError]; other errors it returns as they are.
func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*FileError](err); ok {
		return err
	}
	if se, ok := errors.AsType[sqlite3.Error](err); ok {
		if what, mend, k := explainSQLite(se); k != nil {
			return &FileError{Path: path, Kind: k, What: what, Mend: mend, Err: err}
		}
		return fmt.Errorf("%q: %w", path, err)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &FileError{Path: path, Kind: fs.ErrNotExist, What: "there is no such file", Mend: "give the database with --db, or run a scan first"}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &FileError{Path: path, Kind: ErrDiskFull, What: "the disk is full", Mend: "free space and run again"}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &FileError{Path: path, Kind: ErrReadOnly, What: "no permission", Mend: "run as the owner of the file, or give another --db", Err: err}
	}
	return err
}

func explainSQLite(e sqlite3.Error) (what, mend string, kind error) {
	switch e.Code {
	case sqlite3.ErrNotADB:
		return "the file is not a database", "give the database with --db; this file was not touched", ErrNotDatabase
	case sqlite3.ErrCorrupt:
		return "the database is damaged", "run probity verify on it and continue from a copy that is whole", ErrCorrupt
	case sqlite3.ErrFull:
		return "the disk is full; nothing of this batch was kept, all before it was", "free space and run again", ErrDiskFull
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return "the database is locked by another process", "wait until that one has ended, or give another --db", ErrLocked
	case sqlite3.ErrReadonly:
		return "the database or its directory is not writable", "make both writable for this user, or give another --db", ErrReadOnly
	case sqlite3.ErrPerm, sqlite3.ErrAuth, sqlite3.ErrCantOpen:
		return "the database cannot be opened", "see that the file and its directory are readable and writable for this user", ErrReadOnly
	case sqlite3.ErrIoErr:
		if e.SystemErrno == syscall.ENOSPC || e.SystemErrno == syscall.EDQUOT {
			return "the disk is full; nothing of this batch was kept, all before it was", "free space and run again", ErrDiskFull
		}
	}
	return "", "", nil
}
