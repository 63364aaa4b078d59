package fleet

import (
	"probity/evidence"
	"probity/lint"
)

// uniqueTicketKey asks that no two devices encrypt session tickets with one key: who
// takes it from one can read and take up the sessions of all.
func uniqueTicketKey() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_ticket_key",
		Source: "RFC 5077 sections 4 and 5.5; Springall, Durumeric and Halderman, Measuring the Security Harm of TLS Crypto Shortcuts, IMC 2016",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			groups := ticketKeys(c)
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No session ticket with the name of a key was seen."))
			}
			var out []lint.GroupVerdict
			for name, members := range groups {
				if len(holders(members)) < 2 {
					continue
				}
				if g, found := shared(env, evidence.DuplicateTicketKey, name, "session-ticket key", members); found {
					out = append(out, g)
				}
			}
			return or(out, lint.Passf("Each session-ticket key (%d) is on one device, or shared as declared.", len(groups)))
		},
	}
}
