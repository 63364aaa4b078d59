package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// noStaticRSA asks that the key of the certificate does not carry the session
// key.
func noStaticRSA() lint.Check {
	return lint.Check{
		Name:   "endpoint/no_static_rsa",
		Source: "RFC 9325 section 4.1; NIST SP 800-52 rev. 2 section 3.3.1",
		Endpoint: overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			h, ok := accepted(e, evidence.ClassStaticRSA)
			if !ok {
				if declined(e, evidence.ClassStaticRSA) {
					return lint.Passf("The server refused every suite with static RSA key transport it was offered.")
				}
				return lint.Inconclusivef("The server was not asked for static RSA key transport alone, or did not answer.")
			}
			for _, o := range hellos(e) {
				if o.Version >= tlswire.VersionTLS13 || ephemeral(o.CipherSuite) {
					return lint.Warnf("The server accepts static RSA key transport (%s) among others.", tlswire.SuiteName(h.CipherSuite))
				}
			}
			return lint.Failf("The server accepts static RSA key transport (%s) and was not seen to accept anything else.", tlswire.SuiteName(h.CipherSuite))
		}),
	}
}
