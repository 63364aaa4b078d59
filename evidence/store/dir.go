//go:build unix

package store

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writableDir reports whether this process may create files beside path.
func writableDir(path string) bool {
	return unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK) == nil
}
