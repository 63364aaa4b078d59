package endpoint

import (
	"strings"

	"probity/lint"
)

// ecdheSize asks for elliptic curves of adequate size in the key exchange.
func ecdheSize(s suites) lint.Check {
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
				if h.Version < tls13 && !strings.HasPrefix(s.name(h.CipherSuite), "TLS_ECDH") {
					continue
				}
				name, bits := groupSize(h.Group)
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

// groupSize names an IANA supported group and gives the size of its curve; 0 with
// a name for a finite-field group, 0 without one for an unknown group.
func groupSize(group uint16) (string, int) {
	switch group {
	case 15:
		return "secp160k1", 160
	case 16:
		return "secp160r1", 160
	case 18:
		return "secp192k1", 192
	case 19:
		return "secp192r1", 192
	case 20:
		return "secp224k1", 224
	case 21:
		return "secp224r1", 224
	case 22:
		return "secp256k1", 256
	case 23:
		return "secp256r1", 256
	case 24:
		return "secp384r1", 384
	case 25:
		return "secp521r1", 521
	case 26, 31:
		return "brainpoolP256r1", 256
	case 27, 32:
		return "brainpoolP384r1", 384
	case 28, 33:
		return "brainpoolP512r1", 512
	case 29:
		return "x25519", 256
	case 30:
		return "x448", 448
	case 4587:
		return "SecP256r1MLKEM768", 256
	case 4588:
		return "X25519MLKEM768", 256
	case 4589:
		return "SecP384r1MLKEM1024", 384
	case 256, 257, 258, 259, 260:
		return "ffdhe", 0
	}
	return "", 0
}
