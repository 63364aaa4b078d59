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

	"probity/evidence"
	"probity/scanner/artefact"
)

// Bounds of an archive: a small file may unpack to any size.
const (
	maxArchiveFiles = 20_000_000
	maxArchiveBytes = 64 << 30 // of all archives that are given
	maxNesting      = 4        // archives in archives
)

var (
	// errStopped ends a walk early without an error.
	errStopped = errors.New("stopped")
	errDamaged = errors.New("the archive is cut off or damaged")
	// errUnpacked ends a walk: what is given unpacks to too much.
	errUnpacked = fmt.Errorf("unpacks to more than %d GiB together with what came before; split it", maxArchiveBytes>>30)
)

// artefactFile is a file that a command was given, or that it found in a directory or
// an archive.
type artefactFile struct {
	name   string
	data   []byte
	found  []evidence.Observation // of a part of a large file, which has no data
	part   bool                   // of a file that is taken part by part
	err    error                  // why it could not be read
	inside bool                   // found, not named by the operator
}

// read returns what the file holds.
func (f *artefactFile) read(password string) ([]evidence.Observation, error) {
	if f.err != nil || f.part {
		return f.found, f.err
	}
	return artefact.Read(f.name, f.data, password)
}

// passable reports whether a file may hold something else: directories and archives
// hold other files, too.
func (f *artefactFile) passable() bool { return f.inside && !f.part }

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
	take   func(artefactFile) error
	left   int64         // bytes that may still be unpacked
	buffer *bufio.Reader // of the file that is open
}

// origin is a file or the member of an archive.
type origin struct {
	name   string
	inside bool // found, not named by the operator
	depth  int  // archives around it
}

// member is the member of an archive. Its name is shown, never opened.
func (s origin) member(name string) origin {
	return origin{name: s.name + "!" + strings.TrimPrefix(name, "./"), inside: true, depth: s.depth + 1}
}

func (w *fileWalk) file(path string, inside bool) error {
	s := origin{name: path, inside: inside}
	f, err := os.Open(path)
	if err != nil {
		return w.failed(s, err)
	}
	defer func() { _ = f.Close() }()
	if w.buffer == nil {
		w.buffer = bufio.NewReaderSize(nil, 1<<16)
	}
	w.buffer.Reset(f)
	if isZip(magic(w.buffer)) {
		info, err := f.Stat()
		if err != nil {
			return w.failed(s, err)
		}
		return w.zip(s, f, info.Size())
	}
	return w.stream(s, w.buffer)
}

// stream reads a file or a member from its beginning to its end.
func (w *fileWalk) stream(s origin, r *bufio.Reader) error {
	head := magic(r)
	switch {
	case s.depth > maxNesting:
	case isZip(head): // in an archive: its directory is at its end, so it is held
		data, err := limited(s.name, r)
		if err != nil {
			return w.hand(artefactFile{name: s.name, err: err, inside: s.inside})
		}
		return w.zip(s, bytes.NewReader(data), int64(len(data)))
	case isTar(head):
		return w.tar(s, r)
	case isGzip(head):
		z, err := gzip.NewReader(r)
		if err != nil {
			return w.failed(s, err)
		}
		r = bufio.NewReaderSize(w.unpacking(z), 1<<16)
		if isTar(magic(r)) {
			return w.tar(s, r)
		}
	}
	return w.one(s, r)
}

func (w *fileWalk) failed(s origin, err error) error {
	return w.hand(artefactFile{name: s.name, err: fmt.Errorf("read %q: %w", s.name, err), inside: s.inside})
}

// hand hands on a file, unless the archives unpack to too much.
func (w *fileWalk) hand(f artefactFile) error {
	if errors.Is(f.err, errUnpacked) {
		return fmt.Errorf("%q %w", f.name, errUnpacked)
	}
	return w.take(f)
}

// partBytes is how much of a PEM file is taken at a time.
const partBytes = 1 << 20

// one takes what is no archive: whole, or part by part where it is PEM and large, so
// that bundles may have any size.
func (w *fileWalk) one(s origin, r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, partBytes+1))
	if err != nil {
		return w.failed(s, err)
	}
	if len(data) > partBytes {
		if artefact.CutPEM(data) > 0 && !bytes.Contains(data, []byte("-----BEGIN PGP ")) {
			return w.parts(s, data, r)
		}
		data, err = limited(s.name, io.MultiReader(bytes.NewReader(data), r))
	}
	return w.hand(artefactFile{name: s.name, data: data, err: err, inside: s.inside})
}

// parts takes a PEM file that begins with data and goes on with r.
func (w *fileWalk) parts(s origin, data []byte, r io.Reader) error {
	var read artefact.Part
	fail := func(err error) error {
		return w.hand(artefactFile{name: s.name, err: err, inside: s.inside, part: read.Items > 0})
	}
	for end := false; ; {
		cut := artefact.CutPEM(data)
		if end {
			cut = len(data)
		}
		if cut > 0 || end {
			found, err := artefact.ReadPart(s.name, data[:cut], &read)
			if err != nil {
				return fail(err)
			}
			if err := w.hand(artefactFile{name: s.name, found: found, part: true, inside: s.inside}); err != nil || end {
				if err == nil && read.Items == 0 {
					err = fail(fmt.Errorf("%q: not a certificate: the PEM file holds nothing that is judged: give the certificates", s.name))
				}
				return err
			}
			data = bytes.Clone(data[cut:]) // what was found keeps no part of it
		}
		if len(data) > 2*maxArtefactBytes {
			return fail(fmt.Errorf("%q: PEM block %d at byte %d is larger than %d MiB", s.name, read.Blocks+1, read.Bytes, maxArtefactBytes>>20))
		}
		more, err := io.ReadAll(io.LimitReader(r, partBytes))
		if err != nil {
			return fail(fmt.Errorf("read %q: %w", s.name, err))
		}
		data, end = append(data, more...), len(more) == 0
	}
}

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
	return n, damaged(err)
}

// tarReader reads a member of a tar archive.
type tarReader struct{ *tar.Reader }

// Read implements [io.Reader].
func (t tarReader) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	return n, damaged(err)
}

// damaged says once what an error in an archive means; the end of a file is none.
func damaged(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, errUnpacked) || errors.Is(err, errDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// The mark of a tar header (POSIX.1-1988 ustar, and GNU tar).
const (
	tarMagicAt = 257
	tarMagic   = "ustar"
)

// magic returns the bytes at the start of r that tell archives apart.
func magic(r *bufio.Reader) []byte {
	head, _ := r.Peek(tarMagicAt + len(tarMagic)) // a shorter file is no archive
	return head
}

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
	buffer := bufio.NewReader(nil)
	for range maxArchiveFiles {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			// What is around it has its checksum at the end.
			if _, err := io.Copy(io.Discard, r); err != nil {
				return w.failed(s, damaged(err))
			}
			return nil
		}
		if err != nil {
			return w.failed(s, damaged(err))
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		buffer.Reset(tarReader{in})
		if sparse(h) { // may be larger than the archive
			buffer.Reset(w.unpacking(in))
		}
		if err := w.stream(s.member(h.Name), buffer); err != nil {
			return err
		}
	}
	return fmt.Errorf("%q holds more than %d files; split it", s.name, maxArchiveFiles)
}

// sparse reports whether a member has holes that take no room in the archive.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (w *fileWalk) zip(s origin, r io.ReaderAt, size int64) error {
	in, err := zip.NewReader(r, size)
	if err != nil {
		return w.failed(s, damaged(err))
	}
	buffer := bufio.NewReader(nil)
	for _, f := range in.File {
		if !f.Mode().IsRegular() {
			continue
		}
		if err := w.zipped(s.member(f.Name), f, buffer); err != nil {
			return err
		}
	}
	return nil
}

func (w *fileWalk) zipped(s origin, f *zip.File, buffer *bufio.Reader) error {
	r, err := f.Open()
	if err != nil {
		return w.failed(s, err)
	}
	defer func() { _ = r.Close() }()
	buffer.Reset(w.unpacking(r))
	return w.stream(s, buffer)
}
