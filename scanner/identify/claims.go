package identify

import (
	"strings"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
)

// Confidences of single signals. An attribute that two independent layers agree
// on is worth more than either; none of these alone is certain.
const (
	confidenceSubject = 60 // a certificate says so; the device may have borrowed it
	confidenceUIDRoot = 70 // an implementation UID on the arc of an organisation
	confidenceBanner  = 40 // free text that anyone can set
	confidenceSelf    = 80 // the device says so in the protocol that is made for it
	confidenceKey     = 90 // proof of possession in the handshake
	confidenceLink    = 80 // an address told on the link itself, where anyone can forge it
	confidenceTold    = 50 // what a device tells everyone of itself
)

// serverClaims are what o shows about the device that answered.
func serverClaims(o evidence.Observation) []evidence.Claim {
	switch {
	case o.Facts.TLS != nil:
		return subjectClaims(o, evidence.RoleServer)
	case o.Facts.SSH != nil:
		return sshClaims(o)
	case o.Facts.DICOM != nil && o.Facts.DICOM.PDU == "ac":
		return dicomClaims(*o.Facts.DICOM)
	case o.Facts.HL7 != nil && o.Facts.HL7.Sender == evidence.RoleServer:
		return hl7Claims(*o.Facts.HL7)
	case o.Facts.SDC != nil:
		return sdcClaims(*o.Facts.SDC)
	case o.Facts.HTTP != nil:
		return softwareClaims("http", o.Facts.HTTP.Server)
	case o.Facts.FHIR != nil:
		return fhirClaims(*o.Facts.FHIR)
	case o.Facts.Identity != nil && o.Facts.Identity.Sender != evidence.RoleClient:
		return identityClaims(*o.Facts.Identity)
	case o.Facts.SNMP != nil && o.Method == evidence.Passive:
		// A clock that anyone can forge joins no addresses.
		return []evidence.Claim{{Attribute: evidence.AttrEngineID, Value: hexText(o.Facts.SNMP.EngineID), Confidence: confidenceTold, Layer: "snmp"}}
	case o.Facts.SNMP != nil:
		f := *o.Facts.SNMP
		return []evidence.Claim{
			{Attribute: evidence.AttrEngineID, Value: hexText(f.EngineID), Confidence: confidenceKey, Layer: "snmp"},
			{Attribute: evidence.AttrEngineBoot, Value: bootClaim(f, o.At), Confidence: confidenceKey, Layer: "snmp"},
		}
	}
	return nil
}

// clientClaims are what o shows about the device that called.
func clientClaims(o evidence.Observation) []evidence.Claim {
	switch {
	case o.Facts.TLS != nil:
		return subjectClaims(o, evidence.RoleClient)
	case o.Facts.DICOM != nil && o.Facts.DICOM.PDU == "rq":
		return dicomClaims(*o.Facts.DICOM)
	case o.Facts.HL7 != nil && o.Facts.HL7.Sender == evidence.RoleClient:
		return hl7Claims(*o.Facts.HL7)
	case o.Facts.Identity != nil && o.Facts.Identity.Sender == evidence.RoleClient:
		return identityClaims(*o.Facts.Identity)
	}
	return nil
}

// subjectClaims reads the leaf certificate in the given role.
func subjectClaims(o evidence.Observation, role evidence.Role) []evidence.Claim {
	var out []evidence.Claim
	for _, p := range o.Certs {
		if p.Role != role || p.Position != 0 {
			continue
		}
		c, err := x509.ParseCertificate(p.DER)
		if err != nil {
			continue
		}
		add := func(a evidence.Attribute, v string) {
			if v != "" {
				out = append(out, evidence.Claim{Attribute: a, Value: v, Confidence: confidenceSubject, Layer: "x509"})
			}
		}
		add(evidence.AttrSerial, c.Subject.SerialNumber)
		for _, name := range c.DNSNames {
			add(evidence.AttrHostname, name)
		}
	}
	return out
}

func sshClaims(o evidence.Observation) []evidence.Claim {
	out := []evidence.Claim{}
	for _, k := range o.Keys {
		out = append(out, evidence.Claim{
			Attribute: evidence.AttrSSHHostKey, Value: evidence.DigestOf(k.Blob).String(),
			Confidence: confidenceKey, Layer: "ssh",
		})
	}
	// RFC 4253 section 4.2: SSH-protoversion-softwareversion SP comments.
	if _, rest, ok := strings.Cut(strings.TrimPrefix(o.Facts.SSH.Version, "SSH-"), "-"); ok && rest != "" {
		software, _, _ := strings.Cut(rest, " ")
		out = append(out, evidence.Claim{
			Attribute: evidence.AttrToolkit, Value: software, Confidence: confidenceBanner, Layer: "ssh",
		})
	}
	return out
}

func dicomClaims(f evidence.DICOMFacts) []evidence.Claim {
	var out []evidence.Claim
	if r, ok := lookupRoot(f.ImplementationUID); ok {
		out = append(out, evidence.Claim{Attribute: r.attribute, Value: r.value, Confidence: confidenceUIDRoot, Layer: "dicom"})
	}
	if f.Implementation != "" {
		out = append(out, evidence.Claim{
			Attribute: evidence.AttrVersion, Value: f.Implementation, Confidence: confidenceBanner, Layer: "dicom",
		})
	}
	return out
}

// hl7Claims are what a sender says of itself (MSH-3). A gateway speaks for many
// devices, so the application is no product.
func hl7Claims(f evidence.HL7Facts) []evidence.Claim {
	if f.SendingApplication == "" {
		return nil
	}
	return []evidence.Claim{{
		Attribute: evidence.AttrApplication, Value: f.SendingApplication, Confidence: confidenceBanner, Layer: "hl7",
	}}
}

// sdcClaims are the DPWS characteristics of a provider.
func sdcClaims(f evidence.SDCFacts) []evidence.Claim {
	var out []evidence.Claim
	add := func(a evidence.Attribute, v string) {
		if v != "" {
			out = append(out, evidence.Claim{Attribute: a, Value: v, Confidence: confidenceSelf, Layer: "sdc"})
		}
	}
	add(evidence.AttrManufacturer, f.Manufacturer)
	model := f.ModelName
	if f.ModelNumber != "" && f.ModelNumber != model {
		model = strings.TrimSpace(model + " " + f.ModelNumber)
	}
	add(evidence.AttrModel, model)
	add(evidence.AttrVersion, f.Firmware)
	add(evidence.AttrSerial, f.Serial)
	return out
}

// fhirClaims are the software of a CapabilityStatement: of the server, which may
// be a gateway for many devices.
func fhirClaims(f evidence.FHIRFacts) []evidence.Claim {
	if f.Software == "" {
		return nil
	}
	return []evidence.Claim{{
		Attribute: evidence.AttrApplication, Value: strings.TrimSpace(f.Software + " " + f.Release), Confidence: confidenceSubject, Layer: "fhir",
	}}
}

// softwareClaims are what a server calls itself in free text.
func softwareClaims(layer, text string) []evidence.Claim {
	if text == "" {
		return nil
	}
	return []evidence.Claim{{Attribute: evidence.AttrToolkit, Value: text, Confidence: confidenceBanner, Layer: layer}}
}
