package fleet

import (
	"encoding/hex"

	"probity/evidence"
	"probity/lint"
)

// uniqueEphemeralKey asks that no two devices made a key exchange with one and the
// same public value: who holds one of them can read the sessions of the other, and
// what made the keys makes others twice, too. One device that uses a key twice is
// judged by endpoint/ephemeral_keys_fresh.
func uniqueEphemeralKey() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_ephemeral_key",
		Source: "RFC 9325 section 7.4; NIST SP 800-56A rev. 3 section 5.6.3.3",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			groups := make(map[evidence.Digest][]member)
			for _, s := range c.Endpoints() {
				for _, o := range s.TLS() {
					if k := o.Facts.TLS.KeyShare; !k.IsZero() && !o.Facts.TLS.Retry {
						groups[k] = append(groups[k], serverMember(c, o))
					}
				}
			}
			if len(groups) == 0 {
				return fleetWide(lint.NotApplicablef("No ephemeral key of a key exchange was seen."))
			}
			var out []lint.GroupVerdict
			for key, members := range groups {
				if len(holders(members)) < 2 {
					continue
				}
				if g, found := shared(env, evidence.DuplicateEphemeralKey, key.String(), "key of a key exchange", members); found {
					out = append(out, g)
				}
			}
			return or(out, lint.Passf("Each of the %d keys of key exchanges was used by one device, or is shared as declared.", len(groups)))
		},
	}
}

// serverMember is the server of a handshake.
func serverMember(c *lint.Corpus, o *evidence.Observation) member {
	m := member{holder: c.Holder(o.Endpoint), endpoint: o.Endpoint, observation: o.ID, forgeable: o.Method == evidence.Passive}
	for _, p := range o.Certs {
		if p.Role == evidence.RoleServer && p.Position == 0 {
			m.certificate = evidence.DigestOf(p.DER)
		}
	}
	return m
}

// ticketKeys maps the names of the keys that encrypt session tickets to the servers
// that use them. What does not look like a random name is left out: not every server
// follows RFC 5077 section 4, and the first bytes of other tickets may be equal
// without telling anything.
func ticketKeys(c *lint.Corpus) map[string][]member {
	groups := make(map[string][]member)
	for _, s := range c.Endpoints() {
		for _, o := range s.TLS() {
			if name := o.Facts.TLS.TicketKey; looksRandom(name) {
				k := hex.EncodeToString(name)
				groups[k] = append(groups[k], serverMember(c, o))
			}
		}
	}
	return groups
}

// looksRandom reports whether a name of 16 bytes may be drawn at random: one in a
// hundred million such names has fewer different bytes.
func looksRandom(name []byte) bool {
	const size, different = 16, 12
	seen := make(map[byte]bool, size)
	for _, b := range name {
		seen[b] = true
	}
	return len(name) == size && len(seen) >= different
}
