package passive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/passive/capture"
)

// Limits bound what a reading keeps in memory. A zero field takes the default.
type Limits struct {
	Flows          int // connections at once; default 65,536
	Segments       int // out-of-order segments of a direction; default 16
	DirectionBytes int // out-of-order bytes of a direction; default 64 KiB
	TotalBytes     int // bytes kept of all connections; default 64 MiB
	Seen           int // observations remembered to tell repeats; default 65,536
	// Silence is how long a connection, or one side of a handshake, may say nothing
	// before what was seen is recorded, in the time of the capture; default 5 minutes.
	Silence time.Duration
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Flows, 65536}, {&l.Segments, 16}, {&l.DirectionBytes, 64 << 10}, {&l.TotalBytes, 64 << 20}, {&l.Seen, 65536}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	if l.Silence < time.Second {
		l.Silence = 5 * time.Minute
	}
	return l
}

// Options are the choices of a reading. The zero value is the default.
type Options struct {
	Limits Limits
}

// Read takes evidence out of src until its end and hands it to sink. An
// observation of a conversation has the method passive, the server's side as
// endpoint, the client's as peer and the time of the packet that completed it.
//
// Read returns the error of src, of sink or of ctx. The observations of what was
// read until then have been recorded, but for an error of sink. Stats are valid
// in every case.
func Read(ctx context.Context, src capture.Source, sink scanner.Sink, o Options) (Stats, error) {
	r := newReader(ctx, sink, o)
	queue, ended := make(chan emission, queued), make(chan struct{})
	r.emit = func(e emission) { queue <- e }
	go r.emitter.run(queue, ended)
	err := r.run(src)
	r.decoder.fragments.giveAll()
	r.settleAll()
	close(queue)
	<-ended
	if r.emitter.err != nil {
		err = fmt.Errorf("record observation: %w", r.emitter.err)
	}
	return r.total(), err
}

// queued bounds what waits to be recorded, each at most some hundred KiB.
const queued = 64

// reader is the state of one call of [Read].
type reader struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call that got it
	limits  Limits
	stats   Stats
	decoder *decoder
	table   *flowTable
	recent  *recent
	emitter *emitter
	emit    func(emission) // gives to emitter
	last    time.Time      // of the last packet that has a time
	clock   clock
	silence int64 // limit, in seconds
}

func newReader(ctx context.Context, sink scanner.Sink, o Options) *reader {
	limits := o.Limits.withDefaults()
	r := &reader{
		ctx: ctx, limits: limits, silence: int64(limits.Silence / time.Second), table: newFlowTable(limits), recent: newRecent(),
		emitter: &emitter{ctx: ctx, sink: sink, limit: limits.Seen, seen: make(map[evidence.Digest]struct{}), signed: make(signatures)},
	}
	r.decoder, r.emit = newDecoder(&r.stats), r.emitter.take
	return r
}

// total returns the figures of the reader and, once that ended, the emitter.
func (r *reader) total() Stats {
	s, more := r.stats, &r.emitter.stats
	s.Observations, s.Repeats, s.Unproven = more.Observations, more.Repeats, more.Unproven
	s.Panics += more.Panics
	return s
}

func (r *reader) run(src capture.Source) error {
	for !r.emitter.failed.Load() {
		if r.stats.Packets%1024 == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.stats.Packets++
		r.stats.Bytes += int64(len(p.Data))
		if p.Time.IsZero() {
			p.Time = r.last
		}
		r.last = p.Time
		if r.clock.tick(p.Time) {
			r.expire()
		}
		r.packet(p)
	}
	return nil
}

// packet takes one packet. No bytes may stop the reading: a panic of a decoder or
// dissector is counted and the packet dropped.
func (r *reader) packet(p capture.Packet) {
	defer func() {
		if recover() != nil {
			r.stats.Panics++
		}
	}()
	s, ok := r.decoder.decode(p, r.clock.elapsed)
	if !ok {
		return
	}
	switch s.kind {
	case carriesTCP:
		r.segment(&s, p.Time)
	case carriesUDP:
		r.datagram(&s, p.Time)
	case carriesICMPv6, carriesARP, carriesLLDP, carriesCDP:
		r.link(&s, p.Time)
	}
}

// segment adds a segment to its connection.
func (r *reader) segment(s *segment, at time.Time) {
	key, side := keyOf(s)
	f := r.table.flows[key]
	if f != nil && f.reopened(s, side) {
		r.settle(f)
		r.table.remove(f)
		r.stats.Reused++
		f = nil
	}
	if f == nil {
		if len(s.payload) == 0 {
			// Nothing to read; the last acknowledgement after FIN comes here too.
			if s.syn {
				r.table.openings.add(key, side, s, r.clock.elapsed)
			}
			return
		}
		f = r.connection(key, side, s)
	}
	f.last, f.seen = at, r.clock.elapsed
	h := &f.sides[side]
	seq := s.seq
	if s.syn {
		h.open(s.seq)
		if f.opener == unknownSide { // it came late
			f.opener = opener(s, side)
		}
		seq++
	}
	if len(s.payload) > 0 && !h.done {
		r.payload(f, side, seq, s.payload)
	}
	rst := s.rst && h.takesReset(s.seq)
	if rst && f.reset == unknownSide {
		f.reset = side
	}
	if s.fin && !h.fin {
		h.fin, h.end = true, seq+uint32(len(s.payload))
	}
	if !f.settled && (rst || f.sides[0].finished() && f.sides[1].finished() || r.overdue(f)) {
		r.settle(f)
	}
	r.touch(f)
}

// reopened reports whether a SYN begins another connection on the ports of f. One
// with ACK is believed only where nothing more was wanted of the last.
func (f *flow) reopened(s *segment, side int) bool {
	h, other := &f.sides[side], &f.sides[1-side]
	switch {
	case !s.syn:
		return false
	case !h.begun:
		return f.settled && !s.ack
	}
	return h.isn != s.seq && (!s.ack || f.settled || h.done && !other.spoke)
}

// opener returns the side that opened a connection by a SYN of side.
func opener(s *segment, side int) int {
	if s.ack {
		return 1 - side
	}
	return side
}

// open takes the number of a SYN.
func (h *half) open(isn uint32) {
	if !h.begun {
		h.isn, h.begun, h.next = isn, true, isn+1
	}
}

// overdue reports whether one side said all that is wanted of it long ago and
// nothing came of the other, which is then not in the capture.
func (r *reader) overdue(f *flow) bool {
	if f.session == nil || r.clock.elapsed-f.began <= r.silence {
		return false
	}
	a, b := &f.sides[0], &f.sides[1]
	return a.done && !b.spoke || b.done && !a.spoke
}

// expire ends connections that said nothing for long.
func (r *reader) expire() {
	for _, list := range []*flowList{&r.table.busy, &r.table.idle} {
		for f := list.tail; f != nil && r.clock.elapsed-f.seen > r.silence; f = list.tail {
			if !f.settled && f.session != nil {
				r.stats.TimedOut++
			}
			r.settle(f)
			r.table.remove(f)
		}
	}
}

// touch keeps the table in order and within its bytes.
func (r *reader) touch(f *flow) {
	r.table.touch(f)
	for r.table.held > r.limits.TotalBytes && r.table.busy.tail != nil {
		r.evict(r.table.busy.tail, &r.stats.Squeezed) // only busy connections keep bytes
	}
}

// takesReset reports whether a peer would take a RST with this sequence number
// for valid (RFC 9293 section 3.10.7.4), so that one forged or left over from
// another connection does not end the reading.
func (h *half) takesReset(seq uint32) bool {
	const window = 1 << 20
	return !h.begun || seq-h.next < window
}

// connection returns a new flow for a segment with payload, with what is known
// of how it was opened.
func (r *reader) connection(key flowKey, side int, s *segment) *flow {
	f := r.newFlow(key, side, s)
	if o, ok := r.table.openings.take(key); ok && r.clock.elapsed-o.seen <= r.silence {
		f.opener = int(o.opener)
		for i, begun := range o.begun {
			if begun {
				f.sides[i].open(o.isn[i])
			}
		}
	}
	return f
}

func (r *reader) newFlow(key flowKey, side int, s *segment) *flow {
	for len(r.table.flows) >= r.limits.Flows {
		r.evict(r.table.oldest(), &r.stats.Evictions)
	}
	f := &flow{key: key, opener: unknownSide, reset: unknownSide}
	f.ends[side], f.ends[1-side] = s.src, s.dst
	r.table.add(f)
	r.stats.Flows++
	return f
}

// payload puts bytes in order and feeds them to the dissector.
func (r *reader) payload(f *flow, side int, seq uint32, b []byte) {
	h := &f.sides[side]
	v := h.push(seq, b, r.limits, func(b []byte) { r.deliver(f, side, b) })
	if v.ambiguous && !f.ambiguous {
		f.ambiguous = true
		r.stats.Ambiguous++
	}
	if v.overflow {
		r.stats.Gaps++
		h.stop()
	}
}

// deliver takes the next bytes of one direction, in order.
func (r *reader) deliver(f *flow, side int, b []byte) {
	h := &f.sides[side]
	if h.done {
		return
	}
	h.spoke = true
	if f.session == nil {
		if len(h.head) > 0 {
			h.head = keep(h.head, b)
			b = h.head
		}
		start, more := classify(b)
		if more {
			if len(h.head) == 0 {
				h.head = keep(nil, b)
			}
			return
		}
		defer forget(h.head) // b, where it was kept
		h.head = nil
		if start == nil {
			h.stop()
			return
		}
		f.session, f.began = start(), r.clock.elapsed
		r.replay(f, 1-side)
	}
	if f.session.feed(side, b) {
		h.stop()
	}
}

// replay feeds what the other direction said before the protocol was known.
func (r *reader) replay(f *flow, side int) {
	h := &f.sides[side]
	if head := h.head; len(head) > 0 {
		h.head = nil
		if f.session.feed(side, head) {
			h.stop()
		}
		forget(head)
	}
}

// evict gives up a connection for want of room, which is a loss if more of it was
// wanted.
func (r *reader) evict(f *flow, reason *int) {
	if !f.settled && (f.session != nil || f.held > 0) {
		*reason++
	}
	r.settle(f)
	r.table.remove(f)
}

// settleAll ends all connections, the oldest first.
func (r *reader) settleAll() {
	for _, list := range []*flowList{&r.table.busy, &r.table.idle} {
		for f := list.tail; f != nil; f = f.prev {
			r.settle(f)
		}
	}
}

// settle ends the reading of a connection and records what it showed. It runs
// once a connection.
func (r *reader) settle(f *flow) {
	if f.settled {
		return
	}
	f.settled = true
	if !f.key.udp {
		if f.sides[0].spoke != f.sides[1].spoke {
			r.stats.OneSided++
		}
		if f.opener == unknownSide {
			r.stats.MidStream++
		}
	}
	for i := range f.sides {
		h := &f.sides[i]
		if !h.done && (h.lost || len(h.pending) > 0) {
			r.stats.Gaps++
		}
		h.stop()
	}
	if f.session == nil {
		return
	}
	list := r.conclude(f)
	r.stats.Gaps += f.gaps
	if len(list) > 0 {
		r.emit(emission{list: list, pledges: f.pledges, packets: r.stats.Packets})
	}
	f.pledges = nil
}

// conclude takes what the dissector saw and ends it.
func (r *reader) conclude(f *flow) (list []evidence.Observation) {
	defer func() {
		if recover() != nil {
			r.stats.Panics++
			list = nil
		}
	}()
	session := f.session
	f.session = nil
	list = session.conclude(f)
	server := session.server(f)
	for i := range list {
		o := &list[i]
		o.Method, o.At = evidence.Passive, f.last
		o.Endpoint, o.Peer = endpoint(f, server), endpoint(f, 1-server)
		if o.Result == "" {
			o.Result = evidence.ResultData
		}
	}
	return list
}

func endpoint(f *flow, side int) evidence.Endpoint {
	transport := evidence.TCP
	if f.key.udp {
		transport = evidence.UDP
	}
	return evidence.Endpoint{Addr: f.ends[side].Addr(), Port: f.ends[side].Port(), Transport: transport}
}
