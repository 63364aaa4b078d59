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
	maxArchiveBytes = 64 << 30
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
// directories with all below them, and archives (tar, tar.gz, zip) with all in them.
// Symbolic links below a directory are not followed. What cannot be read is handed on
// with its error; take returns errStopped to end.
func eachFile(paths []string, take func(artefactFile) error) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			err = fileOrArchive(path, false, take)
		} else {
			err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if !d.Type().IsRegular() {
					return nil
				}
				return fileOrArchive(name, true, take)
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

func fileOrArchive(path string, inside bool, take func(artefactFile) error) error {
	f, err := os.Open(path)
	if err != nil {
		return take(artefactFile{name: path, err: err, inside: inside})
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<16)
	head, _ := r.Peek(tarMagicAt + len(tarMagic)) // a shorter file is no archive
	switch {
	case isTar(head):
		return eachInTar(path, r, take)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("read %q: %w", path, err)
		}
		return eachInZip(path, f, info.Size(), take)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return take(artefactFile{name: path, err: fmt.Errorf("read %q: %w", path, err), inside: inside})
		}
		unpacked := bufio.NewReaderSize(io.LimitReader(z, maxArchiveBytes), 1<<16)
		if head, _ := unpacked.Peek(tarMagicAt + len(tarMagic)); isTar(head) {
			return eachInTar(path, unpacked, take)
		}
		data, err := limited(path, unpacked)
		return take(artefactFile{name: path, data: data, err: err, inside: inside})
	}
	data, err := limited(path, r)
	return take(artefactFile{name: path, data: data, err: err, inside: inside})
}

// The mark of a tar header (POSIX.1-1988 ustar, and GNU tar).
const (
	tarMagicAt = 257
	tarMagic   = "ustar"
)

func isTar(head []byte) bool {
	return len(head) >= tarMagicAt+len(tarMagic) && string(head[tarMagicAt:][:len(tarMagic)]) == tarMagic
}

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

// member is the name of a file in an archive. It is shown, never opened.
func member(archive, name string) string { return archive + "!" + strings.TrimPrefix(name, "./") }

func eachInTar(path string, r io.Reader, take func(artefactFile) error) error {
	in := tar.NewReader(r)
	for range maxArchiveFiles {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return take(artefactFile{name: path, err: fmt.Errorf("read %q: %w", path, err), inside: true})
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := member(path, h.Name)
		data, err := limited(name, in)
		if err := take(artefactFile{name: name, data: data, err: err, inside: true}); err != nil {
			return err
		}
	}
	return fmt.Errorf("%q holds more than %d files; split it", path, maxArchiveFiles)
}

func eachInZip(path string, r io.ReaderAt, size int64, take func(artefactFile) error) error {
	in, err := zip.NewReader(r, size)
	if err != nil {
		return take(artefactFile{name: path, err: fmt.Errorf("read %q: %w", path, err), inside: true})
	}
	left := int64(maxArchiveBytes)
	for _, f := range in.File {
		if !f.Mode().IsRegular() {
			continue
		}
		name := member(path, f.Name)
		data, err := readMember(name, f)
		if left -= int64(len(data)); left < 0 {
			return fmt.Errorf("%q unpacks to more than %d GiB; split it", path, maxArchiveBytes>>30)
		}
		if err := take(artefactFile{name: name, data: data, err: err, inside: true}); err != nil {
			return err
		}
	}
	return nil
}

func readMember(name string, f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	defer func() { _ = r.Close() }()
	return limited(name, r)
}
