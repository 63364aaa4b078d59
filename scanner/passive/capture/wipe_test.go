package capture

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestClose_overwrites looks at a packet after its file was closed.
func TestClose_overwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	data := append([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00"),
		[]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x06\x00\x00\x00MARKER")...)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Next()
	if err != nil || string(p.Data) != "MARKER" {
		t.Fatalf("%q, %v", p.Data, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Data, make([]byte, 6)) {
		t.Errorf("%q is left", p.Data)
	}
}

// TestClose_overwritesWindow looks at what a decompressor keeps.
func TestClose_overwritesWindow(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(bytes.Join([][]byte{
		[]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x01\x00\x00\x00"),
		[]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x06\x00\x00\x00MARKER"),
	}, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile("packed", &packed)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.Next(); err != nil || string(p.Data) != "MARKER" {
		t.Fatalf("%q, %v", p.Data, err)
	}
	window := reflect.ValueOf(f.packed).Elem().FieldByName("decompressor").Elem().Elem().FieldByName("dict").FieldByName("hist").Bytes()
	if !bytes.Contains(window, []byte("MARKER")) {
		t.Fatal("the window is elsewhere")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(window, make([]byte, len(window))) {
		t.Errorf("%q is left", bytes.Trim(window, "\x00"))
	}
}
