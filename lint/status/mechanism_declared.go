package status

import (
	"fmt"
	"strings"
	"time"

	"probity/internal/safetext"
	"probity/lint"
)

// mechanismDeclared asks that a certificate names a way to learn that it was revoked,
// or that the site has another one.
func mechanismDeclared() lint.Check {
	return lint.Check{
		Name:   "status/mechanism_declared",
		Source: "RFC 5280 sections 4.2.1.13 and 4.2.2.1; RFC 9608; NIST SP 800-57 part 1 rev. 5 section 8.3.5",
		Params: []lint.Param{{Name: "short_days", Doc: "longest life of a certificate that says that its status is never published", Default: 7}},
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			x := s.X509()
			switch {
			case env.IsAnchor(s.Certificate) || s.SelfSigned():
				return lint.NotApplicablef("The certificate is self-signed or a trust anchor: no authority can revoke it.")
			case lint.Indefinite(x.NotAfter):
				return lint.NotApplicablef("The certificate is an initial device identity (IEEE 802.1AR), which may have no status service.")
			}
			var ways []string
			if n := len(x.CRLDistributionPoints); n > 0 {
				ways = append(ways, fmt.Sprintf("a revocation list at %q", safetext.CleanN(x.CRLDistributionPoints[0], 120)))
			} else if _, _, ok := s.Extension(oidDistributionPoints); ok {
				ways = append(ways, "a revocation list in a directory")
			}
			if len(x.OCSPServer) > 0 {
				ways = append(ways, fmt.Sprintf("OCSP at %q", safetext.CleanN(x.OCSPServer[0], 120)))
			}
			if len(ways) > 0 {
				return lint.Passf("The certificate names %s.", strings.Join(ways, " and "))
			}
			if _, _, ok := s.Extension(oidNoRevocation); ok {
				life, limit := lint.Days(x.NotAfter.Sub(x.NotBefore)), env.Int("short_days")
				if x.NotAfter.Sub(x.NotBefore) <= time.Duration(limit)*24*time.Hour {
					return lint.Passf("The certificate is never revoked and lives %s only.", lint.Count(life, "day"))
				}
				return lint.Warnf("The certificate is never revoked and lives %s, more than %d.", lint.Count(life, "day"), limit)
			}
			if env.Policy.Revocation != "" {
				return lint.Passf("The certificate names no status service; the site has another way: %s.", safetext.CleanN(env.Policy.Revocation, 120))
			}
			return lint.Warnf("The certificate names neither a revocation list nor OCSP.")
		}),
	}
}
