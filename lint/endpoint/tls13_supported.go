package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// tls13Supported asks for TLS 1.3.
func tls13Supported() lint.Check {
	return lint.Check{
		Name:   "endpoint/tls13_supported",
		Source: "RFC 9325 section 3.1.1; NIST SP 800-52 rev. 2 section 3.1",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if spoke(s, tlswire.VersionTLS13) {
				return lint.Passf("The server speaks TLS 1.3.")
			}
			for _, h := range hellos(s) {
				if h.OfferedMax >= tlswire.VersionTLS13 {
					return lint.Warnf("The server answers an offer of up to TLS 1.3 with %s.", tlswire.VersionName(h.Version))
				}
			}
			if refused(s, evidence.OfferFull) && len(hellos(s)) > 0 {
				return lint.Warnf("The server refuses an offer of up to TLS 1.3; the highest version it speaks is %s.", tlswire.VersionName(highestVersion(s)))
			}
			return lint.Inconclusivef("No answer shows whether the server speaks TLS 1.3.")
		}),
	}
}
