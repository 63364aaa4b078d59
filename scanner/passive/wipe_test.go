package passive

import (
	"bytes"
	"net/netip"
	"testing"
)

// TestHalf_overwrites looks at bytes that were kept after they are not any more.
func TestHalf_overwrites(t *testing.T) {
	for name, end := range map[string]func(h *half){
		"handed on": func(h *half) { h.push(100, []byte("first "), Limits{}.withDefaults(), func([]byte) {}) },
		"given up":  func(h *half) { h.stop() },
	} {
		h := half{begun: true, next: 100}
		h.push(106, []byte("MARKER"), Limits{}.withDefaults(), func([]byte) {})
		kept := h.pending[0].data
		if !bytes.Equal(kept, []byte("MARKER")) {
			t.Fatalf("%q is kept", kept)
		}
		if end(&h); !bytes.Equal(kept, make([]byte, 6)) {
			t.Errorf("%s: %q is left", name, kept)
		}
	}
}

// TestDefragmenter_overwrites does the same with fragments and their datagram.
func TestDefragmenter_overwrites(t *testing.T) {
	f := newDefragmenter(&Stats{})
	key := fragmentKey{src: netip.MustParseAddr("192.0.2.1"), id: 1}
	f.add(key, 0, true, 17, []byte("MARKER01"), 0)
	piece := f.order.Front().Value.(*datagram).pieces[0].data
	_, whole, ok := f.add(key, 8, false, 17, []byte("MARKER02"), 0)
	if !ok || string(whole) != "MARKER01MARKER02" || !bytes.Equal(piece, make([]byte, 8)) {
		t.Errorf("%v: %q, %q is left of a fragment", ok, whole, piece)
	}
	key.id = 2
	f.add(key, 0, true, 17, []byte("MARKER03"), 0)
	piece = f.order.Front().Value.(*datagram).pieces[0].data
	if f.giveAll(); !bytes.Equal(piece, make([]byte, 8)) || !bytes.Equal(whole, make([]byte, 16)) {
		t.Errorf("at the end: %q and %q are left", piece, whole)
	}
}

// TestSessions_overwrite: what a dissector kept of a message that never ends, or
// that it is done with, is overwritten.
func TestSessions_overwrite(t *testing.T) {
	for name, tt := range map[string]struct {
		start func() session
		said  string
		kept  func(s session) *[]byte
	}{
		"hl7":   {newHL7Session, "\x0bMSH|^~\\&|MARKER", func(s session) *[]byte { return &s.(*hl7Session).buffers[0] }},
		"poct1": {newPOCT1Session, "<HEL.R01>MARKER", func(s session) *[]byte { return &s.(*helloSession).buffer[0] }},
		"http":  {newHTTPSession, "HTTP/1.1 200 OK\r\nCookie: MARKER", func(s session) *[]byte { return &s.(*httpSession).buffer }},
		"dicom": {newDICOMSession, "\x01\x00\x00\x00\x01\x00\x00\x01\x00\x00MARKER", func(s session) *[]byte { return &s.(*dicomSession).sides[0].buffer }},
		"ssh":   {newSSHSession, "SSH-2.0-x\r\n\x00\x00\x10\x00\x04MARKER", func(s session) *[]byte { return &s.(*sshSession).sides[0].buffer }},
	} {
		s := tt.start()
		s.feed(0, []byte(tt.said))
		first := *tt.kept(s)
		first = first[:cap(first)]
		if !bytes.Contains(first, []byte("MARKER")) {
			t.Fatalf("%s keeps %q", name, first)
		}
		s.feed(0, bytes.Repeat([]byte("x"), 2*cap(first))) // it moves
		last := *tt.kept(s)
		last = last[:cap(last)]
		s.conclude(&flow{opener: unknownSide, reset: unknownSide})
		for _, b := range [][]byte{first, last} {
			if !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("%s: %q is left", name, bytes.Trim(b, "\x00"))
			}
		}
	}
}
