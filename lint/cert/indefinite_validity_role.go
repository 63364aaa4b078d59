package cert

import (
	"probity/evidence"
	"probity/lint"
)

// maxTierCount bounds the walk from a CA down to the leafs below it.
const maxTierCount = 8

// indefiniteValidityRole asks that only initial device identities, and the CAs
// that issue them, are without end.
func indefiniteValidityRole() lint.Check {
	return lint.Check{
		Name:   "cert/indefinite_validity_role",
		Source: "IEEE 802.1AR-2018 section 8.7; RFC 5280 section 4.1.2.5; TCG EK Credential Profile",
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			switch {
			case !lint.Indefinite(s.NotAfter()):
				return lint.NotApplicablef("The certificate ends at %s.", lint.Time(s.NotAfter()))
			case s.CA:
				return indefiniteCA(env, s.Certificate)
			case env.IsIDevID(s.Certificate):
				return lint.Passf("The certificate is an initial device identity, which needs no end.")
			case s.IsEndorsement():
				return lint.Passf("The certificate is of the endorsement key of a TPM, which needs no end.")
			}
			return lint.Warnf("The certificate has no well-defined end, but it does not have the shape of an initial device identity (an identifier of the device and no DNS name).")
		}),
	}
}

// indefiniteCA judges a CA without end by the leafs seen below it.
func indefiniteCA(env *lint.Env, ca *lint.Certificate) lint.Verdict {
	initial, other := 0, 0
	level := []evidence.Digest{ca.Digest}
	seen := map[evidence.Digest]bool{ca.Digest: true}
	for range maxTierCount {
		var next []evidence.Digest
		for _, issuer := range level {
			for _, c := range env.Below(issuer) {
				if seen[c.Digest] {
					continue
				}
				seen[c.Digest] = true
				switch {
				case c.CA:
					next = append(next, c.Digest)
				case c.Endless:
					initial++
				default:
					other++
				}
			}
		}
		if level = next; len(level) == 0 {
			break
		}
	}
	switch {
	case other > 0:
		return lint.Warnf("The CA certificate has no well-defined end, and %d of the %d certificates seen below it need one.", other, other+initial)
	case initial > 0:
		return lint.Passf("The CA issues what needs no end: initial device identities, or certificates of endorsement keys of TPMs.")
	}
	return lint.Inconclusivef("The CA certificate has no well-defined end, and no certificate was seen below it.")
}
