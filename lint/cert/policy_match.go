package cert

import (
	"slices"

	"probity/lint"
)

// policyMatch asks that the issuer or a certificate policy is one that the site
// or manufacturer has declared.
func policyMatch() lint.Check {
	return lint.Check{
		Name:   "cert/policy_match",
		Source: "RFC 5280 sections 4.1.2.4 and 4.2.1.4; site policy",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			p := env.Policy
			switch {
			case len(p.Issuers) == 0 && len(p.PolicyOIDs) == 0:
				return lint.NotApplicablef("No issuer and no certificate policy is declared.")
			case env.IsIDevID(s.Certificate):
				return lint.NotApplicablef("An initial device identity comes from the manufacturer.")
			}
			for _, oid := range s.X509().PolicyIdentifiers {
				if slices.Contains(p.PolicyOIDs, oid.String()) {
					return lint.Passf("The certificate policy %s is declared.", oid)
				}
			}
			issuer := lint.NameText(s.RawIssuer())
			if slices.ContainsFunc(p.Issuers, func(n string) bool { return lint.SameName(n, issuer) }) {
				return lint.Passf("The issuer %q is declared.", s.Issuer())
			}
			return lint.Warnf("Neither the issuer %q nor a policy of the certificate is declared.", s.Issuer())
		}),
	}
}
