package lint

import (
	"slices"

	"probity/evidence"
)

// DeviceRole is the part a certificate plays in a device PKI.
type DeviceRole string

// The roles, in the order in which they are tried.
const (
	RoleAnchor  DeviceRole = "anchor"
	RoleCA      DeviceRole = "ca"
	RoleIDevID  DeviceRole = "idevid" // initial device identity, IEEE 802.1AR
	RoleLDevID  DeviceRole = "ldevid" // locally issued device identity
	RoleServer  DeviceRole = "server"
	RoleClient  DeviceRole = "client"
	RoleUnknown DeviceRole = ""
)

// Role infers the part that a subject plays: anchor before CA before IDevID
// before LDevID before the roles that were seen in handshakes.
func (e *Env) Role(s *CertificateSubject) DeviceRole {
	switch {
	case e.IsAnchor(s.Certificate):
		return RoleAnchor
	case s.CA:
		return RoleCA
	case e.IsIDevID(s.Certificate):
		return RoleIDevID
	case e.issuedBy(s.Certificate, e.Policy.Issuers):
		return RoleLDevID
	case s.Seen(evidence.RoleServer):
		return RoleServer
	case s.Seen(evidence.RoleClient):
		return RoleClient
	}
	return RoleUnknown
}

// IsIDevID reports whether c has the shape of an initial device identity: no
// end or a declared manufacturer as issuer, an identifier of the device
// (IEEE 802.1AR-2018 section 8.6), and no DNS name.
func (e *Env) IsIDevID(c *Certificate) bool {
	if !c.Decoded() || c.IsCA() || c.namesHosts || !c.identified {
		return false
	}
	return Indefinite(c.NotAfter()) || e.issuedBy(c, e.Policy.ManufacturerIssuers)
}

func (e *Env) issuedBy(c *Certificate, names []string) bool {
	if !c.Decoded() || len(names) == 0 {
		return false
	}
	issuer := NameText(c.RawIssuer())
	return slices.ContainsFunc(names, func(n string) bool { return SameName(n, issuer) })
}

// The names of services, as in [Policy.Ports].
const (
	ServiceDICOM    = "dicom"
	ServiceDICOMTLS = "dicom-tls"
	ServiceHL7      = "hl7"
	ServiceHL7TLS   = "hl7-tls"
	ServiceSDC      = "sdc"
)

// Service names what an endpoint is for, by its port: the policy's table first,
// then the registered and customary ports. A DICOM or HL7 port that speaks TLS is
// the protected service. It is empty for any other port.
func (e *Env) Service(s *EndpointSubject) string {
	name, ok := e.Policy.Ports[s.Endpoint.Port]
	if !ok {
		switch s.Endpoint.Port {
		case 104, 4242, 11112: // IANA acr-nema and dicom; Orthanc's default
			name = ServiceDICOM
		case 2762: // IANA dicom-tls
			name = ServiceDICOMTLS
		case 2575: // IANA hl7
			name = ServiceHL7
		case 2576: // customary for MLLP over TLS
			name = ServiceHL7TLS
		case 6464: // customary for IEEE 11073 SDC
			name = ServiceSDC
		}
	}
	if s.SpeaksTLS() {
		switch name {
		case ServiceDICOM:
			return ServiceDICOMTLS
		case ServiceHL7:
			return ServiceHL7TLS
		}
	}
	return name
}
