package main

import (
	"fmt"
	"io"
	"os"
)

// Limits of files that are read whole.
const (
	maxPolicyBytes   = 16 << 20
	maxArtefactBytes = 16 << 20
)

// readLimited reads a regular file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.IsDir() {
		return nil, fmt.Errorf("%q is a directory; name a file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%q is larger than %d MiB; split it", path, limit>>20)
	}
	return b, nil
}
