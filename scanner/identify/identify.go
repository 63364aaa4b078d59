// Package identify turns observations into assets: which physical device stands
// behind which endpoints, and what is claimed about it.
//
// Every attribute of an asset is a claim with the observation that showed it and
// the layer it came from; nothing is asserted without one. Resolution is a pure
// function of the observations and does not depend on their order. The package
// sends nothing, judges nothing and keeps no state.
package identify

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
)

// bootTolerance is how far two computed starts of one SNMP engine may lie apart:
// engine time counts whole seconds, and the two answers travelled at different
// times.
const bootTolerance = 3 * time.Second

// Resolve groups the endpoints of the observations into assets, ordered by
// their lowest address. Endpoints at one address are one asset. Two addresses
// are joined only by proof that one running device answers at both: the same
// SNMP engine id with the same boot count and the same moment of start (RFC 3414
// section 2.2). Equal certificates or host keys join nothing, because a clone
// has them too. Observations of files belong to no asset.
func Resolve(obs []evidence.Observation) []evidence.Asset {
	byAddr := map[netip.Addr]*evidence.Asset{}
	for _, o := range obs {
		if o.Result != evidence.ResultData || !o.Endpoint.Addr.IsValid() {
			continue
		}
		claim(byAddr, o.Endpoint, o, serverClaims(o))
		if o.Peer.Addr.IsValid() {
			claim(byAddr, o.Peer, o, clientClaims(o))
		}
	}
	groups := join(byAddr)
	assets := make([]evidence.Asset, 0, len(groups))
	for _, g := range groups {
		assets = append(assets, merge(g, byAddr))
	}
	slices.SortFunc(assets, func(a, b evidence.Asset) int { return a.Addresses[0].Compare(b.Addresses[0]) })
	return assets
}

// claim adds what o shows about the asset at e. A client's port is ephemeral and
// names no endpoint.
func claim(byAddr map[netip.Addr]*evidence.Asset, e evidence.Endpoint, o evidence.Observation, claims []evidence.Claim) {
	a := byAddr[e.Addr]
	if a == nil {
		a = &evidence.Asset{Addresses: []netip.Addr{e.Addr}, FirstSeen: o.At, LastSeen: o.At}
		byAddr[e.Addr] = a
	}
	if o.At.Before(a.FirstSeen) {
		a.FirstSeen = o.At
	}
	if o.At.After(a.LastSeen) {
		a.LastSeen = o.At
	}
	if e == o.Endpoint && !slices.Contains(a.Endpoints, e) {
		a.Endpoints = append(a.Endpoints, e)
	}
	for _, c := range claims {
		c.Value = safetext.Clean(c.Value)
		c.Observation = o.ID
		a.Claims = append(a.Claims, c)
	}
}

// boot is one SNMP engine seen at an address.
type boot struct {
	addr   netip.Addr
	engine string
	count  string
	start  time.Time
}

// join returns the groups of addresses that are one device.
func join(byAddr map[netip.Addr]*evidence.Asset) [][]netip.Addr {
	addrs := make([]netip.Addr, 0, len(byAddr))
	var boots []boot
	for addr, a := range byAddr {
		addrs = append(addrs, addr)
		for _, c := range a.Claims {
			if c.Attribute == evidence.AttrEngineBoot {
				if b, ok := parseBoot(c.Value); ok {
					b.addr = addr
					boots = append(boots, b)
				}
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	slices.SortFunc(boots, func(a, b boot) int {
		return cmp.Or(cmp.Compare(a.engine, b.engine), cmp.Compare(a.count, b.count), a.start.Compare(b.start), a.addr.Compare(b.addr))
	})
	leader := make(map[netip.Addr]netip.Addr, len(addrs))
	for _, a := range addrs {
		leader[a] = a
	}
	for i := 1; i < len(boots); i++ {
		p, q := boots[i-1], boots[i]
		if p.engine == q.engine && p.count == q.count && q.start.Sub(p.start) <= bootTolerance {
			union(leader, p.addr, q.addr)
		}
	}
	groups := map[netip.Addr][]netip.Addr{}
	for _, a := range addrs {
		l := find(leader, a)
		groups[l] = append(groups[l], a)
	}
	out := make([][]netip.Addr, 0, len(groups))
	for _, a := range addrs {
		if g, ok := groups[a]; ok {
			out = append(out, g)
		}
	}
	return out
}

func find(leader map[netip.Addr]netip.Addr, a netip.Addr) netip.Addr {
	for leader[a] != a {
		a = leader[a]
	}
	return a
}

// union keeps the lowest address as leader, so that groups do not depend on the
// order in which proofs are found.
func union(leader map[netip.Addr]netip.Addr, a, b netip.Addr) {
	a, b = find(leader, a), find(leader, b)
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	leader[b] = a
}

// merge makes one asset of the addresses in group, which is sorted.
func merge(group []netip.Addr, byAddr map[netip.Addr]*evidence.Asset) evidence.Asset {
	out := *byAddr[group[0]]
	out.Addresses = group
	for _, addr := range group[1:] {
		a := byAddr[addr]
		out.Endpoints = append(out.Endpoints, a.Endpoints...)
		out.Claims = append(out.Claims, a.Claims...)
		if a.FirstSeen.Before(out.FirstSeen) {
			out.FirstSeen = a.FirstSeen
		}
		if a.LastSeen.After(out.LastSeen) {
			out.LastSeen = a.LastSeen
		}
	}
	slices.SortFunc(out.Endpoints, evidence.Endpoint.Compare)
	slices.SortFunc(out.Claims, func(a, b evidence.Claim) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Value, b.Value),
			cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Observation, b.Observation))
	})
	// The same value seen again adds nothing; the first observation of it stays.
	out.Claims = slices.CompactFunc(out.Claims, func(a, b evidence.Claim) bool {
		return a.Attribute == b.Attribute && a.Value == b.Value && a.Layer == b.Layer
	})
	id := evidence.DigestOf([]byte("asset\x00" + group[0].String()))
	out.ID = "asset-" + hex.EncodeToString(id[:6])
	return out
}

// bootClaim is the text form of an engine's start.
func bootClaim(f evidence.SNMPFacts, at time.Time) string {
	start := at.Add(-time.Duration(f.EngineTime) * time.Second)
	return fmt.Sprintf("%x/%d/%s", f.EngineID, f.EngineBoots, start.UTC().Format(time.RFC3339))
}
