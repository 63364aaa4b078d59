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
			f := c.Fleet()
			var out []lint.GroupVerdict
			different := alike(len(f.Keys), func(i int32) (evidence.Digest, bool) { return f.Keys[i].Blob, true }, func(blob evidence.Digest, keys []int32) {
				members := make([]member, len(keys))
				for i, k := range keys {
					members[i] = showed(c, &f.Keys[k].Shower)
				}
				if len(holders(members)) < 2 {
					return
				}
				// The key itself is what is copied, so it cannot tell the devices apart.
				if g, found := shared(env, evidence.DuplicateSSHHostKey, blob.String(), "SSH host key", members, evidence.AttrSSHHostKey); found {
					out = append(out, g)
				}
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No SSH host key was seen."))
			}
			return or(out, lint.Passf("Each SSH host key (%d) is on one device, or shared as declared.", different))
		},
	}
}
