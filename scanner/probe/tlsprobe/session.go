package tlsprobe

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner/probe"
)

// Ways to resume a session.
const (
	bySessionID = "session-id"
	byTicket    = "ticket"
	byPSK       = "psk"
)

// session is what a server gave so that a handshake can be resumed.
type session struct {
	version uint16
	suite   uint16
	group   uint16 // of the key share (TLS 1.3)
	id      []byte
	ticket  tlswire.Ticket
	ems     bool   // bound to its handshake (RFC 7627); it must be offered alike
	psk     []byte // TLS 1.3
	at      time.Time
}

// how names the way in which the session can be resumed, or returns "".
func (s *session) how() string {
	switch {
	case len(s.ticket.Value) > 0 && s.version >= tlswire.VersionTLS13:
		return byPSK
	case len(s.ticket.Value) > 0:
		return byTicket
	case len(s.id) > 0 && s.version < tlswire.VersionTLS13:
		return bySessionID
	}
	return ""
}

// sessions asks whether the server resumes the sessions that it gives: that of
// the first handshake, of TLS 1.3, and where that is not taken up, that of one
// below it. The handshake below TLS 1.3 is made in any case: it also shows what is
// given there, and whether a client certificate is required.
func (r *run) sessions(ctx context.Context) error {
	if r.given != nil && r.given.how() == byPSK && !r.asked[evidence.OfferResume] {
		if err := r.resume(ctx, r.given); err != nil || r.silent {
			return err
		}
	}
	if !slices.ContainsFunc(r.out, func(o evidence.Observation) bool {
		v := o.Facts.TLS.Version
		return v >= tlswire.VersionTLS10 && v <= tlswire.VersionTLS12
	}) {
		return nil
	}
	if r.asked[evidence.OfferSession] || !r.completes() {
		return nil
	}
	o := r.offer(evidence.OfferSession, tlswire.VersionTLS12, r.newFirst(clientSuites()))
	o.groups = computed()
	o.schemes = nil // those of the client
	o.session = &session{}
	obs, err := handshake(ctx, r.session, o)
	r.record(obs)
	if err != nil || r.silent || obs.Facts.TLS.Handshake != evidence.StageComplete || o.session.how() == "" || r.resumed() {
		return err
	}
	return r.resume(ctx, o.session)
}

// completes reports whether the server may have a suite with which the client can
// complete a handshake below TLS 1.3: it did not refuse the first hello, or chose
// one since. After the enumeration it is asked again if need be.
func (r *run) completes() bool {
	if r.find(evidence.OfferFull) != nil {
		return true
	}
	return slices.ContainsFunc(r.out, func(o evidence.Observation) bool {
		f := o.Facts.TLS
		return f.Version != 0 && f.Version < tlswire.VersionTLS13 && slices.Contains(clientSuites(), f.CipherSuite)
	})
}

// resumed reports whether a session was taken up.
func (r *run) resumed() bool {
	return slices.ContainsFunc(r.out, func(o evidence.Observation) bool { return o.Facts.TLS.Resumed != nil && *o.Facts.TLS.Resumed })
}

// newFirst sorts suites that the server did not choose yet before the others: the
// handshake may then save the enumeration an offer.
func (r *run) newFirst(suites []uint16) []uint16 {
	known := func(id uint16) int {
		if slices.ContainsFunc(r.out, func(o evidence.Observation) bool { return o.Facts.TLS.CipherSuite == id }) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(suites, func(x, y uint16) int { return known(x) - known(y) })
	return suites
}

// resume offers a session and reads up to the ServerHello, which tells whether it
// was taken.
func (r *run) resume(ctx context.Context, given *session) error {
	o := r.offer(evidence.OfferResume, given.version, []uint16{given.suite})
	o.exact, o.limit = true, resumeBytes
	obs := probe.Begin(r.session, evidence.KindTLS)
	hello, id, err := given.hello(o, r.session.Now())
	if err != nil {
		return err
	}
	o.groups = hello.Groups
	obs.Facts.TLS = o.facts()
	record, err := hello.Marshal()
	if err != nil {
		return err
	}
	if len(record) > o.limit { // a ticket may be of any size
		return nil
	}
	c, err := r.session.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		r.record(obs)
		return nil
	}
	a := newAnswer()
	_, failure := c.Write(record)
	buf := make([]byte, readSize)
	for failure == nil && a.hello == nil {
		n, err := c.Read(buf)
		if a.feed(buf[:n]) {
			break
		}
		failure = err
	}
	if a.hello != nil {
		failure = nil // the rest is not waited for
	}
	failure = errors.Join(failure, c.Close())
	conclude(&obs, record, a, failure)
	f := obs.Facts.TLS
	f.ResumedBy = given.how()
	if h := a.hello; h != nil && !h.HelloRetryRequest {
		taken := h.PSK
		if given.version < tlswire.VersionTLS13 {
			taken = bytes.Equal(h.SessionID, id) // RFC 5246 section 7.4.1.3, RFC 5077 section 3.4
		}
		f.Resumed = &taken
	}
	r.record(obs)
	return ctx.Err()
}

// resumeBytes bounds a hello with a ticket; those of OpenSSL have up to 300
// bytes, and 2 KB with a client certificate in them.
const resumeBytes = 3 << 10

// hello builds the hello that offers the session, and returns its session
// identifier.
func (s *session) hello(o offer, now time.Time) (h tlswire.ClientHello, id []byte, err error) {
	var random [32]byte
	id = make([]byte, 32)
	if _, err := rand.Read(random[:]); err != nil {
		return h, nil, fmt.Errorf("client random: %w", err)
	}
	if _, err := rand.Read(id); err != nil {
		return h, nil, fmt.Errorf("session id: %w", err)
	}
	if s.how() == bySessionID {
		id = s.id
	}
	h = o.clientHello(random)
	h.SessionID = id
	switch s.how() {
	case byTicket:
		h.SessionTicket, h.Ticket = true, s.ticket.Value
		h.ExtendedMasterSecret = s.ems
	case bySessionID:
		h.ExtendedMasterSecret = s.ems
	case byPSK:
		h.Groups = []uint16{s.group}
		if err := s.bind(&h, now); err != nil {
			return h, nil, err
		}
	}
	return h, id, nil
}

// bind adds the key share, the ticket and its binder to a hello of TLS 1.3 (RFC
// 8446 section 4.2.11.2).
func (s *session) bind(h *tlswire.ClientHello, now time.Time) error {
	newHash, _, err := hashOf(s.suite)
	if err != nil {
		return err
	}
	key, err := newKeyShare(s.group)
	if err != nil {
		return err
	}
	h.KeyShares = []tlswire.KeyShare{{Group: s.group, Data: key.public()}}
	h.PSKModes = []byte{1} // with (EC)DHE
	h.PSK = &tlswire.PSK{
		Identity: s.ticket.Value, Binder: make([]byte, newHash().Size()),
		Age: uint32(now.Sub(s.at).Milliseconds()) + s.ticket.AgeAdd,
	}
	whole, err := h.Marshal()
	if err != nil {
		return err
	}
	early, err := hkdf.Extract(newHash, s.psk, nil)
	if err != nil {
		return fmt.Errorf("early secret: %w", err)
	}
	binderKey, err1 := expandLabel(newHash, early, "res binder", sum(newHash, nil), newHash().Size())
	finished, err2 := expandLabel(newHash, binderKey, "finished", nil, newHash().Size())
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	mac := hmac.New(newHash, finished)
	mac.Write(sum(newHash, whole[recordHeader:len(whole)-h.PSK.Trailer()]))
	h.PSK.Binder = mac.Sum(nil)
	return nil
}

// keep takes the ticket of TLS 1.3 that came after the handshake. transcript
// holds the messages up to the client's Finished.
func (g *grab) keep(body []byte, now time.Time) error {
	t, err := tlswire.ParseTicket(body, tlswire.VersionTLS13)
	if err != nil {
		return err
	}
	psk, err := g.keys.resumption(g.transcript, t.Nonce)
	if err != nil {
		return err
	}
	h := g.answer.hello
	*g.offer.session = session{version: h.Version, suite: h.CipherSuite, group: h.Group, ticket: t, psk: psk, at: now}
	return nil
}

// sessionOf is what a handshake below TLS 1.3 gave.
func (a *answer) sessionOf(now time.Time) session {
	h := a.hello
	s := session{version: h.Version, suite: h.CipherSuite, id: h.SessionID, ems: h.ExtendedMasterSecret, at: now}
	list, _ := tlswire.NewStream(tlswire.Limits{}).Feed(a.received) // what came before damage stays
	for _, m := range list {
		if m.Type == tlswire.TypeNewSessionTicket && !m.Encrypted {
			if t, err := tlswire.ParseTicket(m.Body, h.Version); err == nil {
				s.ticket = t
			}
		}
	}
	return s
}
