package chain

import (
	"fmt"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// anchored asks for a path from the leaf to an anchor of the policy.
func anchored() lint.Check {
	return lint.Check{
		Name:   "chain/anchored",
		Source: "RFC 5280 section 6; RFC 4158",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			anchors := env.Anchors()
			if len(anchors) == 0 {
				return lint.Inconclusivef("No anchors are configured.")
			}
			p := env.Path(s.Certificate, s.Presented(), anchors)
			switch {
			case p.Certs == nil && p.Unverifiable:
				return lint.Inconclusivef("No path was found, and a signature on the way cannot be checked here: %s.", reasons(p))
			case p.Certs == nil:
				return lint.Failf("No path leads to an anchor: %s.", reasons(p))
			}
			root := p.Certs[len(p.Certs)-1]
			presented := s.Seen(evidence.RoleServer) || s.Seen(evidence.RoleClient)
			if len(p.Repaired) > 0 && presented {
				return lint.Warnf("The path to the anchor %q needs %s not presented; it was found elsewhere.", root.Subject(), missing(p.Repaired))
			}
			return lint.Passf("A path of %s leads to the anchor %q.", lint.Count(len(p.Certs), "certificate"), root.Subject())
		}),
	}
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
