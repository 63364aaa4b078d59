package fleet

import (
	"slices"

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
			named, inFiles := namedHostKeys(c, f)
			out, different = append(out, named...), different+inFiles
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No SSH host key was seen."))
			}
			return or(out, lint.Passf("Each SSH host key (%d) is on one device, or shared as declared.", different))
		},
	}
}

// namedHostKeys are the keys that known_hosts files give to several hosts, and the number
// of different keys there. Lines that have a name or address in common are one host.
func namedHostKeys(c *lint.Corpus, f *lint.Fleet) (out []lint.GroupVerdict, different int) {
	different = alike(len(f.Spots), func(i int32) (evidence.Digest, bool) {
		s := &f.Spots[i]
		r := &f.Records[s.Certificate]
		return r.SPKI, r.HasKey && s.Endpoint.Hosts() != nil
	}, func(spki evidence.Digest, spots []int32) {
		if hosts := hostsOf(f, spots); len(hosts) > 1 {
			out = append(out, group(evidence.DuplicateSSHHostKey, spki.String(), membersOf(c, f, spots), confidenceOne, lint.Warnf(
				"The same SSH host key stands under %d hosts in files (%s): one device may have several names, but if they are two, both have one key.",
				len(hosts), list(hosts))))
		}
	})
	return out, different
}

// hostsOf returns the first name of each host that spots give a key to.
func hostsOf(f *lint.Fleet, spots []int32) []string {
	of := make(map[string]string) // a name to another one of its host; the first to itself
	first := func(name string) string {
		for of[name] != name {
			of[name], name = of[of[name]], of[name]
		}
		return name
	}
	for _, i := range spots {
		names := f.Spots[i].Endpoint.Hosts()
		for _, name := range names {
			if _, known := of[name]; !known {
				of[name] = name
			}
			if a, b := first(names[0]), first(name); a != b {
				of[max(a, b)] = min(a, b)
			}
		}
	}
	var out []string
	for name := range of {
		if first(name) == name {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
