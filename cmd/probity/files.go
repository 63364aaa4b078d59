package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of an archive: a small file may unpack to any size.
const (
	maxArchiveFiles = 20_000_000
	maxArchiveBytes = 64 << 30 // of all archives that are given
	maxNesting      = 4        // archives in archives
)

// errStopped ends a walk early without an error.
var errStopped = errors.New("stopped")

// artefactFile is a file that a command was given, or that it found in a directory or
// an archive.
type artefactFile struct {
	name   string
	data   []byte
	err    error // why it could not be read
	inside bool  // found, not named by the operator
}

// eachFile calls take for every file of the paths in order: files as they are,
// directories with all below them, and archives (tar, tar.gz, zip) with all in them,
// archives in them included. Symbolic links below a directory are not followed. What
// cannot be read is handed on with its error; take returns errStopped to end.
func eachFile(paths []string, take func(artefactFile) error) error {
	w := &fileWalk{take: take, left: maxArchiveBytes}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			err = w.file(path, false)
		} else {
			err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if !d.Type().IsRegular() {
					return nil
				}
				return w.file(name, true)
			})
		}
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fileWalk hands on files.
type fileWalk struct {
	take func(artefactFile) error
	left int64 // bytes that may still be unpacked
}

// errUnpacked ends a walk: what is given unpacks to too much.
var errUnpacked = fmt.Errorf("unpacks to more than %d GiB together with what came before; split it", maxArchiveBytes>>30)

// unpacking reads what is unpacked within the bound: also what is passed over, as
// members that are too large or no files.
func (w *fileWalk) unpacking(r io.Reader) io.Reader { return &unpackReader{r: r, left: &w.left} }

type unpackReader struct {
	r    io.Reader
	left *int64
}

// Read implements [io.Reader].
func (u *unpackReader) Read(b []byte) (int, error) {
	if *u.left <= 0 {
		return 0, errUnpacked
	}
	n, err := u.r.Read(b[:min(int64(len(b)), *u.left)])
	*u.left -= int64(n)
	return n, err
}

// origin is a file or the member of an archive.
type origin struct {
	name   string
	inside bool // found, not named by the operator
	depth  int  // archives around it
}

func (w *fileWalk) file(path string, inside bool) error {
	s := origin{name: path, inside: inside}
	f, err := os.Open(path)
	if err != nil {
		return w.failed(s, err)
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<16)
	head, _ := r.Peek(tarMagicAt + len(tarMagic)) // a shorter file is no archive
	if isZip(head) {
		info, err := f.Stat()
		if err != nil {
			return w.failed(s, err)
		}
		return w.zip(s, f, info.Size())
	}
	return w.stream(s, r, head)
}

// stream reads what is no zip archive.
func (w *fileWalk) stream(s origin, r *bufio.Reader, head []byte) error {
	switch {
	case isTar(head):
		return w.tar(s, r)
	case isGzip(head):
		z, err := gzip.NewReader(r)
		if err != nil {
			return w.failed(s, err)
		}
		unpacked := bufio.NewReaderSize(w.unpacking(z), 1<<16)
		if head, _ := unpacked.Peek(tarMagicAt + len(tarMagic)); isTar(head) {
			return w.tar(s, unpacked)
		}
		r = unpacked
	}
	data, err := limited(s.name, r)
	if errors.Is(err, errUnpacked) {
		return w.failed(s, err)
	}
	return w.take(artefactFile{name: s.name, data: data, err: err, inside: s.inside})
}

func (w *fileWalk) failed(s origin, err error) error {
	if errors.Is(err, errUnpacked) {
		return fmt.Errorf("%q %w", s.name, errUnpacked)
	}
	return w.take(artefactFile{name: s.name, err: fmt.Errorf("read %q: %w", s.name, err), inside: s.inside})
}

// member hands on a member of an archive, or what is in it.
func (w *fileWalk) member(archive origin, name string, data []byte, err error) error {
	// The name is shown, never opened.
	s := origin{name: archive.name + "!" + strings.TrimPrefix(name, "./"), inside: true, depth: archive.depth + 1}
	switch {
	case errors.Is(err, errUnpacked):
		return fmt.Errorf("%q %w", archive.name, errUnpacked)
	case err != nil:
		err = fmt.Errorf("%q: %w", s.name, err)
	case s.depth > maxNesting:
	case isZip(data):
		return w.zip(s, bytes.NewReader(data), int64(len(data)))
	case isTar(data), isGzip(data):
		return w.stream(s, bufio.NewReader(bytes.NewReader(data)), data)
	}
	return w.take(artefactFile{name: s.name, data: data, err: err, inside: true})
}

// The mark of a tar header (POSIX.1-1988 ustar, and GNU tar).
const (
	tarMagicAt = 257
	tarMagic   = "ustar"
)

func isTar(head []byte) bool {
	return len(head) >= tarMagicAt+len(tarMagic) && string(head[tarMagicAt:][:len(tarMagic)]) == tarMagic
}

func isZip(head []byte) bool { return bytes.HasPrefix(head, []byte("PK\x03\x04")) }

func isGzip(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) }

// limited reads one file, or one member of an archive.
func limited(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxArtefactBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if len(data) > maxArtefactBytes {
		return nil, fmt.Errorf("%q is larger than %d MiB; split it", name, maxArtefactBytes>>20)
	}
	return data, nil
}

func (w *fileWalk) tar(s origin, r io.Reader) error {
	in := tar.NewReader(r)
	for range maxArchiveFiles {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.failed(s, fmt.Errorf("the archive is cut off or damaged: %w", err))
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := limited(h.Name, in)
		if err := w.member(s, h.Name, data, err); err != nil {
			return err
		}
	}
	return fmt.Errorf("%q holds more than %d files; split it", s.name, maxArchiveFiles)
}

func (w *fileWalk) zip(s origin, r io.ReaderAt, size int64) error {
	in, err := zip.NewReader(r, size)
	if err != nil {
		return w.failed(s, fmt.Errorf("the archive is cut off or damaged: %w", err))
	}
	for _, f := range in.File {
		if !f.Mode().IsRegular() {
			continue
		}
		data, err := w.readMember(f)
		if err := w.member(s, f.Name, data, err); err != nil {
			return err
		}
	}
	return nil
}

func (w *fileWalk) readMember(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.Name, err)
	}
	defer func() { _ = r.Close() }()
	return limited(f.Name, w.unpacking(r))
}
