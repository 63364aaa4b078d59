package dicomwire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func request() Associate {
	return Associate{
		Version: 1, CalledAE: "ANY-SCP", CallingAE: "PROBITY", ApplicationContext: ApplicationContext,
		Contexts: []Context{{ID: 1, AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLittle}}},
		MaxPDU:   16384, ImplementationUID: "1.2.3", ImplementationVersion: "PROBITY_1",
	}
}

func TestAssociate_roundTrip(t *testing.T) {
	want := request()
	b, err := want.MarshalRequest()
	if err != nil {
		t.Fatal(err)
	}
	kind, n, err := Header(b)
	if err != nil || kind != AssociateRQ || n != len(b)-HeaderSize {
		t.Fatalf("Header: %d, %d, %v", kind, n, err)
	}
	if got := string(b[10:26]); got != "ANY-SCP         " {
		t.Errorf("called title %q", got)
	}
	got, err := ParseAssociate(kind, b[HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAssociate_cutAnywhere(t *testing.T) {
	b, err := request().MarshalRequest()
	if err != nil {
		t.Fatal(err)
	}
	items := map[int]bool{fixedSize: true, len(b) - HeaderSize: true} // where a cut leaves whole items
	for i := fixedSize; i < len(b)-HeaderSize; {
		i += 4 + int(b[HeaderSize+i+2])<<8 + int(b[HeaderSize+i+3])
		items[i] = true
	}
	for n := range len(b) - HeaderSize {
		if _, err := ParseAssociate(AssociateRQ, b[HeaderSize:HeaderSize+n]); (err == nil) != items[n] {
			t.Errorf("cut after %d bytes: error %v", n, err)
		}
	}
}

func TestParseAssociate_answer(t *testing.T) {
	body := append([]byte{0, 1, 0, 0}, bytes.Repeat([]byte{'A', 0}, 16)...)
	body = append(body, make([]byte, 32)...)
	body = append(body, 0x21, 0, 0, 8, 1, 0, 0, 0, 0x40, 0, 0, 0)
	body = append(body, 0x21, 0, 0, 4, 3, 0, 3, 0)
	body = append(body, 0x58, 0, 0, 4, 'u', 's', 'e', 'r') // unknown here: passed over
	got, err := ParseAssociate(AssociateAC, body)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Contexts) != 2 || got.Accepted() != 1 || got.Contexts[1].Result != 3 {
		t.Errorf("%+v", got)
	}
}

func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		in   string
		kind Type
		n    int
		ok   bool
	}{
		{"\x01\x00\x00\x00\x00\x44", AssociateRQ, 68, true},
		{"\x01\x00\x00\x00\x00\x43", 0, 0, false},
		{"\x02\x00\x00\x10\x00\x01", 0, 0, false},
		{"\x03\x00\x00\x00\x00\x04", AssociateRJ, 4, true},
		{"\x04\x00\x7f\xff\xff\xff", DataTF, 1<<31 - 1, true},
		{"\x04\x00\xff\xff\xff\xff", 0, 0, false},
		{"\x07\x00\x00\x00\x00\x04", Abort, 4, true},
		{"\x07\x01\x00\x00\x00\x04", 0, 0, false},
		{"HTTP/1", 0, 0, false},
		{"\x16\x03\x01\x00\xc8\x01", 0, 0, false},
	} {
		kind, n, err := Header([]byte(tt.in))
		if kind != tt.kind || n != tt.n || (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrNotDICOM)) {
			t.Errorf("Header(%x) = %d, %d, %v", tt.in, kind, n, err)
		}
	}
	if _, _, err := Header([]byte{1, 0}); err == nil {
		t.Error("a cut header was read")
	}
}

func TestParseReject(t *testing.T) {
	got, err := ParseReject([]byte{0, 1, 1, 7})
	if err != nil || got != (Reject{1, 1, 7}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseReject([]byte{0, 1, 1}); err == nil {
		t.Error("a cut reject was read")
	}
	source, reason, err := ParseAbort([]byte{0, 0, 2, 1})
	if err != nil || source != 2 || reason != 1 {
		t.Errorf("ParseAbort: %d, %d, %v", source, reason, err)
	}
}

func TestRequests(t *testing.T) {
	for kind, b := range map[Type][]byte{ReleaseRQ: ReleaseRequest(), Abort: AbortRequest()} {
		got, n, err := Header(b)
		if err != nil || got != kind || n != len(b)-HeaderSize {
			t.Errorf("type %d: %x, %v", kind, b, err)
		}
	}
	long := request()
	long.CalledAE = strings.Repeat("A", 17)
	if _, err := long.MarshalRequest(); err == nil {
		t.Error("a title of 17 bytes was built")
	}
	long = request()
	long.ImplementationUID = strings.Repeat("1", 1<<16)
	if _, err := long.MarshalRequest(); err == nil {
		t.Error("an item of 64 KiB was built")
	}
}

func FuzzParseAssociate(f *testing.F) {
	b, err := request().MarshalRequest()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(1), b[HeaderSize:])
	f.Add(uint8(2), b[HeaderSize:])
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		a, err := ParseAssociate(Type(kind), b)
		if err == nil && (len(a.CalledAE) > titleSize || len(a.ImplementationUID) > 64 || len(a.ImplementationVersion) > titleSize) {
			t.Fatalf("field too long: %+v", a)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 68})
	f.Fuzz(func(t *testing.T, b []byte) {
		if kind, n, err := Header(b); err == nil && (kind < AssociateRQ || kind > Abort || n < 4) {
			t.Fatalf("type %d, length %d", kind, n)
		}
		_, _ = ParseReject(b)
		_, _, _ = ParseAbort(b)
	})
}

func TestRedact(t *testing.T) {
	body := make([]byte, fixedSize)
	body = append(body, 0x50, 0, 0, 20, 0x58, 0, 0, 6, 's', 'e', 'c', 'r', 'e', 't', 0x52, 0, 0, 2, '1', '2', 0x59, 0, 0, 0)
	got := Redact(body)
	if bytes.Contains(got, []byte("secret")) || !bytes.Contains(got, []byte{0x52, 0, 0, 2, '1', '2'}) || len(got) != len(body) {
		t.Errorf("got %q", got)
	}
	if !bytes.Contains(body, []byte("secret")) {
		t.Error("the input was changed")
	}
	body = append(append(make([]byte, fixedSize-9), "MARKER..."...), 0x66, 0, 0, 6, 'M', 'A', 'R', 'K', 'E', 'R', 0x50, 0, 0, 10, 0x77, 0, 0, 6, 'M', 'A', 'R', 'K', 'E', 'R')
	if got := Redact(body); bytes.Contains(got, []byte("MARK")) || len(got) != len(body) {
		t.Errorf("what the standard does not know is kept: %q", got)
	}
	if got := Redact(append(make([]byte, fixedSize), 0x50, 0, 0, 9, 's', 'e', 'c')); bytes.Contains(got, []byte("sec")) {
		t.Errorf("damaged item kept: %q", got)
	}
}
