package status

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/wire/crlwire"
	"probity/lint"
)

// signerOf looks for a certificate whose key signed a list. The error says why there
// is none: [errUnknownIssuer], or that the signature is wrong or cannot be checked.
func signerOf(env *lint.Env, l *lint.RevocationList) (*lint.Certificate, error) {
	var wrong, unverifiable error
	for _, c := range env.Named(l.List.Issuer) {
		if id := l.List.Authority; len(id) > 0 && len(c.X509().SubjectKeyId) > 0 && !bytes.Equal(id, c.X509().SubjectKeyId) {
			continue // another key of the same name
		}
		switch err := env.Corpus.Verify(l.Signed(), c); {
		case err == nil:
			return c, nil
		case errors.Is(err, lint.ErrUnverifiable):
			unverifiable = fmt.Errorf("the signature of the list cannot be verified with the key of %q", c.Subject())
		default:
			wrong = fmt.Errorf("the signature of the list does not verify with the key of %q", c.Subject())
		}
	}
	switch {
	case unverifiable != nil:
		return nil, errors.Join(unverifiable, lint.ErrUnverifiable)
	case wrong != nil:
		return nil, wrong
	}
	return nil, errUnknownIssuer
}

var errUnknownIssuer = errors.New("the certificate of its issuer is not at hand")

// signsLists reports whether the key usage of a certificate lets it sign revocation
// lists (RFC 5280 section 4.2.1.3).
func signsLists(c *lint.Certificate) bool {
	return c.X509().KeyUsage == 0 || c.X509().KeyUsage&x509.KeyUsageCRLSign != 0
}

// issuersOf are the certificates whose key signed c.
func issuersOf(env *lint.Env, c *lint.Certificate) []*lint.Certificate {
	return slices.DeleteFunc(env.Named(c.RawIssuer()), func(i *lint.Certificate) bool {
		return env.Corpus.SignedBy(c, i) != nil
	})
}

// authorised says why a list that signer signed must not speak for c, which issuers
// certified, or nil (RFC 5280 section 6.3.3 (f)): the signer is the issuer, or both
// are certified by one authority, or the signer has a path to an anchor.
func authorised(env *lint.Env, signer, c *lint.Certificate, issuers []*lint.Certificate) error {
	if !signsLists(signer) {
		return fmt.Errorf("the key usage of %q does not let it sign revocation lists", signer.Subject())
	}
	if env.At.After(signer.NotAfter().Add(skew)) || env.At.Before(signer.NotBefore().Add(-skew)) {
		return fmt.Errorf("the certificate of %q, which signed the list, is not valid at this time", signer.Subject())
	}
	for _, i := range issuers {
		if i.Key != nil && signer.Key != nil && i.Key.SPKI == signer.Key.SPKI {
			return nil
		}
		if env.Corpus.SignedBy(signer, i) == nil {
			return nil
		}
		for _, above := range issuersOf(env, i) {
			if lint.SameDN(signer.RawSubject(), c.RawIssuer()) && env.Corpus.SignedBy(signer, above) == nil {
				return nil // another certificate of the issuer, by the same authority
			}
		}
	}
	if anchors := env.Anchors(); len(anchors) > 0 && env.Path(signer, nil, anchors).Certs != nil {
		return nil
	}
	return fmt.Errorf("nothing shows that %q may sign revocation lists for %q", signer.Subject(), c.Issuer())
}

// usable is a list that speaks of a certificate.
type usable struct {
	*lint.RevocationList
	reasons uint16
	entries []crlwire.Entry // of the certificate
}

// listsFor returns the lists that speak of c, the oldest first, and why others that
// might do not.
func listsFor(env *lint.Env, c *lint.Certificate, issuers []*lint.Certificate) (out []usable, why []string) {
	all := points(c)
	candidates := slices.Clone(env.Corpus.ListsOf(c.RawIssuer()))
	for _, p := range all {
		for _, name := range p.issuers {
			if !lint.SameDN(name, c.RawIssuer()) {
				candidates = append(candidates, env.Corpus.ListsOf(name)...)
			}
		}
	}
	for _, l := range candidates {
		place := placeOf(l.Places)
		reasons := covers(l.List, c, all)
		signer, err := signerOf(env, l)
		switch {
		case reasons == 0:
			err = errors.New("its scope does not hold the certificate")
		case len(l.List.Unknown) > 0:
			err = fmt.Errorf("it has the critical extension %s, which is not known here", l.List.Unknown[0])
		case err == nil:
			err = authorised(env, signer, c, issuers)
		}
		if err != nil {
			why = append(why, fmt.Sprintf("the list in %s does not count: %v", place, err))
			continue
		}
		u := usable{RevocationList: l, reasons: reasons}
		for _, e := range l.Entries(serialOf(c)) {
			by := e.Issuer
			if by == nil {
				by = l.List.Issuer
			}
			if lint.SameDN(by, c.RawIssuer()) {
				u.entries = append(u.entries, e)
			}
		}
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b usable) int {
		return cmp.Or(a.List.ThisUpdate.Compare(b.List.ThisUpdate), bytes.Compare(a.Digest[:], b.Digest[:]))
	})
	return slices.CompactFunc(out, func(a, b usable) bool { return a.Digest == b.Digest }), why
}

// current reports whether a list speaks at an instant. One that does not say when
// the next one comes does not.
func current(l *crlwire.List, at time.Time) bool { return within(at, l.ThisUpdate, l.NextUpdate) }

// coverage are the reasons of which current lists tell, the newest of each scope. A
// delta list prolongs a complete one that it is made for (RFC 5280 section 5.2.4).
func coverage(lists []usable, at time.Time) (reasons uint16, by []usable) {
	for _, l := range lists {
		if l.List.Base == nil && (current(l.List, at) || prolonged(lists, l, at)) {
			reasons |= l.reasons
			by = append(by, l)
		}
	}
	return reasons, by
}

// prolonged reports whether a current delta list completes base.
func prolonged(lists []usable, base usable, at time.Time) bool {
	return slices.ContainsFunc(lists, func(d usable) bool {
		return completes(d.List, base.List) && current(d.List, at) && !base.List.ThisUpdate.After(at.Add(skew))
	})
}

// completes reports whether a delta list can be combined with a complete one (RFC
// 5280 section 5.2.4 and 6.3.3 (c)).
func completes(delta, base *crlwire.List) bool {
	return delta.Base != nil && base.Base == nil && base.Number != nil && delta.Number != nil &&
		bytes.Equal(delta.Issuer, base.Issuer) && delta.Scope.Same(base.Scope) && bytes.Equal(delta.Authority, base.Authority) &&
		base.Number.Cmp(delta.Base) >= 0 && base.Number.Cmp(delta.Number) < 0
}

// placeOf names where something was first read.
func placeOf(places []*evidence.Observation) string {
	if len(places) == 0 {
		return "an unknown place"
	}
	if e := places[0].Endpoint; e.Transport != evidence.File {
		return "a handshake of " + e.String()
	}
	return fmt.Sprintf("%q", places[0].Endpoint.Name)
}

func idsOf(places []*evidence.Observation) []int64 {
	var out []int64
	for _, o := range places {
		out = append(out, o.ID)
	}
	return out
}
