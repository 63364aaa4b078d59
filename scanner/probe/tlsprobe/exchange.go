package tlsprobe

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// Media types of the raw bytes of an observation.
const (
	mediaSent     = "application/x-probity-tls-sent"
	mediaReceived = "application/x-probity-tls-received"
	// mediaSecret is one line in the format of RFC 9850: the secret of the
	// server's encrypted handshake flight, which protects no application data.
	mediaSecret = "application/x-probity-tls-handshake-secret"
	mediaStaple = "application/ocsp-response" // RFC 6960 appendix C.2
)

// readSize is how much is read at a time: most flights come in one piece.
const readSize = 4 << 10

// enoughToName is how many bytes tell what protocol a peer speaks.
const enoughToName = 10

// ask sends one hello built by hand and reads the server's flight. The error is
// that of the gate or of the context; whatever the peer does is an observation.
func ask(ctx context.Context, s scanner.Session, o offer) (evidence.Observation, *answer, error) {
	obs := probe.Begin(s, evidence.KindTLS)
	a := newAnswer()
	obs.Facts.TLS = o.facts()
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return obs, a, fmt.Errorf("client random: %w", err)
	}
	hello, err := o.record(random)
	if err != nil {
		return obs, a, err
	}
	obs.Facts.TLS = o.facts() // of what fits
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, a, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, a, nil
	}
	_, failure := c.Write(hello)
	if failure == nil {
		failure = read(c, a, s.Now)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	conclude(&obs, hello, a, failure)
	a.flightFacts(obs.Facts.TLS, o)
	return obs, a, ctx.Err()
}

// flightFacts writes what a flight in the clear shows.
func (a *answer) flightFacts(f *evidence.TLSFacts, o offer) {
	if h := a.hello; h != nil && h.Version >= tlswire.VersionTLS10 && h.Version <= tlswire.VersionTLS12 {
		f.ExtendedMasterSecret = &h.ExtendedMasterSecret
		named := len(h.SessionID) > 0 // none was offered
		f.SessionID = &named
		if o.name == evidence.OfferTLS12 {
			f.SessionTicket = &h.SessionTicket
		}
	}
	if a.certSeen && a.done { // an anonymous server may not ask (RFC 5246 section 7.4.4)
		f.ClientAuth = evidence.ClientAuthNotAsked
		if a.request != nil {
			f.ClientAuth = evidence.ClientAuthRequested
		}
	}
}

// read feeds the answer until it is complete or the connection ends.
func read(c net.Conn, a *answer, now func() time.Time) error {
	buf := make([]byte, readSize)
	for {
		n, err := c.Read(buf)
		if a.feed(buf[:n]) {
			readName(c, a, now)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readName reads a little more of a peer that does not speak TLS, so that its
// protocol can be named. The answer is there: an error ends the reading only.
func readName(c net.Conn, a *answer, now func() time.Time) {
	if !a.notTLS() || c.SetReadDeadline(now().Add(time.Second)) != nil {
		return
	}
	buf := make([]byte, enoughToName)
	for len(a.received) < enoughToName {
		n, err := c.Read(buf[:enoughToName-len(a.received)])
		a.received = append(a.received, buf[:n]...)
		if err != nil {
			return
		}
	}
}

// conclude writes what became of the exchange.
func conclude(obs *evidence.Observation, sent []byte, a *answer, failure error) {
	f := obs.Facts.TLS
	a.fill(f)
	f.Warning = a.warning
	f.NameUsed = a.named || a.hello != nil && a.hello.ServerName
	f.Signature = a.signature(sent)
	obs.Certs = a.presented()
	obs.Raw = probe.Raw(mediaSent, sent, mediaReceived, a.received)
	if len(a.staple) > 0 {
		obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaStaple, Data: a.staple})
	}
	switch {
	case a.spoke() || f.NotTLS:
		obs.Result = evidence.ResultData
		if a.damage != nil && !f.NotTLS {
			obs.Detail = safetext.Clean("the answer is damaged: " + a.damage.Error())
		} else if failure != nil && !f.NotTLS {
			obs.Detail = safetext.Clean("the handshake did not complete: " + probe.Cause(failure))
		} else if failure == nil && !f.NotTLS && len(a.received) >= maxFlight {
			obs.Detail = "the flight does not end: more bytes than a handshake has"
		}
	case a.damage != nil:
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean("the answer is damaged: "+a.damage.Error())
	case failure != nil:
		what := "no answer: "
		if n := len(a.received); n > 0 {
			what = fmt.Sprintf("%d bytes and no ServerHello: ", n)
		}
		obs.Result, obs.Detail = probe.ResultOf(failure), safetext.Clean(what+probe.Cause(failure))
		if a.warning != nil {
			obs.Detail += fmt.Sprintf(", after a warning alert %d", *a.warning)
		}
	default:
		obs.Result, obs.Detail = evidence.ResultError, "more bytes than a handshake has, and no ServerHello"
	}
}
