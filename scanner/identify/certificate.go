package identify

import (
	"slices"
	"strings"
	"time"

	"github.com/zmap/zcrypto/encoding/asn1"
	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zcrypto/x509/pkix"

	"probity/evidence"
	"probity/scanner/identify/fingerprint"
)

// certificates reads the leaf certificate in the given role. Its chain is not
// checked here: a name in it is a claim, and no more. One that was only heard in
// traffic counts for less without a signature of its key, and for nothing where
// the signature is of another key: then it is somebody else's.
func (d *drawing) certificates(o evidence.Observation, role evidence.Role) {
	const none = 100
	limit := none
	if o.Method == evidence.Passive && o.Facts.TLS != nil {
		proof := o.Facts.TLS.Possession
		if role == evidence.RoleClient {
			proof = o.Facts.TLS.ClientPossession
		}
		switch proof {
		case evidence.PossessionVerified:
		case evidence.PossessionRefuted:
			return
		default:
			limit = confidenceHeard
		}
	}
	before := len(d.out)
	defer func() {
		for i := range d.out[before:] {
			c := &d.out[before+i]
			c.Confidence = min(c.Confidence, limit)
		}
	}()
	for _, p := range o.Certs {
		if p.Role != role || p.Position != 0 {
			continue
		}
		d.out = append(d.out, d.read.certificate(p.DER).claims...)
	}
}

func (d *drawing) certificate(c *x509.Certificate) {
	const layer = "x509"
	d.serial(layer, c.Subject.SerialNumber, confidenceSubject)
	for _, text := range slices.Concat(c.Subject.CommonNames, c.Subject.OrganizationalUnit, c.URIs) {
		d.identifier(layer, text, confidenceSubject)
	}
	for _, name := range c.DNSNames {
		d.say(evidence.AttrHostname, name, confidenceSubject, layer)
	}
	hardware, serial := hardwareModule(c)
	d.serial(layer, serial, confidenceSubject)
	d.show(layer, fingerprint.CertHardware, hardware, 0)
	for _, uri := range c.URIs {
		d.show(layer, fingerprint.CertURI, uri, 0)
	}
	d.show(layer, fingerprint.CertSubject, c.Subject.String(), 0)
	d.show(layer, fingerprint.CertIssuer, c.Issuer.String(), 0)
	for _, org := range c.Subject.Organization {
		d.organisation(fingerprint.CertSubjectOrg, org, c, serial != "" || indefinite(c))
	}
	for _, org := range c.Issuer.Organization {
		d.organisation(fingerprint.CertIssuerOrg, org, c, false)
	}
}

// organisation shows an organisation in a certificate. What the fingerprints do
// not know is the manufacturer all the same in an initial device identity (IEEE
// 802.1AR section 8), which nobody else issues.
func (d *drawing) organisation(f fingerprint.Field, org string, c *x509.Certificate, initial bool) {
	name, known := d.set.Manufacturer(org)
	d.show("x509", f, org, 0)
	switch {
	case known:
		for _, model := range slices.Concat(c.Subject.CommonNames, c.Subject.OrganizationalUnit) {
			d.show("x509", fingerprint.Product, name+" "+model, confidenceSubject)
		}
	case initial:
		d.say(evidence.AttrManufacturer, strings.TrimSpace(org), confidenceTold, "x509")
	}
}

// indefinite reports whether a certificate does not expire, as initial device
// identities do not (RFC 5280 section 4.1.2.5).
func indefinite(c *x509.Certificate) bool {
	return c.NotAfter.Equal(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
}

// hardwareModule returns type and serial number of the hardwareModuleName among
// the alternative names (RFC 4108 section 5); empty without one.
func hardwareModule(c *x509.Certificate) (kind, serial string) {
	name := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}
	for _, other := range c.OtherNames {
		if !other.TypeID.Equal(name) {
			continue
		}
		if kind, serial, ok := module(other); ok {
			return kind, serial
		}
	}
	return "", ""
}

// maxModuleSerial bounds what is shown of a serial number.
const maxModuleSerial = 128

func module(other pkix.OtherName) (kind, serial string, ok bool) {
	var m struct {
		Type   asn1.ObjectIdentifier
		Serial []byte
	}
	// The value is wrapped in an explicit tag; some libraries keep it, some not.
	value := other.Value.FullBytes
	if len(other.Value.Bytes) > 0 && other.Value.Class == asn1.ClassContextSpecific {
		value = other.Value.Bytes
	}
	if rest, err := asn1.Unmarshal(value, &m); err != nil || len(rest) > 0 || len(m.Serial) == 0 || len(m.Serial) > maxModuleSerial {
		return "", "", false
	}
	for _, b := range m.Serial {
		if b < ' ' || b > '~' {
			return m.Type.String(), "", true
		}
	}
	return m.Type.String(), string(m.Serial), true
}
