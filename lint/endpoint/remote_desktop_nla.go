package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// Values of MS-RDPBCGR section 2.2.1.2: selectedProtocol, and failureCode.
const (
	rdpTLS            = 1
	rdpCredSSP        = 2
	rdpCredSSPEarly   = 8
	rdpHybridRequired = 5
)

// remoteDesktopNLA asks that a remote desktop authenticates before a session.
func remoteDesktopNLA() lint.Check {
	return lint.Check{
		Name:   "endpoint/remote_desktop_nla",
		Source: "MS-RDPBCGR sections 2.2.1.2 and 5.4; NIST SP 800-53 AC-17(2)",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			for _, o := range s.Of(evidence.KindRDP) {
				switch f := o.Facts.RDP; {
				case f == nil:
				case f.Selected == rdpCredSSP, f.Selected == rdpCredSSPEarly, f.Failure == rdpHybridRequired:
					return lint.Passf("Remote desktop authenticates before a session (CredSSP).")
				case f.Selected == rdpTLS:
					return lint.Warnf("Remote desktop is encrypted, and begins a session before authentication.")
				default:
					return lint.Warnf("Remote desktop has its own old security only: neither TLS nor authentication before a session.")
				}
			}
			if s.Asked(evidence.KindRDP) {
				return lint.Inconclusivef("The endpoint gave no answer in RDP.")
			}
			return lint.NotApplicablef("Remote desktop was not asked for.")
		},
	}
}
