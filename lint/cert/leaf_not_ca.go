package cert

import "probity/lint"

// leafNotCA asks that a device's own certificate cannot issue others.
func leafNotCA() lint.Check {
	return lint.Check{
		Name:   "cert/leaf_not_ca",
		Source: "RFC 5280 section 4.2.1.9",
		Certificate: lint.DecodedLeaf(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			switch {
			case !s.IsCA():
				return lint.Passf("The certificate does not assert cA TRUE.")
			case s.SelfSigned():
				return lint.Warnf("The leaf is self-signed and asserts cA TRUE.")
			}
			return lint.Failf("The leaf asserts cA TRUE: its key can issue certificates that peers accept.")
		}),
	}
}
