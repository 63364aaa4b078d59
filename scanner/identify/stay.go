package identify

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// cutStays decides where in time another device came to an address.
func (r *Resolver) cutStays(p *place) {
	p.many = nil
	r.tellsInTurn(p)
	p.stays = r.stays(p)
	if r.speaksForMany(p) {
		p.stays = r.stays(p)
	}
	r.nameStays(p)
}

func (r *Resolver) stays(p *place) []*stay {
	var sweeps []sweep
	r.sweeps(p, func(w sweep) { sweeps = append(sweeps, w) })
	r.inferCards(p, sweeps)
	var out []*stay
	for i, w := range sweeps {
		if len(out) > 0 {
			s := out[len(out)-1]
			now := latest(s.seen)
			c := r.compare(p, p, now, w.seen)
			if len(c.differ) > 0 || len(c.same) == 0 {
				next := ahead(sweeps[i:], now)
				if c = r.compare(p, p, now, next); len(c.same) == 0 && len(c.differ) == 0 {
					c.differ, c.shown = r.gone(p, now, next)
				}
			}
			if len(c.differ) == 0 || c.score > 0 {
				s.extend(w)
				continue
			}
			out = append(out, &stay{place: p, lo: w.lo, cut: "another device than before: " + c.differences(), cutAt: c.shown})
		} else {
			out = append(out, &stay{place: p, lo: w.lo})
		}
		out[len(out)-1].extend(w)
	}
	for _, s := range out {
		s.seen = slices.Clone(s.seen) // without room to grow
		s.first, s.last = p.sights[s.lo].at, p.sights[s.hi-1].at
	}
	return out
}

// gone finds the keys of a device that its services no longer showed when they
// were asked, while others show keys of their own.
func (r *Resolver) gone(p *place, before, after []seen) (differ []sort, shown [2]int64) {
	for _, b := range after {
		if !b.key.sort.isKey() || b.inferred != own {
			continue
		}
		for _, a := range before {
			if a.key.sort.isKey() && p.failed(p.sights[b.first].run, r.port(a.key)) && !slices.Contains(differ, a.key.sort) {
				differ = append(differ, a.key.sort)
				shown = [2]int64{p.sights[a.last].id, p.sights[b.first].id}
			}
		}
	}
	return differ, shown
}

// failed reports whether an attempt to reach a service failed in a run.
func (p *place) failed(run int32, port uint16) bool {
	_, ok := slices.BinarySearchFunc(p.absent, absence{run: int64(run), port: port}, func(a, b absence) int {
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.port, b.port))
	})
	return ok
}

// port is the port of a track of keys.
func (r *Resolver) port(k trackKey) uint16 {
	text, _, _ := strings.Cut(r.texts.of(k.track), "/")
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// card is one sight of a MAC address at a place.
type card struct {
	n    seen
	at   int64
	some bool
}

// inferCards says for sweeps in which no MAC address was seen which one had the
// address: that before and after it, or, less surely, that shortly before or after.
func (r *Resolver) inferCards(p *place, sweeps []sweep) {
	after := make([]card, len(sweeps))
	var next card
	for i := len(sweeps) - 1; i >= 0; i-- {
		after[i] = next
		if n, ok := cardOf(sweeps[i]); ok {
			next = card{n, p.sights[sweeps[i].lo].at, true}
		}
	}
	var before card
	for i := range sweeps {
		w := &sweeps[i]
		if n, ok := cardOf(*w); ok {
			before = card{n, p.sights[w.hi-1].at, true}
			continue
		}
		from, to := p.sights[w.lo].at-before.at, after[i].at-p.sights[w.hi-1].at
		n := before.n
		switch {
		case before.some && after[i].some && after[i].n.value == n.value:
			n.inferred = bracketed
		case before.some && from <= bracket*3/2 && (!after[i].some || from <= to):
			n.inferred = nearby
		case after[i].some && to <= bracket*3/2:
			n = after[i].n
			n.inferred = nearby
		default:
			continue
		}
		w.seen = append(w.seen, n)
	}
}

func cardOf(w sweep) (seen, bool) {
	i := slices.IndexFunc(w.seen, func(n seen) bool { return n.key.sort == sortMAC })
	if i < 0 {
		return seen{}, false
	}
	return w.seen[i], true
}

// ahead are the oldest values of the sweeps from the first on that have its card:
// what a sensor and a scanner see of one device, they see at different times. A
// value that comes back later, against one in between, was not given up, so a
// card that was only inferred does not count then.
func ahead(sweeps []sweep, now []seen) []seen {
	mac, ok := cardOf(sweeps[0])
	if !ok {
		return sweeps[0].seen
	}
	var all []seen
	n := 0
	for ; n < len(sweeps); n++ {
		if m, ok := cardOf(sweeps[n]); !ok || m.value != mac.value {
			break
		}
		for _, x := range sweeps[n].seen {
			if !slices.ContainsFunc(all, func(o seen) bool { return o.key == x.key }) {
				all = append(all, x)
			}
		}
	}
	if mac.inferred != own && returns(sweeps, now) {
		return slices.DeleteFunc(slices.Clone(sweeps[0].seen), func(x seen) bool { return x.key.sort == sortMAC })
	}
	return all
}

// returns reports whether a key that the first sweep does not have any more is
// seen again in a later one.
func returns(sweeps []sweep, now []seen) bool {
	for _, a := range now {
		if k := a.key.sort; k != sortSSH && k != sortTLS && k != sortEngine && k != sortSerial {
			continue
		}
		changed := slices.ContainsFunc(sweeps[0].seen, func(x seen) bool { return x.key == a.key && x.value != a.value })
		if !changed {
			continue
		}
		for _, w := range sweeps[1:] {
			if slices.ContainsFunc(w.seen, func(x seen) bool { return x.key == a.key && x.value == a.value }) {
				return true
			}
		}
	}
	return false
}

// extend takes a sweep into the stay.
func (s *stay) extend(w sweep) {
	s.hi = w.hi
	for _, n := range w.seen {
		if n.inferred != own {
			continue
		}
		i := slices.IndexFunc(s.seen, func(x seen) bool { return x.key == n.key && x.value == n.value })
		if i >= 0 {
			s.seen[i].last = n.last
		} else {
			s.seen = append(s.seen, n)
		}
	}
}

// latest keeps the newest value of each track.
func latest(all []seen) []seen {
	out := make([]seen, 0, len(all))
	for _, n := range all {
		i := slices.IndexFunc(out, func(x seen) bool { return x.key == n.key })
		switch {
		case i < 0:
			out = append(out, n)
		case n.last >= out[i].last:
			out[i] = n
		}
	}
	return out
}

// earliest keeps the oldest value of each track.
func earliest(all []seen) []seen {
	out := make([]seen, 0, len(all))
	for _, n := range all {
		i := slices.IndexFunc(out, func(x seen) bool { return x.key == n.key })
		switch {
		case i < 0:
			out = append(out, n)
		case n.first < out[i].first:
			out[i] = n
		}
	}
	return out
}

// comparison is what two sets of identifiers say of each other.
type comparison struct {
	score  int
	same   []sort // identifiers that agree and tell something
	differ []sort
	hard   bool // an identifier of the hardware, or of one running process, agrees
	shown  [2]int64
}

func (c comparison) differences() string { return "other " + join(c.differ) }

func join(all []sort) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

// compare weighs what a device had before, at place p, against what is seen after,
// at place q. Each sort
// of identifier counts once.
func (r *Resolver) compare(p, q *place, before, after []seen) comparison {
	var c comparison
	var same, differ [numSorts]bool
	card := weights()[sortMAC].same
	for _, a := range before {
		for _, b := range after {
			if a.key != b.key {
				continue
			}
			k := a.key.sort
			switch {
			case a.value != b.value:
				if !differ[k] && k != sortBoot {
					differ[k] = true
					c.shown = [2]int64{p.sights[a.last].id, q.sights[b.first].id}
				}
			case !r.val(a.value).shared:
				if k != sortBoot || sameStart(p, q, a, b) {
					same[k] = true
				}
				if b.inferred == nearby {
					card = weights()[sortName].same + samePlace/2
				}
			default:
				// It tells nothing, but neither is it a difference.
			}
		}
	}
	w := weights()
	for k := range numSorts {
		switch {
		case same[k]:
			// A certificate is one thing, whatever is read of it.
			if k != sortSubject || !same[sortTLS] {
				c.score += w[k].same
			}
			if k == sortMAC {
				c.score += card - w[k].same
			}
			c.same = append(c.same, k)
		case differ[k]:
			c.score -= w[k].differ
			c.differ = append(c.differ, k)
		}
	}
	c.hard = same[sortMAC] || same[sortSerial] || same[sortBoot]
	if same[sortBoot] {
		c.score += w[sortMAC].same
	}
	return c
}

// sameStart reports whether two sights of one engine and boot count are of one
// start of it (RFC 3414 section 2.2).
func sameStart(p, q *place, a, b seen) bool {
	d := p.startAt(a.first) - q.startAt(b.first)
	return max(d, -d) <= bootTolerance.Milliseconds()
}

// startAt is the start of the SNMP engine in a sight.
func (p *place) startAt(i int32) int64 { return p.contents[p.sights[i].content()].start }

// isTold reports whether a sort is of what a gateway tells for others.
func (s sort) isTold() bool { return s == sortSerial || s == sortModel || s == sortName }

// tellsInTurn finds what is told at a place for many devices: three values of
// one track within a day, or one that comes back within it. So often no address
// changes hands.
func (r *Resolver) tellsInTurn(p *place) {
	type told struct {
		value uint32
		at    int64
	}
	var recent map[trackKey][]told
	for _, s := range p.sights {
		for _, h := range r.held(&p.contents[s.content()]) {
			k := h.key
			if !k.sort.isTold() {
				continue
			}
			if recent == nil {
				recent = map[trackKey][]told{}
			}
			l := slices.DeleteFunc(recent[k], func(t told) bool { return s.at-t.at > bracket })
			if n := len(l); n > 0 && l[n-1].value == h.value {
				l[n-1].at = s.at
			} else {
				l = append(l, told{h.value, s.at})
			}
			recent[k] = l
			if len(l) > 2 {
				p.speaksFor(k)
			}
		}
	}
}

// speaksFor notes that a track is told for many devices.
func (p *place) speaksFor(k trackKey) {
	if p.many == nil {
		p.many = map[trackKey]bool{}
	}
	p.many[k] = true
}

// speaksForMany finds the same over a longer time: three values of one track
// while what belongs to the hardware stays. It says whether it found any.
func (r *Resolver) speaksForMany(p *place) bool {
	if len(p.stays) < 3 {
		return false
	}
	found := false
	runs := map[uint32]map[trackKey][]uint32{} // by value of the hardware
	for _, s := range p.stays {
		now := latest(s.seen)
		for _, a := range now {
			if k := a.key.sort; k != sortMAC && k != sortSSH && k != sortTLS || r.val(a.value).shared {
				continue
			}
			tracks := runs[a.value]
			if tracks == nil {
				tracks = map[trackKey][]uint32{}
				runs[a.value] = tracks
			}
			for _, n := range s.seen {
				if l := tracks[n.key]; n.key.sort.isTold() && (len(l) == 0 || l[len(l)-1] != n.value) {
					tracks[n.key] = append(l, n.value)
				}
			}
		}
	}
	for _, tracks := range runs {
		for k, values := range tracks {
			if len(values) > 2 && !p.many[k] {
				p.speaksFor(k)
				found = true
			}
		}
	}
	return found
}

// nameStays gives each stay the id that an asset of it alone has. The stay with
// the first observation that was recorded of the address has the address's own
// id; what came there later has one of address and time. Neither changes when
// more is recorded.
func (r *Resolver) nameStays(p *place) {
	var oldest *stay
	for _, s := range p.stays {
		s.birth = s.lo
		for i, x := range s.sights() {
			if recorded(x, s.born()) < 0 {
				s.birth = s.lo + int32(i)
			}
		}
		if oldest == nil || recorded(s.born(), oldest.born()) < 0 {
			oldest = s
		}
	}
	for _, s := range p.stays {
		s.id = lateID(p.addr, s.born().at)
		if s == oldest {
			s.id = idOf("asset\x00" + p.addr.String())
		}
	}
}

// lateID is the id of a stay that is not the first at its address.
func lateID(addr netip.Addr, at int64) string {
	return idOf("asset\x00" + addr.String() + "\x00" + fromMS(at).Format(timeMS))
}

// recorded orders sights as they were recorded.
func recorded(a, b sight) int {
	return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.id, b.id), cmp.Compare(a.at, b.at))
}

// at says whether the device of the stay was seen at its address in a time.
func (s *stay) at(from, to int64) bool {
	sights := s.sights()
	i, _ := slices.BinarySearchFunc(sights, from, func(x sight, t int64) int { return cmp.Compare(x.at, t) })
	return i < len(sights) && sights[i].at <= to
}

// together says whether two stays were seen at once: one between two sights of
// the other or close to one.
func together(a, b *stay) bool {
	if a.place == b.place || a.last+atOnce < b.first || b.last+atOnce < a.first {
		return false
	}
	small, large := a, b
	if b.hi-b.lo < a.hi-a.lo {
		small, large = b, a
	}
	for _, x := range small.sights() {
		if large.at(x.at-atOnce, x.at+atOnce) || large.at(x.at-bracket, x.at) && large.at(x.at, x.at+bracket) {
			return true
		}
	}
	// Between two sights of the small one there may be one of the large one.
	for _, x := range large.sights() {
		if x.at > small.last+bracket {
			break
		}
		if x.at >= small.first && small.at(x.at-bracket, x.at) && small.at(x.at, x.at+bracket) {
			return true
		}
	}
	return inOneRun(small, large)
}

// inOneRun reports whether an active run met both.
func inOneRun(a, b *stay) bool {
	runs := map[int32]bool{}
	for _, x := range a.sights() {
		if x.active() && x.run != 0 {
			runs[x.run] = true
		}
	}
	for _, x := range b.sights() {
		if x.active() && runs[x.run] {
			return true
		}
	}
	return false
}

// vacated reports whether the place of s was seen without its device at the time
// at which the device was seen elsewhere.
func (s *stay) vacated(since int64) bool {
	for _, o := range s.place.stays {
		if o != s && o.last > s.last && o.last >= since-atOnce {
			return true
		}
	}
	p := s.place
	for _, a := range p.absent {
		if a.at >= since-atOnce && !p.met(a) {
			return true
		}
	}
	return false
}

// met reports whether anything answered at the place around a failed attempt.
func (p *place) met(a absence) bool {
	i, _ := slices.BinarySearchFunc(p.sights, a.at-sweepGap, func(x sight, t int64) int { return cmp.Compare(x.at, t) })
	for ; i < len(p.sights) && p.sights[i].at <= a.at+sweepGap; i++ {
		return true
	}
	return false
}
