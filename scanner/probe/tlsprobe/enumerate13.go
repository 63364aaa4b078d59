package tlsprobe

import (
	"context"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// thirteen enumerates TLS 1.3: signature schemes by handshakes where TLS 1.2 did
// not show them, suites and groups by hellos without a key share, to which the
// server names its choice in a HelloRetryRequest and computes nothing. What other
// answers showed already is not asked again: a server may list its groups
// (RFC 8446 section 4.2.7).
func (r *run) thirteen(ctx context.Context) error {
	if r.chose13(evidence.OfferFull) || r.group != 0 {
		if err := r.signatures(ctx); err != nil || r.silent {
			return err
		}
	} else if !r.chose13(evidence.OfferRetry) {
		return nil
	}
	suites, groups := slices.Clone(r.tables.tls13), retryGroups()
	for _, o := range r.out {
		f := o.Facts.TLS
		for _, g := range slices.Concat(f.ServerGroups, []uint16{f.Group}) {
			groups = drop(groups, g)
		}
		if f.Version == tlswire.VersionTLS13 {
			suites = drop(suites, f.CipherSuite)
		}
	}
	answered, err := r.retries(ctx, suites, groups)
	if err != nil || r.silent || answered {
		return err
	}
	return r.shares(ctx, suites)
}

// chose13 reports whether the server chose TLS 1.3 in answer to an offer.
func (r *run) chose13(name evidence.Offer) bool {
	f := r.find(name)
	return f != nil && f.Version >= tlswire.VersionTLS13
}

// hidden13 asks for TLS 1.3 with groups that the first hello has not, where that
// was refused, or the server said in its random that it could do better (RFC 8446
// section 4.1.3). There is no key share in the hello: the answer names version,
// suite and group, and then the handshake is completed with that group.
func (r *run) hidden13(ctx context.Context) error {
	full := r.find(evidence.OfferFull)
	if full != nil && (full.Version >= tlswire.VersionTLS13 || full.DowngradeSentinel != "tls1.2" && r.level != scanner.Exhaustive) ||
		r.few || r.asked[evidence.OfferRetry] || !r.affords(hiddenBytes) {
		return nil
	}
	o := r.offer(evidence.OfferRetry, tlswire.VersionTLS13, r.tables.tls13)
	o.exact, o.groups, o.retry, o.limit = true, retryGroups(), true, hiddenBytes
	o.ticket, o.session = r.given != nil, r.given
	if r.level == scanner.Gentle {
		o.spare = r.spared()
	}
	f, a, err := r.take(ctx, o)
	if err != nil || r.silent {
		return err
	}
	if a.hello == nil {
		return r.lastResort(ctx)
	}
	r.needs(f)
	return nil
}

// spared is the finite field from which on a gentle probe asks for no handshake:
// a server computes in it for many times as long as in a curve. Where a
// certificate was shown before, that is any; else those of more than 3072 bits,
// which take a small processor minutes.
func (r *run) spared() uint16 {
	if slices.ContainsFunc(r.out, func(o evidence.Observation) bool { return len(o.Certs) > 0 }) {
		return groupFFDHE2048
	}
	return groupFFDHE4096
}

// needs learns from a handshake of TLS 1.3 what others with the server need.
func (r *run) needs(f *evidence.TLSFacts) {
	if f.Version < tlswire.VersionTLS13 || f.Handshake != evidence.StageComplete {
		return
	}
	r.group = f.Group
	if !slices.Contains(computedSuites(), f.CipherSuite) {
		r.suite = f.CipherSuite
	}
}

// lastResort asks for TLS 1.3 with rare key shares, of a server that does not
// answer hellos without one, and shows that it has a version above TLS 1.2.
func (r *run) lastResort(ctx context.Context) error {
	newer := slices.ContainsFunc(r.out, func(o evidence.Observation) bool {
		f := o.Facts.TLS
		return f.DowngradeSentinel == "tls1.2" || f.OfferedMax == tlswire.VersionTLS12 && f.Alert != nil && *f.Alert == alertProtocolVersion
	})
	if r.level != scanner.Exhaustive || !newer {
		return nil
	}
	o := r.offer(evidence.OfferFull, tlswire.VersionTLS13, computedSuites())
	o.exact, o.groups, o.limit = true, retryGroups(), hiddenBytes
	o.shares = []uint16{groupX25519MLKEM768, groupX448, groupFFDHE2048}
	o.ticket, o.session = r.given != nil, r.given
	f, _, err := r.take(ctx, o)
	r.needs(f)
	return err
}

// completable gives an offer of TLS 1.3 groups, and suites where the ordinary ones
// will not do, with which a handshake can be completed. The key share is of the
// group that the server chose before.
func (r *run) completable(o *offer) {
	o.groups = computed()
	if r.suite != 0 {
		o.suites = []uint16{r.suite}
	}
	if r.group != 0 {
		o.shares = []uint16{r.group}
	}
	if r.rare() {
		o.groups = o.shares
		o.limit += shareBytes
	}
}

// rare reports whether the server needs a group that is not on offer in the first
// hello.
func (r *run) rare() bool { return r.group != 0 && !slices.Contains(computed(), r.group) }

// retries looks for suites and groups in the same hellos. It reports whether any
// hello without a key share was answered.
func (r *run) retries(ctx context.Context, suites, groups []uint16) (answered bool, err error) {
	t := r.newTail(r.tables.tls13, suites)
	// Where the server listed its groups (RFC 8446 section 4.2.7), others are rare.
	t.own = t.own && !slices.ContainsFunc(r.out, func(o evidence.Observation) bool { return len(o.Facts.TLS.ServerGroups) > 0 })
	for n := 0; (len(t.left) > 0 || len(groups) > 0) && n < maxRetries; n++ {
		o := r.offer(evidence.OfferRetry, tlswire.VersionTLS13, t.left)
		o.exact, o.groups = true, retryGroups()
		if len(groups) > 0 {
			o.suites, o.groups = t.offer(), groups
		}
		f, a, err := r.ask(ctx, o)
		if err != nil || r.silent {
			return answered, err
		}
		accepted := a.hello != nil
		if accepted && (!f.Retry || !slices.Contains(o.suites, f.CipherSuite) || !slices.Contains(o.groups, f.Group)) {
			return true, nil // it keeps to no rule
		}
		answered = answered || accepted
		switch {
		case accepted:
			t.took(f.CipherSuite)
			groups = drop(groups, f.Group)
		case len(groups) == 0, len(t.known) == 0:
			return answered, nil
		case t.decisive(o.suites):
			groups = nil
		default:
			t.alone = true
		}
	}
	return answered, nil
}

// tail is a list of suites of TLS 1.3 of which those that were chosen before come
// last, so that a refusal is not for want of a suite. A server with an order of
// its own would choose them first: it is offered the others alone, until it
// refuses.
type tail struct {
	left, known []uint16
	own         bool // the server has an order of its own
	alone       bool // the others were refused; all are on offer
}

func (r *run) newTail(all, left []uint16) *tail {
	return &tail{
		left: left, own: r.order == ownOrder,
		known: slices.DeleteFunc(slices.Clone(all), func(id uint16) bool { return slices.Contains(left, id) }),
	}
}

func (t *tail) offer() []uint16 {
	if t.own && !t.alone && len(t.left) > 0 {
		return t.left
	}
	return slices.Concat(t.left, t.known)
}

// took learns from what the server chose.
func (t *tail) took(suite uint16) {
	if slices.Contains(t.left, suite) {
		t.left, t.known = drop(t.left, suite), append(t.known, suite)
		return
	}
	if t.own = true; t.alone { // with the same on offer besides, the others were refused
		t.left = nil
	}
}

// decisive reports whether an offer had suites that the server takes.
func (t *tail) decisive(offered []uint16) bool {
	return slices.ContainsFunc(t.known, func(id uint16) bool { return slices.Contains(offered, id) })
}

// signatures enumerates the signature schemes of TLS 1.3, and suites and what
// server names change on the way, by complete handshakes: before them a server
// signs nothing. It is not needed if TLS 1.2 showed the schemes, in which servers
// use the same and more.
func (r *run) signatures(ctx context.Context) error {
	suites, schemes := computedSuites(), schemes13()
	for _, o := range r.out {
		schemes = drop(schemes, o.Facts.TLS.SignatureScheme)
		suites = drop(suites, o.Facts.TLS.CipherSuite)
	}
	t, names := r.newTail(computedSuites(), suites), r.otherNames()
	for n := 0; !r.schemes.done && len(schemes) > 0 && n < maxSignatures; n++ {
		o := r.offer(evidence.OfferSuites, tlswire.VersionTLS13, t.offer())
		o.exact, o.schemes, o.limit = true, schemes, manyBytes
		if len(names) > 0 {
			o.serverName, names = names[0], names[1:]
		}
		r.completable(&o)
		f, a, err := r.take(ctx, o)
		switch {
		case err != nil || r.silent:
			return err
		case a.hello != nil && slices.Contains(schemes, f.SignatureScheme):
			t.took(f.CipherSuite)
			schemes = drop(schemes, f.SignatureScheme)
		case o.serverName != r.session.Endpoint().Name && !ordinaryRefusal(a):
			names = nil // the name may be what was refused
		case t.decisive(o.suites), len(t.known) == 0:
			r.schemes.done = true
		default:
			t.alone = true
		}
	}
	return nil
}

// shares enumerates the suites of TLS 1.3 that can be completed, for a server
// that does not answer a hello without a key share.
func (r *run) shares(ctx context.Context, suites []uint16) error {
	suites = slices.DeleteFunc(slices.Clone(suites), func(id uint16) bool { return !slices.Contains(computedSuites(), id) })
	for n := 0; len(suites) > 0 && n < maxShares; n++ {
		o := r.offer(evidence.OfferSuites, tlswire.VersionTLS13, suites)
		o.exact, o.limit = true, manyBytes
		r.completable(&o)
		f, a, err := r.take(ctx, o)
		if err != nil || r.silent || a.hello == nil || !slices.Contains(suites, f.CipherSuite) {
			return err
		}
		suites = drop(suites, f.CipherSuite)
	}
	return nil
}
