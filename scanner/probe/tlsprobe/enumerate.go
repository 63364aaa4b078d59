package tlsprobe

import (
	"bytes"
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
	f := r.find(evidence.OfferTLS12, evidence.OfferSmall, evidence.OfferSuites)
	if f == nil {
		return nil
	}
	e := r.newEnumeration(f)
	e.offered, e.varying = tlswire.VersionTLS12, !r.strict
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

// quarry is one kind of parameter that is looked for on the way: groups or
// signature schemes.
type quarry struct {
	left []uint16 // neither chosen yet nor refused
	done bool
}

// found leaves a value out. It reports whether it was not known before.
func (q *quarry) found(v uint16) bool {
	known := !slices.Contains(q.left, v)
	q.without([]uint16{v})
	return !known
}

// without leaves values out.
func (q *quarry) without(values []uint16) {
	q.left = slices.DeleteFunc(slices.Clone(q.left), func(v uint16) bool { return slices.Contains(values, v) })
	q.done = q.done || len(q.left) == 0
}

// aim is what an offer looks for: of that, it leaves out what was chosen before.
type aim struct{ suites, groups, schemes bool }

// enumeration finds every suite of one version, and in the same hellos groups
// and signature schemes: all are on offer, and what the server chooses is left
// out of the next hello, until it refuses. Where groups or schemes are left out, a
// suite that was chosen before comes last, so that a refusal is not for want of a
// suite. If both were left out, one of them is offered whole again: what follows
// tells which is exhausted ([enumeration.deduce]).
//
// In hellos that look for suites alone, the order is turned round from one to
// the next, so that a server which follows the client is told from one with an
// order of its own.
type enumeration struct {
	r       *run
	version uint16 // that the server is to choose
	offered uint16 // the highest on offer
	left    []uint16
	refused []uint16 // of left, with all groups and schemes on offer
	borne   int      // suites of the largest hello that was accepted
	aim     aim
	parked  aim // left out of the aim until more is known
	rounds  int
	curve   uint16 // of the server's own key; 0 if it has none
	// rsaOnly: suites with an elliptic-curve key are left out where groups are
	// looked for, because their curve must be on offer and hides the others.
	rsaOnly bool

	taken           []uint16 // suites that were chosen
	named, signed   []uint16 // of these, those with which the server showed a group, or a scheme
	groups, schemes []uint16 // that it showed
	denied          []offer  // refused while groups or schemes were left out
	answered        bool     // since the last of them
	order           order
	picked          bool // a suite that was chosen before was chosen though others were on offer
	probing         bool // this offer has none of those
	alone           bool // only those are offered: the others were refused

	varying bool // there are variations to make
	varied  int  // variations made
	plain   bool // this round has none, because the last was refused
}

func (r *run) newEnumeration(first *evidence.TLSFacts) *enumeration {
	r.enumerated = append(r.enumerated, first.Version)
	e := &enumeration{r: r, version: first.Version, offered: first.Version, curve: r.keyCurve()}
	ssl3 := first.Version == tlswire.VersionSSL3 // no extension to name a curve in
	for _, s := range r.tables.all {
		switch {
		case ssl3 && strings.Contains(s.KeyExchange, "ECDH"):
		case r.few && first.Version < tlswire.VersionTLS12 && !legacy(s.Name): // each portion is a connection
		default:
			e.left = append(e.left, s.ID)
		}
	}
	e.learn(first)
	for _, o := range r.out { // what was chosen before, on the way
		if f := o.Facts.TLS; f.Version == e.version {
			e.learn(f)
		}
	}
	e.borne = len(first.OfferedSuites)
	e.aim.suites = true
	e.focus()
	return e
}

// signs reports whether signature schemes are negotiated in the version.
func (e *enumeration) signs() bool { return e.version == tlswire.VersionTLS12 }

func (e *enumeration) run(ctx context.Context) error {
	for e.rounds < maxEnumerate(e.version) {
		o := e.next()
		e.r.order = e.order
		if len(o.suites) == 0 {
			if !e.exhaust() {
				return nil
			}
			continue
		}
		e.rounds++
		f, a, err := e.r.ask(ctx, o)
		if err != nil || e.r.silent {
			return err
		}
		o.suites = f.OfferedSuites // those that fit
		accepted := f.Version == e.version && slices.Contains(o.suites, f.CipherSuite)
		if accepted {
			e.borne = max(e.borne, len(o.suites))
		}
		switch {
		case accepted && e.take(o, f):
		case a.hello == nil && len(o.suites) > max(e.borne, fewSuites) && !ordinaryRefusal(a):
			e.r.most = fewSuites // the size may be what it does not bear
			if len(o.suites) > maxSuites {
				e.r.most = maxSuites
			}
		case !accepted && e.varies(o) && !ordinaryRefusal(a):
			e.plain = true // the variation may be what was refused
		case !e.deny(o, f, accepted):
			return nil
		}
	}
	return nil
}

// ordinaryRefusal reports whether a server refused because it shares no suite,
// by handshake_failure, protocol_version or insufficient_security (RFC 5246
// section 7.2.2).
func ordinaryRefusal(a *answer) bool {
	return a.alert != nil && slices.Contains([]uint8{40, 70, 71}, *a.alert)
}

// next is the next offer. It has no suites if there is nothing to ask.
func (e *enumeration) next() offer {
	fresh, known := e.candidates()
	o := e.r.offer(evidence.OfferSuites, e.offered, known)
	o.groups, o.schemes, o.limit = e.offeredGroups(), e.offeredSchemes(), manyBytes
	if e.r.few {
		o.limit = smallBytes
		o.schemes = o.schemes[:min(len(o.schemes), len(fewSchemes()))]
		if !slices.ContainsFunc(slices.Concat(fresh, known), isCurve) {
			o.groups = nil
		}
	}
	e.vary(&o)
	fresh = fresh[:min(len(fresh), e.r.size()-len(known), o.room())]
	o.suites = slices.Concat(fresh, known)
	if e.aim == (aim{suites: true}) {
		// Only now does a refusal say something of the suites.
		o.classes = whole(classesOf(o.suites), e.left, o.suites)
		if e.rounds%2 == 1 && (len(e.denied) == 0 || e.answered) {
			slices.Reverse(o.suites)
		}
	}
	return o
}

// offeredGroups are those not yet shown, if groups are looked for, else all.
func (e *enumeration) offeredGroups() []uint16 {
	switch {
	case e.aim.groups:
		out := slices.Clone(e.r.groups.left)
		if !e.rsaOnly && e.curve != 0 && !slices.Contains(out, e.curve) {
			// The curve of the certificate must stay on offer, or the server may not
			// use it (RFC 8422 section 5.1).
			out = append(out, e.curve)
		}
		return out
	case e.r.few && len(e.groups) > 0:
		return slices.Clone(e.groups)
	case e.r.few:
		return groups()
	}
	return allGroups()
}

// offeredSchemes are those not yet shown, if schemes are looked for, and all of
// the kinds of key of which none is left.
func (e *enumeration) offeredSchemes() []uint16 {
	all := allSchemes()
	if e.r.few {
		all = fewSchemes()
	}
	if !e.aim.schemes {
		return all
	}
	return slices.DeleteFunc(all, func(v uint16) bool {
		return slices.Contains(e.schemes, v) && e.open(kindOfScheme(v)) || !slices.Contains(e.r.schemes.left, v) && e.open(kindOfScheme(v))
	})
}

// open reports whether the server may sign with schemes that it has not shown, by
// a kind of key that it has shown.
func (e *enumeration) open(kind keyKind) bool {
	return slices.ContainsFunc(e.r.schemes.left, func(v uint16) bool { return kindOfScheme(v) == kind }) &&
		slices.ContainsFunc(e.signed, func(id uint16) bool { return kindOfID(id) == kind })
}

func kindOfID(id uint16) keyKind {
	s, _ := tlswire.Lookup(id)
	return kindOfSuite(s)
}

// candidates are the suites of the next offer: those that were not chosen, and,
// where groups or schemes are looked for, some that were.
func (e *enumeration) candidates() (fresh, known []uint16) {
	narrow := e.aim.groups || e.aim.schemes
	e.probing = false
	if e.aim.suites && !e.alone {
		fresh = slices.DeleteFunc(slices.Clone(e.left), func(id uint16) bool {
			return slices.Contains(e.refused, id) || e.aim.groups && (!isCurve(id) || e.rsaOnly && kindOfID(id) == kindEC)
		})
	}
	if !narrow {
		return fresh, nil
	}
	known = e.witnesses()
	if e.order == unknownOrder {
		e.order = e.r.orderOf(e.version)
	}
	e.probing = e.order == unknownOrder && e.picked && len(fresh) > 0
	if len(fresh) > 0 && (e.probing || e.order == ownOrder) {
		known = nil
	}
	return fresh, known
}

// witnesses are suites of which it is known that the server shows with them what
// is looked for: one for each kind of key.
func (e *enumeration) witnesses() []uint16 {
	var out []uint16
	notEC := e.rsaOnly || slices.ContainsFunc(e.named, func(id uint16) bool { return kindOfID(id) != kindEC })
	for _, id := range e.taken {
		kind := kindOfID(id)
		switch named, signed := slices.Contains(e.named, id), slices.Contains(e.signed, id); {
		case slices.ContainsFunc(out, func(o uint16) bool { return kindOfID(o) == kind }):
		case e.aim.groups && (!named || notEC && kind == kindEC):
		case !e.aim.groups && (!signed || !e.open(kind)):
		case !e.aim.groups && !e.aim.suites && len(out) > 0: // kind by kind
		default:
			out = append(out, id)
		}
	}
	// Those that show a scheme besides come first.
	signed := slices.DeleteFunc(slices.Clone(out), func(id uint16) bool { return !slices.Contains(e.signed, id) })
	return append(signed, slices.DeleteFunc(out, func(id uint16) bool { return slices.Contains(e.signed, id) })...)
}

// usesCurve reports whether the server names a group with the suite.
func usesCurve(s tlswire.Suite) bool {
	return strings.HasPrefix(s.KeyExchange, "ECDHE_") || s.KeyExchange == "ECDH_anon"
}

func isCurve(id uint16) bool {
	s, _ := tlswire.Lookup(id)
	return usesCurve(s)
}

// unknownName is the name of no host (RFC 6761 section 6.4).
const unknownName = "probity.invalid"

// vary varies an offer in what costs nothing to ask on the way: protocols of the
// application and server names.
func (e *enumeration) vary(o *offer) {
	if !e.varying || e.plain {
		e.plain = false
		return
	}
	e.varied++
	switch named := o.serverName != ""; {
	case e.varied == 1:
		o.alpn = []string{"h2", "http/1.1"}
	case e.varied == 2:
		o.alpn = []string{"http/1.1"}
	case e.varied == 3 && named:
		o.serverName = ""
	case e.varied == 3:
		o.serverName = e.r.leafName()
	case e.varied == 4:
		o.serverName = unknownName
	}
}

func (e *enumeration) varies(o offer) bool {
	return o.alpn != nil || o.serverName != e.r.session.Endpoint().Name
}

// learn leaves out what the server chose. It reports whether anything was not
// known before.
func (e *enumeration) learn(f *evidence.TLSFacts) bool {
	news := slices.Contains(e.left, f.CipherSuite)
	e.left = drop(e.left, f.CipherSuite)
	if news {
		e.taken = append(e.taken, f.CipherSuite)
	}
	if isCurve(f.CipherSuite) && f.Group != 0 {
		e.named, e.groups = with(e.named, f.CipherSuite), with(e.groups, f.Group)
		news = e.r.groups.found(f.Group) || news
	}
	if f.SignatureScheme != 0 {
		e.signed, e.schemes = with(e.signed, f.CipherSuite), with(e.schemes, f.SignatureScheme)
		news = e.r.schemes.found(f.SignatureScheme) || news
	}
	return news
}

// with adds a value to a list that does not have it.
func with(list []uint16, v uint16) []uint16 {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// take learns from an answer. It reports false if the answer is no progress,
// which is like a refusal.
func (e *enumeration) take(o offer, f *evidence.TLSFacts) bool {
	fresh := slices.Contains(e.left, f.CipherSuite)
	newGroup := slices.Contains(e.r.groups.left, f.Group)
	if !e.learn(f) {
		return false
	}
	if e.curve == 0 {
		e.curve = e.r.keyCurve()
	}
	if e.aim.groups && !newGroup && f.Group != 0 { // the curve of the certificate, again
		e.rsaOnly = true
	}
	e.picked = !fresh && slices.ContainsFunc(o.suites, func(id uint16) bool { return slices.Contains(e.left, id) })
	if e.probing {
		e.order = ownOrder
	}
	switch {
	case !e.failed(f):
		e.after(f)
	case !e.conclude(o, []uint16{f.CipherSuite}) && e.aim.groups && e.aim.schemes:
		e.parked.schemes = true // more likely those than the groups, without one of which it does not choose such a suite
	}
	if e.deduce() {
		e.parked = aim{}
	}
	e.focus()
	return true
}

// isSigned reports whether the server signs its key exchange with the suite.
func isSigned(s tlswire.Suite) bool {
	return (strings.HasPrefix(s.KeyExchange, "ECDHE_") || strings.HasPrefix(s.KeyExchange, "DHE_")) && !preshared(s)
}

func drop(list []uint16, v uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), func(w uint16) bool { return w == v })
}

// keyCurve returns the curve of the elliptic-curve key that the server showed,
// or 0. The certificates need not be well formed otherwise.
func (r *run) keyCurve() uint16 {
	// id-ecPublicKey, which the curve follows (RFC 5480 section 2.1.1).
	key := []byte{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}
	curves := map[uint16]string{
		groupP256: "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
		groupP384: "\x06\x05\x2b\x81\x04\x00\x22",
		groupP521: "\x06\x05\x2b\x81\x04\x00\x23",
		22:        "\x06\x05\x2b\x81\x04\x00\x0a",                 // secp256k1
		26:        "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07", // brainpoolP256r1
		27:        "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0b",
		28:        "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0d",
	}
	for _, o := range r.out {
		if len(o.Certs) == 0 {
			continue
		}
		_, after, ok := bytes.Cut(o.Certs[0].DER, key)
		for id, oid := range curves {
			if ok && bytes.HasPrefix(after, []byte(oid)) {
				return id
			}
		}
	}
	return 0
}
