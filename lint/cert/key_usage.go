package cert

import (
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/lint"
)

// keyUsage asks that the key usage fits the kind of key and the role.
func keyUsage() lint.Check {
	return lint.Check{
		Name:   "cert/key_usage",
		Source: "RFC 5280 section 4.2.1.3; RFC 5480 section 3; RFC 8813",
		Certificate: lint.Decoded(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			usage := s.X509().KeyUsage
			_, _, present := s.Extension(oidKeyUsage)
			ec := s.Key != nil && s.Key.Algorithm == lint.EC
			authenticates := usage&(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) != 0
			switch {
			case !s.CA && !s.IsCA() && usage&x509.KeyUsageCertSign != 0:
				return lint.Failf("The leaf asserts keyCertSign without cA TRUE.")
			case ec && usage&x509.KeyUsageKeyEncipherment != 0:
				return lint.Warnf("The EC key asserts keyEncipherment, which it cannot do.")
			case s.CA:
				return lint.Passf("The key usage fits the key.")
			case !present:
				return lint.Warnf("The leaf has no key usage.")
			case !s.IsCA() && usage&x509.KeyUsageCRLSign != 0:
				return lint.Warnf("The leaf asserts cRLSign without cA TRUE.")
			case (s.Seen(evidence.RoleServer) || s.Seen(evidence.RoleClient)) && !authenticates && !s.IsCA():
				return lint.Warnf("The key usage does not allow the key to be used in a TLS handshake.")
			}
			return lint.Passf("The key usage fits the key and the role.")
		}),
	}
}
