package endpoint

import (
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
	"probity/lint/key"
)

// sshHostKeyNotKnown asks that nobody has published the private half of a host key.
func sshHostKeyNotKnown() lint.Check {
	known := key.Known()
	return lint.Check{
		Name:   "endpoint/ssh_host_key_not_known",
		Source: "CWE-321; CVE-2008-0166; the lists are those of key/not_publicly_known",
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			var bad []string
			seen := 0
			for _, o := range s.Of(evidence.KindSSH) {
				for _, h := range o.Keys {
					k := lint.ParseSSHKey(h.Blob)
					if k == nil {
						continue
					}
					seen++
					if where := key.Published(env, known, k); where != "" {
						bad = append(bad, keyText(k)+" ("+where+")")
					}
				}
			}
			slices.Sort(bad)
			switch bad = slices.Compact(bad); {
			case len(bad) > 0:
				return lint.Failf("The private half of a host key is public: %s.", strings.Join(bad, ", "))
			case seen > 0:
				return lint.Passf("No host key is on a list of published keys.")
			case s.Asked(evidence.KindSSH):
				return lint.Inconclusivef("No SSH host key was seen.")
			}
			return lint.NotApplicablef("No SSH service.")
		},
	}
}
