package passive

import (
	"time"

	"probity/internal/wire/dtlswire"
	"probity/internal/wire/quicwire"
)

// datagram takes a UDP datagram: of a handshake over DTLS or QUIC, which are the
// only ones that are followed, or of a protocol that is known by its port.
func (r *reader) datagram(s *segment, at time.Time) {
	b := s.payload
	if len(b) == 0 {
		return
	}
	dtls := len(b) > 13 && b[0] >= 20 && b[0] <= 23 && b[1] == 0xfe
	quic := len(b) > 20 && b[0]&0xc0 == 0xc0
	if !dtls && !quic {
		r.announce(s, at)
		return
	}
	key, side := keyOf(s)
	f := r.table.flows[key]
	if f == nil || f.settled {
		start, origin := startUDP(b)
		if start == nil {
			if f == nil {
				r.announce(s, at)
			}
			return
		}
		if f != nil && origin != "" && origin == f.origin { // its first packet came again
			return
		}
		if f != nil { // the ports are used again
			r.table.remove(f)
			r.stats.Reused++
		}
		f = r.newFlow(key, side, s)
		f.session, f.origin, f.began = start, origin, r.clock.elapsed
	}
	f.last, f.seen = at, r.clock.elapsed
	h := &f.sides[side]
	h.spoke = true
	if !h.done && f.session.feed(side, b) {
		h.stop()
	}
	if f.sides[0].done && f.sides[1].done || r.overdue(f) {
		r.settle(f)
	}
	r.touch(f)
}

// startUDP returns a session for the first datagram of a handshake; nil for all
// others. A QUIC packet must decrypt first; origin is the identifier that its sender
// chose for the connection (RFC 9000 section 7.2).
func startUDP(b []byte) (start session, origin string) {
	if dtlswire.IsHello(b) {
		return newDTLSSession(), ""
	}
	if len(b) < quicwire.MinClient {
		return nil, ""
	}
	h, err := quicwire.ParseHeader(b)
	if err != nil {
		return nil, ""
	}
	client, server, err := quicwire.NewKeys(h.Version, h.Destination)
	if err != nil {
		return nil, ""
	}
	if _, err := client.Open(b); err != nil {
		return nil, ""
	}
	return newQUICSession(client, server), string(h.Destination)
}
