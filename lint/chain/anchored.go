package chain

import (
	"fmt"
	"strings"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/lint"
)

// anchored asks for a path from the leaf to an anchor of the policy that allows what
// the leaf was seen doing.
func anchored() lint.Check {
	return lint.Check{
		Name:   "chain/anchored",
		Source: "RFC 5280 section 6; RFC 4158",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			anchors := env.Anchors()
			if len(anchors) == 0 {
				return lint.Inconclusivef("No anchors are configured.")
			}
			used, declared := purposes(s)
			p := env.Path(s.Certificate, s.Presented(), anchors, used...)
			switch {
			case p.Certs == nil && p.Unverifiable:
				return lint.Inconclusivef("No path was found, and something on the way cannot be checked here: %s.", reasons(p))
			case p.Certs == nil:
				return lint.Failf("No path leads to an anchor: %s.", reasons(p))
			}
			root := p.Certs[len(p.Certs)-1]
			if len(p.Repaired) > 0 && len(used) > 0 {
				return lint.Warnf("The path to the anchor %q needs %s not presented; it was found %s.", root.Subject(), missing(p.Repaired), where(env, p))
			}
			for _, purpose := range declared {
				if p := env.Path(s.Certificate, s.Presented(), anchors, purpose); p.Certs == nil {
					return lint.Warnf("A path leads to the anchor %q, but none for %s, which the certificate lists: %s.",
						root.Subject(), lint.PurposeName(purpose), reasons(p))
				}
			}
			text := fmt.Sprintf("A path of %s leads to the anchor %q", lint.Count(len(p.Certs), "certificate"), root.Subject())
			if len(p.Repaired) > 0 {
				text += fmt.Sprintf(", through %s found %s", missing(p.Repaired), where(env, p))
			}
			return lint.Passf("%s.", text)
		}),
	}
}

// purposes are what the leaf was seen doing and, of one that was not seen in TLS,
// what it says it may do there.
func purposes(s *lint.CertificateSubject) (used, declared []x509.ExtKeyUsage) {
	for _, r := range []struct {
		role    evidence.Role
		purpose x509.ExtKeyUsage
	}{
		{evidence.RoleServer, x509.ExtKeyUsageServerAuth},
		{evidence.RoleClient, x509.ExtKeyUsageClientAuth},
	} {
		if s.Seen(r.role) {
			used = append(used, r.purpose)
		}
		if s.HasExtKeyUsage(r.purpose) {
			declared = append(declared, r.purpose)
		}
	}
	if len(used) > 0 {
		declared = nil
	}
	return used, declared
}

// reasons says where each attempt ended, the most promising first.
func reasons(p lint.Path) string {
	if len(p.Others) == 0 {
		return p.Why
	}
	return p.Why + "; other attempts: " + strings.Join(p.Others, "; ")
}

func missing(certs []*lint.Certificate) string {
	if len(certs) == 1 {
		return fmt.Sprintf("the intermediate %q, which was", certs[0].Subject())
	}
	return fmt.Sprintf("%d intermediates, the first of them %q,", len(certs), certs[0].Subject())
}

// where says where the first member of the path that was not presented comes from.
func where(env *lint.Env, p lint.Path) string {
	file := env.Policy.FileOf(p.Repaired[0])
	if file == "" {
		return "elsewhere"
	}
	return fmt.Sprintf("in %q of the policy", file)
}
