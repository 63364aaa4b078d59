package cert

import (
	"github.com/zmap/zcrypto/x509"

	"probity/lint"
)

// noCodeSigning asks that a TLS certificate does not authorise code signing as
// well.
func noCodeSigning() lint.Check {
	return lint.Check{
		Name:   "cert/no_code_signing",
		Source: "RFC 5280 section 4.2.1.12; NIST SP 800-57 part 1 rev. 5 section 5.2",
		Certificate: lint.DecodedLeaf(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			tls := s.HasExtKeyUsage(x509.ExtKeyUsageServerAuth) || s.HasExtKeyUsage(x509.ExtKeyUsageClientAuth)
			if tls && s.HasExtKeyUsage(x509.ExtKeyUsageCodeSigning) {
				return lint.Failf("The certificate authorises both TLS authentication and code signing.")
			}
			return lint.Passf("The certificate does not combine TLS authentication with code signing.")
		}),
	}
}
