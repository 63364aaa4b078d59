package snmpwire

import (
	"bytes"
	"testing"
)

// request asks for the three variables with the community "ward", version 2c,
// request identifier 1; TestPeer_snmpget compares requests with those of Net-SNMP.
const request = "\x30\x40\x02\x01\x01\x04\x04ward\xa0\x35\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x2a" +
	"\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x02\x00\x05\x00" +
	"\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x05\x00\x05\x00"

func TestGet(t *testing.T) {
	if got := Get(V2c, []byte("ward"), 1); !bytes.Equal(got, []byte(request)) {
		t.Errorf("got  %x\nwant %x", got, request)
	}
	long := Get(V1, bytes.Repeat([]byte{'x'}, MaxCommunity), 1<<30)
	if p := (&reader{b: long}).enter(tagSequence); p.bad || p.integer() != 0 || len(p.value(tagOctetString)) != MaxCommunity || p.bad {
		t.Errorf("long form is not readable: %x", long)
	}
}

func TestParseResponse(t *testing.T) {
	answer := []byte(request)
	answer[11] = tagResponse
	if r, err := ParseResponse(answer); err != nil || r.ID != 1 || r.Status != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	for at := range answer {
		if _, err := ParseResponse(answer[:at]); err == nil {
			t.Errorf("cut at byte %d: no error", at)
		}
	}
	if _, err := ParseResponse([]byte(request)); err == nil {
		t.Error("a request was read as a response")
	}
}

func TestRedact(t *testing.T) {
	got, ok := Redact([]byte(request), []byte("ward"))
	if !ok || bytes.Contains(got, []byte("ward")) || !bytes.Equal(got, Get(V2c, nil, 1)) {
		t.Errorf("got %x, %t", got, ok)
	}
	for _, bad := range []string{"", "ward", request + "x"} {
		if got, ok := Redact([]byte(bad), []byte{0x2b}); ok {
			t.Errorf("%q: redacted to %q", bad, got)
		}
	}
}

func FuzzCommunity(f *testing.F) {
	f.Add([]byte(request), []byte("ward"))
	f.Fuzz(func(t *testing.T, b, community []byte) {
		if got, ok := Redact(b, community); ok && len(community) > 0 && bytes.Contains(got, community) {
			t.Errorf("%q is in %q", community, got)
		}
		if r, err := ParseResponse(b); err == nil && r.ID < 0 {
			t.Errorf("identifier %d", r.ID)
		}
	})
}
