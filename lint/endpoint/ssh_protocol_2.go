package endpoint

import (
	"strings"

	"probity/evidence"
	"probity/lint"
)

// sshProtocol2 asks that SSH protocol 1 is not offered.
func sshProtocol2() lint.Check {
	return lint.Check{
		Name:   "endpoint/ssh_protocol_2",
		Source: "RFC 4253 sections 4.2 and 5.1",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			version := ""
			for _, o := range s.Of(evidence.KindSSH) {
				if f := o.Facts.SSH; f != nil && f.Version != "" {
					version = f.Version
					if !strings.HasPrefix(version, "SSH-2.") {
						return lint.Failf("The server identifies itself as %q, which offers SSH protocol 1.", version)
					}
				}
			}
			switch {
			case version != "":
				return lint.Passf("The server identifies itself as %q.", version)
			case s.Asked(evidence.KindSSH):
				return lint.Inconclusivef("The server gave no SSH identification.")
			}
			return lint.NotApplicablef("No SSH service.")
		},
	}
}
