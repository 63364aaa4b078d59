package fleet

import (
	"fmt"
	"maps"
	"slices"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// uniqueIssuerSerial asks that issuer and serial number name one certificate.
func uniqueIssuerSerial() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_issuer_serial",
		Source: "RFC 5280 section 4.1.2.2",
		Fleet: func(_ *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			groups := make(map[string][]*lint.Certificate)
			for _, cert := range c.Certificates() {
				if k := issuerSerial(cert); k != "" {
					groups[k] = append(groups[k], cert)
				}
			}
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No certificate was seen."))
			}
			var out []lint.GroupVerdict
			taken := make(map[string]bool) // issuers of one name and different keys
			for _, key := range slices.Sorted(maps.Keys(groups)) {
				certs := groups[key]
				if len(certs) < 2 {
					continue
				}
				var members []member
				for _, s := range c.Sightings() {
					if slices.Contains(certs, s.Certificate) {
						members = append(members, memberOf(c, s))
					}
				}
				serial := fmt.Sprintf("%x", certs[0].X509.SerialNumber)
				value := safetext.Clean(certs[0].Issuer() + "|" + serial)
				if taken[value] {
					value = safetext.Clean(value + "|" + authority(certs[0]))
				}
				taken[value] = true
				out = append(out, group(evidence.DuplicateIssuerSerial, value, members, confidenceOf(members), lint.Failf(
					"%d different certificates of the issuer %q have the serial number %s.", len(certs), certs[0].Issuer(), serial)))
			}
			return or(out, lint.Passf("Each pair of issuer and serial number (%d) names one certificate.", len(groups)))
		},
	}
}

func confidenceOf(members []member) int {
	if len(holders(members)) < 2 {
		return confidenceOne
	}
	return confidenceProved // two different certificates at two assets are no copy of one device
}

// issuerSerial is what should be unique: the issuer by name and key, and the
// serial number. Self-signed devices of one make often share name and serial
// number without being one CA, so the key tells them apart.
func issuerSerial(c *lint.Certificate) string {
	if c.X509 == nil || c.X509.SerialNumber == nil {
		return ""
	}
	return fmt.Sprintf("%x|%s|%x", c.X509.RawIssuer, authority(c), c.X509.SerialNumber)
}

// authority identifies the issuer's key: the subject key of a self-signed
// certificate, else the authority key identifier.
func authority(c *lint.Certificate) string {
	if c.SelfIssued() {
		if c.Key != nil {
			return c.Key.SPKI.String()
		}
		return evidence.DigestOf(c.X509.RawSubjectPublicKeyInfo).String()
	}
	return evidence.DigestOf(c.X509.AuthorityKeyId).String()
}
