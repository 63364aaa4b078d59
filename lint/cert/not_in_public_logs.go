package cert

import "probity/lint"

// Extensions of Certificate Transparency (RFC 6962 sections 3.1 and 3.3).
const (
	timestampList = "1.3.6.1.4.1.11129.2.4.2"
	poison        = "1.3.6.1.4.1.11129.2.4.3"
)

// notInPublicLogs asks that a device certificate of a private PKI was not given to logs
// of Certificate Transparency, which publish its names and serial numbers for good.
func notInPublicLogs(roots func() map[string][][]byte) lint.Check {
	return lint.Check{
		Name:   "cert/not_in_public_logs",
		Source: "RFC 6962 sections 3.1 and 3.3",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if _, _, ok := s.Extension(poison); ok {
				return lint.Failf("It is a precertificate, made for logs of Certificate Transparency; no client may accept it.")
			}
			if _, _, ok := s.Extension(timestampList); !ok {
				return lint.Passf("The certificate holds no timestamp of a log of Certificate Transparency.")
			}
			if root := publicRoot(env, s, roots()); root != "" {
				return lint.NotApplicablef("It is under the public root %q: certificates of the public web are logged.", root)
			}
			return lint.Warnf("The certificate holds timestamps of logs of Certificate Transparency, and has no path to a public web root: what it says of the device is public.")
		}),
	}
}
