package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// clientCertificateRequested asks that a clinical TLS service wants to know who
// calls.
func clientCertificateRequested() lint.Check {
	check := overTLS(func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
		notAsked := false
		for _, h := range hellos(s) {
			switch h.ClientAuth {
			case evidence.ClientAuthRequested, evidence.ClientAuthRequired:
				return lint.Passf("The server asks for a client certificate (%s).", h.ClientAuth)
			case evidence.ClientAuthNotAsked:
				notAsked = true
			case evidence.ClientAuthUnknown:
			}
		}
		if notAsked {
			return lint.Warnf("The server does not ask for a client certificate.")
		}
		return lint.Inconclusivef("No handshake shows whether the server asks for a client certificate.")
	})
	return lint.Check{
		Name:   "endpoint/client_certificate_requested",
		Source: "DICOM PS3.15 annex B; IHE ITI TF-2 section 3.19; RFC 8446 section 4.3.2",
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			switch env.Service(s) {
			case lint.ServiceDICOMTLS, lint.ServiceHL7TLS, lint.ServiceSDC:
				return check(env, s)
			}
			return lint.NotApplicablef("The endpoint is no clinical TLS service by its port.")
		},
	}
}
