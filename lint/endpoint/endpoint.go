// Package endpoint holds the checks of network endpoints: which protocol
// versions, suites and parameters a TLS server takes, whether clinical services
// ask for client certificates or speak in clear, and what an SSH server shows.
//
// A check concludes from answers only. What was not asked, or not answered, is
// inconclusive; an endpoint that speaks another protocol is not applicable.
package endpoint

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// Checks returns the checks of this package.
func Checks() []lint.Check {
	return []lint.Check{
		noSSL(), noLegacyTLS(), tls12Supported(), tls13Supported(), downgradeProtection(),
		noNullSuites(), noAnonymousSuites(), noBrokenSuites(), no64BitBlocks(), noStaticRSA(),
		forwardSecretAEAD(), dhSize(), ecdheSize(),
		noCompression(), renegotiationEMS(), handshakeSignature(), uniformLevel(), ephemeralKeysFresh(), noKnownFlaws(),
		clientCertificateRequested(), clientCertificateEnforced(), authorityListDeclared(), dicomEncrypted(),
		hl7Encrypted(), sshProtocol2(), sshHostKeyStrength(), sshHostKeyNotKnown(),
		webEncrypted(), fhirEncrypted(), sdcMutualTLS(), noClearLogin(), smbModern(), remoteDesktopNLA(), electronicIdentity(),
	}
}

// overTLS wraps a check of an endpoint that speaks TLS.
func overTLS(check func(*lint.Env, *lint.EndpointSubject) lint.Verdict) func(*lint.Env, *lint.EndpointSubject) lint.Verdict {
	return func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
		if s.SpeaksTLS() {
			return check(env, s)
		}
		if spoken := otherProtocol(s); spoken != "" {
			return lint.NotApplicablef("The endpoint speaks %s, not TLS.", spoken)
		}
		return lint.Inconclusivef("The endpoint gave no TLS answer.")
	}
}

// otherProtocol names what an endpoint without TLS speaks, or returns "".
func otherProtocol(s *lint.EndpointSubject) string {
	for _, o := range s.Observations {
		switch f := o.Facts; {
		case o.Result != evidence.ResultData:
		case f.SSH != nil:
			return "SSH"
		case f.DICOM != nil && !f.DICOM.TLS:
			return "DICOM in clear"
		case f.HL7 != nil:
			return "HL7 in clear"
		case f.SNMP != nil:
			return "SNMP"
		case f.HTTP != nil && !f.HTTP.TLS, f.FHIR != nil && !f.FHIR.TLS, f.SDC != nil && !f.SDC.TLS:
			return "HTTP in clear"
		case f.Banner != nil:
			return f.Banner.Protocol
		case f.RDP != nil:
			return "RDP"
		case f.SMB != nil:
			return "SMB"
		case f.VNC != nil:
			return "RFB"
		case f.MQTT != nil:
			return "MQTT in clear"
		case f.OPCUA != nil:
			return "OPC UA"
		case f.Identity != nil && o.Method == evidence.Active:
			return f.Identity.Protocol
		}
	}
	for _, o := range s.Observations {
		if f := o.Facts.TLS; f != nil && f.NotTLS {
			if f.Spoke != "" {
				return f.Spoke
			}
			return "another protocol"
		}
	}
	return ""
}

// hello is an observation with a ServerHello.
type hello struct {
	*evidence.TLSFacts
	observation *evidence.Observation
}

// hellos returns the ServerHellos to the given offers, all without any.
func hellos(s *lint.EndpointSubject, offers ...evidence.Offer) []hello {
	var out []hello
	for _, o := range s.TLS(offers...) {
		if o.Facts.TLS.Version != 0 {
			out = append(out, hello{o.Facts.TLS, o})
		}
	}
	return out
}

// spoke reports whether the server chose a version.
func spoke(s *lint.EndpointSubject, version uint16) bool {
	return slices.ContainsFunc(hellos(s), func(h hello) bool { return h.Version == version })
}

// refused reports whether an offer was answered by an alert or a reset and
// never by a ServerHello.
func refused(s *lint.EndpointSubject, offer evidence.Offer) bool {
	return len(s.TLS(offer)) > 0 && len(hellos(s, offer)) == 0
}

// highestVersion is the highest version that the server chose.
func highestVersion(s *lint.EndpointSubject) uint16 {
	var v uint16
	for _, h := range hellos(s) {
		v = max(v, h.Version)
	}
	return v
}
