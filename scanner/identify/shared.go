package identify

import (
	"cmp"
	"net/netip"
	"slices"
)

// Bounds of what one network card answers for within a day. What answers for
// more is a gateway.
const (
	mostIPv4 = 8
	mostIPv6 = 32
)

// where is one sight of a value.
type where struct {
	place  *place
	at     int64
	id     int64
	run    int64
	active bool
}

// decideShared says whether a value was seen at once in places that nothing
// shows to be one device.
func (r *Resolver) decideShared(v *value, index uint32) {
	v.shared, v.proof = false, nil
	if len(v.places) < 2 || !v.sort.canBeShared() {
		return
	}
	all := r.wheres(v, index)
	if v.sort == sortMAC {
		v.shared, v.proof = answersForMany(all)
		return
	}
	latest := map[*place]where{}
	byRun := map[int64][]where{} // active: one of each place
	for i, w := range all {
		for _, o := range byRun[w.run] {
			if w.active && o.place != w.place && r.apart(o, w) {
				v.shared, v.proof = true, proofOf(o, w)
				return
			}
		}
		if w.active && w.run != 0 && !slices.ContainsFunc(byRun[w.run], func(o where) bool { return o.place == w.place }) {
			byRun[w.run] = append(byRun[w.run], w)
		}
		// Close in time, or between two sights elsewhere.
		for j := i - 1; j >= 0 && w.at-all[j].at <= atOnce; j-- {
			if o := all[j]; o.place != w.place && r.apart(o, w) {
				v.shared, v.proof = true, proofOf(o, w)
				return
			}
		}
		if before, ok := latest[w.place]; ok && w.at-before.at <= bracket {
			for j := i - 1; j >= 0 && all[j].at > before.at; j-- {
				if o := all[j]; o.place != w.place && r.apart(o, w) {
					v.shared, v.proof = true, proofOf(o, w)
					return
				}
			}
		}
		latest[w.place] = w
	}
}

// canBeShared reports whether it is asked of a sort where it was seen at once.
func (s sort) canBeShared() bool {
	return s != sortBoot && s != sortCertificate && s != sortModel
}

// stands reports whether what the base decided about a value holds whatever is
// new: it was shown to be shared by what was seen before.
func (v *value) stands() bool {
	return v.shared && !slices.ContainsFunc(v.places, func(p *place) bool { return p.since <= v.proof.at+sweepGap })
}

func (p *proof) equal(o *proof) bool {
	return p == o || p != nil && o != nil && *p == *o
}

func proofOf(o, w where) *proof {
	return &proof{at: w.at, ids: [2]int64{o.id, w.id}, addrs: [2]netip.Addr{o.place.addr, w.place.addr}}
}

// wheres lists the sights of a value by time.
func (r *Resolver) wheres(v *value, index uint32) []where {
	var out []where
	for _, p := range v.places {
		has := map[uint32]bool{}
		for _, s := range p.sights {
			yes, known := has[s.content()]
			if !known {
				yes = slices.ContainsFunc(r.held(&p.contents[s.content()]), func(m held) bool { return m.value == index })
				has[s.content()] = yes
			}
			if yes {
				out = append(out, where{p, s.at, s.id, int64(s.run), s.active()})
			}
		}
	}
	slices.SortFunc(out, func(a, b where) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.run, b.run), cmp.Compare(a.id, b.id), a.place.addr.Compare(b.place.addr))
	})
	return out
}

// answersForMany reports whether more addresses than one card has were seen with
// a MAC address within a day.
func answersForMany(all []where) (bool, *proof) {
	lo := 0
	v4, v6 := map[netip.Addr]int{}, map[netip.Addr]int{}
	of := func(a netip.Addr) map[netip.Addr]int {
		if a.Is4() {
			return v4
		}
		return v6
	}
	for _, w := range all {
		for ; w.at-all[lo].at > bracket; lo++ {
			m := of(all[lo].place.addr)
			if m[all[lo].place.addr]--; m[all[lo].place.addr] == 0 {
				delete(m, all[lo].place.addr)
			}
		}
		of(w.place.addr)[w.place.addr]++
		if len(v4) > mostIPv4 || len(v6) > mostIPv6 {
			return true, proofOf(all[lo], w)
		}
	}
	return false, nil
}

// apart reports whether two sights at different places are not shown to be of
// one device by its hardware: the card that both addresses answered with then, or
// one start of one SNMP engine.
func (r *Resolver) apart(a, b where) bool {
	x, y := r.hardwareAt(a.place, a.at), r.hardwareAt(b.place, b.at)
	if x.mac != 0 && x.mac == y.mac && !r.val(x.mac-1).shared {
		return false
	}
	return x.boot == 0 || x.boot != y.boot || max(x.start-y.start, y.start-x.start) > bootTolerance.Milliseconds()
}

// hardware is what a place had at a time; values are 1 more than their index, 0
// for none.
type hardware struct {
	mac, boot uint32
	start     int64
}

// hardwareAt returns the newest hardware seen at a place up to shortly after a
// time.
func (r *Resolver) hardwareAt(p *place, at int64) hardware {
	var h hardware
	i, _ := slices.BinarySearchFunc(p.sights, at+sweepGap+1, func(x sight, t int64) int { return cmp.Compare(x.at, t) })
	for i--; i >= 0 && (h.mac == 0 || h.boot == 0); i-- {
		c := &p.contents[p.sights[i].content()]
		for _, m := range r.held(c) {
			switch {
			case m.key.sort == sortMAC && h.mac == 0:
				h.mac = m.value + 1
			case m.key.sort == sortBoot && h.boot == 0:
				h.boot, h.start = m.value+1, c.start
			}
		}
	}
	return h
}
