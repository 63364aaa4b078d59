package modbuswire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIdentify(t *testing.T) {
	if got, want := Identify(0x1234), []byte("\x12\x34\x00\x00\x00\x05\xff\x2b\x0e\x01\x00"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestBodySize(t *testing.T) {
	if n, err := BodySize([]byte{0x12, 0x34, 0, 0, 0, 9}, 0x1234); n != 9 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for _, bad := range []string{"", "\x12\x35\x00\x00\x00\x09", "\x12\x34\x00\x01\x00\x09", "\x12\x34\x00\x00\xff\xff", "\x12\x34\x00\x00\x00\x02"} {
		if n, err := BodySize([]byte(bad), 0x1234); err == nil {
			t.Errorf("%q: %d bytes", bad, n)
		}
	}
}

func TestParseIdentity(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Identity
		bad  bool
	}{
		{in: "\xff\x2b\x0e\x01\x01\x00\x00\x03\x00\x04ACME\x01\x02P7\x02\x031.0", want: Identity{Vendor: "ACME", Product: "P7", Revision: "1.0"}},
		{in: "\xff\x2b\x0e\x01\x01\x00\x00\x01\x06\x04ward", want: Identity{}},
		{in: "\xff\xab\x01", want: Identity{Exception: 1}},
		{in: "\xff\x2b\x0e\x01\x01\x00\x00\x02\x00\x04ACME", want: Identity{Vendor: "ACME"}, bad: true},
		{in: "\xff\x03\x02\x00\x00\x00\x00\x00", bad: true},
	} {
		got, err := ParseIdentity([]byte(tt.in))
		if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.bad {
			t.Errorf("%q: error %v (-want +got):\n%s", tt.in, err, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x00\x0e\xff\x2b\x0e\x01\x01\x00\x00\x01\x00\x04ACME"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HeaderSize {
			return
		}
		n, err := BodySize(b[:HeaderSize], 1)
		if err == nil && (n < 3 || n > MaxBody) {
			t.Errorf("body of %d bytes", n)
		}
		id, _ := ParseIdentity(b[HeaderSize:])
		if len(id.Vendor)+len(id.Product)+len(id.Revision) > 3*len(b) {
			t.Error("more than was there")
		}
	})
}
