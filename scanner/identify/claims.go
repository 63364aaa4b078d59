package identify

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/scanner/identify/fingerprint"
)

// Confidences of values that are read as they are. What a value tells about its
// maker is for the fingerprints to say. An attribute that two independent layers
// agree on is worth more than either; see conclude.
const (
	confidenceSubject = 60 // a certificate says so; the device may have borrowed it
	confidenceBanner  = 40 // free text that anyone can set
	confidenceSelf    = 95 // the device says so in the protocol that is made for it
	confidenceKey     = 90 // proof of possession in the handshake
	confidenceLink    = 80 // an address told on the link itself, where anyone can forge it
	confidenceHeard   = 30 // a certificate that was only presented, in traffic that anyone can forge
	confidenceTold    = 50 // what a device tells everyone of itself
	confidenceHello   = 60 // what an analyser says of itself before it speaks of anything else
)

// serverClaims are what o shows about the device that answered. Certificates that
// come again are read once.
func serverClaims(o evidence.Observation, read *memo) []evidence.Claim {
	d := newDrawing(read)
	f := o.Facts
	switch {
	case f.TLS != nil:
		d.certificates(o, evidence.RoleServer)
	case f.SSH != nil:
		d.ssh(f.SSH.Version)
		confidence := confidenceKey
		if o.Method == evidence.Passive { // the signature over the exchange cannot be checked from outside
			confidence = confidenceTold
		}
		for _, k := range o.Keys {
			d.say(evidence.AttrSSHHostKey, evidence.DigestOf(k.Blob).String(), confidence, "ssh")
		}
	case f.DICOM != nil && f.DICOM.PDU != "rq":
		d.dicom(*f.DICOM)
	case f.HL7 != nil && f.HL7.Sender == evidence.RoleServer:
		d.hl7(*f.HL7)
	case f.SDC != nil:
		d.sdc(*f.SDC)
	case f.HTTP != nil:
		d.software(fingerprint.HTTPServer, "http", f.HTTP.Server)
		d.show("http", fingerprint.HTTPIcon, f.HTTP.IconSHA256, 0)
		d.show("http", fingerprint.HTTPIconMD5, f.HTTP.IconMD5, 0)
	case f.FHIR != nil:
		d.fhir(*f.FHIR)
	case f.Banner != nil:
		d.show(f.Banner.Protocol, fingerprint.FTPBanner, f.Banner.Text, 0)
	case f.OPCUA != nil:
		d.say(evidence.AttrApplication, f.OPCUA.Name, confidenceBanner, "opcua")
	case f.Identity != nil && f.Identity.Sender != evidence.RoleClient:
		d.told(*f.Identity)
	case f.SNMP != nil:
		d.engine(o)
	}
	if len(d.out) == 0 && f.TLS != nil && !f.TLS.NotTLS { // what runs inside is not seen
		d.show("port", fingerprint.Port, fmt.Sprintf("%s/%d", o.Endpoint.Transport, o.Endpoint.Port), 0)
	}
	return d.out
}

// clientClaims are what o shows about the device that called.
func clientClaims(o evidence.Observation, read *memo) []evidence.Claim {
	d := newDrawing(read)
	f := o.Facts
	switch {
	case f.TLS != nil:
		d.certificates(o, evidence.RoleClient)
		d.show("tls", fingerprint.TLSJA3, f.TLS.JA3, 0)
		d.show("tls", fingerprint.TLSJA4, f.TLS.JA4, 0)
	case f.SSH != nil && f.SSH.Client != nil:
		d.ssh(f.SSH.Client.Version)
	case f.DICOM != nil && f.DICOM.PDU == "rq":
		d.dicom(*f.DICOM)
		d.show("dicom", fingerprint.DICOMTitle, strings.TrimSpace(f.DICOM.CallingAE), 0)
	case f.HL7 != nil && f.HL7.Sender == evidence.RoleClient:
		d.hl7(*f.HL7)
	case f.Identity != nil && f.Identity.Sender == evidence.RoleClient:
		d.told(*f.Identity)
	}
	return d.out
}

// drawing collects the claims of one observation.
type drawing struct {
	set  *fingerprint.Set
	read *memo
	out  []evidence.Claim
}

// Decoder decodes a certificate, as [x509.ParseCertificate] does; nil where it cannot.
type Decoder func(der []byte) *x509.Certificate

func decode(der []byte) *x509.Certificate {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c
}

// memo keeps what certificates show, each of which is decoded once.
type memo struct {
	known  map[evidence.Digest]*glimpse
	decode Decoder
}

func newMemo() *memo { return &memo{make(map[evidence.Digest]*glimpse), decode} }

// glimpse is what identity takes from a certificate.
type glimpse struct {
	claims []evidence.Claim
	leaf   leaf
	kept   bool // the leaf, for the history
}

// certificate returns what der shows.
func (m *memo) certificate(der []byte) *glimpse {
	sum := evidence.DigestOf(der)
	s, known := m.known[sum]
	if !known {
		c := m.decode(der)
		s = &glimpse{leaf: leafOf(sum, c)}
		if c != nil {
			d := newDrawing(nil)
			d.certificate(c)
			s.claims = d.out
		}
		m.known[sum] = s
	}
	return s
}

func newDrawing(read *memo) *drawing {
	set, _ := fingerprint.Builtin() // a mistake in the data is found by a test; then nothing is known
	return &drawing{set: set, read: read}
}

// say claims a value as it was read.
func (d *drawing) say(a evidence.Attribute, v string, confidence int, layer string) {
	if v != "" {
		d.out = append(d.out, evidence.Claim{Attribute: a, Value: v, Confidence: confidence, Layer: layer})
	}
}

// show claims what the fingerprints know of a value, with at most the given
// confidence; 0 leaves it to them. It reports whether they know anything.
func (d *drawing) show(layer string, f fingerprint.Field, v string, limit int) bool {
	claims := d.set.Claims(fingerprint.Signal{Layer: layer, Field: f, Value: v, Limit: limit})
	d.out = append(d.out, claims...)
	return len(claims) > 0
}

// software shows what a server calls itself, and keeps a name that nobody knows
// as the name of a library.
func (d *drawing) software(f fingerprint.Field, layer, text string) {
	if !d.show(layer, f, text, 0) {
		d.say(evidence.AttrToolkit, text, confidenceBanner, layer)
	}
}

// product shows manufacturer and model as a device tells them.
func (d *drawing) product(layer, manufacturer, model string, confidence int) {
	d.say(evidence.AttrManufacturer, d.set.Told(manufacturer), confidence, layer)
	d.say(evidence.AttrModel, model, confidence, layer)
	if manufacturer != "" && model != "" {
		d.show(layer, fingerprint.Product, d.set.Told(manufacturer)+" "+model, confidence)
	}
}

func (d *drawing) ssh(version string) {
	if d.show("ssh", fingerprint.SSHVersion, version, 0) {
		return
	}
	// RFC 4253 section 4.2: SSH-protoversion-softwareversion SP comments.
	if _, rest, ok := strings.Cut(strings.TrimPrefix(version, "SSH-"), "-"); ok {
		software, _, _ := strings.Cut(rest, " ")
		d.say(evidence.AttrToolkit, software, confidenceBanner, "ssh")
	}
}

// dicom shows the items of an association. The titles of an answer repeat those
// of the request and tell nothing.
func (d *drawing) dicom(f evidence.DICOMFacts) {
	d.show("dicom", fingerprint.Protocol, "dicom", 0)
	d.show("dicom", fingerprint.DICOMUID, f.ImplementationUID, 0)
	d.show("dicom", fingerprint.DICOMVersion, f.Implementation, 0)
	if f.MaxPDU != 0 {
		d.show("dicom", fingerprint.DICOMMaxPDU, fmt.Sprint(f.MaxPDU), 0)
	}
	if f.PDU == "rj" {
		d.show("dicom", fingerprint.DICOMReject, fmt.Sprintf("%d/%d/%d", f.RejectResult, f.RejectSource, f.RejectReason), 0)
	}
}

// hl7 shows what a sender says of itself. A gateway speaks for many devices, so
// the application is no product. A sender may name itself by an EUI-64, whose
// first 24 bits are those of a maker (IHE PCD TF-2 appendix B.1).
func (d *drawing) hl7(f evidence.HL7Facts) {
	d.say(evidence.AttrApplication, f.SendingApplication, confidenceBanner, "hl7")
	if f.SendingApplication != "" {
		d.show("hl7", fingerprint.HL7Sender, f.SendingApplication+"|"+f.SendingFacility, 0)
	}
	if parts := strings.Split(f.SendingApplication, "^"); len(parts) == 3 && parts[2] == "EUI-64" && len(parts[1]) >= 12 {
		d.show("hl7", fingerprint.MAC, parts[1][:12], 0)
	}
}

// sdc shows the DPWS characteristics of a provider.
func (d *drawing) sdc(f evidence.SDCFacts) {
	d.show("sdc", fingerprint.Protocol, "sdc", 0)
	model := f.ModelName
	if f.ModelNumber != "" && f.ModelNumber != model {
		model = strings.TrimSpace(model + " " + f.ModelNumber)
	}
	d.product("sdc", f.Manufacturer, model, confidenceSelf)
	d.say(evidence.AttrVersion, f.Firmware, confidenceSelf, "sdc")
	d.serial("sdc", f.Serial, confidenceSelf)
}

// fhir shows the software of a CapabilityStatement: of the server, which may be a
// gateway for many devices.
func (d *drawing) fhir(f evidence.FHIRFacts) {
	text := strings.TrimSpace(f.Software + " " + f.Release)
	d.say(evidence.AttrApplication, text, confidenceSubject, "fhir")
	d.show("fhir", fingerprint.FHIRSoftware, text, 0)
}

// engine shows the engine id of an SNMP agent (RFC 3411 section 5): its first four
// octets are the number of an enterprise, and format 3 holds a hardware address.
func (d *drawing) engine(o evidence.Observation) {
	f, confidence := *o.Facts.SNMP, confidenceKey
	if o.Method == evidence.Passive {
		confidence = confidenceTold
	}
	id := f.EngineID
	d.say(evidence.AttrEngineID, hexText(id), confidence, "snmp")
	if o.Method != evidence.Passive { // a clock that anyone can forge joins no addresses
		d.say(evidence.AttrEngineBoot, bootClaim(f, o.At), confidence, "snmp")
	}
	if len(id) < 5 {
		return
	}
	number := uint32(id[0]&0x7f)<<24 | uint32(id[1])<<16 | uint32(id[2])<<8 | uint32(id[3])
	d.show("snmp", fingerprint.SNMPEngine, fmt.Sprintf("1.3.6.1.4.1.%d", number), 0)
	const formatMAC = 3
	if id[0]&0x80 != 0 && id[4] == formatMAC && len(id) == 11 {
		d.show("oui", fingerprint.MAC, hexText(id[5:]), 0)
	}
}

func hexText(b []byte) string { return hex.EncodeToString(b) }
