package snmpwire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// report is the answer of an engine, as RFC 3414 section 4 describes it, built
// by hand.
func report() []byte {
	params := element(tagSequence, element(tagOctetString, []byte{0x80, 0, 0x0e, 8, 4, 'm'}), integer(7), integer(100000),
		element(tagOctetString), element(tagOctetString), element(tagOctetString))
	pdu := element(tagReport, integer(9), integer(0), integer(0), element(tagSequence))
	return element(tagSequence, integer(3),
		element(tagSequence, integer(9), integer(65507), element(tagOctetString, []byte{0}), integer(3)),
		element(tagOctetString, params),
		element(tagSequence, element(tagOctetString, []byte{0x80}), element(tagOctetString), pdu))
}

// TestDiscovery compares with the message of RFC 3414 section 4, encoded by
// hand.
func TestDiscovery(t *testing.T) {
	want := strings.ReplaceAll(`30 38 020103 30 0e 020101 020300ffe3 040104 020103
		04 10 300e 0400 020100 020100 0400 0400 0400
		30 11 0400 0400 a00b 020101 020100 020100 3000`, " ", "")
	want = strings.NewReplacer("\n", "", "\t", "").Replace(want)
	if got := hex.EncodeToString(Discovery(1)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseReport(t *testing.T) {
	want := Report{ID: 9, EngineID: []byte{0x80, 0, 0x0e, 8, 4, 'm'}, Boots: 7, Time: 100000}
	got, err := ParseReport(report())
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
}

func TestParseReport_bad(t *testing.T) {
	good := report()
	for n := range good {
		if _, err := ParseReport(good[:n]); err == nil {
			t.Errorf("cut after %d bytes: no error", n)
		}
	}
	for name, in := range map[string][]byte{
		"the request itself": Discovery(1),
		"version 1":          bytes.Replace(good, []byte{2, 1, 3}, []byte{2, 1, 0}, 1),
		"long length":        append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, good[2:]...),
		"indefinite length":  append([]byte{0x30, 0x80}, good[2:]...),
		"negative boots":     bytes.Replace(good, []byte{2, 1, 7}, []byte{2, 1, 0x87}, 1),
	} {
		if _, err := ParseReport(in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add(report())
	f.Add(Discovery(1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseReport(b); err == nil && (len(r.EngineID) < 5 || len(r.EngineID) > 32) {
			t.Fatalf("engine identifier of %d bytes", len(r.EngineID))
		}
	})
}
