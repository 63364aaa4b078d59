package scanner

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// number is an address as an unsigned integer; of IPv4 only lo is used.
type number struct{ hi, lo uint64 }

func (n number) compare(o number) int {
	return cmp.Or(cmp.Compare(n.hi, o.hi), cmp.Compare(n.lo, o.lo))
}

func (n number) add(by uint64) number {
	lo, carry := bits.Add64(n.lo, by, 0)
	return number{n.hi + carry, lo}
}

// minus returns n-o, or the largest uint64 if it is more; o must not be greater.
func (n number) minus(o number) uint64 {
	lo, borrow := bits.Sub64(n.lo, o.lo, 0)
	if hi, _ := bits.Sub64(n.hi, o.hi, borrow); hi > 0 {
		return ^uint64(0)
	}
	return lo
}

// family is the set of addresses that one number line orders: those of IPv4, of
// IPv6, or of one IPv6 zone.
type family struct {
	six  bool
	zone string
}

func familyOf(a netip.Addr) family { return family{a.Is6(), a.Zone()} }

// shift is the number of bits within a subnet: a /24 of IPv4, a /64 of IPv6.
func (f family) shift() uint {
	if f.six {
		return 64
	}
	return 8
}

// subnet returns the subnet of n, and the place of n in it.
func (f family) subnet(n number) (net, offset uint64) {
	if f.six {
		return n.hi, n.lo
	}
	return n.lo >> f.shift(), n.lo & (1<<f.shift() - 1)
}

func (f family) address(net, offset uint64) netip.Addr {
	if f.six {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], net)
		binary.BigEndian.PutUint64(b[8:], offset)
		return netip.AddrFrom16(b).WithZone(f.zone)
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(net<<f.shift()|offset)) //nolint:gosec // an IPv4 address has 32 bits
	return netip.AddrFrom4(b)
}

func numberOf(a netip.Addr) number {
	if a.Is4() {
		b := a.As4()
		return number{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// interval is a range of one family, both ends included.
type interval struct{ from, to number }

// size saturates.
func (i interval) size() uint64 {
	if n := i.to.minus(i.from); n != ^uint64(0) {
		return n + 1
	}
	return ^uint64(0)
}

// sweep cuts a number line at the ends of intervals, and yields in order each
// stretch with the indices of the intervals that cover it, sorted. Stretches that
// none covers are left out. The slice is valid during the call only.
func sweep(all []interval, yield func(at interval, covering []int)) {
	type event struct {
		at    number
		index int
		ends  bool
	}
	events := make([]event, 0, 2*len(all))
	for i, iv := range all {
		// The end is the first number behind; the very last number has none, and is
		// an address of nobody.
		to := iv.to
		if to == (number{^uint64(0), ^uint64(0)}) {
			to.lo--
		}
		events = append(events, event{iv.from, i, false}, event{to.add(1), i, true})
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Or(a.at.compare(b.at), cmp.Compare(a.index, b.index)) })
	var covering []int
	var since number
	for i, e := range events {
		if i > 0 && len(covering) > 0 && e.at != since {
			before := e.at
			if before.lo--; e.at.lo == 0 {
				before.hi--
			}
			yield(interval{since, before}, covering)
		}
		since = e.at
		at, found := slices.BinarySearch(covering, e.index)
		switch {
		case e.ends && found:
			covering = slices.Delete(covering, at, at+1)
		case !e.ends && !found:
			covering = slices.Insert(covering, at, e.index)
		}
	}
}

// piece is a stretch of addresses of one kind within one subnet.
type piece struct {
	offset, size uint64
	kind         int
	behind       uint64 // addresses of the subnet up to and with this piece
}

// block is one subnet with the pieces in it, or a row of subnets that are each
// filled by one piece.
type block struct {
	family family
	net    uint64 // the first
	nets   uint64 // how many
	pieces []piece
}

func (b *block) size() uint64 { return b.pieces[len(b.pieces)-1].behind }

// nth returns the offset and the kind of the nth address of each subnet.
func (b *block) nth(n uint64) (offset uint64, kind int) {
	i, _ := slices.BinarySearchFunc(b.pieces, n, func(p piece, n uint64) int {
		if p.behind <= n {
			return -1
		}
		return 1
	})
	p := b.pieces[i]
	return p.offset + n - (p.behind - p.size), p.kind
}

// layout collects segments, which come in order of their addresses, as blocks.
type layout struct{ blocks []block }

func (l *layout) add(s segment) {
	first, start := s.subnet(s.from)
	last, end := s.subnet(s.to)
	whole := ^uint64(0) >> (64 - s.shift()) // the last offset of a subnet
	for first <= last {
		stop := whole
		if first == last {
			stop = end
		}
		switch {
		case start > 0 || stop < whole:
			l.piece(s.family, first, piece{offset: start, size: stop - start + 1, kind: s.kind})
			first, start = first+1, 0
		default: // whole subnets, up to the last but a cut one
			n := last - first
			if end == whole {
				n++
			}
			// A whole subnet of IPv6 has more addresses than any plan.
			full := piece{size: whole + 1, kind: s.kind, behind: whole + 1}
			l.blocks = append(l.blocks, block{s.family, first, n, []piece{full}})
			first += n
		}
		if first == 0 {
			return // behind the last subnet that there is
		}
	}
}

func (l *layout) piece(f family, net uint64, p piece) {
	if n := len(l.blocks); n > 0 {
		if b := &l.blocks[n-1]; b.family == f && b.net == net && b.nets == 1 {
			p.behind = b.size() + p.size
			b.pieces = append(b.pieces, p)
			return
		}
	}
	p.behind = p.size
	l.blocks = append(l.blocks, block{f, net, 1, []piece{p}})
}

// each yields all addresses so that neighbours are in different subnets where
// there are several: the first of each subnet, the second of each, and so on. A
// subnet's equipment sees an even, slow load.
func (l *layout) each(yield func(a netip.Addr, kind int) bool) {
	active := make([]*block, len(l.blocks))
	for i := range l.blocks {
		active[i] = &l.blocks[i]
	}
	for round := uint64(0); len(active) > 0; round++ {
		active = slices.DeleteFunc(active, func(b *block) bool { return round >= b.size() })
		for _, b := range active {
			offset, kind := b.nth(round)
			for net := b.net; net-b.net < b.nets; net++ {
				if !yield(b.family.address(net, offset), kind) {
					return
				}
			}
		}
	}
}
