package endpoint

import (
	"strings"

	"probity/internal/wire/tlswire"
	"probity/lint"
)

// ecdheSize asks for elliptic curves of adequate size in the key exchange.
func ecdheSize() lint.Check {
	return lint.Check{
		Name:   "endpoint/ecdhe_size",
		Source: "RFC 9325 section 4.2; RFC 8422 section 5.1.1; DICOM PS3.15 annex B.13",
		Params: []lint.Param{
			{Name: "min_bits", Doc: "smallest curve in bits", Default: 224},
			{Name: "dicom_min_bits", Doc: "smallest curve in bits on a DICOM endpoint", Default: 256},
		},
		Endpoint: overTLS(func(env *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			least, curve := 0, ""
			unknown := false
			for _, h := range hellos(e) {
				if h.Version < tlswire.VersionTLS13 && !strings.HasPrefix(tlswire.SuiteName(h.CipherSuite), "TLS_ECDH") {
					continue
				}
				name, bits := curveSize(h.Group)
				switch {
				case bits == 0 && name == "":
					unknown = true
				case bits > 0 && (least == 0 || bits < least):
					least, curve = bits, name
				}
			}
			dicom := env.Service(e) == lint.ServiceDICOMTLS
			switch {
			case least > 0 && least < env.Int("min_bits"):
				return lint.Failf("The key exchange uses %s, of fewer than %d bits.", curve, env.Int("min_bits"))
			case least > 0 && dicom && least < env.Int("dicom_min_bits"):
				return lint.Warnf("The key exchange of the DICOM endpoint uses %s, of fewer than %d bits.", curve, env.Int("dicom_min_bits"))
			case least > 0:
				return lint.Passf("The smallest curve seen in the key exchange is %s.", curve)
			case unknown:
				return lint.Inconclusivef("The server uses an elliptic-curve key exchange, but its curve was not seen or is not known.")
			case highestVersion(e) == 0:
				return lint.Inconclusivef("No version was negotiated.")
			}
			return lint.NotApplicablef("No elliptic-curve key exchange was seen.")
		}),
	}
}

// curveSize names a group and gives the size of its curve; 0 with a name for a
// finite-field group (RFC 7919 reserves 0x0100 to 0x01ff), 0 without one for an
// unknown group.
func curveSize(group uint16) (string, int) {
	bits := tlswire.GroupBits(group)
	switch {
	case bits == 0:
		return "", 0
	case group>>8 == 1:
		return tlswire.GroupName(group), 0
	case bits == 255: // X25519 is of the class of 256 bits (RFC 7748 section 7)
		bits = 256
	}
	return tlswire.GroupName(group), bits
}
