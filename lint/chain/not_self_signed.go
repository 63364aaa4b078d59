package chain

import (
	"probity/evidence"
	"probity/lint"
)

// notSelfSigned asks that a CA vouches for the leaf.
func notSelfSigned() lint.Check {
	return lint.Check{
		Name:   "chain/not_self_signed",
		Source: "RFC 5280 section 3.2; NIST SP 800-52 rev. 2 section 3.2",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			switch {
			case env.IsAnchor(s.Certificate):
				return lint.NotApplicablef("The certificate is an anchor.")
			case !s.SelfSigned():
				return lint.Passf("The certificate is issued by %q.", s.Issuer())
			case !s.Seen(evidence.RoleServer) && !s.Seen(evidence.RoleClient):
				return lint.Warnf("The certificate %q is self-signed.", s.Subject())
			}
			return lint.Warnf("The certificate %q that is used in TLS is self-signed.", s.Subject())
		}),
	}
}
