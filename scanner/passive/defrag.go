package passive

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"slices"
)

// Bounds of what is kept of IP fragments.
const (
	maxDatagrams     = 1024
	maxFragmentBytes = 4 << 20
	maxFragments     = 128 // of one datagram; 64 KiB in pieces of 1,280 bytes are 52
	fragmentTime     = 30  // seconds of the capture
	maxDatagram      = 65535
	maxFinished      = 256 // datagrams whose fragments are known again
)

// fragmentKey names the datagram of a fragment (RFC 791 section 3.2, RFC 8200
// section 4.5, which has no protocol in it).
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	protocol uint8
}

// datagram is what has come of one datagram.
type datagram struct {
	key      fragmentKey
	begun    int64      // in seconds of the capture
	pieces   []fragment // by offset, not overlapping
	bytes    int
	count    int // fragments that came
	total    int // size; -1 until the last fragment came
	protocol uint8
	bad      bool     // given up: only counted from here on
	sums     []uint64 // of the fragments that came
}

type fragment struct {
	offset int
	data   []byte
}

// defragmenter puts IP datagrams together. Where fragments overlap and disagree,
// the datagram is given up (RFC 5722 section 4 for IPv6; systems differ in which
// bytes of IPv4 they believe).
type defragmenter struct {
	stats *Stats
	open  map[fragmentKey]*list.Element // of *datagram
	order *list.List                    // the oldest in front
	bytes int
	whole []byte // the datagram that was handed out last

	// What came of datagrams that are complete: networks and mirror ports deliver
	// packets twice, and a fragment that comes again is no begin of another datagram.
	finished map[fragmentKey][]uint64
	ring     [maxFinished]fragmentKey // of finished, overwritten in turn
	at       int                      // in ring
	seed     maphash.Seed
}

func newDefragmenter(stats *Stats) *defragmenter {
	return &defragmenter{stats: stats, open: make(map[fragmentKey]*list.Element), order: list.New(), finished: make(map[fragmentKey][]uint64), seed: maphash.MakeSeed()}
}

// add takes a fragment and returns the datagram that it completes, which is valid
// until the next call.
func (f *defragmenter) add(key fragmentKey, offset int, more bool, protocol uint8, data []byte, now int64) (uint8, []byte, bool) {
	if offset+len(data) > maxDatagram || more && len(data)%8 != 0 || len(data) == 0 {
		count(&f.stats.DecodeErrors, atFragment)
		return 0, nil, false
	}
	for e := f.order.Front(); e != nil && now-e.Value.(*datagram).begun > fragmentTime; e = f.order.Front() {
		f.give(e)
	}
	sum := f.sum(offset, more, data)
	if slices.Contains(f.finished[key], sum) {
		return 0, nil, false
	}
	e := f.open[key]
	if e == nil {
		if len(f.open) >= maxDatagrams {
			f.give(f.order.Front())
		}
		e = f.order.PushBack(&datagram{key: key, begun: now, total: -1, protocol: protocol})
		f.open[key] = e
	}
	d := e.Value.(*datagram)
	before := d.bytes
	d.add(offset, more, protocol, data)
	if !d.bad {
		d.sums = append(d.sums, sum)
	}
	f.bytes += d.bytes - before
	if d.complete() {
		f.wipe()
		for _, p := range d.pieces {
			f.whole = append(f.whole, p.data...)
		}
		f.remove(e)
		f.finish(d)
		f.stats.Defragmented++
		return d.protocol, f.whole, true
	}
	for f.bytes > maxFragmentBytes {
		f.give(f.order.Front())
	}
	return 0, nil, false
}

// sum stands for a fragment and its place.
func (f *defragmenter) sum(offset int, more bool, data []byte) uint64 {
	place := uint32(offset) << 1
	if more {
		place |= 1
	}
	// A maphash.Hash would keep a copy of the bytes.
	return bits.RotateLeft64(maphash.Bytes(f.seed, data), 1) ^ maphash.Comparable(f.seed, place)
}

// finish remembers the fragments of a datagram that is complete.
func (f *defragmenter) finish(d *datagram) {
	delete(f.finished, f.ring[f.at])
	f.finished[d.key], f.ring[f.at] = d.sums, d.key
	f.at = (f.at + 1) % maxFinished
}

// add keeps a copy of the bytes that are new.
func (d *datagram) add(offset int, more bool, protocol uint8, data []byte) {
	d.count++
	if d.bad {
		return
	}
	end := offset + len(data)
	if !more {
		if d.total >= 0 && d.total != end {
			d.giveUp()
			return
		}
		d.total = end
	}
	if offset == 0 {
		d.protocol = protocol
	}
	if d.count > maxFragments {
		d.giveUp()
		return
	}
	i, _ := slices.BinarySearchFunc(d.pieces, offset, func(p fragment, at int) int { return p.offset + len(p.data) - at - 1 })
	for ; len(data) > 0; i++ { // piece i is the first that ends after offset
		n := len(data)
		if i < len(d.pieces) {
			p := d.pieces[i]
			if offset >= p.offset {
				same := min(n, p.offset+len(p.data)-offset)
				if !bytes.Equal(data[:same], p.data[offset-p.offset:][:same]) {
					d.giveUp()
					return
				}
				offset, data = offset+same, data[same:]
				continue
			}
			n = min(n, p.offset-offset)
		}
		d.pieces = slices.Insert(d.pieces, i, fragment{offset, bytes.Clone(data[:n])})
		d.bytes += n
		offset, data = offset+n, data[n:]
	}
}

func (d *datagram) giveUp() {
	d.wipe()
	d.bad, d.pieces, d.bytes = true, nil, 0
}

// wipe overwrites what was kept: it is what others said to each other.
func (d *datagram) wipe() {
	for _, p := range d.pieces {
		clear(p.data)
	}
}

// wipe does the same with the datagram that was handed out.
func (f *defragmenter) wipe() {
	clear(f.whole)
	f.whole = slices.Grow(f.whole[:0], maxDatagram)
}

// complete reports whether no byte is missing.
func (d *datagram) complete() bool {
	if d.bad || d.total < 0 || len(d.pieces) == 0 {
		return false
	}
	last := d.pieces[len(d.pieces)-1]
	return d.bytes == d.total && last.offset+len(last.data) == d.total
}

// give gives a datagram up.
func (f *defragmenter) give(e *list.Element) {
	f.stats.Fragments += e.Value.(*datagram).count
	f.remove(e)
}

func (f *defragmenter) remove(e *list.Element) {
	d := e.Value.(*datagram)
	f.bytes -= d.bytes
	d.wipe()
	delete(f.open, d.key)
	f.order.Remove(e)
}

// giveAll ends the reading: what is not complete now never will be.
func (f *defragmenter) giveAll() {
	for e := f.order.Front(); e != nil; e = f.order.Front() {
		f.give(e)
	}
	clear(f.whole)
}
