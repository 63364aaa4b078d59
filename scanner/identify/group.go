package identify

import "slices"

// grouping forms the assets of stays, and of all that hangs together with them.
type grouping struct {
	r        *Resolver
	said     statements
	merges   []edge
	partners map[*stay][]*stay
	group    map[*stay]int
	groups   int
	fetched  map[string]bool // assets of the base whose stays are formed
	looked   int             // of the assets formed, those whose neighbours were looked for
}

// run forms the assets of the given stays, of all that are joined to them by any
// reason, of what was one asset with any of them before, and of those whose life
// names one that changed.
func (g *grouping) run(todo []*stay) {
	for len(todo) > 0 && g.r.err == nil {
		var formed []*stay
		for _, s := range todo {
			if _, done := g.group[s]; !done {
				formed = append(formed, g.form(s)...)
			}
		}
		todo = g.before(formed)
		if len(todo) == 0 {
			todo = g.neighbours()
		}
	}
}

// form forms the assets of all that is joined to a stay.
func (g *grouping) form(first *stay) []*stay {
	r := g.r
	n := g.groups
	g.groups++
	queue := []*stay{first}
	g.group[first] = n
	reach := func(o *stay) {
		if _, ok := g.group[o]; !ok {
			g.group[o] = n
			queue = append(queue, o)
		}
	}
	var values []uint32
	counted := map[uint32]bool{}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		for _, o := range g.partners[s] {
			reach(o)
		}
		for _, x := range s.seen {
			if !joins(x.key.sort) {
				continue
			}
			why := r.reasons(x.value)
			if why == nil {
				continue
			}
			if !counted[x.value] {
				counted[x.value] = true
				values = append(values, x.value)
			}
			for _, e := range near(why.edges, s, func(e edge) *stay { return e.a }) {
				if e.a == s {
					reach(e.b)
				} else if e.b == s {
					reach(e.a)
				}
			}
		}
	}
	g.cluster(queue, values)
	return queue
}

// near returns the part of a list that may be about s. The lists are in the order of
// their earlier stays, each of which was compared with few.
func near[T any](list []T, s *stay, earlier func(T) *stay) []T {
	at := func(e T, s *stay) int { return compareStays(earlier(e), s) }
	lo, _ := slices.BinarySearchFunc(list, s, at)
	hi := lo
	for hi < len(list) && earlier(list[hi]) == s {
		hi++
	}
	return list[max(0, lo-reach*reach):hi]
}

// reasons returns what a value says of the stays that hold it; nil for nothing.
func (r *Resolver) reasons(index uint32) *reasons {
	v := r.val(index)
	if v.related {
		return v.why
	}
	v.related = true
	if v.shared {
		return nil
	}
	r.all(index)
	if edges, apart := r.edges(v, index); len(edges) > 0 || len(apart) > 0 {
		v.why = &reasons{edges, apart}
	}
	return v.why
}

// cluster makes the assets of a group of stays.
func (g *grouping) cluster(queue []*stay, values []uint32) {
	r := g.r
	stays := slices.Clone(queue)
	slices.SortFunc(stays, compareStays)
	member := make(map[*stay]bool, len(stays))
	for _, s := range stays {
		member[s] = true
	}
	var edges, ordered []edge
	var apart []apartness
	for _, v := range values {
		for _, e := range r.val(v).why.edges {
			if member[e.a] && member[e.b] {
				edges = append(edges, e)
			}
		}
		for _, n := range r.val(v).why.apart {
			if member[n.a] || member[n.b] {
				apart = append(apart, n)
			}
		}
	}
	for _, e := range g.merges {
		if member[e.a] {
			ordered = append(ordered, e)
		}
	}
	out := r.cluster(stays, edges, ordered, g.said)
	for _, a := range out {
		slices.SortFunc(a.stays, compareStays)
		a.name = a.id()
	}
	for _, n := range apart {
		for _, s := range []*stay{n.a, n.b} {
			if member[s] {
				s.asset.apart = append(s.asset.apart, n)
			}
		}
	}
	r.formed = append(r.formed, out...)
}

// before lists the stays that were one asset with one of those just formed.
func (g *grouping) before(formed []*stay) []*stay {
	r := g.r
	if r.base == nil {
		return nil
	}
	for _, s := range formed {
		if id := s.place.before[s.id]; id != "" {
			r.replaced[id] = true
		}
	}
	var out []*stay
	for id := range r.replaced {
		if g.fetched[id] {
			continue
		}
		g.fetched[id] = true
		addrs, err := r.base.PlacesOf(id)
		r.fail(err)
		for _, addr := range addrs {
			p := r.place(addr)
			for _, s := range p.stays {
				if p.before[s.id] == id {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// neighbours lists the stays of assets whose life names one that has another id
// now: those that were at its addresses, and those that it is kept apart from.
func (g *grouping) neighbours() []*stay {
	r := g.r
	if r.base == nil {
		return nil
	}
	var out []*stay
	add := func(s *stay) {
		if _, done := g.group[s]; !done {
			out = append(out, s)
		}
	}
	for ; g.looked < len(r.formed); g.looked++ {
		for _, s := range r.formed[g.looked].stays {
			if s.place.before[s.id] == s.asset.name {
				continue
			}
			for _, o := range s.place.stays {
				add(o)
			}
			for _, x := range s.seen {
				if !joins(x.key.sort) {
					continue
				}
				why := r.reasons(x.value)
				if why == nil {
					continue
				}
				for _, n := range near(why.apart, s, func(n apartness) *stay { return n.a }) {
					if n.a == s {
						add(n.b)
					} else if n.b == s {
						add(n.a)
					}
				}
			}
		}
	}
	return out
}
