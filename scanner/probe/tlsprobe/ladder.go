package tlsprobe

import (
	"context"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// ladder makes the ordinary offers: up to TLS 1.3, then up to TLS 1.2, and where
// both are refused those for older stacks. It reports whether the server speaks
// TLS.
func (r *run) ladder(ctx context.Context) (bool, error) {
	full := r.offer(evidence.OfferFull, tlswire.VersionTLS13, fullSuites())
	full.groups, full.limit = computed(), fullBytes
	if r.level == scanner.Gentle {
		// The largest curve costs a server the most, and some prefer it. One that has
		// no other shows it in the next hellos.
		full.groups = drop(full.groups, groupP521)
	}
	if r.level == scanner.Exhaustive {
		// Other groups than in the next hello, in which most servers choose X25519.
		full.groups, full.shares = append([]uint16{groupP256}, drop(full.groups, groupP256)...), []uint16{groupP256}
		r.given = &session{}
		full.alpn, full.ticket, full.session = []string{"h2", "http/1.1"}, true, r.given
	}
	_, a, err := r.take(ctx, full)
	const noApplicationProtocol = 120 // RFC 7301 section 3.2
	if err == nil && full.alpn != nil && a.alert != nil && *a.alert == noApplicationProtocol {
		full.alpn, r.strict = nil, true
		_, a, err = r.take(ctx, full)
	}
	if err != nil || r.silent || a.notTLS() {
		return false, err
	}
	if !a.spoke() {
		if a.damaged() { // neither TLS nor its end
			return false, nil
		}
		// A server that hangs up on the first hello may not bear the newest one, or
		// one of its size; it is asked again in the oldest ways that are common.
		if _, a, err = r.ask(ctx, r.smallOffer()); err != nil || r.silent || a.damaged() && !a.spoke() {
			return false, err
		}
		if !a.spoke() && r.level != scanner.Exhaustive {
			return false, nil // more likely it speaks no TLS
		}
		if !a.spoke() {
			r.few = true
			_, a, err = r.ask(ctx, r.offer(evidence.OfferTLS10, tlswire.VersionTLS10, r.tables.small))
			return a.hello != nil, err
		}
	}
	if f := r.find(evidence.OfferFull); f != nil {
		r.needs(f)
	}
	r.bare = r.asked[evidence.OfferSmall]
	_, b, err := r.ask(ctx, r.offer(evidence.OfferTLS12, tlswire.VersionTLS12, r.othersFirst(r.tables.tls12)))
	if err != nil || r.silent {
		return false, err
	}
	if r.bare && b.hello != nil { // the first hello may have been too much, and not its version
		full.bare = true
		if _, a, err = r.take(ctx, full); err != nil || r.silent {
			return false, err
		}
	}
	if a.hello == nil && b.hello == nil {
		newer := b.alert != nil && *b.alert == alertProtocolVersion // what it speaks may be newer
		if newer || r.level == scanner.Exhaustive && ordinaryRefusal(b) {
			if err := r.hidden13(ctx); err != nil || r.silent || newer && r.spoke(tlswire.VersionTLS13) {
				return true, err
			}
		}
		return r.descend(ctx, ordinaryRefusal(b))
	}
	// Only a small hello was answered so far.
	r.few = r.asked[evidence.OfferSmall] && !b.spoke()
	return true, nil
}

// othersFirst puts, at the exhaustive level, the suite that the server chose
// first behind those that are as sound: one that follows the client then shows
// another.
func (r *run) othersFirst(suites []uint16) []uint16 {
	f := r.find(evidence.OfferFull, evidence.OfferSmall)
	if r.level != scanner.Exhaustive || f == nil || !slices.Contains(suites, f.CipherSuite) {
		return suites
	}
	chosen, _ := tlswire.Lookup(f.CipherSuite)
	out := drop(suites, f.CipherSuite)
	i := slices.IndexFunc(out, func(id uint16) bool {
		s, _ := tlswire.Lookup(id)
		return rank(s) > rank(chosen)
	})
	if i < 0 {
		i = len(out)
	}
	return slices.Insert(out, i, f.CipherSuite)
}

func (r *run) smallOffer() offer {
	o := r.offer(evidence.OfferSmall, tlswire.VersionTLS12, r.tables.small)
	o.groups, o.schemes, o.limit = computed(), fewSchemes(), smallBytes
	return o
}

// descend makes the offers for odd and old stacks to a server that refused the
// ordinary ones by alerts: of all suites that they lacked, then of TLS 1.0. If an
// alert did not say that there is nothing in common, the size of the hello may
// have been the reason, even if TLS 1.0 is answered.
func (r *run) descend(ctx context.Context, nothingCommon bool) (bool, error) {
	if nothingCommon {
		rare := r.offer(evidence.OfferSuites, tlswire.VersionTLS12, r.tables.rare)
		_, a, err := r.ask(ctx, rare)
		if r.level == scanner.Exhaustive && err == nil && !r.silent && a.hello == nil && !ordinaryRefusal(a) { // they may have been too many
			rare.keep(maxSuites)
			_, a, err = r.ask(ctx, rare)
		}
		if err != nil || r.silent || a.hello != nil || r.spoke(tlswire.VersionTLS13) {
			return true, err
		}
	}
	_, a, err := r.ask(ctx, r.offer(evidence.OfferTLS10, tlswire.VersionTLS10, r.tables.old))
	if err != nil || r.silent || a.hello != nil && nothingCommon || r.asked[evidence.OfferSmall] {
		return true, err
	}
	_, a, err = r.ask(ctx, r.smallOffer())
	r.few = a.hello != nil
	return true, err
}
