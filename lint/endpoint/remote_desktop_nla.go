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

// Security types of RFB (RFC 6143 section 7.1.2 and its registry at IANA).
const (
	rfbNone     = 1
	rfbRA2      = 5
	rfbTLS      = 18
	rfbVeNCrypt = 19
	rfbRA256    = 129
)

// remoteControl judges the security types on offer: a client may choose the
// weakest. What VeNCrypt and TLS hold is not asked for before a choice.
func remoteControl(f *evidence.VNCFacts) lint.Verdict {
	open := false
	for _, kind := range f.Types {
		switch kind {
		case rfbNone:
			return lint.Warnf("VNC remote control offers sessions without authentication.")
		case rfbRA2, rfbRA256:
		case rfbTLS, rfbVeNCrypt:
			open = true
		default:
			return lint.Warnf("VNC remote control offers security type %d, which does not encrypt the session.", kind)
		}
	}
	switch {
	case len(f.Types) == 0:
		return lint.Inconclusivef("The VNC server refused before it named its security types.")
	case open:
		return lint.Inconclusivef("VNC remote control is encrypted by TLS; how it authenticates shows only after a choice.")
	}
	return lint.Passf("VNC remote control authenticates before a session, and encrypts it (RA2).")
}

// remoteDesktopNLA asks that a remote desktop authenticates before a session.
func remoteDesktopNLA() lint.Check {
	return lint.Check{
		Name:   "endpoint/remote_desktop_nla",
		Source: "MS-RDPBCGR sections 2.2.1.2 and 5.4; RFC 6143 section 7.1.2; NIST SP 800-53 AC-17(2)",
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
			for _, o := range s.Of(evidence.KindVNC) {
				if f := o.Facts.VNC; f != nil {
					return remoteControl(f)
				}
			}
			if s.Asked(evidence.KindRDP) {
				return lint.Inconclusivef("The endpoint gave no answer in RDP.")
			}
			if s.Asked(evidence.KindVNC) {
				return lint.Inconclusivef("The endpoint gave no answer in RFB, the protocol of VNC.")
			}
			return lint.NotApplicablef("Remote desktop was not asked for.")
		},
	}
}
