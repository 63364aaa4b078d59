package status

import (
	"bytes"
	"errors"
	"strings"

	"probity/internal/safetext"
	"probity/lint"
)

// listCurrent asks that a revocation list is signed by an authority that may, and
// that it is the current one.
func listCurrent() lint.Check {
	return lint.Check{
		Name:   "status/list_current",
		Source: "RFC 5280 sections 5.1, 5.2 and 4.2.1.3",
		List: func(env *lint.Env, s *lint.ListSubject) lint.Verdict {
			if s.List == nil {
				return lint.Inconclusivef("The revocation list cannot be decoded: %v.", s.ParseError)
			}
			issuer := safetext.Clean(lint.NameText(s.List.Issuer))
			signer, err := signerOf(env, s.RevocationList)
			switch {
			case errors.Is(err, errUnknownIssuer), errors.Is(err, lint.ErrUnverifiable):
				return lint.Inconclusivef("The list of %q cannot be verified: %s.", issuer, firstLine(err))
			case err != nil:
				return lint.Failf("The list names %q as its issuer, and %v.", issuer, err)
			case !signsLists(signer):
				return lint.Failf("The list is signed by %q, whose key usage does not let it sign revocation lists.", signer.Subject())
			}
			if newer := newerThan(env, s.RevocationList); newer != nil {
				return lint.NotApplicablef("A newer list of %q, of %s, is in %s.", issuer, lint.Time(newer.List.ThisUpdate), placeOf(newer.Places))
			}
			return times(env, s.RevocationList, issuer)
		},
	}
}

// firstLine is the text of an error without the one that was joined to it.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

func times(env *lint.Env, l *lint.RevocationList, issuer string) lint.Verdict {
	this, next := l.List.ThisUpdate, l.List.NextUpdate
	switch {
	case len(l.List.Unknown) > 0:
		return lint.Warnf("The list of %q has the critical extension %s, which is not known here, so that it tells no status.", issuer, l.List.Unknown[0])
	case this.After(env.At.Add(skew)):
		return lint.Warnf("The list of %q is of the future, %s.", issuer, lint.Time(this))
	case next.IsZero():
		return lint.Warnf("The list of %q, of %s, does not say when the next one comes.", issuer, lint.Time(this))
	case env.At.After(next.Add(skew)):
		return lint.Warnf("The list of %q held until %s; the one of %s is missing.", issuer, lint.Time(next), lint.Time(next))
	}
	kind := "list"
	if l.List.Base != nil {
		kind = "delta list"
	}
	return lint.Passf("The %s of %q is signed by it, holds until %s, and revokes %s.", kind, issuer, lint.Time(next), lint.Count(len(l.List.Entries), "certificate"))
}

// newerThan returns a list that replaces l: of the same issuer, key, scope and kind,
// issued later but not after the instant of judgement, and properly signed.
func newerThan(env *lint.Env, l *lint.RevocationList) *lint.RevocationList {
	var newest *lint.RevocationList
	for _, o := range env.Corpus.ListsOf(l.List.Issuer) {
		if !o.List.ThisUpdate.After(l.List.ThisUpdate) || o.List.ThisUpdate.After(env.At.Add(skew)) ||
			!o.List.Scope.Same(l.List.Scope) || (o.List.Base == nil) != (l.List.Base == nil) || !bytes.Equal(o.List.Authority, l.List.Authority) {
			continue
		}
		if _, err := signerOf(env, o); err == nil && (newest == nil || o.List.ThisUpdate.After(newest.List.ThisUpdate)) {
			newest = o
		}
	}
	return newest
}
