package fleet

import (
	"slices"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/lint"
)

// roleSeparated asks that a TLS key is neither an SSH host key nor a key that
// signs code.
func roleSeparated() lint.Check {
	return lint.Check{
		Name:   "fleet/role_separated",
		Source: "NIST SP 800-57 part 1 rev. 5 section 5.2",
		Fleet: func(_ *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			tls, ssh, code := keyUses(c)
			if len(tls) == 0 {
				return fleetWide(lint.NotApplicablef("No key was seen in TLS."))
			}
			var out []lint.GroupVerdict
			for spki, members := range tls {
				// One certificate with both purposes is cert/no_code_signing's.
				others := slices.DeleteFunc(slices.Clone(code[spki]), func(m member) bool {
					return !slices.ContainsFunc(members, func(t member) bool { return t.certificate != m.certificate })
				})
				switch {
				case len(others) > 0:
					out = append(out, group(evidence.DuplicateKey, spki.String(), slices.Concat(members, others), confidenceOne,
						lint.Failf("The same key authenticates TLS and is in a certificate for code signing.")))
				case len(ssh[spki]) > 0:
					out = append(out, group(evidence.DuplicateKey, spki.String(), slices.Concat(members, ssh[spki]), confidenceOne,
						lint.Warnf("The same key authenticates TLS and SSH.")))
				}
			}
			return or(out, lint.Passf("No TLS key (%d) is an SSH host key or signs code.", len(tls)))
		},
	}
}

// keyUses sorts the places of every key by what it is used for.
func keyUses(c *lint.Corpus) (tls, ssh, code map[evidence.Digest][]member) {
	tls, ssh, code = make(map[evidence.Digest][]member), make(map[evidence.Digest][]member), make(map[evidence.Digest][]member)
	for _, s := range c.Leafs() {
		k := s.Certificate.Key
		if k == nil {
			continue
		}
		if s.Role != evidence.RoleFile {
			tls[k.SPKI] = append(tls[k.SPKI], memberOf(c, s))
		}
		if s.Certificate.HasExtKeyUsage(x509.ExtKeyUsageCodeSigning) {
			code[k.SPKI] = append(code[k.SPKI], memberOf(c, s))
		}
	}
	for _, s := range c.Endpoints() {
		for _, o := range s.Of(evidence.KindSSH) {
			for _, blob := range o.Keys {
				if k := lint.ParseSSHKey(blob.Blob); k != nil {
					ssh[k.SPKI] = append(ssh[k.SPKI], member{holder: c.Holder(s.Endpoint), endpoint: s.Endpoint, observation: o.ID, forgeable: o.Method == evidence.Passive})
				}
			}
		}
	}
	return tls, ssh, code
}
