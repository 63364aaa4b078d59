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
	left []uint16 // not chosen yet
	done bool     // what is left was refused
}

// found leaves a value out. It reports whether it was not known before.
func (q *quarry) found(v uint16) bool {
	known := !slices.Contains(q.left, v)
	q.left = drop(q.left, v)
	q.done = q.done || len(q.left) == 0
	return !known
}

// aim is what an offer looks for: of that, it leaves out what was chosen before.
type aim struct{ suites, groups, schemes bool }

// enumeration finds every suite of one version, and in the same hellos groups
// and signature schemes: all are on offer, and what the server chooses is left
// out of the next hello, until it refuses. If several kinds were left out, a
// refusal does not tell which is exhausted. Then one of them is offered whole
// again: if the server now chooses a suite that was on offer before, that kind is
// exhausted, and if not, it is looked for alone in the end.
//
// In hellos that look for suites alone, the order is turned round from one to
// the next, so that a server which follows the client is told from one with an
// order of its own.
type enumeration struct {
	r       *run
	version uint16 // that the server is to choose
	offered uint16 // the highest on offer
	left    []uint16
	passed  int      // suites at the head of left that were refused
	taken   []uint16 // suites that were chosen
	size    int      // suites in a hello, at most
	borne   int      // suites of the largest hello that was accepted
	aim     aim
	rounds  int
	curve   uint16 // of the server's own key; 0 if it has none
	// rsaOnly: suites with an elliptic-curve key are left out where groups are
	// looked for, because their curve must be on offer and hides the others.
	rsaOnly bool
	// What was refused while groups, or schemes, were left out.
	withoutGroups, withoutSchemes *offer
	curveSince                    bool // a suite that names a group was chosen since withoutGroups

	varying bool // there are variations to make
	varied  int  // variations made
	plain   bool // this round has none, because the last was refused
}

func (r *run) newEnumeration(first *evidence.TLSFacts) *enumeration {
	r.enumerated = append(r.enumerated, first.Version)
	e := &enumeration{r: r, version: first.Version, offered: first.Version, size: len(r.tables.all), curve: r.keyCurve()}
	if r.few {
		e.size = fewSuites
	}
	ssl3 := first.Version == tlswire.VersionSSL3 // no extension to name a curve in
	for _, s := range r.tables.all {
		if !ssl3 || !strings.Contains(s.KeyExchange, "ECDH") {
			e.left = append(e.left, s.ID)
		}
	}
	e.aim = aim{suites: true, groups: !ssl3 && !r.groups.done, schemes: e.signs() && !r.schemes.done}
	e.learn(first)
	for _, o := range r.out { // what was chosen before, on the way
		if f := o.Facts.TLS; f.Version == e.version && f.Offer == evidence.OfferSession {
			e.learn(f)
		}
	}
	e.borne = len(first.OfferedSuites)
	return e
}

// signs reports whether signature schemes are negotiated in the version.
func (e *enumeration) signs() bool { return e.version == tlswire.VersionTLS12 }

func (e *enumeration) run(ctx context.Context) error {
	for e.rounds < maxEnumerate(e.version) {
		o := e.next()
		if len(o.suites) == 0 {
			if !e.widen(nil) {
				return nil
			}
			continue
		}
		e.rounds++
		f, a, err := e.r.ask(ctx, o)
		if err != nil || e.r.silent {
			return err
		}
		accepted := f.Version == e.version && slices.Contains(o.suites, f.CipherSuite)
		if accepted {
			e.borne = max(e.borne, len(o.suites))
		}
		switch {
		case accepted && e.take(f):
		case a.hello == nil && e.size > fewSuites && len(o.suites) > e.borne && !ordinaryRefusal(a):
			e.size = fewSuites // the size may be what it does not bear
		case !accepted && e.varies(o) && !ordinaryRefusal(a):
			e.plain = true // the variation may be what was refused
		case !e.widen(&o):
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
	o := e.r.offer(evidence.OfferSuites, e.offered, e.candidates())
	o.groups, o.schemes, o.limit = allGroups(), allSchemes(), manyBytes
	if e.aim.groups {
		o.groups = slices.Clone(e.r.groups.left)
		if !e.rsaOnly && e.curve != 0 && !slices.Contains(o.groups, e.curve) {
			// The curve of the certificate must stay on offer, or the server may not
			// use it (RFC 8422 section 5.1).
			o.groups = append(o.groups, e.curve)
		}
	}
	if e.aim.schemes {
		o.schemes = e.r.schemes.left
	}
	if !e.aim.groups && (!e.aim.schemes || len(o.schemes) == len(allSchemes())) {
		// Only now does a refusal say something of the suites.
		o.classes = whole(classesOf(o.suites), e.left, o.suites)
	}
	if narrow := e.aim.groups || e.aim.schemes; e.rounds%2 == 1 && (!e.aim.suites || !narrow) { // else the suites that show a group come first
		slices.Reverse(o.suites)
	}
	e.vary(&o)
	return o
}

// candidates are the suites of the next offer: of those that were not chosen,
// or where suites are not looked for, of those that were.
func (e *enumeration) candidates() []uint16 {
	pool := e.taken
	switch {
	case e.aim == aim{suites: true}:
		pool = e.left[e.passed:]
	case e.aim.suites:
		pool = e.left
	}
	var out []uint16
	for _, id := range pool {
		s, _ := tlswire.Lookup(id)
		switch {
		case e.aim.groups && (!usesCurve(s) || e.rsaOnly && kindOfSuite(s) == kindEC):
		case e.aim.schemes && !e.aim.suites && !isSigned(s):
		case len(out) < e.size:
			out = append(out, id)
		}
	}
	return out
}

// usesCurve reports whether the server names a group with the suite.
func usesCurve(s tlswire.Suite) bool {
	return strings.HasPrefix(s.KeyExchange, "ECDHE_") || s.KeyExchange == "ECDH_anon"
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
	s, _ := tlswire.Lookup(f.CipherSuite)
	news := slices.Contains(e.left, f.CipherSuite)
	e.left = drop(e.left, f.CipherSuite)
	if news {
		e.taken = append(e.taken, f.CipherSuite)
	}
	if usesCurve(s) && f.Group != 0 {
		news = e.r.groups.found(f.Group) || news
	}
	if f.SignatureScheme != 0 {
		news = e.r.schemes.found(f.SignatureScheme) || news
	}
	return news
}

// take learns from an answer, and concludes from what was refused before. It
// reports false if the answer is no progress, which is like a refusal.
func (e *enumeration) take(f *evidence.TLSFacts) bool {
	s, _ := tlswire.Lookup(f.CipherSuite)
	newGroup := slices.Contains(e.r.groups.left, f.Group)
	if !e.learn(f) {
		return false
	}
	if e.curve == 0 {
		e.curve = e.r.keyCurve()
	}
	if e.aim.groups && !newGroup { // the curve of the certificate, again
		e.rsaOnly = true
	}
	e.curveSince = e.curveSince || e.withoutGroups != nil && usesCurve(s)
	had := func(o *offer) bool { return o != nil && slices.Contains(o.suites, f.CipherSuite) }
	if o := e.withoutGroups; had(o) && usesCurve(s) && !slices.Contains(o.groups, f.Group) &&
		(f.SignatureScheme == 0 || slices.Contains(o.schemes, f.SignatureScheme)) {
		e.r.groups.done = true // all but the group was on offer
	}
	if o := e.withoutSchemes; had(o) && f.SignatureScheme != 0 && !slices.Contains(o.schemes, f.SignatureScheme) {
		// All but the scheme was: those left for this kind of key are refused.
		kind := kindOfScheme(f.SignatureScheme)
		q := &e.r.schemes
		q.left = slices.DeleteFunc(slices.Clone(q.left), func(v uint16) bool { return kindOfScheme(v) == kind })
		q.done = q.done || len(q.left) == 0
	}
	e.aim.groups = e.aim.groups && !e.r.groups.done
	e.aim.schemes = e.aim.schemes && !e.r.schemes.done
	return e.aim != aim{} || e.rest()
}

// widen goes on after a refusal of o, or if there was nothing to offer. It
// reports false if all is found.
func (e *enumeration) widen(o *offer) bool {
	switch a := &e.aim; {
	case a.groups && (a.suites || a.schemes):
		e.withoutGroups, a.groups = o, false
	case a.schemes && a.suites:
		e.withoutSchemes, a.schemes = o, false
		if o != nil && len(o.schemes) == len(allSchemes()) { // none was left out
			return e.widen(o)
		}
	case a.suites:
		if o != nil {
			e.passed += len(o.suites)
		}
		if e.passed < len(e.left) {
			return true
		}
		return e.rest()
	case a.groups && !e.rsaOnly && e.curve != 0:
		e.rsaOnly = true
	case a.groups:
		e.r.groups.done = true
		return e.rest()
	case a.schemes:
		e.r.schemes.done = true
		return e.rest()
	}
	return true
}

// rest aims at what is still to be found when all suites are. It reports false
// if nothing is.
func (e *enumeration) rest() bool {
	curve, signed, more := false, false, false
	for _, id := range e.taken {
		s, _ := tlswire.Lookup(id)
		curve = curve || usesCurve(s) && (!e.rsaOnly || kindOfSuite(s) != kindEC)
		if e.signs() && isSigned(s) {
			signed = true
			more = more || slices.ContainsFunc(e.r.schemes.left, func(v uint16) bool { return kindOfScheme(v) == kindOfSuite(s) })
		}
	}
	e.r.schemes.done = e.r.schemes.done || signed && !more
	e.aim = aim{groups: curve && !e.r.groups.done, schemes: more && !e.r.schemes.done}
	if e.curveSince { // together they were refused, and not for want of a suite
		e.aim.groups = e.aim.groups && !e.aim.schemes
	}
	return e.aim != aim{}
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
