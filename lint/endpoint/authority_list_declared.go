package endpoint

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// maxNamed bounds the authorities that a detail names.
const maxNamed = 4

// authorityListDeclared asks that the authorities from which a server takes
// client certificates are those that the site has declared.
func authorityListDeclared() lint.Check {
	return lint.Check{
		Name:   "endpoint/authority_list_declared",
		Source: "RFC 8446 section 4.2.4; RFC 5246 section 7.4.4; NIST SP 800-52r2 section 3.5",
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			names, asked, known := authorities(s)
			switch {
			case !asked && known:
				return lint.NotApplicablef("The server asks for no client certificate.")
			case !asked:
				return lint.NotApplicablef("No request for a client certificate was seen.")
			case len(env.Policy.Anchors)+len(env.Policy.Issuers) == 0:
				return lint.Inconclusivef("The site has declared no anchors to compare with.")
			case len(names) == 0:
				return lint.Warnf("The server does not say which authorities it takes client certificates from.")
			}
			unknown := slices.DeleteFunc(names, func(name []byte) bool { return declared(env, name) })
			if len(unknown) == 0 {
				return lint.Passf("The server takes client certificates from declared authorities only.")
			}
			var texts []string
			for _, name := range unknown[:min(len(unknown), maxNamed)] {
				texts = append(texts, safetext.CleanN(lint.NameText(name), 100))
			}
			if more := len(unknown) - len(texts); more > 0 {
				texts = append(texts, fmt.Sprintf("and %d more", more))
			}
			return lint.Warnf("The server takes client certificates from authorities that are not declared: %s.", strings.Join(texts, "; "))
		},
	}
}

// authorities returns the names of all certificate requests, each once; asked
// says whether there was a request, known whether a server was seen not to ask.
func authorities(s *lint.EndpointSubject) (names [][]byte, asked, known bool) {
	add := func(more [][]byte) {
		for _, name := range more {
			if !slices.ContainsFunc(names, func(n []byte) bool { return bytes.Equal(n, name) }) {
				names = append(names, name)
			}
		}
	}
	for _, h := range hellos(s) {
		switch h.ClientAuth {
		case evidence.ClientAuthRequested, evidence.ClientAuthRequired:
			asked = true
			add(h.Authorities)
		case evidence.ClientAuthNotAsked:
			known = true
		case evidence.ClientAuthUnknown:
		}
	}
	for _, o := range s.Of(evidence.KindMTLS) {
		if f := o.Facts.MTLS; f != nil && f.Requested {
			asked = true
			add(f.Authorities)
		}
	}
	return names, asked, known
}

// declared reports whether the site has declared an authority, as an anchor or
// as an issuer.
func declared(env *lint.Env, name []byte) bool {
	if slices.ContainsFunc(env.Anchors(), func(a *lint.Certificate) bool { return bytes.Equal(a.RawSubject(), name) }) {
		return true
	}
	text := lint.NameText(name)
	return slices.ContainsFunc(slices.Concat(env.Policy.Issuers, env.Policy.ManufacturerIssuers), func(n string) bool { return lint.SameName(n, text) })
}
