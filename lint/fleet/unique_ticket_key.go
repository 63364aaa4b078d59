package fleet

import (
	"encoding/hex"

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
			var out []lint.GroupVerdict
			different := ticketKeys(c, func(name string, members []member) {
				if len(holders(members)) < 2 {
					return
				}
				if g, found := shared(env, evidence.DuplicateTicketKey, name, "session-ticket key", members); found {
					out = append(out, g)
				}
			})
			if different == 0 {
				return fleetWide(lint.NotApplicablef("No session ticket with the name of a key was seen."))
			}
			return or(out, lint.Passf("Each session-ticket key (%d) is on one device, or shared as declared.", different))
		},
	}
}

// ticketKeys calls take for the name of each key that encrypts session tickets and was
// seen more than once, and returns how many different ones there are.
func ticketKeys(c *lint.Corpus, take func(name string, members []member)) int {
	return values(c, c.Fleet().Tickets, func(v evidence.Digest, members []member) {
		take(hex.EncodeToString(v[:lint.TicketKeyName]), members)
	})
}
