package cert

import (
	"slices"
	"strings"

	"probity/lint"
)

// deviceIdentifier asks that the certificate of a device names the unit.
func deviceIdentifier() lint.Check {
	return lint.Check{
		Name:   "cert/device_identifier",
		Source: "IEEE 802.1AR-2018 section 8; RFC 8995 section 2.3.1; RFC 4108 section 5",
		Params: []lint.Param{{
			Name: "any_of", Doc: "what counts: subject.serialNumber, san.hardwareModuleName, san.uri",
			Default: []string{"subject.serialNumber", "san.hardwareModuleName", "san.uri"},
		}},
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			switch role := env.Role(s); {
			case role == lint.RoleIDevID, role == lint.RoleLDevID, lint.Indefinite(s.NotAfter()):
			case role == lint.RoleUnknown:
				return lint.Inconclusivef("The role of the certificate is not known.")
			default:
				return lint.NotApplicablef("The certificate plays the role %s, which names no unit.", role)
			}
			counts := env.Strings("any_of")
			module, present := s.HardwareModule()
			for _, id := range []struct{ name, value string }{
				{"subject.serialNumber", s.X509().Subject.SerialNumber},
				{"san.hardwareModuleName", module},
				{"san.uri", strings.Join(s.X509().URIs, " ")},
			} {
				if strings.TrimSpace(id.value) != "" && slices.Contains(counts, id.name) {
					return lint.Passf("The certificate names the unit by %s.", id.name)
				}
			}
			if present && module == "" {
				return lint.Warnf("The hardwareModuleName of the certificate cannot be decoded.")
			}
			return lint.Warnf("The certificate of a device names no unit.")
		}),
	}
}
