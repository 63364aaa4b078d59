package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// forwardSecretAEAD asks that TLS 1.2 prefers forward secrecy and authenticated
// encryption.
func forwardSecretAEAD() lint.Check {
	return lint.Check{
		Name:   "endpoint/forward_secret_aead",
		Source: "RFC 9325 section 4.2; DICOM PS3.15 annex B.12",
		Endpoint: overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			var secret *hello
			seen := false
			for _, h := range hellos(e) {
				if h.Version != tlswire.VersionTLS12 {
					continue
				}
				seen = true
				if secret == nil && ephemeral(h.CipherSuite) {
					secret = &h
				}
			}
			if !seen {
				if highestVersion(e) == 0 {
					return lint.Inconclusivef("No version was negotiated.")
				}
				return lint.NotApplicablef("The server was not seen to speak TLS 1.2.")
			}
			// The preference shows in the offer that holds sound suites first; without
			// it, in what another client was given.
			for _, offer := range []evidence.Offer{evidence.OfferTLS12, evidence.OfferFull, evidence.OfferPassive} {
				for _, h := range hellos(e, offer) {
					if h.Version != tlswire.VersionTLS12 {
						continue
					}
					switch {
					case ephemeral(h.CipherSuite) && aead(h.CipherSuite):
						return lint.Passf("The server chooses %s.", tlswire.SuiteName(h.CipherSuite))
					case secret != nil:
						return lint.Warnf("The server chooses %s instead of a forward-secret suite with authenticated encryption.", tlswire.SuiteName(h.CipherSuite))
					case offer == evidence.OfferPassive:
						return lint.Inconclusivef("The server chose %s for a client whose offer is not known to hold better.", tlswire.SuiteName(h.CipherSuite))
					}
				}
			}
			if secret != nil {
				return lint.Warnf("The server accepts %s, but its choice from sound suites is not known.", tlswire.SuiteName(secret.CipherSuite))
			}
			return lint.Failf("The server speaks TLS 1.2 and never chose a forward-secret suite.")
		}),
	}
}
