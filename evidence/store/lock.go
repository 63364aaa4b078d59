//go:build unix

package store

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// fileLock is the right to write a database, held from Open to Close in a file
// of its own beside it. SQLite's own locks last for a transaction; this one keeps
// a second process from taking a live run for an aborted one. It is not on the
// database itself, because closing any descriptor of that file would drop
// SQLite's locks on it (POSIX, fcntl).
type fileLock struct{ f *os.File }

func lockPath(path string) string { return path + ".lock" }

// acquire takes the lock or says at once that another process has it.
func acquire(path string) (*fileLock, error) {
	for {
		f, err := os.OpenFile(lockPath(path), os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &FileError{Path: path, Kind: fs.ErrNotExist, What: "its directory does not exist", Mend: "create the directory, or give another --db"}
		}
		if err != nil {
			return nil, explain(path, err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			holder := make([]byte, 20)
			n, _ := f.Read(holder) // only to be helpful
			f.Close()              //nolint:errcheck// only read
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, explain(path, err)
			}
			what := "the database is locked by another process"
			if pid := strings.TrimSpace(string(holder[:n])); pid != "" {
				what += " (pid " + pid + ")"
			}
			return nil, &FileError{Path: path, Kind: ErrLocked, What: what, Mend: "wait until that one has ended, or give another --db"}
		}
		if sameFile(f, lockPath(path)) {
			// The number is for the message above; without it the lock holds as well.
			_ = f.Truncate(0)
			_, _ = f.WriteString(strconv.Itoa(os.Getpid()))
			return &fileLock{f: f}, nil
		}
		// The holder removed the file between our open and our lock: what we hold
		// is a lock on nothing.
		f.Close() //nolint:errcheck// nothing was written
	}
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// release gives the right back and removes the file while it is still ours.
func (l *fileLock) release() error {
	return errors.Join(os.Remove(l.f.Name()), l.f.Close())
}
