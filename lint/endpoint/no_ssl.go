package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// noSSL asks that SSL 2.0 and SSL 3.0 are refused.
func noSSL() lint.Check {
	return lint.Check{
		Name:   "endpoint/no_ssl",
		Source: "RFC 6176; RFC 7568; RFC 9325 section 3.1.1",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if s.Endpoint.Transport == evidence.UDP {
				return lint.NotApplicablef("SSL is not spoken in datagrams.")
			}
			for _, v := range []uint16{tlswire.VersionSSL2, tlswire.VersionSSL3} {
				if spoke(s, v) {
					return lint.Failf("The server accepts %s.", tlswire.VersionName(v))
				}
			}
			if refused(s, evidence.OfferSSL3) && refused(s, evidence.OfferSSL2) {
				return lint.Passf("The server refused SSL 2.0 and SSL 3.0.")
			}
			return lint.Inconclusivef("The server was not asked for both SSL 2.0 and SSL 3.0, or did not answer.")
		}),
	}
}
