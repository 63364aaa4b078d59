package identify

import "slices"

// sweep is what was seen of a place in one go.
type sweep struct {
	lo, hi int32
	seen   []seen
}

// sweeps cuts the sights of a place into sweeps.
func (r *Resolver) sweeps(p *place, do func(sweep)) {
	mac := uint32(0)
	lo := int32(0)
	for i, s := range p.sights {
		i := int32(i)
		next := r.macOf(p, s.content())
		if i > lo {
			before := p.sights[i-1]
			if s.run != before.run || s.at-before.at > sweepGap || next != 0 && mac != 0 && next != mac {
				do(r.sweep(p, lo, i))
				lo, mac = i, 0
			}
		}
		if next != 0 {
			mac = next
		}
	}
	if n := int32(len(p.sights)); lo < n {
		do(r.sweep(p, lo, n))
	}
}

// macOf returns 1 more than the MAC address of a content, 0 for none.
func (r *Resolver) macOf(p *place, c uint32) uint32 {
	for _, m := range r.held(&p.contents[c]) {
		if m.key.sort == sortMAC {
			return m.value + 1
		}
	}
	return 0
}

// sweep collects the values of each track. A track with several has none: many
// devices answer in it.
func (r *Resolver) sweep(p *place, lo, hi int32) sweep {
	w := sweep{lo: lo, hi: hi}
	var many []trackKey
	for at, s := range p.sights[lo:hi] {
		at := lo + int32(at)
		for _, h := range r.held(&p.contents[s.content()]) {
			k := h.key
			if k.sort == sortCertificate || p.many[k] {
				continue
			}
			i := slices.IndexFunc(w.seen, func(x seen) bool { return x.key == k })
			switch {
			case i < 0:
				w.seen = append(w.seen, seen{key: k, value: h.value, first: at, last: at})
			case w.seen[i].value != h.value:
				many = append(many, k)
			default:
				w.seen[i].last = at
			}
		}
	}
	if len(many) > 0 {
		w.seen = slices.DeleteFunc(w.seen, func(x seen) bool { return slices.Contains(many, x.key) })
	}
	return w
}
