package tlsprobe

import (
	"context"
	"errors"
	"slices"

	"github.com/zmap/zcrypto/tls"
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// handshake makes a full handshake of at most TLS 1.2 with every suite of the
// client, no client certificate and no judgement of the server's. Only so does a
// server show whether it insists on a client certificate.
func handshake(ctx context.Context, s scanner.Session, o offer) (evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindTLS)
	obs.Facts.TLS = o.facts()
	a := newAnswer()
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, nil
	}
	frugally := &frugal{Conn: c, left: clientBytes}
	settings, secret := config(s, o), &keyLog{}
	if o.session != nil {
		frugally.left, settings.KeyLogWriter = sessionBytes, secret
	}
	wire := probe.NewTap(frugally, maxFlight)
	client := tls.Client(wire, settings)
	failure := client.Handshake()
	sent, received := wire.Seal() // what follows may be application data
	a.feed(received)
	complete, asked := failure == nil, false
	if complete && o.session != nil {
		asked, err = renegotiate(frugally, a, &obs, sent, received, secret.secret, s.Now)
	}
	if complete && !asked {
		// close_notify, without waiting for the answer; Close reports only that
		// the peer was gone first.
		_ = client.Close()
	}
	if err := c.Close(); err != nil && failure == nil && !complete { // the client may have closed it
		failure = err
	}
	conclude(&obs, sent, a, failure)
	a.finish(&obs, complete, failure)
	if a.hello != nil && o.session != nil {
		*o.session = a.sessionOf(s.Now())
		f, given := obs.Facts.TLS, len(o.session.ticket.Value) > 0
		f.SessionTicket, f.TicketKey = &given, o.session.ticket.Name()
	}
	return obs, errors.Join(err, ctx.Err())
}

func config(s scanner.Session, o offer) *tls.Config {
	return &tls.Config{
		Time:                   s.Now,
		ServerName:             o.serverName,
		MinVersion:             tlswire.VersionTLS10,
		MaxVersion:             o.version,
		InsecureSkipVerify:     true,               // an observer: every certificate is taken
		RootCAs:                x509.NewCertPool(), // empty, or every handshake would build chains to the system's roots
		CipherSuites:           o.suites,
		ForceSuites:            true, // else suites outside a built-in list are dropped from the hello
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		SessionTicketsDisabled: true, // none is used; whether one is asked for is told apart from that
		ForceSessionTicketExt:  o.session != nil,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{}, nil // an empty one: never more
		},
	}
}

// finish adds what only a full handshake shows: that it completed, and what the
// server thinks of a client without a certificate.
func (a *answer) finish(obs *evidence.Observation, complete bool, failure error) {
	f := obs.Facts.TLS
	if a.hello == nil {
		return
	}
	if complete {
		f.Handshake = evidence.StageComplete
	} else if failure != nil && obs.Detail == "" {
		obs.Detail = safetext.Clean("the handshake did not complete: " + probe.Cause(failure))
	}
	switch {
	case a.request == nil && a.done:
		f.ClientAuth = evidence.ClientAuthNotAsked
	case a.request == nil:
	case !complete && a.refusesClient(failure):
		f.ClientAuth = evidence.ClientAuthRequired
	default:
		f.ClientAuth = evidence.ClientAuthRequested
	}
}

// refusesClient reports whether a handshake that did not complete was ended by
// the server after the client had no certificate to send. Stacks differ in the
// alert (RFC 5246 section 7.4.6 says handshake_failure).
func (a *answer) refusesClient(failure error) bool {
	if !a.done {
		return false
	}
	if a.alert == nil {
		return probe.ResultOf(failure) == evidence.ResultReset
	}
	refusals := []uint8{40, 41, 42, 43, 44, 45, 46, 48, 49, 80, 116}
	return slices.Contains(refusals, *a.alert)
}
