package cert

import (
	"slices"
	"strings"

	"probity/lint"
)

// rfcProfile asks for a certificate as RFC 5280 and its algorithm profiles
// describe it.
func rfcProfile() lint.Check {
	run, excepted := linter(rfcSources()...), mutedSelfSigned()
	return lint.Check{
		Name:   "cert/rfc_profile",
		Source: "RFC 5280 section 4; RFC 3279; RFC 5480; RFC 8813 (zlint)",
		Certificate: func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if s.Request {
				return s.NotCertificate()
			}
			x := s.X509()
			switch {
			case x == nil:
				return lint.Failf("The %d bytes cannot be decoded as a certificate: %v.", len(s.DER), s.ParseError)
			case x.NotAfter.Before(x.NotBefore):
				return lint.Failf("The validity ends at %s, before it begins at %s.", lint.Time(x.NotAfter), lint.Time(x.NotBefore))
			case x.SerialNumber == nil || x.SerialNumber.Sign() <= 0 && (!s.CA || !s.SelfSigned()):
				// A root is known by its key; several in public stores have the number 0,
				// which zlint then warns of.
				return lint.Failf("The serial number %v is not positive (RFC 5280 section 4.1.2.2).", x.SerialNumber)
			}
			found := slices.Clone(lint.Remember(&s.Memo, "cert/rfc_profile", func() []string { return run(x) }))
			if len(found) > 0 && s.SelfSigned() {
				found = slices.DeleteFunc(found, func(name string) bool { return excepted[name] != "" })
			}
			for _, e := range x.Extensions {
				if e.Critical && !lint.KnownExtension(e.Id.String()) {
					found = append(found, "unknown critical extension "+e.Id.String())
				}
			}
			if len(found) > 0 {
				return lint.Warnf("The certificate departs from its profile: %s.", strings.Join(found, ", "))
			}
			return lint.Passf("No lint of the RFC sources found anything.")
		},
	}
}
