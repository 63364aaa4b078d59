package cert

import (
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/lint"
)

// ekuRole asks that the extended key usage allows the role in which the
// certificate was seen.
func ekuRole() lint.Check {
	return lint.Check{
		Name:   "cert/eku_role",
		Source: "RFC 5280 section 4.2.1.12",
		Certificate: lint.DecodedLeaf(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if len(s.X509().ExtKeyUsage) == 0 && len(s.X509().UnknownExtKeyUsage) == 0 {
				return lint.Passf("The certificate has no extended key usage, which allows every role.")
			}
			seen := false
			for _, r := range []struct {
				role    evidence.Role
				purpose x509.ExtKeyUsage
				name    string
			}{
				{evidence.RoleServer, x509.ExtKeyUsageServerAuth, "serverAuth"},
				{evidence.RoleClient, x509.ExtKeyUsageClientAuth, "clientAuth"},
			} {
				if !s.Seen(r.role) {
					continue
				}
				seen = true
				if !s.HasExtKeyUsage(r.purpose) && !s.HasExtKeyUsage(x509.ExtKeyUsageAny) {
					return lint.Failf("The certificate was used as a %s, but its extended key usage lacks %s.", r.role, r.name)
				}
			}
			switch {
			case s.HasExtKeyUsage(x509.ExtKeyUsageAny):
				return lint.Warnf("The extended key usage is anyExtendedKeyUsage.")
			case !seen:
				return lint.Inconclusivef("The certificate was not seen in a handshake, so its role is not known.")
			}
			return lint.Passf("The extended key usage allows the roles seen.")
		}),
	}
}
