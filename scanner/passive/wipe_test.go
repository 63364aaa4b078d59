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
