package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// handshakeSignature asks that the server does not sign its handshake with
// SHA-1 or MD5.
func handshakeSignature() lint.Check {
	return lint.Check{
		Name:   "endpoint/handshake_signature",
		Source: "RFC 9155; RFC 8446 section 4.2.3",
		Endpoint: overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			modern, signed := false, false
			var sound uint16 // a scheme with a sound hash
			for _, h := range hellos(e) {
				if h.Version < tlswire.VersionTLS12 {
					continue
				}
				modern = true
				signed = signed || h.Version >= tlswire.VersionTLS13 || ephemeral(h.CipherSuite)
				if h.SignatureScheme == 0 {
					continue
				}
				hash := weakSignature(h.SignatureScheme)
				if hash == "" {
					sound = h.SignatureScheme
					continue
				}
				if h.Offer == evidence.OfferPassive {
					return lint.Warnf("The server signed the handshake of a client with %s; the client's offer is not known to hold better.", hash)
				}
				return lint.Failf("The server signs its handshake with %s (%s) although SHA-256 was offered.", hash, tlswire.SchemeName(h.SignatureScheme))
			}
			switch {
			case sound != 0:
				return lint.Passf("The server signs its handshake with %s.", tlswire.SchemeName(sound))
			case !modern && highestVersion(e) != 0:
				return lint.NotApplicablef("The server was not seen to speak TLS 1.2 or above.")
			case modern && !signed:
				return lint.NotApplicablef("The server does not sign its handshakes: it was seen to use static keys only.")
			}
			return lint.Inconclusivef("The signature of the handshake was not seen.")
		}),
	}
}

// weakSignature names the broken hash of a signature scheme: below 0x0700 its
// upper octet is the HashAlgorithm of RFC 5246 section 7.4.1.4.1.
func weakSignature(scheme uint16) string {
	switch scheme >> 8 {
	case 1:
		return "MD5"
	case 2:
		return "SHA-1"
	}
	return ""
}
