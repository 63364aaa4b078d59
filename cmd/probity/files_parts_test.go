package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bundle is a PEM file with n structures that are taken for certificates, and as many
// private keys.
func bundle(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		der := make([]byte, 1300)
		copy(der, []byte{0x30, 0x82, byte((len(der) - 4) >> 8), byte((len(der) - 4) & 0xff)})
		binary.BigEndian.PutUint32(der[4:], uint32(i))
		for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: []byte("secret")}} {
			if err := pem.Encode(&b, block); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes()
}

// taped is a tar archive of one file.
func taped(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf is a zip archive of one file.
func zipOf(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	member, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := member.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestEachFile_bundle: a PEM bundle of any size is taken part by part, also inside of
// archives, each block once and in order.
func TestEachFile_bundle(t *testing.T) {
	const n = 12_000
	data := bundle(t, n)
	if len(data) <= maxArtefactBytes {
		t.Fatalf("%d bytes are no large bundle", len(data))
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tape, zipped := taped(t, "all.pem", data), zipOf(t, "all.pem", data)
	packed := gzipped(t, tape)
	nested := taped(t, "all.tar.gz", packed)
	for _, path := range []string{
		write("all.pem", data), write("all.pem.gz", gzipped(t, data)), write("all.tar", tape), write("all.tar.gz", packed),
		write("all.zip", zipped), write("nested.tar", nested), write("nested.zip", zipOf(t, "all.tar", tape)),
	} {
		next, most := 0, 0
		err := eachFile([]string{path}, func(f artefactFile) error {
			found, err := f.read("")
			most = max(most, len(found))
			for _, o := range found {
				if at := int(binary.BigEndian.Uint32(o.Certs[0].DER[4:])); at != next || o.Facts.Artefact.Index != next {
					t.Fatalf("%s: certificate %d is number %d, want %d", path, at, o.Facts.Artefact.Index, next)
				}
				next++
			}
			return err
		})
		if err != nil || next != n {
			t.Errorf("%s: %d certificates and error %v, want %d", path, next, err, n)
		}
		if most > n/10 {
			t.Errorf("%s: %d certificates were taken at once", path, most)
		}
	}
	cut := write("cut.pem", data[:len(data)-2000])
	err := eachFile([]string{cut}, func(f artefactFile) error { _, err := f.read(""); return err })
	if err == nil || !strings.Contains(err.Error(), "PEM block 23997 at byte") || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("a bundle that is cut off: %v", err)
	}
	for name, data := range map[string][]byte{
		"cut.pem.gz": gzipped(t, data), "cut.tar": tape, "cut.tar.gz": packed, "cut.zip": zipped, "nested.tar": nested,
	} {
		cut := write(name, data[:len(data)/2])
		err := eachFile([]string{cut}, func(f artefactFile) error { _, err := f.read(""); return err })
		if err == nil || !strings.Contains(err.Error(), "cut off or damaged") || strings.Count(err.Error(), "cut off") != 1 {
			t.Errorf("%s, which is cut off: %v", name, err)
		}
	}
	keys := write("keys.pem", bytes.Repeat(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: make([]byte, 1000)}), 2000))
	if err = eachFile([]string{keys}, func(f artefactFile) error { _, err := f.read(""); return err }); err == nil || !strings.Contains(err.Error(), "not a certificate") {
		t.Errorf("a bundle of keys: %v", err)
	}
}
