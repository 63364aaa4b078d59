package fleet

import (
	"probity/evidence"
	"probity/lint"
)

// uniqueSSHHostKey asks that no two devices have the same SSH host key.
func uniqueSSHHostKey() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_ssh_host_key",
		Source: "RFC 4251 section 4.1; CWE-1391",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			groups := make(map[evidence.Digest][]member)
			for _, s := range c.Endpoints() {
				for _, o := range s.Of(evidence.KindSSH) {
					for _, k := range o.Keys {
						d := evidence.DigestOf(k.Blob)
						groups[d] = append(groups[d], member{holder: c.Holder(s.Endpoint), endpoint: s.Endpoint, observation: o.ID, forgeable: o.Method == evidence.Passive})
					}
				}
			}
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No SSH host key was seen."))
			}
			var out []lint.GroupVerdict
			for digest, members := range groups {
				if len(holders(members)) < 2 {
					continue
				}
				// The key itself is what is copied, so it cannot tell the devices apart.
				if g, found := shared(env, evidence.DuplicateSSHHostKey, digest.String(), "SSH host key", members, evidence.AttrSSHHostKey); found {
					out = append(out, g)
				}
			}
			return or(out, lint.Passf("Each SSH host key (%d) is on one device, or shared as declared.", len(groups)))
		},
	}
}
