package tlsprobe

import (
	"context"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// DTLS implements [scanner.Prober] for DTLS 1.0 and 1.2 over UDP. It makes the
// offers of [Prober] in datagrams: a version of DTLS is recorded as the version
// of TLS that it is made from (1.0 as TLS 1.1), with the carrier "dtls".
type DTLS struct{ tables *tables }

// NewDTLS returns the prober.
func NewDTLS() *DTLS { return &DTLS{tables: newTables()} }

// Name returns [scanner.DTLSProbe].
func (*DTLS) Name() string { return scanner.DTLSProbe }

// Transport returns UDP.
func (*DTLS) Transport() evidence.Transport { return evidence.UDP }

// Bounds of what is sent in datagrams. A server that wants a cookie gets every
// hello twice, so there are fewer of them than over TCP.
const (
	maxGentleDTLS = 4
	dtlsHello     = 400 // of a hello, without a cookie
	dtlsMany      = 800 // the same, of an enumeration: it stays below the smallest MTU in use
	maxCookie     = 64  // of a cookie that is sent back at the gentle level; servers have up to 32 bytes
	dtlsLeave     = 15  // of the alert that ends an exchange
	// gentleResends bounds the datagrams that are sent again at the gentle level, of
	// all exchanges together; resends those of one exchange above it.
	gentleResends, resends = 2, 1
)

// dtlsBytes is what an exchange of a hello and its repetitions sends at most.
func dtlsBytes(hello, cookie, again int) int64 {
	return int64((2+again)*(hello+cookie) + dtlsLeave)
}

// Exchanges lists the hellos of a level.
func (*DTLS) Exchanges(level scanner.Level) []scanner.Exchange {
	const answered = "only if the endpoint speaks DTLS"
	gentle := func(what, why, when string, again int) scanner.Exchange {
		return scanner.Exchange{What: what + ", and again with a cookie", MaxBytes: dtlsBytes(dtlsHello, maxCookie, again), Why: why, When: when}
	}
	again := 0
	if level != scanner.Gentle {
		again = resends
	}
	out := []scanner.Exchange{
		gentle("ClientHello, at most DTLS 1.2", "certificate chain, parameters, wish for a client certificate", "", gentleResends),
		gentle("ClientHello, DTLS 1.0", "whether DTLS 1.0 is accepted", answered, again),
		gentle("ClientHello for the other kind of key, RSA or ECDSA", "the second certificate", answered+" and showed one kind", again),
		gentle("ClientHello, at most DTLS 1.2, weak suites only", "which classes of weak suites are accepted", answered, again),
	}
	if level == scanner.Gentle {
		return out
	}
	more := scanner.Exchange{
		What: "ClientHello, the suites of a version not yet seen, and again with a cookie", MaxBytes: dtlsBytes(dtlsMany, 255, resends),
		Why: "which weak suites are accepted", When: "only if the server chose a suite of the one before",
	}
	n := maxWeak
	if level == scanner.Exhaustive {
		more.Why, more.When = "every suite, group and signature scheme", "only if the server speaks the version"
		n = maxEnumerate(tlswire.VersionTLS12) + maxEnumerate(tlswire.VersionTLS11)
	}
	return append(out, slices.Repeat([]scanner.Exchange{more}, n)...)
}

// Probe asks the endpoint. It stops when the first hello is not answered in DTLS.
func (p *DTLS) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	d := &datagrams{limit: dtlsHello, cookie: maxCookie, again: gentleResends, shared: true}
	if s.Level() != scanner.Gentle {
		*d = datagrams{limit: dtlsMany, cookie: 255, again: resends}
	}
	r := &run{
		tables: p.tables, session: s, level: s.Level(), asked: map[evidence.Offer]bool{}, over: d,
		groups: quarry{left: allGroups()}, schemes: quarry{left: allSchemes()},
	}
	err := r.overDatagrams(ctx)
	return r.out, err
}

// overDatagrams goes from the ordinary to the odd, as [run.probe] does.
func (r *run) overDatagrams(ctx context.Context) error {
	first := r.offer(evidence.OfferTLS12, tlswire.VersionTLS12, slices.Concat(r.tables.tls12, dtlsSuites()))
	f, a, err := r.ask(ctx, first)
	if err != nil || r.silent || !a.spoke() {
		return err
	}
	old := r.oldDatagrams
	if f.Version == tlswire.VersionTLS11 { // the answer is known
		old = func(ctx context.Context) error { return r.suitesOf(ctx, f) }
	}
	steps := []func(context.Context) error{old, r.otherKey, r.weak}
	if r.level == scanner.Exhaustive {
		steps = []func(context.Context) error{r.newestDatagrams, old, r.otherKey}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil || r.silent {
			return err
		}
	}
	return nil
}

// newestDatagrams enumerates DTLS 1.2, where it is spoken.
func (r *run) newestDatagrams(ctx context.Context) error {
	if !r.spoke(tlswire.VersionTLS12) {
		return nil
	}
	return r.newest(ctx)
}

// oldDatagrams asks for DTLS 1.0, which is made from TLS 1.1.
func (r *run) oldDatagrams(ctx context.Context) error {
	f, _, err := r.ask(ctx, r.offer(evidence.OfferTLS11, tlswire.VersionTLS11, r.tables.old))
	if err != nil || r.silent {
		return err
	}
	return r.suitesOf(ctx, f)
}

// dtlsSuites are suites of constrained devices (RFC 7925 section 4), which
// servers over TCP rarely have. Those with a shared secret are answered up to the
// end of the flight.
func dtlsSuites() []uint16 {
	return []uint16{
		0xc0ae, 0xc0ac, // ECDHE_ECDSA with AES-128-CCM-8 and -CCM
		0xc0a8, 0xc0a4, 0x00a8, 0x00ae, 0x008c, // PSK with AES-128
		0xc037, 0xd001, // ECDHE_PSK with AES-128
	}
}
