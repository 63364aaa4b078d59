package tlsprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// lateAlert is how long a TLS 1.3 server that asked for a client certificate is
// given to refuse the empty one: its own Finished comes before it judges.
const lateAlert = 300 * time.Millisecond

// grab is one connection that is opened with a hello of up to TLS 1.3. With TLS
// 1.3 the server's flight is decrypted and the handshake completed, without a
// client certificate; below it, the flight is in the clear and the connection
// ends with it, as for [ask].
type grab struct {
	offer  offer
	random [32]byte
	shares []keyShare // those of the hello, in its order
	hello  tlswire.ClientHello
	conn   *frugal
	sent   []byte
	answer *answer
	keys   *schedule
	server *protection // of the server's handshake flight
	late   error       // what ended the connection after the handshake

	transcript []byte // up to the client's Finished
}

// frugal is a connection that sends no more than was planned.
type frugal struct {
	net.Conn
	left int64
}

var errPlanned = errors.New("not sent: more bytes than were planned")

// Write implements [io.Writer].
func (f *frugal) Write(p []byte) (int, error) {
	if int64(len(p)) > f.left {
		return 0, errPlanned
	}
	n, err := f.Conn.Write(p)
	f.left -= int64(n)
	return n, err
}

// take makes the offer o, of up to TLS 1.3. The error is that of the gate or of
// the context; whatever the peer does is an observation.
func take(ctx context.Context, s scanner.Session, o offer) (evidence.Observation, *answer, error) {
	obs := probe.Begin(s, evidence.KindTLS)
	obs.Facts.TLS = o.facts()
	g := &grab{offer: o, answer: newAnswer()}
	if err := g.prepare(); err != nil {
		return obs, g.answer, err
	}
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, g.answer, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, g.answer, nil
	}
	g.conn = &frugal{Conn: c, left: int64(o.limit)}
	failure := g.run(s)
	sent, a := slices.Clone(g.sent), g.answer
	if failure == nil && a.finished {
		failure = g.complete(s.Now)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	conclude(&obs, sent, a, failure)
	if g.keys != nil {
		obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaSecret, Data: secretLine(g.random, g.keys.server)})
	}
	g.judge(&obs, failure)
	return obs, a, ctx.Err()
}

// prepare builds the hello and its key shares.
func (g *grab) prepare() error {
	if _, err := rand.Read(g.random[:]); err != nil {
		return fmt.Errorf("client random: %w", err)
	}
	session := make([]byte, 32) // for middleboxes (RFC 8446 appendix D.4)
	if _, err := rand.Read(session); err != nil {
		return fmt.Errorf("session id: %w", err)
	}
	g.hello = g.offer.clientHello(g.random)
	g.hello.SessionID = session
	switch {
	case g.offer.retry:
		return nil
	case len(g.offer.shares) > 0:
		return g.share(g.offer.shares...)
	}
	// The group of every browser, which costs a server the least. One that has P-256
	// alone, which all must have (RFC 8446 section 9.1), asks for that.
	return g.share(groupX25519)
}

// share makes the key shares of the hello.
func (g *grab) share(groups ...uint16) error {
	g.shares, g.hello.KeyShares = nil, nil
	for _, group := range groups {
		key, err := newKeyShare(group)
		if err != nil {
			return err
		}
		g.shares = append(g.shares, key)
		g.hello.KeyShares = append(g.hello.KeyShares, tlswire.KeyShare{Group: group, Data: key.public()})
	}
	return nil
}

// write sends the hello and enters it into the transcript.
func (g *grab) write() error {
	record, err := g.hello.Marshal()
	if err != nil {
		return err
	}
	if _, err := g.conn.Write(record); err != nil {
		return err
	}
	g.sent = append(g.sent, record...)
	g.answer.transcript = append(g.answer.transcript, record[recordHeader:]...)
	return nil
}

// run sends the hello and reads the server's flight.
func (g *grab) run(s scanner.Session) error {
	if err := g.write(); err != nil {
		return err
	}
	a := g.answer
	buf := make([]byte, readSize)
	for {
		n, err := g.conn.Read(buf)
		complete := a.feed(buf[:n])
		switch h := a.hello; {
		case h == nil || a.alert != nil:
		case h.HelloRetryRequest && !a.retried:
			complete = !g.retry()
		case h.Version >= tlswire.VersionTLS13 && !h.HelloRetryRequest:
			if g.keys == nil {
				a.note(g.derive())
			}
			if g.server != nil {
				a.unseal(g.server)
			}
			complete = complete || a.finished || a.alert != nil || a.damage != nil
		}
		if complete {
			readName(g.conn, a, s.Now)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// retry answers a HelloRetryRequest (RFC 8446 section 4.1.4) once. It reports
// false if the server asks for what was not offered, or for what it is to be
// spared; the answer stands then.
func (g *grab) retry() bool {
	a := g.answer
	h := a.hello
	newHash, _, err := hashOf(h.CipherSuite)
	if err != nil || !slices.Contains(g.offer.groups, h.Group) || g.offer.spares(h.Group) {
		return false
	}
	if err := g.share(h.Group); err != nil { // a group that has no key exchange here
		return false
	}
	a.retried = true
	first := 4 + (int(a.transcript[1])<<16 | int(a.transcript[2])<<8 | int(a.transcript[3]))
	digest := sum(newHash, a.transcript[:first])
	const messageHash = 254
	a.transcript = slices.Concat([]byte{messageHash, 0, 0, byte(len(digest))}, digest, a.transcript[first:])
	g.hello.Cookie = h.Cookie
	g.hello.RecordVersion = tlswire.VersionTLS12 // of all but the first record (RFC 8446 section 5.1)
	if err := g.write(); err != nil {
		a.note(fmt.Errorf("second hello: %w", err))
		return false
	}
	return true
}

// derive computes the keys of the server's flight.
func (g *grab) derive() error {
	h := g.answer.hello
	i := slices.IndexFunc(g.hello.KeyShares, func(k tlswire.KeyShare) bool { return k.Group == h.Group })
	if i < 0 {
		return fmt.Errorf("the server chose group %s, for which it has no key share", tlswire.GroupName(h.Group))
	}
	shared, err := g.shares[i].shared(h.KeyShare)
	if err != nil {
		return fmt.Errorf("key share of the server: %w", err)
	}
	if g.keys, err = newSchedule(h.CipherSuite, shared, g.answer.transcript); err != nil {
		return err
	}
	g.server, err = newProtection(h.CipherSuite, g.keys.server)
	return err
}

// complete ends the handshake of TLS 1.3: an empty certificate where one was
// asked for, Finished, and close_notify at once unless the server's judgement or
// its ticket is of interest.
func (g *grab) complete(now func() time.Time) error {
	a := g.answer
	transcript := slices.Concat(a.transcript, a.sealed[:a.parsed])
	clientSecret, serverSecret, err := g.keys.application(transcript)
	if err != nil {
		return err
	}
	handshake, err1 := newProtection(g.keys.suite, g.keys.client)
	after, err2 := newProtection(g.keys.suite, clientSecret)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var certificate []byte
	if a.asked13 {
		n := len(a.context) + 4
		certificate = slices.Concat([]byte{tlswire.TypeCertificate, 0, byte(n >> 8), byte(n), byte(len(a.context))}, a.context, []byte{0, 0, 0})
	}
	verify, err := g.keys.finished(append(transcript, certificate...))
	if err != nil {
		return err
	}
	finished := append([]byte{typeFinished, 0, 0, byte(len(verify))}, verify...)
	g.transcript = slices.Concat(transcript, certificate, finished)
	flight := []byte{byte(tlswire.ChangeCipherSpec), 3, 3, 0, 1, 1} // for middleboxes
	flight = append(flight, handshake.seal(tlswire.Handshake, append(certificate, finished...))...)
	goodbye := after.seal(tlswire.Alert, []byte{1, alertCloseNotify})
	if !a.asked13 && !g.offer.ticket {
		_, err := g.conn.Write(append(flight, goodbye...))
		return err
	}
	server, err := newProtection(g.keys.suite, serverSecret)
	if err != nil {
		return err
	}
	if _, err := g.conn.Write(flight); err != nil {
		return err
	}
	if g.late = g.listen(now, server); g.late == nil {
		// Without waiting for the answer; that the peer was gone first is no news.
		_, _ = g.conn.Write(goodbye)
	}
	return nil
}

// The alerts that are told apart (RFC 8446 section 6).
const (
	alertCloseNotify     uint8 = 0
	alertProtocolVersion uint8 = 70
)

// alertError is a fatal alert after the handshake.
type alertError uint8

func (e alertError) Error() string { return fmt.Sprintf("alert %d", uint8(e)) }

// listen waits a moment for what the server says after the handshake: a refusal
// of the client, or a ticket. It returns what ended the connection, or nil if the
// server kept it open.
func (g *grab) listen(now func() time.Time, server *protection) error {
	a := g.answer
	if err := g.conn.SetReadDeadline(now().Add(lateAlert)); err != nil {
		return err
	}
	buf := make([]byte, 4<<10)
	for len(a.received) < maxFlight {
		for {
			header, record, ok := a.nextRecord()
			if !ok {
				break
			}
			if enough, err := g.said(server, header, record, now); enough {
				return err
			}
		}
		n, err := g.conn.Read(buf)
		a.received = append(a.received, buf[:min(n, maxFlight-len(a.received))]...)
		switch {
		case err == nil:
		case n > 0 && errors.Is(err, io.EOF):
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF // without close_notify
		case probe.ResultOf(err) == evidence.ResultTimeout:
			return nil
		default:
			return err
		}
	}
	return nil
}

// said reads a record that came after the handshake. It reports whether no more
// is to be learned, and what ended the connection.
func (g *grab) said(server *protection, header, record []byte, now func() time.Time) (enough bool, end error) {
	if tlswire.Kind(header[0]) != tlswire.ApplicationData {
		return false, nil
	}
	kind, text, err := server.open(header, record)
	if err != nil {
		g.answer.note(fmt.Errorf("after the handshake: %w", err))
		return true, nil
	}
	switch {
	case kind == tlswire.ApplicationData: // the application speaks first: it takes the client
		return true, nil
	case kind == tlswire.Alert && len(text) == 2:
		if text[1] == alertCloseNotify {
			return true, io.EOF
		}
		return true, alertError(text[1])
	case kind == tlswire.Handshake && len(text) > 4 && text[0] == tlswire.TypeNewSessionTicket:
		g.answer.note(g.answer.ticketed(text[4:]))
		if s := g.offer.session; s != nil && len(s.ticket.Value) == 0 {
			n := 4 + int(text[1])<<16 + int(text[2])<<8 + int(text[3])
			g.answer.note(g.keep(text[4:min(n, len(text))], now()))
		}
		return !g.answer.asked13, nil
	}
	return false, nil
}

// judge adds what the end of the handshake shows.
func (g *grab) judge(obs *evidence.Observation, failure error) {
	f, a := obs.Facts.TLS, g.answer
	if a.hello == nil {
		return
	}
	if h := a.hello; h.Version >= tlswire.VersionTLS10 && h.Version <= tlswire.VersionTLS12 {
		f.ExtendedMasterSecret = &h.ExtendedMasterSecret
	}
	if s := g.offer.session; s != nil {
		f.TicketKey = s.ticket.Name()
	}
	complete := a.finished && failure == nil
	if complete {
		f.Handshake = evidence.StageComplete
	} else if failure != nil && obs.Detail == "" {
		obs.Detail = safetext.Clean("the handshake did not complete: " + probe.Cause(failure))
	}
	var alert alertError
	switch {
	case a.request == nil && (a.done || a.read13):
		f.ClientAuth = evidence.ClientAuthNotAsked
	case a.request == nil:
	case errors.As(g.late, &alert):
		description := uint8(alert)
		f.Alert, f.ClientAuth = &description, evidence.ClientAuthRequired
	case g.late != nil && !errors.Is(g.late, io.EOF): // io.EOF is an orderly end
		f.ClientAuth = evidence.ClientAuthRequired
		obs.Detail = safetext.Clean("closed by the server after an empty client certificate: " + probe.Cause(g.late))
	default:
		f.ClientAuth = evidence.ClientAuthRequested
	}
}
