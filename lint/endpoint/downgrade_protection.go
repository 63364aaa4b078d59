package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// downgradeProtection asks that a TLS 1.3 server marks a lower version in its
// random, so that a client notices a forced downgrade.
func downgradeProtection() lint.Check {
	return lint.Check{
		Name:   "endpoint/downgrade_protection",
		Source: "RFC 8446 section 4.1.3",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if !spoke(s, tlswire.VersionTLS13) {
				if highestVersion(s) == 0 {
					return lint.Inconclusivef("No version was negotiated.")
				}
				return lint.NotApplicablef("The server was not seen to speak TLS 1.3.")
			}
			for _, h := range hellos(s, evidence.OfferTLS12) {
				if h.Version != tlswire.VersionTLS12 {
					continue
				}
				if h.DowngradeSentinel == "" {
					return lint.Warnf("The server speaks TLS 1.3 but does not mark its TLS 1.2 answers against downgrades.")
				}
				return lint.Passf("The server marks its TLS 1.2 answers against downgrades.")
			}
			if refused(s, evidence.OfferTLS12) {
				return lint.NotApplicablef("The server speaks TLS 1.3 only.")
			}
			return lint.Inconclusivef("The server was not asked for TLS 1.2, or did not answer.")
		}),
	}
}
