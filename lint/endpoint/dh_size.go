package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// dhSize asks for finite-field groups that cannot be precomputed.
func dhSize() lint.Check {
	return lint.Check{
		Name:   "endpoint/dh_size",
		Source: "RFC 9325 section 4.2; RFC 8270; NIST SP 800-131A rev. 2 section 5",
		Params: []lint.Param{{Name: "min_bits", Doc: "shortest prime in bits", Default: 2048}},
		Endpoint: overTLS(func(env *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			least := 0
			preferred, unknown := false, false
			for _, h := range hellos(e) {
				if h.Version >= tlswire.VersionTLS13 || !has(h.CipherSuite, evidence.ClassDHE) && h.DHBits == 0 {
					continue
				}
				if h.DHBits == 0 {
					unknown = true
					continue
				}
				if least == 0 || h.DHBits < least {
					least = h.DHBits
				}
				preferred = preferred || h.Offer == evidence.OfferFull || h.Offer == evidence.OfferTLS12
			}
			switch {
			case least > 0 && least < env.Int("min_bits"):
				return lint.Failf("The server uses a Diffie-Hellman prime of %d bits, fewer than %d.", least, env.Int("min_bits"))
			case unknown:
				return lint.Inconclusivef("The server accepts finite-field Diffie-Hellman, but its prime was not seen.")
			case preferred:
				return lint.Warnf("The server prefers finite-field Diffie-Hellman (%d bits) to elliptic curves.", least)
			case least > 0:
				return lint.Passf("The Diffie-Hellman prime has %d bits.", least)
			case declined(e, evidence.ClassDHE):
				return lint.Passf("The server refused finite-field Diffie-Hellman.")
			}
			return lint.Inconclusivef("The server was not asked for finite-field Diffie-Hellman alone, or did not answer.")
		}),
	}
}
