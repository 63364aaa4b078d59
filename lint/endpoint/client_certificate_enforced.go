package endpoint

import (
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// clientCertificateEnforced asks that a server that was tried on a bench refuses
// clients without a valid certificate.
func clientCertificateEnforced() lint.Check {
	return lint.Check{
		Name:   "endpoint/client_certificate_enforced",
		Source: "RFC 8446 sections 4.4.2.4 and 6.2; RFC 5246 section 7.4.6; IHE ITI TF-2 section 3.19.6.1",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if !s.Asked(evidence.KindMTLS) {
				return lint.NotApplicablef("Production mode: client certificates are tried on a bench only.")
			}
			return enforcement(lint.ClientCertCells(s.Of(evidence.KindMTLS)))
		},
	}
}

// enforcement sums the cells up: the worst decides.
func enforcement(cells []lint.ClientCertCell) lint.Verdict {
	var open, unknown, silent []lint.ClientCertCell
	enforced := 0
	for _, c := range cells {
		switch c.Enforcement {
		case lint.NotEnforced:
			open = append(open, c)
		case lint.EnforcementUnknown:
			if unknown = append(unknown, c); c.Silent {
				silent = append(silent, c)
			}
		case lint.EnforcedInHandshake, lint.EnforcedInApplication:
			enforced++
		case lint.ControlAccepted:
		}
	}
	switch {
	case len(open) > 0:
		return lint.Failf("Bad clients were taken, in %s.", listed(open))
	case len(silent) > 0 && len(silent) == len(unknown):
		return lint.Warnf("The handshake was completed and no application was asked, in %s.", listed(silent))
	case len(unknown) > 0:
		return lint.Inconclusivef("The trials show no enforcement and no lack of it, in %s.", listed(unknown))
	case enforced == 0:
		return lint.Inconclusivef("The server spoke none of the versions that were tried.")
	}
	return lint.Passf("All bad clients were refused, in %s.%s", listed(slices.DeleteFunc(slices.Clone(cells), isControl)), shortfall(cells))
}

func isControl(c lint.ClientCertCell) bool { return c.Enforcement == lint.ControlAccepted }

// listed names the cells by version: "TLS 1.2: none (alert 40), expired (alert 45)".
func listed(cells []lint.ClientCertCell) string {
	var out []string
	for i := 0; i < len(cells); {
		var names []string
		version := cells[i].Version
		for ; i < len(cells) && cells[i].Version == version; i++ {
			name := string(cells[i].Certificate)
			if cells[i].Certificate == evidence.ClientCertNone {
				name = "no certificate"
			}
			names = append(names, fmt.Sprintf("%s (%s)", name, cells[i].Why))
		}
		out = append(out, tlswire.VersionName(version)+": "+strings.Join(names, ", "))
	}
	return strings.Join(out, "; ")
}

// shortfall says what a pass does not show: a made certificate of an unknown CA
// may be refused for its CA alone.
func shortfall(cells []lint.ClientCertCell) string {
	site := map[evidence.ClientCertificate]bool{}
	for _, c := range cells {
		site[c.Certificate] = site[c.Certificate] || c.Supplied
	}
	var lacking []string
	for _, kind := range []evidence.ClientCertificate{
		evidence.ClientCertExpired, evidence.ClientCertNotYetValid, evidence.ClientCertWrongPurpose, evidence.ClientCertRevoked,
	} {
		if !site[kind] {
			lacking = append(lacking, string(kind))
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf(" Not tried with a certificate of an accepted CA: %s.", strings.Join(lacking, ", "))
}
