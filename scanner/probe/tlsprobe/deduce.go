package tlsprobe

import (
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// order is whose preference decides between suites that both sides have.
type order int

const (
	unknownOrder order = iota
	clientOrder
	ownOrder // of the server
)

// orderOf tells whose order decides, from what the server chose in a version.
// Suites are compared that need the same of the rest of a hello.
func (r *run) orderOf(version uint16) order {
	var answers []*evidence.TLSFacts
	for _, o := range r.out {
		if f := o.Facts.TLS; f.Version == version && f.Offer != evidence.OfferResume {
			answers = append(answers, f)
		}
	}
	before := func(f *evidence.TLSFacts, x, y uint16) bool {
		i, j := slices.Index(f.OfferedSuites, x), slices.Index(f.OfferedSuites, y)
		return i >= 0 && j >= 0 && i < j
	}
	client := false
	for _, f := range answers {
		x := f.CipherSuite
		for _, g := range answers {
			y := g.CipherSuite
			switch alike := isCurve(x) == isCurve(y) && kindOfID(x) == kindOfID(y); {
			case alike && before(f, y, x):
				return ownOrder
			case alike && before(f, x, y) && before(g, y, x):
				client = true
			}
		}
		if last := len(f.OfferedSuites) - 1; f.Offer == evidence.OfferSession && f.OfferedSuites[last] == x {
			return ownOrder // or it is the only one of the common suites
		}
	}
	if client {
		return clientOrder
	}
	return unknownOrder
}

// focus aims at what is still to be found, but for what is parked.
func (e *enumeration) focus() {
	before := e.aim
	e.aim.groups = !e.parked.groups && e.lacksGroups()
	e.aim.schemes = !e.parked.schemes && e.lacksSchemes()
	if e.aim != before {
		e.alone, e.picked = false, false
	}
}

// lacksGroups reports whether there may be groups that the server has not shown.
// They are looked for once it has shown one in the version: until then a refusal
// would not tell whether it has any.
func (e *enumeration) lacksGroups() bool {
	return !e.r.groups.done && len(e.r.groups.left) > 0 && slices.ContainsFunc(e.named, func(id uint16) bool { return !e.rsaOnly || kindOfID(id) != kindEC })
}

func (e *enumeration) lacksSchemes() bool {
	return e.signs() && !e.r.schemes.done && (e.open(kindRSA) || e.open(kindEC) || e.open(kindDSA))
}

// deny goes on after a refusal of o, or after an answer that is no news. It
// reports false if all is found.
func (e *enumeration) deny(o offer, f *evidence.TLSFacts, accepted bool) bool {
	switch {
	case e.probing && !accepted: // the others are exhausted for now, so the server had followed the client
		e.order, e.alone, e.probing = clientOrder, true, false
		return true
	case accepted && e.aim.groups && f.Group != 0 && f.Group == e.curve && !e.rsaOnly: // the curve of the certificate, again
		e.rsaOnly = true
		if !e.lacksGroups() { // and it has no other key
			e.r.groups.done = true
		}
	case accepted && e.aim.groups && f.Group != 0 && !slices.Contains(o.groups, f.Group): // it minds no list
		e.r.groups.done = true
	case accepted && e.failed(f) && e.conclude(o, []uint16{f.CipherSuite}), !accepted && e.conclude(o, o.suites):
		e.parked = aim{} // now it is known what was refused
	default:
		return e.widen(o)
	}
	e.focus()
	return e.aim != aim{} || e.rest()
}

// failed reports whether the server chose a suite and then failed to sign.
func (e *enumeration) failed(f *evidence.TLSFacts) bool {
	s, _ := tlswire.Lookup(f.CipherSuite)
	return e.signs() && isSigned(s) && f.SignatureScheme == 0 && f.Alert != nil
}

// conclude keeps an offer with which suites were refused, if it left groups or
// schemes out. It reports whether one of them is known to be exhausted now.
func (e *enumeration) conclude(o offer, suites []uint16) bool {
	if !e.aim.groups && !e.aim.schemes {
		return false
	}
	o.suites = suites
	e.denied, e.answered = append(e.denied, o), false
	return e.deduce()
}

// widen offers whole again what may have been missing from o.
func (e *enumeration) widen(o offer) bool {
	switch a := e.aim; {
	case a.groups && (a.suites || a.schemes):
		e.parked.groups = true
	case a.schemes && a.suites:
		e.parked.schemes = true
	case a.suites:
		if e.refused = append(e.refused, o.suites...); len(o.suites) > 0 && len(e.refused) < len(e.left) {
			return true
		}
		return e.rest()
	case a.groups:
		e.r.groups.done = true
	case a.schemes && len(o.suites) > 0:
		e.close(kindOfID(o.suites[0]), allSchemes())
	case a.schemes:
		e.r.schemes.done = true
	}
	e.focus()
	return e.aim != aim{} || e.rest()
}

// exhaust goes on if there was nothing to offer.
func (e *enumeration) exhaust() bool { return e.widen(offer{}) }

// rest aims at what is still to be found when all suites are. It reports false
// if nothing is.
func (e *enumeration) rest() bool {
	e.parked, e.aim.suites = aim{}, false
	e.focus()
	e.r.schemes.done = e.r.schemes.done || len(e.signed) > 0 && !e.lacksSchemes()
	return e.aim != aim{}
}

// deduce concludes from what was refused while groups or schemes were left out,
// with what is known by now. A server takes a suite if it has a group, and a
// signature scheme for the key, from those on offer (RFC 5246 section 7.4.1.4.1,
// RFC 8422 section 5.1). If suites that it takes were refused, and only one of
// these is not known to have been there, that was not. Some servers choose the
// suite first and then refuse, so that one suite for which all was there proves
// nothing. It reports whether anything is concluded.
func (e *enumeration) deduce() bool {
	before := len(e.r.groups.left) + len(e.r.schemes.left)
	for _, o := range e.denied {
		group, kinds := false, map[keyKind]bool{} // what may have been missing
		for _, id := range o.suites {
			if !slices.Contains(e.taken, id) {
				continue
			}
			s, _ := tlswire.Lookup(id)
			kind := kindOfSuite(s)
			own := kind == kindEC && e.curve != 0 && slices.Contains(o.groups, e.curve)
			group = group || usesCurve(s) && !own && !slices.ContainsFunc(e.groups, func(g uint16) bool { return slices.Contains(o.groups, g) })
			if e.signs() && isSigned(s) && !slices.ContainsFunc(e.schemes, func(v uint16) bool { return kindOfScheme(v) == kind && slices.Contains(o.schemes, v) }) {
				kinds[kind] = true
			}
		}
		switch {
		case group && len(kinds) == 0:
			e.r.groups.without(o.groups)
		case !group && len(kinds) == 1:
			for kind := range kinds {
				e.close(kind, o.schemes)
			}
		}
	}
	return len(e.r.groups.left)+len(e.r.schemes.left) < before
}

// after concludes from the answer that follows a refusal, to an offer that leaves
// less out: the server would have chosen the same suite before, so that it was the
// one that lacked something.
func (e *enumeration) after(f *evidence.TLSFacts) {
	if n := len(e.denied); n > 0 && !e.answered && slices.Contains(e.denied[n-1].suites, f.CipherSuite) {
		e.denied = append(e.denied, e.denied[n-1])
		e.denied[n].suites = []uint16{f.CipherSuite}
	}
	e.answered = true
}

// close leaves out schemes of a kind of key.
func (e *enumeration) close(kind keyKind, schemes []uint16) {
	e.r.schemes.without(slices.DeleteFunc(slices.Clone(schemes), func(v uint16) bool { return kindOfScheme(v) != kind }))
}
