package fingerprint

import (
	"maps"
	"slices"

	"probity/evidence"
)

// Signal is one value that a device showed.
type Signal struct {
	// Layer becomes the layer of the claims: "dicom", "x509", ...
	Layer string
	Field Field
	Value string // at most 1 KiB of it are looked at
	// Limit is the highest confidence that a claim from this signal may have, 0 for
	// no limit but that of the entry.
	Limit int
}

// Field names what a value is: which element of which protocol.
type Field string

// The fields. Where a protocol has a field of its own for a purpose, the comment
// names it.
const (
	DICOMUID       Field = "dicom.implementation_uid" // PS3.7 annex D.3.3.2
	DICOMVersion   Field = "dicom.version_name"       // PS3.7 annex D.3.3.2
	DICOMMaxPDU    Field = "dicom.max_pdu"            // PS3.8 annex D.1, decimal
	DICOMTitle     Field = "dicom.ae_title"           // of the side that calls
	DICOMReject    Field = "dicom.reject"             // result/source/reason, PS3.8 section 9.3.4
	CertSubjectOrg Field = "x509.organization"
	CertIssuerOrg  Field = "x509.issuer_organization"
	CertSubject    Field = "x509.subject"       // RFC 4514 text
	CertIssuer     Field = "x509.issuer"        // RFC 4514 text
	CertHardware   Field = "x509.hardware_type" // hwType of hardwareModuleName, RFC 4108 section 5
	CertURI        Field = "x509.uri"
	Product        Field = "product"           // manufacturer and model as told by any protocol
	WSDType        Field = "ws-discovery.type" // types and the scopes that name a kind of device
	HL7Sender      Field = "hl7.sender"        // MSH-3 and MSH-4 with "|" between
	FHIRSoftware   Field = "fhir.software"     // name and version
	SNMPObjectID   Field = "snmp.object_id"    // RFC 3418, dotted
	SNMPEngine     Field = "snmp.engine"       // enterprise of the engine id as an object identifier, RFC 3411 section 5
	SNMPDescr      Field = "snmp.description"  // RFC 3418
	SSHVersion     Field = "ssh.version"       // RFC 4253 section 4.2, whole line
	HTTPServer     Field = "http.server"
	HTTPIconMD5    Field = "http.icon_md5"
	HTTPIcon       Field = "http.icon_sha256"
	FTPBanner      Field = "ftp.banner"
	TLSJA3         Field = "tls.ja3"
	TLSJA4         Field = "tls.ja4"
	DHCPVendor     Field = "dhcp.vendor_class" // option 60, RFC 2132; option 16, RFC 8415
	DHCPParameters Field = "dhcp.parameters"   // option 55, numbers with commas
	Hostname       Field = "name.hostname"
	MDNSService    Field = "mdns.service"
	SSDPServer     Field = "ssdp.server"
	LinkDescr      Field = "link.description" // LLDP and CDP
	Analyser       Field = "lis2.sender"      // first components of the sender with "^" between, LIS02-A2 section 6.5
	Protocol       Field = "protocol"         // the mere fact that it is spoken
	MAC            Field = "link.mac"
	Port           Field = "port" // "tcp/104"
)

// hintLimit bounds what a hint may claim: it never carries more than "possible".
const hintLimit = 35

// kind says how a field is looked up and how far it is to be believed.
type kind struct {
	limit int  // highest confidence of an entry
	oid   bool // values are object identifiers
	fold  bool // letter case does not count
}

// fields lists all fields.
func fields() map[Field]kind {
	text, hint, oid := kind{limit: 95, fold: true}, kind{limit: hintLimit, fold: true}, kind{limit: 95, oid: true}
	exact := kind{limit: 80}
	return map[Field]kind{
		DICOMUID: oid, DICOMVersion: text, DICOMMaxPDU: hint, DICOMTitle: hint, DICOMReject: hint,
		CertSubjectOrg: text, CertIssuerOrg: text, CertSubject: text, CertIssuer: text, CertHardware: oid, CertURI: text,
		Product: text, WSDType: text, HL7Sender: text, FHIRSoftware: text,
		SNMPObjectID: oid, SNMPEngine: oid, SNMPDescr: text, SSHVersion: text,
		HTTPServer: text, HTTPIconMD5: exact, HTTPIcon: exact, FTPBanner: text, TLSJA3: exact, TLSJA4: exact,
		DHCPVendor: text, DHCPParameters: hint, Hostname: hint, MDNSService: text, SSDPServer: text, LinkDescr: text,
		Analyser: text, Protocol: exact, MAC: hint, Port: hint,
	}
}

func fieldNames() []string {
	var out []string
	for f := range fields() {
		out = append(out, string(f))
	}
	slices.Sort(out)
	return out
}

// Classes are the classes of devices that an entry may claim. "medical device" is
// one of which only that is known.
func Classes() []string {
	return []string{
		"anaesthesia", "analyser", "archive", "dialysis", "gateway", "imaging", "infrastructure", ClassMedical,
		"monitor", "pump", "ventilator", "workstation",
	}
}

// ClassMedical is the class of what speaks a protocol that only medical devices
// and their gateways speak.
const ClassMedical = "medical device"

// claimable are the attributes that an entry may claim.
func claimable() []evidence.Attribute {
	return []evidence.Attribute{
		evidence.AttrClass, evidence.AttrDeviceType, evidence.AttrHint, evidence.AttrManufacturer, evidence.AttrModel,
		evidence.AttrOS, evidence.AttrFamily, evidence.AttrRole, evidence.AttrSerial, evidence.AttrToolkit,
		evidence.AttrToolkitVersion, evidence.AttrUDI, evidence.AttrVersion,
	}
}

func attributeNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
