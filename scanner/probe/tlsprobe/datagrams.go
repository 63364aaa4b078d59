package tlsprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/wire/dtlswire"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// Media types of the datagrams of an observation, one behind the other: records
// of DTLS carry their own length.
const (
	mediaDTLSSent     = "application/x-probity-dtls-sent"
	mediaDTLSReceived = "application/x-probity-dtls-received"
)

// Bounds of an exchange in datagrams.
const (
	resendTime   = time.Second     // before a hello is sent again (RFC 6347 section 4.2.4.1)
	flightTime   = 2 * time.Second // for an answer, after the last hello
	maxDatagrams = 512             // received
	maxGap       = 64              // handshake messages of one flight
)

// datagrams makes offers over UDP.
type datagrams struct {
	limit  int  // bytes of a hello
	cookie int  // bytes of a cookie that is sent back
	again  int  // datagrams that are sent again in one exchange
	shared bool // in all exchanges together
	quiet  bool // the last offer was not answered
}

// silenced reports whether an endpoint is to be left alone after an offer. Over
// UDP a refusal may be silence (RFC 6347 section 4.1.2.7); at first, or twice in a
// row, it is none.
func (d *datagrams) silenced(quiet, first bool) bool {
	before := d.quiet
	d.quiet = quiet
	return quiet && (first || before)
}

// ask sends one hello, and once more with the cookie that the server asks for,
// and reads its flight. The error is that of the gate or of the context.
func (d *datagrams) ask(ctx context.Context, s scanner.Session, o offer) (evidence.Observation, *answer, error) {
	obs := probe.Begin(s, evidence.KindTLS)
	o.limit = d.limit
	x := &flight{d: d, answer: newAnswer(), now: s.Now, again: d.again}
	obs.Facts.TLS = o.facts()
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return obs, x.answer, fmt.Errorf("client random: %w", err)
	}
	if _, err := o.record(random); err != nil { // cuts the offer to its limit
		return obs, x.answer, err
	}
	x.answer.random = random
	x.hello = o.clientHello(random)
	x.hello.Version = dtlsVersion(o.version)
	obs.Facts.TLS = o.facts()
	obs.Facts.TLS.Carrier = "dtls"
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, x.answer, err
	}
	if err != nil {
		probe.Fail(&obs, "open a socket", err)
		return obs, x.answer, nil
	}
	x.conn = &frugal{Conn: c, left: dtlsBytes(d.limit, d.cookie, d.again)}
	failure := x.run()
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	if d.shared {
		d.again = x.again
	}
	conclude(&obs, nil, x.answer, failure)
	obs.Raw = probe.Raw(mediaDTLSSent, x.sent, mediaDTLSReceived, x.answer.received)
	x.answer.flightFacts(obs.Facts.TLS, o)
	return obs, x.answer, ctx.Err()
}

// dtlsVersion is the version of DTLS that is made from a version of TLS (RFC
// 4347, RFC 6347), and tlsVersion the reverse.
func dtlsVersion(v uint16) uint16 {
	if v == tlswire.VersionTLS12 {
		return tlswire.VersionDTLS12
	}
	return tlswire.VersionDTLS10
}

func tlsVersion(v uint16) uint16 {
	switch v {
	case tlswire.VersionDTLS10:
		return tlswire.VersionTLS11
	case tlswire.VersionDTLS12:
		return tlswire.VersionTLS12
	}
	return v
}

// flight is one exchange: a hello and what the server answers.
type flight struct {
	d        *datagrams
	conn     *frugal
	now      func() time.Time
	hello    tlswire.ClientHello
	answer   *answer
	sent     []byte
	records  uint64 // sent
	message  uint16 // of the hello under way
	cookie   []byte
	again    int // datagrams that may be sent again
	stream   dtlswire.Stream
	waiting  map[int]tlswire.Message // that came before an earlier one
	next     int                     // handshake message
	first    bool                    // next is known
	verified bool                    // a cookie was sent back
}

// write sends the hello.
func (x *flight) write() error {
	b, err := dtlswire.ClientHello(x.hello, x.cookie, x.message, x.records)
	if err != nil {
		return err
	}
	x.records++
	if _, err := x.conn.Write(b); err != nil {
		return err
	}
	x.sent = append(x.sent, b...)
	return nil
}

// run sends the hello and reads the flight. A hello that is not answered is sent
// again, as often as is allowed.
func (x *flight) run() error {
	if err := x.write(); err != nil {
		return err
	}
	a, buf := x.answer, make([]byte, 1<<16)
	for range maxDatagrams {
		patience := flightTime
		if x.again > 0 {
			patience = resendTime
		}
		if err := x.conn.SetReadDeadline(x.now().Add(patience)); err != nil {
			return err
		}
		n, err := x.conn.Read(buf)
		if err != nil && probe.ResultOf(err) == evidence.ResultTimeout && x.again > 0 {
			x.again--
			if err := x.write(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return x.leave(err)
		}
		if complete, err := x.feed(buf[:n]); complete || err != nil {
			return x.leave(err)
		}
		if len(a.received) >= maxFlight {
			break
		}
	}
	return x.leave(errors.New("more datagrams than a handshake has"))
}

// leave tells a server that has begun a handshake that nothing more will come:
// it would send its flight again and again.
func (x *flight) leave(failure error) error {
	a := x.answer
	if a.hello == nil || a.alert != nil {
		return failure
	}
	const handshakeFailure = 40
	b := dtlswire.FatalAlert(handshakeFailure, x.records)
	if _, err := x.conn.Write(b); err == nil {
		x.sent = append(x.sent, b...)
	}
	return failure
}

// feed takes one datagram. It reports whether the flight is complete.
func (x *flight) feed(b []byte) (complete bool, err error) {
	a := x.answer
	b = b[:min(len(b), maxFlight-len(a.received))]
	a.received = append(a.received, b...)
	list, damage := x.stream.Feed(b)
	if damage != nil && a.hello == nil && len(list) == 0 && !x.verified && len(a.received) == len(b) {
		a.note(fmt.Errorf("%w: %w", tlswire.ErrNotTLS, damage)) // the very first datagram
		return true, nil
	}
	for _, m := range list {
		switch {
		case m.Encrypted:
		case m.Kind == tlswire.Alert:
			a.alerted(m.Body)
		case m.Kind == tlswire.Handshake && m.Type == tlswire.TypeHelloVerifyRequest:
			if err := x.verify(m); err != nil {
				return false, err
			}
		case m.Kind == tlswire.Handshake:
			x.order(m)
		}
	}
	return a.done || a.alert != nil || a.hello == nil && a.damage != nil, nil
}

// verify sends the hello back with its cookie, once.
func (x *flight) verify(m tlswire.Message) error {
	if x.verified || x.answer.hello != nil {
		return nil
	}
	cookie, err := dtlswire.ParseHelloVerifyRequest(m.Body)
	if err != nil {
		return err
	}
	if len(cookie) > x.d.cookie {
		return fmt.Errorf("the server wants a cookie of %d bytes back: %w", len(cookie), errPlanned)
	}
	x.verified, x.cookie, x.message = true, cookie, 1
	x.stream = dtlswire.Stream{} // a server without state may count from 0 again
	return x.write()
}

// order hands on the messages of the flight in their order, whatever that of the
// datagrams. The ServerHello comes first.
func (x *flight) order(m tlswire.Message) {
	if x.waiting == nil {
		x.waiting = make(map[int]tlswire.Message)
	}
	n := dtlswire.Sequence(m)
	if m.Type == tlswire.TypeServerHello && !x.first {
		x.first, x.next = true, n
	}
	if len(x.waiting) < maxGap {
		x.waiting[n] = m
	}
	for x.first {
		m, ok := x.waiting[x.next]
		if !ok {
			return
		}
		delete(x.waiting, x.next)
		x.next++
		if m.Type == tlswire.TypeServerHello && len(m.Body) > 2 {
			m.Body = slices.Clone(m.Body)
			v := tlsVersion(uint16(m.Body[0])<<8 | uint16(m.Body[1]))
			m.Body[0], m.Body[1] = byte(v>>8), byte(v)
		}
		x.answer.message(m)
	}
}
