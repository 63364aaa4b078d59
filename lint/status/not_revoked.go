package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"probity/internal/wire/crlwire"
	"probity/lint"
)

// notRevoked asks that neither a revocation list nor an OCSP response revokes a
// certificate, and that one that is current says so.
func notRevoked() lint.Check {
	return lint.Check{
		Name:   "status/not_revoked",
		Source: "RFC 5280 section 6.3; RFC 6960 sections 3.2 and 4.2.2.2",
		Params: []lint.Param{{Name: "max_age_h", Doc: "hours for which an OCSP response without nextUpdate counts", Default: 168}},
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if v, exempt := exempted(env, s.Certificate); exempt {
				return v
			}
			if len(env.Corpus.RevocationLists()) == 0 && len(env.Corpus.Responses()) == 0 {
				return lint.Inconclusivef("No revocation list and no OCSP response is at hand.")
			}
			return statusOf(env, s.Certificate)
		}),
	}
}

// exempted judges what no list and no response speaks of.
func exempted(env *lint.Env, c *lint.Certificate) (lint.Verdict, bool) {
	switch {
	case env.IsAnchor(c):
		return lint.NotApplicablef("The certificate is a trust anchor, which its owner removes and nobody revokes."), true
	case c.SelfSigned():
		return lint.NotApplicablef("The certificate is self-signed: no authority can revoke it."), true
	}
	if _, _, ok := c.Extension(oidNoRevocation); ok {
		return lint.NotApplicablef("The certificate says that its authority never publishes its status (RFC 9608)."), true
	}
	return lint.Verdict{}, false
}

// finding is what all that counts says of one certificate.
type finding struct {
	revoked bool
	since   time.Time
	reason  string
	by      string
	hold    bool
	good    string   // why it is known to be good; empty: it is not
	why     []string // it is not
	ids     []int64
}

func statusOf(env *lint.Env, c *lint.Certificate) lint.Verdict {
	f := lookUp(env, c)
	var v lint.Verdict
	switch {
	case f.revoked:
		v = lint.Failf("The certificate is revoked since %s (%s), by %s.", lint.Time(f.since), f.reason, f.by)
	case f.hold:
		v = lint.Warnf("The certificate is on hold since %s, by %s.", lint.Time(f.since), f.by)
	case f.good != "":
		v = lint.Passf("The certificate is not revoked: %s.", f.good)
	default:
		v = lint.Inconclusivef("The status of the certificate is not known: %s.", strings.Join(f.why, "; "))
	}
	v.Observations = f.ids
	return v
}

// lookUp gathers what lists and responses say of c at the instant of judgement.
func lookUp(env *lint.Env, c *lint.Certificate) finding {
	var f finding
	issuers := issuersOf(env, c)
	if len(issuers) == 0 {
		f.why = []string{fmt.Sprintf("the certificate of its issuer %q is not at hand, so that nobody's word on it can be verified", c.Issuer())}
		return f
	}
	f.lists(env, c, issuers)
	f.responses(env, c, issuers)
	if len(f.why) == 0 {
		f.why = []string{"no list and no response at hand speaks of it"}
	}
	const most = 5
	f.why = f.why[:min(len(f.why), most)]
	return f
}

// revoke notes a revocation; the earliest counts.
func (f *finding) revoke(at time.Time, reason, by string, ids []int64) {
	if f.revoked && !at.Before(f.since) {
		return
	}
	f.revoked, f.since, f.reason, f.by, f.ids = true, at, reason, by, ids
}

func (f *finding) lists(env *lint.Env, c *lint.Certificate, issuers []*lint.Certificate) {
	lists, why := listsFor(env, c, issuers)
	f.why = append(f.why, why...)
	held := false
	var since time.Time
	var by usable
	for _, l := range lists { // the oldest first: the last word on a hold counts
		if l.List.ThisUpdate.After(env.At.Add(skew)) && len(l.entries) == 0 {
			continue
		}
		if len(l.entries) == 0 && l.List.Base == nil && l.reasons&(1<<crlwire.CertificateHold) != 0 {
			held = false
		}
		for _, e := range l.entries {
			switch {
			case e.Revoked.After(env.At.Add(skew)):
			case e.Reason == crlwire.RemoveFromCRL:
				held = false
			case e.Reason == crlwire.CertificateHold:
				if !held {
					held, since, by = true, e.Revoked, l
				}
			default:
				f.revoke(e.Revoked, e.Reason.String(), "the list in "+placeOf(l.Places), idsOf(l.Places))
			}
		}
	}
	if f.revoked {
		return
	}
	if held {
		f.hold, f.since, f.by, f.ids = true, since, "the list in "+placeOf(by.Places), idsOf(by.Places)
		return
	}
	reasons, current := coverage(lists, env.At)
	if reasons == allReasons {
		newest := current[len(current)-1]
		f.good = fmt.Sprintf("it is not on the list in %s of %s", placeOf(newest.Places), lint.Time(newest.List.ThisUpdate))
		if i := slices.IndexFunc(newest.entries, func(e crlwire.Entry) bool { return e.Revoked.After(env.At) }); i >= 0 {
			f.good = fmt.Sprintf("the list in %s revokes it from %s on", placeOf(newest.Places), lint.Time(newest.entries[i].Revoked))
		}
		for _, l := range current {
			f.ids = append(f.ids, idsOf(l.Places)...)
		}
		return
	}
	f.why = append(f.why, notCovered(lists, reasons, env.At)...)
}

// notCovered says why the lists that speak of a certificate do not tell that it is
// good.
func notCovered(lists []usable, reasons uint16, at time.Time) []string {
	complete := slices.DeleteFunc(slices.Clone(lists), func(l usable) bool { return l.List.Base != nil })
	if len(lists) == 0 {
		return nil
	}
	if len(complete) == 0 {
		return []string{"there is a delta list only, and not the complete one that it belongs to"}
	}
	if reasons != 0 {
		return []string{"the lists that are current do not tell of all reasons"}
	}
	newest := complete[len(complete)-1]
	place := placeOf(newest.Places)
	switch {
	case newest.List.ThisUpdate.After(at.Add(skew)):
		return []string{fmt.Sprintf("the list in %s is of a later time, %s", place, lint.Time(newest.List.ThisUpdate))}
	case newest.List.NextUpdate.IsZero():
		return []string{fmt.Sprintf("the list in %s of %s does not say until when it holds", place, lint.Time(newest.List.ThisUpdate))}
	}
	return []string{fmt.Sprintf("the newest list, in %s, held until %s", place, lint.Time(newest.List.NextUpdate))}
}

func (f *finding) responses(env *lint.Env, c *lint.Certificate, issuers []*lint.Certificate) {
	answers, why := answersOn(env, env.Corpus.ResponsesOn(serialOf(c)), c, issuers)
	f.why = append(f.why, why...)
	oldest := time.Duration(env.Int("max_age_h")) * time.Hour
	for i, a := range answers {
		by := "the OCSP response in " + placeOf(a.response.Places)
		ids := idsOf(a.response.Places)
		last := i == len(answers)-1
		switch {
		case a.ThisUpdate.After(env.At.Add(skew)) && (a.Status != "revoked" || a.Revoked.After(env.At.Add(skew))):
			f.why = append(f.why, by+" is of a later time")
		case a.Status == "revoked" && crlwire.Reason(a.Reason) != crlwire.CertificateHold:
			f.revoke(a.Revoked, reasonText(a.Reason), by, ids)
		case a.Status == "revoked" && last && !f.revoked:
			f.hold, f.since, f.by, f.ids = true, a.Revoked, by, ids
		case a.Status == "unknown":
			f.why = append(f.why, by+" does not know it")
		case a.Status == "good" && !a.current(env.At, oldest):
			f.why = append(f.why, fmt.Sprintf("%s said good at %s, which is too old", by, lint.Time(a.ThisUpdate)))
		case a.Status == "good" && last && !f.revoked && !f.hold:
			f.good = fmt.Sprintf("%s of %s says good", by, lint.Time(a.ThisUpdate))
			f.ids = append(f.ids, ids...)
		}
	}
}

func reasonText(reason int) string {
	if reason < 0 {
		return "no reason given"
	}
	return crlwire.Reason(reason).String()
}
