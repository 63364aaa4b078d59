package passive

import "bytes"

// half is one direction of a connection: it puts segments in order and hands the
// bytes on, each once.
type half struct {
	next    uint32 // sequence number of the next byte to hand on
	begun   bool   // next is known
	isn     uint32 // of the SYN, or what it must have been
	fin     bool   // FIN was seen
	end     uint32 // sequence number after the last byte, if fin
	done    bool   // past the cut-off, or given up: nothing more is kept
	lost    bool   // bytes beyond the window came: there is a hole
	spoke   bool   // payload was handed on
	head    []byte
	pending []piece // out of order, by sequence number, not overlapping
	bytes   int     // in pending
}

// piece is a run of bytes that came too early.
type piece struct {
	seq  uint32
	data []byte
}

// before reports whether sequence number a comes before b (RFC 9293 section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// finished reports whether nothing more can come: h is past its cut-off, or
// closed and everything before the end was handed on.
func (h *half) finished() bool { return h.done || h.fin && h.begun && !before(h.next, h.end) }

// held returns how many bytes h keeps.
func (h *half) held() int { return h.bytes + len(h.head) }

// stop lets go of everything. Bytes that were kept are overwritten: they are what
// others said to each other.
func (h *half) stop() {
	h.done = true
	for _, p := range h.pending {
		clear(p.data)
	}
	forget(h.head)
	h.head, h.pending, h.bytes = nil, nil, 0
}

// verdict is what came of a segment.
type verdict struct {
	overflow  bool // too much is out of order: there is a hole that will not close
	ambiguous bool // bytes differ from others of the same place; the first were kept
}

// push takes the payload at seq and calls deliver with every run of bytes that is
// now in order. Bytes passed on were copied by nobody: deliver must not keep them.
func (h *half) push(seq uint32, payload []byte, l Limits, deliver func([]byte)) verdict {
	if !h.begun {
		h.next, h.isn, h.begun = seq, seq-1, true // the SYN may still come
	}
	if before(seq, h.next) { // at least its begin was handed on
		old := h.next - seq
		if uint64(old) >= uint64(len(payload)) {
			return verdict{}
		}
		seq, payload = h.next, payload[old:]
	}
	if len(h.pending) == 0 && seq == h.next {
		h.next += uint32(len(payload))
		deliver(payload)
		return verdict{}
	}
	if uint64(seq-h.next)+uint64(len(payload)) > 2*uint64(l.DirectionBytes) {
		h.lost = true // perhaps forged: what is in the window may still come
		return verdict{}
	}
	v := verdict{ambiguous: h.insert(seq, payload)}
	h.drain(deliver)
	v.overflow = !h.done && (len(h.pending) > l.Segments || h.bytes > l.DirectionBytes)
	return v
}

// insert keeps the bytes of [seq, seq+len(data)) that are not kept already and
// reports whether others disagree.
func (h *half) insert(seq uint32, data []byte) (ambiguous bool) {
	i := 0
	for ; len(data) > 0 && i < len(h.pending); i++ {
		p := h.pending[i]
		end := p.seq + uint32(len(p.data))
		if !before(seq, end) {
			continue
		}
		if before(seq, p.seq) { // a part comes before p
			n := min(len(data), int(p.seq-seq))
			h.put(i, seq, data[:n])
			i++
			seq, data = seq+uint32(n), data[n:]
			if len(data) == 0 {
				return ambiguous
			}
		}
		at := int(seq - p.seq)
		n := min(len(data), len(p.data)-at)
		if n > 0 {
			ambiguous = ambiguous || !bytes.Equal(data[:n], p.data[at:at+n])
			seq, data = seq+uint32(n), data[n:]
		}
	}
	if len(data) > 0 {
		h.put(len(h.pending), seq, data)
	}
	return ambiguous
}

// put keeps a copy of data as piece i.
func (h *half) put(i int, seq uint32, data []byte) {
	h.pending = append(h.pending, piece{})
	copy(h.pending[i+1:], h.pending[i:])
	h.pending[i] = piece{seq, bytes.Clone(data)}
	h.bytes += len(data)
}

// drain hands on the pieces that are in order.
func (h *half) drain(deliver func([]byte)) {
	for len(h.pending) > 0 && h.pending[0].seq == h.next && !h.done {
		data := h.pending[0].data
		h.pending = h.pending[1:]
		h.bytes -= len(data)
		h.next += uint32(len(data))
		deliver(data)
		clear(data)
	}
	if len(h.pending) == 0 {
		h.pending = nil
	}
}
