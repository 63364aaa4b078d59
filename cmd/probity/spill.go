package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// spillAfter is how many bytes a spill keeps in memory.
const spillAfter = 16 << 20

// spill keeps bytes that are written one after the other and read again in any order:
// the first in memory, and all in a file without a name once there are many. It may be
// read on several goroutines while nothing is written.
type spill struct {
	dir    string
	head   []byte // until there is a file; then what the file does not have yet
	file   *os.File
	filed  int64 // bytes in the file
	failed error
}

func newSpill(dir string) *spill { return &spill{dir: dir} }

// Write implements [io.Writer].
func (s *spill) Write(b []byte) (int, error) {
	s.head = append(s.head, b...)
	if len(s.head) < spillAfter {
		return len(b), s.failed
	}
	if s.failed = s.flush(); s.failed != nil {
		return 0, s.failed
	}
	return len(b), nil
}

func (s *spill) flush() error {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "probity-*")
		if err != nil {
			return fmt.Errorf("%w; give --scratch DIR", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil { // it goes when it is closed, whatever happens
			return err
		}
	}
	n, err := s.file.Write(s.head)
	s.filed += int64(n)
	s.head = s.head[:0]
	if err != nil {
		return fmt.Errorf("%w; give --scratch DIR with more room", err)
	}
	return nil
}

// size is how many bytes were written.
func (s *spill) size() int64 { return s.filed + int64(len(s.head)) }

// ReadAt implements [io.ReaderAt].
func (s *spill) ReadAt(b []byte, at int64) (int, error) {
	n := 0
	if at < s.filed {
		var err error
		if n, err = s.file.ReadAt(b[:min(int64(len(b)), s.filed-at)], at); err != nil {
			return n, err
		}
	}
	if n < len(b) {
		more, err := bytes.NewReader(s.head).ReadAt(b[n:], at+int64(n)-s.filed)
		return n + more, err
	}
	return n, nil
}

func (s *spill) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// window reads a spill in order, a block at a time, and anywhere else, too.
type window struct {
	of    *spill
	block []byte
	at    int64
}

// blockBytes is how much a window reads at once where it goes on, and jumpBytes where it
// does not.
const (
	blockBytes = 1 << 16
	jumpBytes  = 1 << 9
)

// bytes returns the n bytes at a place, or fewer at the end. They are good until the
// next call.
func (w *window) bytes(at int64, n int) ([]byte, error) {
	if at < w.at || at+int64(n) > w.at+int64(len(w.block)) {
		size := blockBytes
		if at < w.at || at > w.at+int64(len(w.block)) { // elsewhere, and who knows where to next
			size = jumpBytes
		}
		size = max(n, size)
		if cap(w.block) < size {
			w.block = make([]byte, max(size, blockBytes))
		}
		w.block = w.block[:size]
		got, err := w.of.ReadAt(w.block, at)
		if w.block, w.at = w.block[:got], at; err != nil && !errors.Is(err, io.EOF) {
			w.block = w.block[:0]
			return nil, err
		}
	}
	from := at - w.at
	return w.block[from:min(from+int64(n), int64(len(w.block)))], nil
}
