package endpoint

import (
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// renegotiationEMS asks that TLS 1.2 binds renegotiations and master secrets to
// their handshakes.
func renegotiationEMS() lint.Check {
	return lint.Check{
		Name:   "endpoint/renegotiation_ems",
		Source: "RFC 5746; RFC 7627; RFC 9325 section 3.5",
		Endpoint: overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			seen := false
			var renegotiation, secret *bool
			for _, h := range hellos(s) {
				if h.Version != tlswire.VersionTLS12 {
					continue
				}
				seen = true
				renegotiation, secret = worse(renegotiation, h.SecureRenegotiation), worse(secret, h.ExtendedMasterSecret)
			}
			switch {
			case !seen && highestVersion(s) == 0:
				return lint.Inconclusivef("No version was negotiated.")
			case !seen:
				return lint.NotApplicablef("The server was not seen to speak TLS 1.2.")
			case renegotiation != nil && !*renegotiation && secret != nil && !*secret:
				return lint.Warnf("The server supports neither secure renegotiation nor the extended master secret.")
			case renegotiation != nil && !*renegotiation:
				return lint.Warnf("The server does not support secure renegotiation.")
			case secret != nil && !*secret:
				return lint.Warnf("The server does not support the extended master secret.")
			case renegotiation == nil || secret == nil:
				return lint.Inconclusivef("The TLS 1.2 answers do not show whether the server supports both extensions.")
			}
			return lint.Passf("The server supports secure renegotiation and the extended master secret.")
		}),
	}
}

// worse prefers a known no to a known yes to nothing.
func worse(a, b *bool) *bool {
	if a == nil || b != nil && !*b {
		return b
	}
	return a
}
