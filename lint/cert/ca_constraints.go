package cert

import (
	"github.com/zmap/zcrypto/x509"

	"probity/lint"
)

const (
	oidBasicConstraints = "2.5.29.19"
	oidKeyUsage         = "2.5.29.15"
)

// caConstraints asks that a CA certificate says it is one.
func caConstraints() lint.Check {
	return lint.Check{
		Name:   "cert/ca_constraints",
		Source: "RFC 5280 sections 4.2.1.3 and 4.2.1.9",
		Certificate: lint.Decoded(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if !s.CA {
				return lint.NotApplicablef("The certificate is a leaf.")
			}
			_, critical, _ := s.Extension(oidBasicConstraints)
			_, _, hasUsage := s.Extension(oidKeyUsage)
			signs := s.X509().KeyUsage&x509.KeyUsageCertSign != 0
			switch {
			case s.SelfSigned() && (!s.IsCA() || !hasUsage):
				return lint.NotApplicablef("A self-signed certificate without these extensions is trusted by configuration.")
			case !s.IsCA():
				return lint.Failf("The certificate is presented as a CA but does not assert cA TRUE.")
			case !signs:
				return lint.Failf("The CA certificate does not assert keyCertSign.")
			case !critical:
				return lint.Warnf("The basic constraints of the CA certificate are not critical.")
			}
			return lint.Passf("The CA certificate asserts cA TRUE, critical, and keyCertSign.")
		}),
	}
}
