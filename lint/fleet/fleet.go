// Package fleet holds the checks that look at all devices at once: what should
// be unique and is not, and what should be common and is not.
//
// Two places that share a certificate or key are not yet two devices: addresses
// move, pairs fail over, hosts have several interfaces. A check says fail only
// where evidence tells the devices apart, see [distinct].
package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// Checks returns the checks of this package.
func Checks() []lint.Check {
	return []lint.Check{
		uniqueCertificate(), uniqueKey(), uniqueIssuerSerial(), uniqueSSHHostKey(), uniqueEphemeralKey(), uniqueTicketKey(),
		uniqueNonce(), oneKeyPerIdentifier(), oneKeyPerSubject(), noModelDefault(), unpredictableSerials(),
		noSharedPrime(), roleSeparated(), knownRoots(), oneVersion(),
	}
}

// member is one place at which a shared value was seen.
type member struct {
	holder      string // asset or, without one, address; empty for a file
	endpoint    evidence.Endpoint
	certificate evidence.Digest
	observation int64
	forgeable   bool // see [lint.Sighting]
}

// memberOf is a spot of the fleet.
func memberOf(c *lint.Corpus, f *lint.Fleet, spot int32) member {
	s := &f.Spots[spot]
	return member{c.Holder(s.Endpoint), s.Endpoint, f.Records[s.Certificate].Digest, s.Observation, s.Forgeable}
}

func membersOf(c *lint.Corpus, f *lint.Fleet, spots []int32) []member {
	out := make([]member, len(spots))
	for i, s := range spots {
		out[i] = memberOf(c, f, s)
	}
	return out
}

// showed is a server that showed something.
func showed(c *lint.Corpus, s *lint.Shower) member {
	return member{c.Holder(s.Endpoint), s.Endpoint, s.Leaf, s.Observation, s.Passive}
}

// leafs counts the distinct leafs.
func leafs(f *lint.Fleet) int {
	seen := make([]bool, len(f.Records))
	n := 0
	for i := range f.Spots {
		if s := &f.Spots[i]; s.Leaf && !seen[s.Certificate] {
			seen[s.Certificate] = true
			n++
		}
	}
	return n
}

// alike calls take for the numbers below n that have one key, at least two of them,
// rising, and returns how many different keys there are. key may say that a number has
// none. Keys are hashes, or begin with one, so that nobody can choose what they begin
// with; the time is that of sorting the numbers, however many have one key.
func alike[K interface{ Compare(K) int }](n int, key func(i int32) (K, bool), take func(K, []int32)) int {
	type entry struct {
		key K
		at  int32
	}
	var all []entry
	for i := range int32(n) {
		if k, ok := key(i); ok {
			if all == nil {
				all = make([]entry, 0, n)
			}
			all = append(all, entry{k, i})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(a.key.Compare(b.key), cmp.Compare(a.at, b.at)) })
	different := 0
	for start, end := 0, 0; start < len(all); start = end {
		for end = start + 1; end < len(all) && all[end].key.Compare(all[start].key) == 0; end++ {
		}
		different++
		if end-start > 1 {
			group := make([]int32, end-start)
			for i := range group {
				group[i] = all[start+i].at
			}
			take(all[start].key, group)
		}
	}
	return different
}

// holders returns the distinct holders, sorted; files have none.
func holders(members []member) []string {
	var out []string
	for _, m := range members {
		if m.holder != "" {
			out = append(out, m.holder)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// firm returns the holders of members that nobody else on the network can have
// made up.
func firm(members []member) []string {
	return holders(slices.DeleteFunc(slices.Clone(members), func(m member) bool { return m.forgeable }))
}

// group makes the finding on members that share a value. The confidence is how
// sure it is that two devices are concerned.
func group(kind evidence.DuplicateKind, value string, members []member, confidence int, v lint.Verdict) lint.GroupVerdict {
	d := evidence.Duplicate{Kind: kind, Value: value, Confidence: confidence, Assets: holders(members)}
	for _, m := range members {
		if !m.certificate.IsZero() {
			d.Certificates = append(d.Certificates, m.certificate)
		}
		d.Endpoints = append(d.Endpoints, m.endpoint)
		v.Observations = append(v.Observations, m.observation)
	}
	slices.SortFunc(d.Certificates, evidence.Digest.Compare)
	d.Certificates = slices.Compact(d.Certificates)
	slices.SortFunc(d.Endpoints, evidence.Endpoint.Compare)
	d.Endpoints = slices.Compact(d.Endpoints)
	return lint.GroupVerdict{Verdict: v, Group: d}
}

// fleetWide is the answer of a check about the fleet as a whole.
func fleetWide(v lint.Verdict) []lint.GroupVerdict { return []lint.GroupVerdict{{Verdict: v}} }

// or returns the findings or, when there is none, the answer for the fleet.
func or(findings []lint.GroupVerdict, v lint.Verdict) []lint.GroupVerdict {
	if len(findings) == 0 {
		return fleetWide(v)
	}
	slices.SortFunc(findings, func(a, b lint.GroupVerdict) int { return strings.Compare(a.Group.Value, b.Group.Value) })
	return findings
}

// The confidences of a group.
const (
	confidenceProved   = 95 // two assets are proved distinct
	confidenceUnproved = 50 // two assets, without proof
	confidencePassedOn = 80 // as proved, but one may pass connections on to the other
	confidenceCluster  = 40 // two devices by their other keys, but set up to work as one
	confidenceDeclared = 5  // the site declares the sharing
	confidenceOne      = 10 // one asset
	confidenceHeard    = 20 // two assets, of which at most one is more than traffic that anyone can forge
)

// proof says why two devices are distinct, or that they were not shown to be.
type proof struct {
	a, b      string
	attribute evidence.Attribute
}

// distinct looks for two holders that are proved to be different devices: both
// have claims of one attribute that belongs to the hardware or its software
// state, the values are disjoint, and not only passive observations back them.
// The attributes in without do not count.
func distinct(c *lint.Corpus, ids []string, without ...evidence.Attribute) (proof, bool) {
	values := make(map[string]map[evidence.Attribute][]string)
	for _, id := range ids {
		a := c.AssetOf(id)
		if a == nil {
			continue
		}
		m := make(map[evidence.Attribute][]string)
		for _, claim := range a.Claims {
			if counts(c, claim) && !slices.Contains(without, claim.Attribute) {
				m[claim.Attribute] = append(m[claim.Attribute], claim.Value)
			}
		}
		values[a.ID] = m
	}
	for _, attribute := range []evidence.Attribute{
		evidence.AttrSSHHostKey, evidence.AttrEngineID, evidence.AttrMAC, evidence.AttrSerial,
	} {
		// With n holders it is enough to compare each with the first that has the
		// attribute, and then the rest pairwise while the budget lasts.
		var with []string
		for _, id := range ids {
			if len(values[id][attribute]) > 0 {
				with = append(with, id)
			}
		}
		const most = 64
		with = with[:min(len(with), most)]
		for i, a := range with {
			for _, b := range with[i+1:] {
				if disjoint(values[a][attribute], values[b][attribute]) {
					return proof{a, b, attribute}, true
				}
			}
		}
	}
	return proof{}, false
}

func counts(c *lint.Corpus, claim evidence.Claim) bool {
	switch {
	case claim.Attribute == evidence.AttrSerial && claim.Layer == "x509":
		return false // a copied certificate carries its serial number along
	case claim.Attribute == evidence.AttrMAC && !evidence.OwnMAC(claim.Value):
		return false // one that software made up or that moves between machines
	}
	return claim.Value != "" && c.Method(claim.Observation) != evidence.Passive
}

func disjoint(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

// declared reports whether one shared identity of the policy holds every member.
func declared(p *lint.Policy, members []member) bool {
	for _, s := range p.SharedIdentity {
		if !slices.ContainsFunc(members, func(m member) bool {
			return m.endpoint.Transport != evidence.File && !slices.Contains(s.Addresses, m.endpoint.Addr)
		}) {
			return true
		}
	}
	return false
}

// shared judges members on two or more holders: not at all when the site
// declares the sharing, fail when two devices are proved, else warn. What names
// the shared thing, such as "certificate". What was only heard in traffic, where
// anyone can forge it, proves no device.
func shared(env *lint.Env, kind evidence.DuplicateKind, value, what string, members []member, without ...evidence.Attribute) (lint.GroupVerdict, bool) {
	ids := holders(members)
	if declared(env.Policy, members) {
		return lint.GroupVerdict{}, false
	}
	solid := firm(members)
	if len(solid) < 2 {
		return group(kind, value, members, confidenceHeard, lint.Warnf(
			"The same %s is at %d assets (%s), but at %d of them it was only heard in traffic without a signature of its key, which anyone on the network can forge.",
			what, len(ids), list(ids), len(ids)-len(solid))), true
	}
	if p, ok := distinct(env.Corpus, solid, without...); ok {
		if kind != evidence.DuplicateTicketKey && cluster(env.Corpus, solid) {
			return group(kind, value, members, confidenceCluster, lint.Warnf(
				"The same %s is on %d devices (%s), which take up each other's TLS sessions, as the nodes of one cluster do: if they are one, declare it.", what, len(ids), list(ids))), true
		}
		two := fmt.Sprintf("The same %s is on %d devices; %s and %s are two, as they differ in %s", what, len(ids), p.a, p.b, attributeText(p.attribute))
		switch {
		case !mayPassOn(env.Corpus, members, p):
			return group(kind, value, members, confidenceProved, lint.Failf("%s.", two)), true
		case kind == evidence.DuplicateTicketKey || kind == evidence.DuplicateEphemeralKey:
			return group(kind, value, members, confidenceCluster, lint.Warnf(
				"%s. No two certificates were seen with it: one may pass connections on to the other, or both are one service: declare it if so.", two)), true
		case kind == evidence.DuplicateSSHHostKey:
			return group(kind, value, members, confidencePassedOn, lint.Failf("%s. One that passes connections on to the other would look the same.", two)), true
		}
		return group(kind, value, members, confidencePassedOn, lint.Failf(
			"%s. One that passes connections on to the other would look the same, unless an exhaustive scan sees two keys of session tickets.", two)), true
	}
	return group(kind, value, members, confidenceUnproved, lint.Warnf(
		"The same %s is at %d assets (%s) that are not proved to be different devices.", what, len(ids), list(ids))), true
}

// cluster reports whether all of some holders encrypt session tickets with one key.
// Servers make it when they start, so that two have it only where somebody gave it to
// both: nodes behind a load balancer, or a pair.
func cluster(c *lint.Corpus, ids []string) bool {
	byHolder := lint.Remember(&c.Memo, "fleet/ticket_keys", func() map[string][][]string {
		out := make(map[string][][]string)
		ticketKeys(c, func(_ string, members []member) {
			if h := firm(members); len(h) > 1 {
				for _, id := range h {
					out[id] = append(out[id], h)
				}
			}
		})
		return out
	})
	for _, holding := range byHolder[ids[0]] {
		if !slices.ContainsFunc(ids, func(id string) bool { _, found := slices.BinarySearch(holding, id); return !found }) {
			return true
		}
	}
	return false
}

// mayPassOn reports whether one of two devices may only pass connections on to the
// other, as a load balancer or a forwarded port does: it then shows what the other one
// shows. That is excluded where they show different certificates, or encrypt session
// tickets with different keys.
func mayPassOn(c *lint.Corpus, members []member, p proof) bool {
	shown := make(map[string][]string)
	for _, m := range members {
		if !m.certificate.IsZero() {
			shown[m.holder] = append(shown[m.holder], m.certificate.String())
		}
	}
	tickets := ticketNames(c)
	return !apart(shown[p.a], shown[p.b]) && !apart(tickets[p.a], tickets[p.b])
}

func apart(a, b []string) bool { return len(a) > 0 && len(b) > 0 && disjoint(a, b) }

// ticketNames are the names of the keys that holders encrypt session tickets with: of
// those that were seen twice, because the tickets of some servers begin with a random
// number.
func ticketNames(c *lint.Corpus) map[string][]string {
	return lint.Remember(&c.Memo, "fleet/ticket_names", func() map[string][]string {
		out := make(map[string][]string)
		ticketKeys(c, func(name string, members []member) {
			times := make(map[string]int)
			for _, m := range members {
				if times[m.holder]++; times[m.holder] == 2 && !m.forgeable {
					out[m.holder] = append(out[m.holder], name)
				}
			}
		})
		return out
	})
}

func attributeText(a evidence.Attribute) string {
	switch a {
	case evidence.AttrSSHHostKey:
		return "their SSH host keys"
	case evidence.AttrEngineID:
		return "their SNMP engine ids"
	case evidence.AttrMAC:
		return "their MAC addresses"
	default:
		return "their serial numbers"
	}
}

// list names at most twenty items.
func list(items []string) string {
	const most = 20
	s := strings.Join(items[:min(len(items), most)], ", ")
	if len(items) > most {
		s += fmt.Sprintf(" and %d more", len(items)-most)
	}
	return s
}
