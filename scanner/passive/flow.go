package passive

import (
	"net/netip"
	"time"
)

// flowKey names a connection: both ends, the lower one first. VLANs are not part
// of it, because the two directions of a mirrored connection may differ in theirs.
type flowKey struct {
	lo, hi         [16]byte
	loPort, hiPort uint16
	udp            bool
}

// keyOf returns the key of a segment and whether its sender is the higher end.
func keyOf(s *segment) (key flowKey, side int) {
	src, dst := s.src.Addr().As16(), s.dst.Addr().As16()
	c := s.src.Addr().Compare(s.dst.Addr())
	if c < 0 || c == 0 && s.src.Port() <= s.dst.Port() {
		return flowKey{src, dst, s.src.Port(), s.dst.Port(), s.kind == carriesUDP}, 0
	}
	return flowKey{dst, src, s.dst.Port(), s.src.Port(), s.kind == carriesUDP}, 1
}

// unknownSide stands for a side that was not found out.
const unknownSide = -1

// flow is one connection.
type flow struct {
	key        flowKey
	ends       [2]netip.AddrPort
	sides      [2]half
	session    session   // nil until the protocol is known
	origin     string    // of QUIC: the identifier of the connection
	opener     int       // side that sent the first SYN, or [unknownSide]
	reset      int       // side that sent RST, or [unknownSide]
	last       time.Time // of the packets
	seen       int64     // when the last packet came, in seconds of the capture
	began      int64     // when the session did
	ambiguous  bool
	settled    bool             // nothing more is wanted of either side
	held       int              // bytes kept, as counted in the table
	gaps       int              // found by the session at its end
	pledges    func() []*pledge // left by the session at its end: see [emission]
	prev, next *flow
	list       *flowList
}

// flowList is a list of flows, the one used last in front.
type flowList struct{ head, tail *flow }

func (l *flowList) push(f *flow) {
	f.list, f.prev, f.next = l, nil, l.head
	if l.head != nil {
		l.head.prev = f
	} else {
		l.tail = f
	}
	l.head = f
}

func (l *flowList) remove(f *flow) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		l.head = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		l.tail = f.prev
	}
	f.prev, f.next, f.list = nil, nil, nil
}

// flowTable holds the connections, at most so many. Those in the middle of a
// handshake and those that keep bytes are in busy, all others in idle, which are
// the first to go.
type flowTable struct {
	flows      map[flowKey]*flow
	busy, idle flowList
	held       int // bytes kept for all flows
	openings   openings
}

func newFlowTable(l Limits) *flowTable {
	return &flowTable{flows: make(map[flowKey]*flow), openings: openings{limit: l.Flows}}
}

func (t *flowTable) add(f *flow) {
	t.flows[f.key] = f
	t.idle.push(f)
}

func (t *flowTable) remove(f *flow) {
	delete(t.flows, f.key)
	f.list.remove(f)
	t.held -= f.held
	f.held = 0
}

// touch moves f to the front of its list and brings the count of kept bytes up
// to date.
func (t *flowTable) touch(f *flow) {
	held := f.sides[0].held() + f.sides[1].held()
	if f.session != nil {
		held += f.session.held()
	}
	t.held += held - f.held
	f.held = held
	list := &t.idle
	if held > 0 || f.session != nil && !f.settled {
		list = &t.busy
	}
	if f.list != list || list.head != f {
		f.list.remove(f)
		list.push(f)
	}
}

// oldest returns the flow to give up first for a place in the table: an idle one,
// if there is any. The table must not be empty.
func (t *flowTable) oldest() *flow {
	if t.idle.tail != nil {
		return t.idle.tail
	}
	return t.busy.tail
}

// opening is what the SYN segments of a connection say. A connection takes no
// more than this before it carries a byte, so that a flood of SYN costs little and
// pushes no connection out.
type opening struct {
	isn    [2]uint32
	begun  [2]bool // isn is known
	opener int8    // side
	seen   int64   // seconds of the capture
}

// openings holds the connections that were opened and carried nothing yet. There
// are two generations of at most limit each; when the young one is full, the old
// one is forgotten.
type openings struct {
	young, old map[flowKey]opening
	limit      int
}

// add takes a SYN segment. A second SYN begins the connection anew.
func (o *openings) add(key flowKey, side int, s *segment, now int64) {
	at, ok := o.get(key)
	if !ok || at.begun[side] && at.isn[side] != s.seq {
		at = opening{opener: int8(opener(s, side))}
	}
	at.isn[side], at.begun[side], at.seen = s.seq, true, now
	if o.young == nil || len(o.young) >= o.limit {
		if o.old == nil {
			o.old = make(map[flowKey]opening)
		}
		clear(o.old)
		o.young, o.old = o.old, o.young
	}
	o.young[key] = at
}

func (o *openings) get(key flowKey) (opening, bool) {
	at, ok := o.young[key]
	if !ok {
		at, ok = o.old[key]
	}
	return at, ok
}

// take removes the opening of a connection that now carries bytes.
func (o *openings) take(key flowKey) (opening, bool) {
	at, ok := o.get(key)
	if ok {
		delete(o.young, key)
		delete(o.old, key)
	}
	return at, ok
}
