package tlsprobe

import (
	"context"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// The phases of an enumeration by retries: what is left out of the next hello.
type phase int

const (
	both     phase = iota // suites and groups that were chosen
	doubt                 // groups; whether a suite is left is to be seen
	byGroup               // groups; no suite is left
	bySuite               // suites; no group is left
	complete              // nothing is left
)

// after returns the phase that follows an answer.
func (p phase) after(accepted bool, suites, groups int) phase {
	switch {
	case !accepted && p == both && groups > 0:
		return doubt
	case !accepted && (p == both || p == doubt) && suites > 0:
		return bySuite
	case !accepted:
		return complete
	case p == both && suites > 0 && groups > 0:
		return both
	case p == both && suites > 0, p == bySuite && suites > 0:
		return bySuite
	case p != bySuite && groups > 0:
		return byGroup
	}
	return complete
}

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
	listed := false
	for _, o := range r.out {
		f := o.Facts.TLS
		for _, g := range slices.Concat(f.ServerGroups, []uint16{f.Group}) {
			groups = drop(groups, g)
		}
		if f.Version == tlswire.VersionTLS13 {
			suites = drop(suites, f.CipherSuite)
		}
		listed = listed || len(f.ServerGroups) > 0
	}
	p := both
	if listed { // others are rare
		p = bySuite
	}
	answered, err := r.retries(ctx, p, suites, groups)
	if err != nil || r.silent {
		return err
	}
	if !answered {
		return r.shares(ctx, suites)
	}
	if listed {
		_, err = r.retries(ctx, byGroup, nil, groups)
	}
	return err
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

// retries reports whether any hello without a key share was answered.
func (r *run) retries(ctx context.Context, p phase, suites, groups []uint16) (answered bool, err error) {
	for n := 0; p != complete && n < maxRetries; n++ {
		o := r.offer(evidence.OfferRetry, tlswire.VersionTLS13, suites)
		o.exact, o.groups = true, groups
		switch p {
		case doubt, byGroup:
			o.suites = r.tables.tls13
		case bySuite:
			o.groups = retryGroups()
		case both, complete:
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
		suites, groups = drop(suites, f.CipherSuite), drop(groups, f.Group)
		if p == bySuite {
			p = p.after(accepted, len(suites), 0)
			continue
		}
		p = p.after(accepted, len(suites), len(groups))
	}
	return answered, nil
}

// signatures enumerates the signature schemes of TLS 1.3, and suites on the way,
// by complete handshakes: before them a server signs nothing. It is not needed if
// TLS 1.2 showed the schemes, in which servers use the same and more.
func (r *run) signatures(ctx context.Context) error {
	suites, schemes := computedSuites(), schemes13()
	for _, o := range r.out {
		schemes = drop(schemes, o.Facts.TLS.SignatureScheme)
		suites = drop(suites, o.Facts.TLS.CipherSuite)
	}
	narrow := true
	for n := 0; !r.schemes.done && len(schemes) > 0 && n < maxSignatures; n++ {
		o := r.offer(evidence.OfferSuites, tlswire.VersionTLS13, suites)
		if narrow = narrow && len(suites) > 0; !narrow {
			o.suites = computedSuites()
		}
		o.exact, o.schemes, o.limit = true, schemes, manyBytes
		r.completable(&o)
		f, a, err := r.take(ctx, o)
		switch accepted := a.hello != nil && slices.Contains(schemes, f.SignatureScheme); {
		case err != nil || r.silent:
			return err
		case accepted:
			suites, schemes = drop(suites, f.CipherSuite), drop(schemes, f.SignatureScheme)
		case narrow:
			narrow = false
		default:
			r.schemes.done = true
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
