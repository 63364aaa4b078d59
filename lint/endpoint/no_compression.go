package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// noCompression asks that TLS does not compress, which leaks secrets.
func noCompression() lint.Check {
	return lint.Check{
		Name:   "endpoint/no_compression",
		Source: "RFC 9325 section 3.3; CVE-2012-4929 (CRIME)",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			for _, h := range hellos(s) {
				if h.Compression != 0 {
					return lint.Failf("The server chose compression method %d with %s.", h.Compression, tlswire.VersionName(h.Version))
				}
			}
			newest := spoke(s, tlswire.VersionTLS13)
			switch {
			case len(hellos(s, evidence.OfferTLS12)) > 0:
				return lint.Passf("The server did not choose compression from an offer that held it.")
			case newest && refused(s, evidence.OfferTLS12):
				return lint.Passf("The server speaks TLS 1.3 only, which has no compression.")
			}
			return lint.Inconclusivef("The server was not offered compression, or did not answer.")
		}),
	}
}
