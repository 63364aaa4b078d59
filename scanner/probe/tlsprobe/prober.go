package tlsprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// Prober implements [scanner.Prober] for SSL and TLS over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "tls".
func (*Prober) Name() string { return "tls" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the hellos of a level, the most ordinary first.
func (*Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	const answered = "only if the endpoint speaks TLS"
	out := []scanner.Exchange{
		{
			What: "TLS handshake, TLS 1.0 to 1.3, without client certificate", MaxBytes: 2048,
			Why: "certificate chain, parameters, wish for a client certificate",
		},
		{
			What: "ClientHello, at most TLS 1.2", MaxBytes: 1024, When: answered,
			Why: "preferred suite, compression, renegotiation, downgrade protection",
		},
		{
			What: "ClientHello, at most TLS 1.2, weak suites only", MaxBytes: 1024, When: answered,
			Why: "whether any class of weak suites is accepted",
		},
	}
	for range len(weakClasses()) - 1 {
		out = append(out, scanner.Exchange{
			What: "ClientHello, at most TLS 1.2, the weak suites not yet seen", MaxBytes: 1024,
			When: "only if the server chose a suite of the one before", Why: "which classes of weak suites are accepted",
		})
	}
	out = append(out,
		scanner.Exchange{What: "ClientHello, at most TLS 1.1", MaxBytes: 512, When: answered, Why: "whether TLS 1.1 or less is accepted"},
		scanner.Exchange{What: "ClientHello, TLS 1.0", MaxBytes: 512, When: "only if TLS 1.1 was accepted", Why: "whether TLS 1.0 is accepted"},
		scanner.Exchange{What: "ClientHello, SSL 3.0", MaxBytes: 512, When: answered, Why: "whether SSL 3.0 is accepted"},
	)
	if level == scanner.Exhaustive {
		out = append(out, scanner.Exchange{What: "CLIENT-HELLO, SSL 2.0", MaxBytes: 64, When: answered, Why: "whether SSL 2.0 is accepted"})
	}
	return out
}

// Probe asks the endpoint. It stops after the first answer that is not TLS, and
// leaves the odd hellos out once an ordinary one was not answered in time.
func (p *Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	first, a, err := handshake(ctx, s)
	if err != nil && first.Result == "" {
		return nil, err
	}
	r := &run{session: s, out: []evidence.Observation{first}}
	if err != nil {
		return r.out, err
	}
	known := first.Facts.TLS.ClientAuth != evidence.ClientAuthUnknown
	// A server that hangs up on the first hello may not bear the newest one; it
	// is asked once more in an older way.
	if !a.spoke() && first.Result != evidence.ResultReset {
		return r.out, nil
	}
	tls12, b, err := r.ask(ctx, offer{name: evidence.OfferTLS12, version: tlswire.VersionTLS12, suites: ordinary(tlswire.VersionTLS12)})
	if err != nil || r.silent || !a.spoke() && !b.spoke() {
		return r.out, err
	}
	if !known && b.done {
		tls12.ClientAuth = evidence.ClientAuthNotAsked
		if b.request != nil {
			tls12.ClientAuth = evidence.ClientAuthRequested
		}
	}
	if err := r.eliminate(ctx); err != nil || r.silent {
		return r.out, err
	}
	return r.out, r.legacy(ctx, s.Level())
}

// run is one probe under way.
type run struct {
	session scanner.Session
	out     []evidence.Observation
	silent  bool // the last offer was not answered in time
}

// ask records the answer to one offer. The facts may be amended.
func (r *run) ask(ctx context.Context, o offer) (*evidence.TLSFacts, *answer, error) {
	obs, a, err := ask(ctx, r.session, o)
	if obs.Result == "" { // nothing was sent
		return obs.Facts.TLS, a, err
	}
	r.out = append(r.out, obs)
	r.silent = obs.Result != evidence.ResultData && obs.Result != evidence.ResultReset
	return obs.Facts.TLS, a, err
}

// eliminate asks for weak suites, leaving out the classes that were chosen
// before, until the server refuses. A server that chooses what was not on offer
// makes no progress; the number of rounds is bounded anyway.
func (r *run) eliminate(ctx context.Context) error {
	classes := weakClasses()
	for range len(weakClasses()) {
		suites := weak(classes)
		if len(suites) == 0 {
			return nil
		}
		f, a, err := r.ask(ctx, offer{name: evidence.OfferWeak, version: tlswire.VersionTLS12, suites: suites, classes: classes})
		if err != nil || a.hello == nil {
			return err
		}
		left := without(classes, f.CipherSuite)
		if len(left) == len(classes) {
			return nil
		}
		classes = left
	}
	return nil
}

// legacy asks for the old versions, one by one.
func (r *run) legacy(ctx context.Context, level scanner.Level) error {
	tls11, a, err := r.ask(ctx, offer{name: evidence.OfferTLS11, version: tlswire.VersionTLS11, suites: ordinary(tlswire.VersionTLS11)})
	if err != nil || r.silent {
		return err
	}
	if a.hello != nil && tls11.Version == tlswire.VersionTLS11 {
		_, _, err := r.ask(ctx, offer{name: evidence.OfferTLS10, version: tlswire.VersionTLS10, suites: ordinary(tlswire.VersionTLS10)})
		if err != nil || r.silent {
			return err
		}
	}
	_, _, err = r.ask(ctx, offer{name: evidence.OfferSSL3, version: tlswire.VersionSSL3, suites: ordinary(tlswire.VersionSSL3)})
	if err != nil || r.silent || level != scanner.Exhaustive {
		return err
	}
	obs, err := askSSL2(ctx, r.session)
	if obs.Result != "" {
		r.out = append(r.out, obs)
	}
	return err
}

// maxSSL2 bounds the answer to an SSL 2.0 hello: its record length has 15 bits.
const maxSSL2 = 1<<15 + 2

// askSSL2 sends an SSL 2.0 CLIENT-HELLO and reads the SERVER-HELLO.
func askSSL2(ctx context.Context, s scanner.Session) (evidence.Observation, error) {
	o := offer{name: evidence.OfferSSL2, version: tlswire.VersionSSL2}
	obs := probe.Begin(s, evidence.KindTLS)
	obs.Facts.TLS = o.facts("")
	var challenge [16]byte
	if _, err := rand.Read(challenge[:]); err != nil {
		return obs, fmt.Errorf("challenge: %w", err)
	}
	hello := tlswire.SSL2ClientHello(challenge)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, nil
	}
	_, failure := c.Write(hello)
	var received []byte
	if failure == nil {
		received, failure = readSSL2(c)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	concludeSSL2(&obs, hello, received, failure)
	return obs, ctx.Err()
}

func readSSL2(c net.Conn) ([]byte, error) {
	var received []byte
	buf := make([]byte, 4096)
	for len(received) < maxSSL2 {
		n, err := c.Read(buf)
		received = append(received, buf[:n]...)
		if _, perr := tlswire.ParseSSL2ServerHello(received); perr == nil {
			return received, nil
		}
		if len(received) > 2 && received[0]&0x80 == 0 && (received[0] != byte(tlswire.Alert) || len(received) >= 7) {
			return received, nil // an alert, or no SSL 2.0 record at all
		}
		if err != nil {
			return received, err
		}
	}
	return received, errors.New("no SERVER-HELLO")
}

// concludeSSL2 writes what became of the SSL 2.0 hello. A server that refuses
// in TLS, by an alert, has answered.
func concludeSSL2(obs *evidence.Observation, hello, received []byte, failure error) {
	f := obs.Facts.TLS
	if h, err := tlswire.ParseSSL2ServerHello(received); err == nil {
		obs.Raw = probe.Raw(mediaSent, hello, mediaReceived, received)
		obs.Result, f.Version, f.Handshake = evidence.ResultData, tlswire.VersionSSL2, evidence.StageServerHello
		if len(h.Certificate) > 0 {
			f.Handshake = evidence.StageCertificate
			obs.Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: h.Certificate}}
		}
		if len(h.Ciphers) == 0 {
			obs.Detail = "the server knows SSL 2.0, and no cipher of it"
		}
		return
	}
	if failure != nil && len(received) > 0 && received[0]&0x80 != 0 {
		obs.Raw = probe.Raw(mediaSent, hello, mediaReceived, received)
		probe.Fail(obs, "the answer is cut off", failure)
		return
	}
	a := newAnswer()
	a.feed(received)
	if a.spoke() {
		a.hello = nil // an SSL 2.0 hello cannot be answered by a ServerHello of TLS
	}
	conclude(obs, hello, a, failure)
	if obs.Result == evidence.ResultData && f.NotTLS {
		obs.Result, f.NotTLS, f.Spoke = evidence.ResultError, false, ""
		obs.Detail = safetext.Clean("the answer is neither a SERVER-HELLO nor an alert")
	}
}
