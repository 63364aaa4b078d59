package endpoint

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// Status codes of RFC 9110 section 15.5.
const (
	statusClientErrors = 400 // the first
	statusUnauthorized = 401
	statusForbidden    = 403
)

// webEncrypted asks that a web interface asks for no password in clear, leads
// from HTTP to HTTPS, and keeps browsers there.
func webEncrypted() lint.Check {
	return lint.Check{
		Name:   "endpoint/web_encrypted",
		Source: "RFC 9325 section 3.2; RFC 6797; RFC 7617 section 4",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			for _, o := range s.Of(evidence.KindHTTP) {
				if f := o.Facts.HTTP; f != nil {
					return webVerdict(f)
				}
			}
			if s.Asked(evidence.KindHTTP) {
				return lint.Inconclusivef("The endpoint gave no HTTP response.")
			}
			return lint.NotApplicablef("No HTTP was seen.")
		},
	}
}

func webVerdict(f *evidence.HTTPFacts) lint.Verdict {
	secure := f.Redirect == evidence.RedirectHTTPS || f.Redirect == evidence.RedirectOtherHTTPS
	switch {
	case !f.TLS && f.LoginForm:
		return lint.Failf("A page with a password field is served in clear.")
	case !f.TLS && slices.Contains(f.Schemes, "basic"):
		return lint.Failf("The server asks for a password in clear (HTTP Basic).")
	case !f.TLS && secure:
		return lint.Passf("The server leads from HTTP to HTTPS.")
	case !f.TLS:
		return lint.Warnf("The server answers in clear with status %d and does not lead to HTTPS.", f.Status)
	case f.Redirect == evidence.RedirectHTTP || f.Redirect == evidence.RedirectOtherHTTP:
		return lint.Warnf("The server leads from HTTPS to HTTP.")
	case f.HSTS:
		return lint.Passf("The server sets HSTS for %d seconds.", f.HSTSAge)
	case f.Status >= statusClientErrors && f.Status != statusUnauthorized && f.Status != statusForbidden:
		return lint.Inconclusivef("The server answers / with status %d: no page to judge.", f.Status)
	}
	return lint.Warnf("The server sets no HSTS.")
}
