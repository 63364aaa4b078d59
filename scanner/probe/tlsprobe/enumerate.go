package tlsprobe

import (
	"context"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// newest enumerates the suites of the version that the server chose from an
// offer of up to TLS 1.2, and with them groups and signature schemes.
func (r *run) newest(ctx context.Context) error {
	f := r.find(evidence.OfferTLS12, evidence.OfferSmall)
	if f == nil {
		return nil
	}
	e := r.newEnumeration(f)
	e.offered, e.narrowing, e.varying = tlswire.VersionTLS12, true, true
	return e.run(ctx)
}

// suitesOf enumerates the suites of the version of a first answer, at the
// exhaustive level and unless that was done.
func (r *run) suitesOf(ctx context.Context, f *evidence.TLSFacts) error {
	if r.level != scanner.Exhaustive || f == nil || f.Version == 0 || slices.Contains(r.enumerated, f.Version) {
		return nil
	}
	return r.newEnumeration(f).run(ctx)
}

// enumeration finds every suite of one version: all are on offer, and what the
// server chooses is left out of the next hello, until it refuses. The order is
// turned round from one hello to the next, so that a server which follows the client is
// told from one with an order of its own. Groups and signature schemes are left
// out in the same way and in the same hellos, as far as that hides no suite.
type enumeration struct {
	r       *run
	version uint16 // that the server is to choose
	offered uint16 // the highest on offer
	left    []uint16
	groups  []uint16
	schemes []uint16
	rounds  int
	// narrowing: groups and schemes that were chosen are left out; narrowed: some
	// are, now.
	narrowing, narrowed bool
	varying             bool // there are variations to make
	varied              int  // variations made
	plain               bool // this round has none, because the last was refused
}

func (r *run) newEnumeration(first *evidence.TLSFacts) *enumeration {
	r.enumerated = append(r.enumerated, first.Version)
	e := &enumeration{r: r, version: first.Version, offered: first.Version, groups: groups(), schemes: schemes()}
	for _, s := range r.tables.all {
		if first.Version != tlswire.VersionSSL3 || !strings.Contains(s.KeyExchange, "ECDH") { // no extension to name a curve in
			e.left = append(e.left, s.ID)
		}
	}
	e.take(first)
	return e
}

func (e *enumeration) run(ctx context.Context) error {
	if !e.r.few {
		whole, err := e.part(ctx, len(e.left))
		if err != nil || e.r.silent || whole {
			return err
		}
	}
	_, err := e.part(ctx, fewSuites)
	return err
}

// part enumerates in portions of size suites. It reports false if the server
// does not bear a hello of that size.
func (e *enumeration) part(ctx context.Context, size int) (bool, error) {
	for portion := range slices.Chunk(slices.Clone(e.left), size) {
		taken, refused := false, false
		for !refused && e.rounds < maxEnumerate {
			o := e.next(portion)
			if len(o.suites) == 0 {
				break
			}
			e.rounds++
			f, a, err := e.r.ask(ctx, o)
			if err != nil || e.r.silent {
				return true, err
			}
			switch {
			case f.Version == e.version && slices.Contains(o.suites, f.CipherSuite):
				e.take(f)
				taken = true
			case o.alpn != nil || o.serverName != e.r.session.Endpoint().Name:
				e.plain = true // the variation may be what was refused
			case e.narrowed:
				e.widen()
			case !taken && size > fewSuites && a.hello == nil && !ordinaryRefusal(a):
				return false, nil
			default:
				refused = true
			}
		}
	}
	return true, nil
}

// ordinaryRefusal reports whether a server refused because it shares no suite,
// by handshake_failure, protocol_version or insufficient_security (RFC 5246
// section 7.2.2).
func ordinaryRefusal(a *answer) bool {
	return a.alert != nil && slices.Contains([]uint8{40, 70, 71}, *a.alert)
}

// unknownName is the name of no host (RFC 6761 section 6.4).
const unknownName = "probity.invalid"

// next is the offer of what is left of a portion, varied in what costs nothing
// to ask on the way: protocols of the application and server names.
func (e *enumeration) next(portion []uint16) offer {
	o := e.r.offer(evidence.OfferSuites, e.offered, nil)
	o.groups, o.schemes, o.limit = e.groups, e.schemes, manyBytes
	for _, id := range portion {
		if slices.Contains(e.left, id) {
			o.suites = append(o.suites, id)
		}
	}
	o.classes = whole(classesOf(o.suites), e.left, o.suites)
	if e.rounds%2 == 1 && !e.narrowing { // before, the suites that show a group come first
		slices.Reverse(o.suites)
	}
	if !e.varying || e.plain {
		e.plain = false
		return o
	}
	e.varied++
	switch named := o.serverName != ""; {
	case e.varied == 1:
		o.alpn = []string{"h2", "http/1.1"}
	case e.varied == 2:
		o.alpn = []string{"http/1.1"}
	case e.varied == 3 && named:
		o.serverName = ""
	case e.varied == 4 && named:
		o.serverName = unknownName
	}
	return o
}

// take leaves out what the server chose.
func (e *enumeration) take(f *evidence.TLSFacts) {
	e.left = slices.DeleteFunc(e.left, func(id uint16) bool { return id == f.CipherSuite })
	s, _ := tlswire.Lookup(f.CipherSuite)
	if !e.narrowing {
		return
	}
	curve := strings.Contains(s.KeyExchange, "ECDHE")
	if e.narrowed && (!curve || f.SignatureScheme == 0) {
		// It may have fallen back for want of a group or a scheme.
		e.widen()
		return
	}
	// The curve of a certificate must stay on offer, or the server may not use it
	// (RFC 8422 section 5.1).
	certified := kindOfSuite(s) == kindEC && f.Group >= groupP256 && f.Group <= groupP521
	if curve && !certified && len(e.groups) > 1 {
		e.groups, e.narrowed = drop(e.groups, f.Group), true
	}
	if f.SignatureScheme != 0 && len(e.schemes) > 1 {
		e.schemes, e.narrowed = drop(e.schemes, f.SignatureScheme), true
	}
}

// widen offers all groups and schemes again, for good.
func (e *enumeration) widen() {
	e.groups, e.schemes, e.narrowed, e.narrowing = groups(), schemes(), false, false
}

func drop(list []uint16, v uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), func(w uint16) bool { return w == v })
}

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

// retries enumerates suites and groups of TLS 1.3 by hellos without a key share:
// the server names its choice in a HelloRetryRequest and computes nothing. What
// other answers showed already is not asked again.
func (r *run) retries(ctx context.Context) error {
	full := r.find(evidence.OfferFull)
	if full == nil || full.Version < tlswire.VersionTLS13 {
		return nil
	}
	suites, groups := drop(r.tables.tls13, full.CipherSuite), retryGroups()
	for _, o := range r.out {
		groups = drop(groups, o.Facts.TLS.Group)
	}
	answered := false
	for p, n := both, 0; p != complete && n < maxRetries; n++ {
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
			return err
		}
		accepted := a.hello != nil
		if accepted && (!f.Retry || !slices.Contains(o.suites, f.CipherSuite) || !slices.Contains(o.groups, f.Group)) {
			return nil // it keeps to no rule
		}
		answered = answered || accepted
		suites, groups = drop(suites, f.CipherSuite), drop(groups, f.Group)
		p = p.after(accepted, len(suites), len(groups))
	}
	if answered {
		return nil
	}
	return r.shares(ctx, suites)
}

// shares enumerates the suites of TLS 1.3 that can be completed, for a server
// that does not answer a hello without a key share.
func (r *run) shares(ctx context.Context, suites []uint16) error {
	suites = slices.DeleteFunc(slices.Clone(suites), func(id uint16) bool { _, _, err := hashOf(id); return err != nil })
	for n := 0; len(suites) > 0 && n < maxShares; n++ {
		o := r.offer(evidence.OfferSuites, tlswire.VersionTLS13, suites)
		o.exact, o.groups, o.limit = true, computed(), manyBytes
		f, a, err := r.take(ctx, o)
		if err != nil || r.silent || a.hello == nil || !slices.Contains(suites, f.CipherSuite) {
			return err
		}
		suites = drop(suites, f.CipherSuite)
	}
	return nil
}
