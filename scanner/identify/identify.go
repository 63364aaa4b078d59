// Package identify turns observations into assets: which physical device stands
// behind which endpoints, and what is claimed about it.
//
// Every attribute of an asset is a claim with the observation that showed it and
// the layer it came from; nothing is asserted without one. Resolution is a pure
// function of the observations and of what people stated, and does not depend on
// their order. What it worked out can be kept as a [Base], from which a later
// resolution goes on with what is new; the result is the same. The package sends
// nothing and judges nothing. docs/identity.md has the model: what joins, what
// tells apart, and why.
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
	r := New(nil)
	for i := range obs {
		r.Add(&obs[i])
	}
	u, err := r.Resolve(facts)
	if err != nil {
		return nil // there is no base that could be damaged
	}
	var out []evidence.Asset
	for a := range u.Assets {
		out = append(out, a)
	}
	slices.SortFunc(out, evidence.Asset.Compare)
	return out
}

// Resolve works out what was added and what it touches. The statements of people
// are those of the whole store, in the order of their ids. An error is [ErrBase];
// one that is met while the update is read ends its sequences, and [Resolver.Err]
// has it.
func (r *Resolver) Resolve(facts []evidence.AssetFact) (Update, error) {
	r.read = nil // nothing is added any more
	if r.base == nil {
		r.valueOf, r.claimOf = nil, nil
		r.texts.close()
		for _, p := range r.places { // let go of the room to grow
			p.bySum = nil
			p.sights, p.contents = slices.Clone(p.sights), slices.Clone(p.contents)
		}
	}
	dirty := r.decide()
	r.cutAll()
	r.search(facts)
	g := grouping{r: r, said: newStatements(facts), group: map[*stay]int{}, fetched: map[string]bool{}}
	g.said = g.said.inForce(r.find)
	g.merges = g.said.merges(r.find)
	g.partners = map[*stay][]*stay{}
	for _, e := range g.merges {
		g.partners[e.a] = append(g.partners[e.a], e.b)
		g.partners[e.b] = append(g.partners[e.b], e.a)
	}
	g.run(append(r.touched(dirty), r.stated(g.said)...))
	matched := r.match(facts, &g)
	if r.err != nil {
		return Update{}, r.err
	}
	return r.update(matched), nil
}

// Err is the first error that the base had.
func (r *Resolver) Err() error { return r.err }

// decide orders the places to which something was added and decides anew which
// of their identifiers tell something. It returns the places to cut anew.
func (r *Resolver) decide() []*place {
	var dirty []*place
	for _, p := range r.sortedPlaces() { // so that each value lists its places by appending
		if p.dirty() {
			r.order(p)
			dirty = append(dirty, p)
		}
	}
	// Cards first: they show which places are one device.
	for _, cards := range []bool{true, false} {
		done := map[uint32]bool{}
		for _, p := range slices.Clone(dirty) {
			for _, v := range r.identifiers(p) {
				if s := r.val(v).sort; (s == sortMAC) == cards && s.canBeShared() && !done[v] {
					done[v] = true
					dirty = append(dirty, r.decideValue(v)...)
				}
			}
		}
	}
	return dirty
}

// decideValue decides whether a value tells something and returns the places
// that have to be cut anew for it.
func (r *Resolver) decideValue(index uint32) (more []*place) {
	r.known(index)
	if r.val(index).stands() {
		return nil
	}
	r.all(index)
	v := r.val(index)
	before, why := v.shared, v.proof
	if r.decideShared(v, index); v.shared == before && v.proof.equal(why) {
		return nil
	}
	for _, p := range v.places {
		if !p.dirty() {
			more = append(more, p)
		}
		p.since = always // what rests on the value may have been decided long ago
	}
	return more
}

// cutAll cuts the places that are known by now.
func (r *Resolver) cutAll() {
	r.cutting = true
	for _, p := range r.places {
		r.cut(p)
	}
}

// cut decides which stays a place has, and makes them known to their values.
func (r *Resolver) cut(p *place) {
	r.cutStays(p)
	for _, s := range p.stays {
		r.byID[s.id] = s
		for i, n := range s.seen {
			if !joins(n.key.sort) || slices.ContainsFunc(s.seen[:i], func(o seen) bool { return o.value == n.value }) {
				continue
			}
			v := r.val(n.value)
			v.stays = append(v.stays, s)
		}
	}
}

// joins reports whether an identifier is a reason to compare two stays.
func joins(s sort) bool {
	return s == sortMAC || s == sortBoot || s.isKey()
}

// touched lists the stays that what is new may concern: those of the places to
// cut anew, and those that hold one of their identifiers.
func (r *Resolver) touched(dirty []*place) []*stay {
	var out []*stay
	done := map[uint32]bool{}
	for _, p := range dirty {
		out = append(out, p.stays...)
		for _, asset := range p.before {
			r.replaced[asset] = true
		}
		for _, v := range r.identifiers(p) {
			if x := r.val(v); r.base != nil && joins(x.sort) && !x.shared && !done[v] {
				done[v] = true
				r.all(v)
				out = append(out, r.val(v).stays...)
			}
		}
	}
	return out
}

// stated lists the stays that a new statement concerns.
func (r *Resolver) stated(said statements) []*stay {
	var out []*stay
	if r.base == nil {
		return nil // all are worked out
	}
	for _, f := range said.facts {
		if f.Kind == evidence.FactInventory || f.ID <= r.base.Stated() {
			continue
		}
		for _, id := range append([]string{f.Asset, f.Other}, named(f)...) {
			if s := r.find(id); s != nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// update gives out what was worked out.
func (r *Resolver) update(said map[*asset][]evidence.AssetFact) Update {
	u := Update{Former: r.former}
	for id := range r.replaced {
		u.Gone = append(u.Gone, id)
	}
	slices.Sort(u.Gone)
	slices.SortFunc(r.formed, func(a, b *asset) int { return cmp.Compare(a.name, b.name) })
	u.Assets = func(yield func(evidence.Asset, []string) bool) {
		for _, a := range r.formed {
			if built, names := r.build(a, said[a]); !yield(built, names) {
				return
			}
		}
	}
	u.Places = func(yield func(netip.Addr, []byte) bool) {
		for _, p := range r.sortedPlaces() {
			if p.changed() && !yield(p.addr, r.encode(p)) {
				return
			}
		}
	}
	u.Held = func(yield func(Key, netip.Addr) bool) {
		for _, p := range r.sortedPlaces() {
			if !p.dirty() {
				continue
			}
			for _, v := range r.identifiers(p) {
				if _, old := slices.BinarySearch(p.values, v); !old && !yield(r.key(r.val(v)), p.addr) {
					return
				}
			}
		}
	}
	return u
}

func (r *Resolver) sortedPlaces() []*place {
	out := make([]*place, 0, len(r.places))
	for _, p := range r.places {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *place) int { return a.addr.Compare(b.addr) })
	return out
}

// changed reports whether the record of the place is another than before.
func (p *place) changed() bool {
	return p.dirty() || slices.ContainsFunc(p.stays, func(s *stay) bool { return s.assetOf() != p.before[s.id] })
}

func portText(p uint16) string { return strconv.Itoa(int(p)) }

// bootClaim is the text form of an engine's start.
func bootClaim(f evidence.SNMPFacts, at time.Time) string {
	start := at.Add(-time.Duration(f.EngineTime) * time.Second)
	return fmt.Sprintf("%x/%d/%s", f.EngineID, f.EngineBoots, start.UTC().Format(time.RFC3339))
}
