package endpoint

import (
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// sshHostKeyStrength asks for host keys of adequate strength.
func sshHostKeyStrength() lint.Check {
	return lint.Check{
		Name:   "endpoint/ssh_host_key_strength",
		Source: "RFC 8332; NIST SP 800-131A rev. 2 section 3; FIPS 186-5 section 4",
		Params: []lint.Param{{Name: "rsa_min", Doc: "shortest RSA modulus in bits", Default: 2048}},
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			var good, bad []string
			dsaOffered := false
			for _, o := range s.Of(evidence.KindSSH) {
				if f := o.Facts.SSH; f != nil {
					dsaOffered = dsaOffered || slices.Contains(f.HostKeys, "ssh-dss")
				}
				for _, k := range o.Keys {
					key := lint.ParseSSHKey(k.Blob)
					switch {
					case key == nil:
					case key.Algorithm == lint.DSA || key.Algorithm == lint.RSA && key.Bits < env.Int("rsa_min"):
						bad = append(bad, keyText(key))
					default:
						good = append(good, keyText(key))
					}
				}
			}
			slices.Sort(good)
			slices.Sort(bad)
			good, bad = slices.Compact(good), slices.Compact(bad)
			switch {
			case len(bad) > 0 && len(good) == 0:
				return lint.Failf("The server has no adequate host key: %s.", strings.Join(bad, ", "))
			case len(bad) > 0:
				return lint.Warnf("Besides adequate host keys the server has %s.", strings.Join(bad, ", "))
			case len(good) > 0 && dsaOffered:
				return lint.Warnf("The server also offers a DSA host key.")
			case len(good) > 0:
				return lint.Passf("The server's host keys are %s.", strings.Join(good, ", "))
			case s.Asked(evidence.KindSSH):
				return lint.Inconclusivef("No SSH host key was seen.")
			}
			return lint.NotApplicablef("No SSH service.")
		},
	}
}

func keyText(k *lint.Key) string {
	switch k.Algorithm {
	case lint.EC:
		return k.Curve
	case lint.Ed25519:
		return string(k.Algorithm)
	default:
		return fmt.Sprintf("%s %d", k.Algorithm, k.Bits)
	}
}
