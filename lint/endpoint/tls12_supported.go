package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// tls12Supported asks for TLS 1.2, which the DICOM profiles require.
func tls12Supported() lint.Check {
	return lint.Check{
		Name:   "endpoint/tls12_supported",
		Source: "RFC 9325 section 3.1.1; DICOM PS3.15 annexes B.12 and B.13",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if spoke(s, tlswire.VersionTLS12) {
				return lint.Passf("The server speaks TLS 1.2.")
			}
			newest := spoke(s, tlswire.VersionTLS13)
			if newest {
				if refused(s, evidence.OfferTLS12) {
					return lint.Warnf("The server speaks TLS 1.3 only.")
				}
				return lint.Inconclusivef("The server speaks TLS 1.3 and was not asked for TLS 1.2, or did not answer.")
			}
			for _, h := range hellos(s) {
				if h.OfferedMax >= tlswire.VersionTLS12 {
					return lint.Failf("The server answers an offer of up to %s with %s.", tlswire.VersionName(h.OfferedMax), tlswire.VersionName(h.Version))
				}
			}
			if len(hellos(s)) > 0 && refused(s, evidence.OfferTLS12) {
				return lint.Failf("The server refuses TLS 1.2; the highest version it speaks is %s.", tlswire.VersionName(highestVersion(s)))
			}
			return lint.Inconclusivef("No answer shows whether the server speaks TLS 1.2.")
		}),
	}
}
