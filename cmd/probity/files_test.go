//go:build cgo

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestFileWalk_bound: what is unpacked counts, whether it is handed on or passed over.
func TestFileWalk_bound(t *testing.T) {
	const left = 8 << 20
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tarOf := func(w io.Writer, name string, kind byte, content io.Reader, size int64) {
		out := tar.NewWriter(w)
		check(out.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Size: size, Mode: 0o600}))
		_, err := io.CopyN(out, content, size)
		check(err)
		check(out.Close())
	}
	packed := func(fill func(w io.Writer)) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fill(z)
		check(z.Close())
		return b.Bytes()
	}
	zeros := func(w io.Writer, size int64) {
		_, err := io.CopyN(w, zeroReader{}, size)
		check(err)
	}
	large := packed(func(w io.Writer) { tarOf(w, "large", tar.TypeReg, zeroReader{}, maxArtefactBytes+left) })
	for name, content := range map[string][]byte{
		"no file": packed(func(w io.Writer) { tarOf(w, "x", '9', zeroReader{}, 2*left) }),
		"large":   large,
		"within":  packed(func(w io.Writer) { tarOf(w, "inner", tar.TypeReg, bytes.NewReader(large), int64(len(large))) }),
		"gzip":    packed(func(w io.Writer) { zeros(w, 2*left) }),
		"zip": func() []byte {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			for _, name := range []string{"a", "b"} {
				w, err := z.Create(name)
				check(err)
				zeros(w, left)
			}
			check(z.Close())
			return b.Bytes()
		}(),
	} {
		path := writeFile(t, filepath.Join(t.TempDir(), "a"), string(content))
		for bound, want := range map[int64]error{left: errUnpacked, maxArchiveBytes: nil} {
			w := &fileWalk{take: func(artefactFile) error { return nil }, left: bound}
			if err := w.file(path, false); !errors.Is(err, want) {
				t.Errorf("%s, of at most %d bytes: %v", name, bound, err)
			}
		}
	}
}

// zeroReader never ends.
type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestFileWalk_checksum: what is damaged behind the last member of an archive is said.
func TestFileWalk_checksum(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, Mode: 0o600}), w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	b.Bytes()[b.Len()-6] ^= 1 // the checksum of gzip
	path := filepath.Join(t.TempDir(), "a.tgz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []error
	err := eachFile([]string{path}, func(f artefactFile) error {
		got = append(got, f.err)
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != nil || !errors.Is(got[1], errDamaged) {
		t.Errorf("got %v, %v, want the member and then %v", got, err, errDamaged)
	}
}
