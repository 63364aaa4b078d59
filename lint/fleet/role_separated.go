package fleet

import (
	"slices"

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
			keys, tls, ssh, code := keyUses(c)
			if keys == 0 {
				return fleetWide(lint.NotApplicablef("No key was seen in TLS."))
			}
			var out []lint.GroupVerdict
			for spki, members := range tls {
				// One certificate with both purposes is cert/no_code_signing's.
				others := code[spki]
				if certificates(members) == 1 {
					others = slices.DeleteFunc(slices.Clone(others), func(m member) bool { return m.certificate == members[0].certificate })
				}
				switch {
				case len(others) > 0:
					out = append(out, group(evidence.DuplicateKey, spki.String(), slices.Concat(members, others), confidenceOne,
						lint.Failf("The same key authenticates TLS and is in a certificate for code signing.")))
				case len(ssh[spki]) > 0:
					out = append(out, group(evidence.DuplicateKey, spki.String(), slices.Concat(members, ssh[spki]), confidenceOne,
						lint.Warnf("The same key authenticates TLS and SSH.")))
				}
			}
			return or(out, lint.Passf("No TLS key (%d) is an SSH host key or signs code.", keys))
		},
	}
}

// keyUses counts the keys in TLS and sorts the places of those that are used otherwise,
// too.
func keyUses(c *lint.Corpus) (keys int, tls, ssh, code map[evidence.Digest][]member) {
	tls, ssh, code = make(map[evidence.Digest][]member), make(map[evidence.Digest][]member), make(map[evidence.Digest][]member)
	f := c.Fleet()
	for i := range f.Keys {
		if k := &f.Keys[i]; k.Key != nil {
			m := showed(c, &k.Shower)
			ssh[k.Key.SPKI] = append(ssh[k.Key.SPKI], m)
		}
	}
	for i := range f.Spots {
		s := &f.Spots[i]
		if r := &f.Records[s.Certificate]; s.Leaf && r.HasKey && r.CodeSigning {
			code[r.SPKI] = append(code[r.SPKI], memberOf(c, f, int32(i)))
		}
	}
	inTLS := make([]bool, len(f.Records))
	for i := range f.Spots {
		s := &f.Spots[i]
		if r := &f.Records[s.Certificate]; s.Leaf && r.HasKey && s.Role != evidence.RoleFile {
			inTLS[s.Certificate] = true
			if len(ssh[r.SPKI])+len(code[r.SPKI]) > 0 {
				tls[r.SPKI] = append(tls[r.SPKI], memberOf(c, f, int32(i)))
			}
		}
	}
	keys = alike(len(f.Records), func(i int32) (evidence.Digest, bool) { return f.Records[i].SPKI, inTLS[i] }, func(evidence.Digest, []int32) {})
	return keys, tls, ssh, code
}
