// Package identify turns observations into assets: which physical device stands
// behind which endpoints, and what is claimed about it.
//
// Every attribute of an asset is a claim with the observation that showed it and
// the layer it came from; nothing is asserted without one. Resolution is a pure
// function of the observations and of what people stated, and does not depend on
// their order. The package sends nothing and judges nothing. docs/identity.md
// has the model: what joins, what tells apart, and why.
package identify

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"probity/evidence"
)

// bootTolerance is how far two computed starts of one SNMP engine may lie apart:
// engine time counts whole seconds, and the two answers travelled at different
// times.
const bootTolerance = 3 * time.Second

// Resolve groups what was observed into assets, ordered by their lowest address.
// Observations of files belong to no asset. The facts are what people stated, in
// the order in which they did.
func Resolve(obs []evidence.Observation, facts ...evidence.AssetFact) []evidence.Asset {
	r := New()
	for i := range obs {
		r.Add(&obs[i])
	}
	return r.Resolve(facts)
}

// Resolve returns all assets, ordered by their lowest address. Only what was
// added since the last call, and what it touches, is worked out anew; the result
// is that of a resolver to which all was added at once. The statements of people
// are those of the whole store, in the order of their ids.
func (r *Resolver) Resolve(facts []evidence.AssetFact) []evidence.Asset {
	dirty := r.decide()
	touched := r.recut(dirty)
	said := newStatements(facts)
	touched = append(touched, r.restate(said)...)
	changed := r.regroup(touched, said)
	r.rebuild(changed)
	return r.list(facts)
}

// decide orders the places to which something was added and decides anew which
// of their identifiers tell something. It returns the places to cut anew.
func (r *Resolver) decide() []*place {
	var dirty []*place
	for _, p := range r.places {
		if p.dirty {
			dirty = append(dirty, p)
		}
	}
	mark := func(v uint32) {
		before := r.values[v].shared
		if r.decideShared(&r.values[v], v); r.values[v].shared == before {
			return
		}
		for _, p := range r.values[v].places {
			if !p.dirty {
				p.dirty = true
				dirty = append(dirty, p)
			}
		}
	}
	for _, p := range dirty {
		r.order(p)
	}
	// Cards first: they show which places are one device.
	for _, cards := range []bool{true, false} {
		done := map[uint32]bool{}
		for _, p := range slices.Clone(dirty) {
			for _, v := range r.valuesOf(p) {
				if (r.values[v].sort == sortMAC) == cards && !done[v] {
					done[v] = true
					mark(v)
				}
			}
		}
	}
	return dirty
}

// valuesOf lists the values that were seen at a place, each once.
func (r *Resolver) valuesOf(p *place) []uint32 {
	var out []uint32
	contents, values := map[uint32]bool{}, map[uint32]bool{}
	for _, s := range p.sights {
		if contents[s.content] {
			continue
		}
		contents[s.content] = true
		for _, m := range r.contents[s.content].marks {
			if v := r.marks[m].value; !values[v] {
				values[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// recut cuts places anew and returns the stays that this may concern: theirs,
// and those that hold one of their identifiers.
func (r *Resolver) recut(dirty []*place) []*stay {
	var touched []*stay
	values := map[uint32]bool{}
	for _, p := range dirty {
		p.dirty = false
		for _, s := range p.stays {
			for _, n := range s.seen {
				values[n.value] = true
			}
			if s.asset != nil {
				r.dropAsset(s.asset)
			}
		}
		for _, s := range p.stays {
			for _, n := range s.seen {
				v := &r.values[n.value]
				v.stays = slices.DeleteFunc(v.stays, func(o *stay) bool { return o.place == p })
			}
			delete(r.byID, s.id)
		}
	}
	for _, p := range dirty {
		r.cutStays(p)
		for _, s := range p.stays {
			r.byID[s.id] = s
			touched = append(touched, s)
			for _, n := range s.seen {
				values[n.value] = true
				if v := &r.values[n.value]; joins(n.key.sort) && !slices.Contains(v.stays, s) {
					v.stays = append(v.stays, s)
				}
			}
		}
	}
	for v := range values {
		x := &r.values[v]
		x.edges, x.apart = r.edges(x, v)
		touched = append(touched, x.stays...)
	}
	return touched
}

// joins reports whether an identifier is a reason to compare two stays.
func joins(s sort) bool {
	return s == sortMAC || s == sortBoot || s.isKey()
}

// find returns the stay that has an id or, if what had it was later shown to be
// part of a longer stay, the stay that holds its first sight.
func (r *Resolver) find(id string) *stay {
	if s := r.byID[id]; s != nil || id == "" {
		return s
	}
	for _, p := range r.places {
		for _, s := range p.stays {
			last := int64(-1)
			for _, x := range p.sights[s.lo:s.hi] {
				if x.at != last && lateID(p.addr, x.at) == id {
					return s
				}
				last = x.at
			}
		}
	}
	return nil
}

// restate returns the stays that a new statement concerns.
func (r *Resolver) restate(said statements) []*stay {
	var out []*stay
	for _, f := range said.facts[min(r.stated, len(said.facts)):] {
		ids := slices.Concat([]string{f.Asset, f.Other}, said.named(f))
		for _, id := range ids {
			if s := r.find(id); s != nil {
				out = append(out, s)
			}
		}
	}
	r.stated = len(said.facts)
	return out
}

// regroup forms the assets of the touched stays, and of all that are joined to
// them by any reason, anew.
func (r *Resolver) regroup(touched []*stay, said statements) []*asset {
	said = said.inForce(r.find)
	merges := said.merges(r.find)
	partners := map[*stay][]*stay{}
	for _, e := range merges {
		partners[e.a] = append(partners[e.a], e.b)
		partners[e.b] = append(partners[e.b], e.a)
	}
	group := map[*stay]int{}
	var out []*asset
	var queue []*stay
	for _, first := range touched {
		if _, ok := group[first]; ok {
			continue
		}
		queue = append(queue[:0], first)
		group[first] = len(out)
		var values []uint32
		counted := map[uint32]bool{}
		for i := 0; i < len(queue); i++ {
			s := queue[i]
			reach := func(o *stay) {
				if _, ok := group[o]; !ok {
					group[o] = len(out)
					queue = append(queue, o)
				}
			}
			for _, o := range partners[s] {
				reach(o)
			}
			for _, n := range s.seen {
				if counted[n.value] || len(r.values[n.value].edges) == 0 && len(r.values[n.value].apart) == 0 {
					continue
				}
				counted[n.value] = true
				values = append(values, n.value)
			}
			for _, n := range s.seen {
				for _, e := range r.values[n.value].edges {
					if e.a == s {
						reach(e.b)
					} else if e.b == s {
						reach(e.a)
					}
				}
			}
		}
		out = append(out, r.form(queue, values, merges, said)...)
	}
	return out
}

// form makes the assets of a group of stays.
func (r *Resolver) form(stays []*stay, values []uint32, merges []edge, said statements) []*asset {
	stays = slices.Clone(stays)
	slices.SortFunc(stays, compareStays)
	member := make(map[*stay]bool, len(stays))
	for _, s := range stays {
		member[s] = true
		if s.asset != nil {
			r.dropAsset(s.asset)
		}
	}
	var edges []edge
	var apart []apartness
	for _, v := range values {
		for _, e := range r.values[v].edges {
			if member[e.a] && member[e.b] {
				edges = append(edges, e)
			}
		}
		for _, n := range r.values[v].apart {
			if member[n.a] || member[n.b] {
				apart = append(apart, n)
			}
		}
	}
	var ordered []edge
	for _, e := range merges {
		if member[e.a] {
			ordered = append(ordered, e)
		}
	}
	out := r.cluster(stays, edges, ordered, said)
	for _, n := range apart {
		for _, s := range []*stay{n.a, n.b} {
			if member[s] {
				s.asset.apart = append(s.asset.apart, n)
			}
		}
	}
	for _, a := range out {
		r.assets[a] = nil
	}
	return out
}

// dropAsset forgets an asset, and has those that name it built anew.
func (r *Resolver) dropAsset(a *asset) {
	if _, ok := r.assets[a]; !ok {
		return
	}
	delete(r.assets, a)
	r.neighbours(a)
}

// neighbours marks the assets whose life names this one: those that were at its
// addresses before, and those that it is kept apart from.
func (r *Resolver) neighbours(a *asset) {
	for _, s := range a.stays {
		for _, o := range s.place.stays {
			r.stale[o] = true
		}
	}
	for _, n := range a.apart {
		r.stale[n.a], r.stale[n.b] = true, true
	}
}

// rebuild works out the assets that are new or name one that is.
func (r *Resolver) rebuild(changed []*asset) {
	for _, a := range changed {
		r.neighbours(a)
	}
	again := map[*asset]bool{}
	for s := range r.stale {
		if s.asset != nil {
			if _, ok := r.assets[s.asset]; ok {
				again[s.asset] = true
			}
		}
	}
	for _, a := range changed {
		again[a] = true
	}
	for a := range again {
		a.facts = nil
		built := r.build(a)
		r.assets[a] = &built
	}
	clear(r.stale)
}

// list returns the assets with what people stated of them.
func (r *Resolver) list(facts []evidence.AssetFact) []evidence.Asset {
	out := make([]evidence.Asset, 0, len(r.assets))
	keys := make([]*asset, 0, len(r.assets))
	for a := range r.assets {
		keys = append(keys, a)
	}
	slices.SortFunc(keys, func(a, b *asset) int {
		x, y := r.assets[a], r.assets[b]
		return cmp.Or(lowest(x).Compare(lowest(y)), cmp.Compare(x.ID, y.ID))
	})
	said := r.assign(facts)
	for _, a := range keys {
		built := *r.assets[a]
		if fs := said[a]; len(fs) > 0 {
			a.facts = fs
			built = r.build(a)
			a.facts = nil
			built.Claims = conclude(append(statedClaims(fs), built.Claims...))
		}
		out = append(out, built)
	}
	return out
}

// lowest is the lowest address of an asset, or the lowest that it had.
func lowest(a *evidence.Asset) netip.Addr {
	if len(a.Addresses) > 0 {
		return a.Addresses[0]
	}
	low := a.Stays[0].Addr
	for _, s := range a.Stays {
		if s.Addr.Less(low) {
			low = s.Addr
		}
	}
	return low
}

func portText(p uint16) string { return strconv.Itoa(int(p)) }

// bootClaim is the text form of an engine's start.
func bootClaim(f evidence.SNMPFacts, at time.Time) string {
	start := at.Add(-time.Duration(f.EngineTime) * time.Second)
	return fmt.Sprintf("%x/%d/%s", f.EngineID, f.EngineBoots, start.UTC().Format(time.RFC3339))
}
