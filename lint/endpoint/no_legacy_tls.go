package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// noLegacyTLS asks that TLS 1.0 and TLS 1.1 are refused.
func noLegacyTLS() lint.Check {
	return lint.Check{
		Name:   "endpoint/no_legacy_tls",
		Source: "RFC 8996; RFC 9325 section 3.1.1",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			for _, v := range []uint16{tlswire.VersionTLS10, tlswire.VersionTLS11} {
				if spoke(s, v) {
					return lint.Failf("The server accepts %s.", tlswire.VersionName(v))
				}
			}
			if refused(s, evidence.OfferTLS11) {
				return lint.Passf("The server refused an offer of at most TLS 1.1.")
			}
			return lint.Inconclusivef("The server was not asked for TLS 1.1 and below, or did not answer.")
		}),
	}
}
