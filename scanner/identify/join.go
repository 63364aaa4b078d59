package identify

import (
	"cmp"
	"slices"
)

// reach is how many stays after it in time a stay is compared with, for each
// identifier that they share.
const reach = 4

// edge is a reason to take two stays for one device; a is the earlier.
type edge struct {
	a, b   *stay
	score  int
	reason string
	proof  shownIn
}

// apartness is a reason not to, though they share something.
type apartness struct {
	a, b   *stay
	reason string
	proof  shownIn
}

// shownIn are up to two observations, rising and each once; 0 for none.
type shownIn [2]int64

func newShownIn(a, b int64) shownIn {
	switch {
	case a == b || b == 0:
		return shownIn{a}
	case a == 0:
		return shownIn{b}
	}
	return shownIn{min(a, b), max(a, b)}
}

func (s shownIn) list() []int64 {
	if s[0] == 0 {
		return nil
	}
	return ids(s[:]...)
}

// compareStays orders stays by time, then place.
func compareStays(a, b *stay) int {
	return cmp.Or(cmp.Compare(a.first, b.first), a.place.addr.Compare(b.place.addr), cmp.Compare(a.lo, b.lo))
}

// edges compares the stays that hold a value.
func (r *Resolver) edges(v *value, index uint32) (out []edge, not []apartness) {
	if v.shared || len(v.stays) < 2 {
		return nil, nil
	}
	slices.SortFunc(v.stays, compareStays)
	for i, a := range v.stays {
		for _, b := range v.stays[i+1 : min(len(v.stays), i+1+reach)] {
			e, n, ok := r.relate(a, b, index)
			if ok {
				e.reason = r.reason(e.reason)
				out = append(out, e)
			} else if n.reason != "" {
				n.reason = r.reason(n.reason)
				not = append(not, n)
			}
		}
	}
	return out, not
}

// reason keeps one copy of a reason, of which there are few.
func (r *Resolver) reason(s string) string {
	if kept, ok := r.reasonsKept[s]; ok {
		return kept
	}
	r.reasonsKept[s] = s
	return s
}

// relate decides whether two stays that hold one value are of one device. a is
// the earlier.
func (r *Resolver) relate(a, b *stay, index uint32) (edge, apartness, bool) {
	if together(a, b) {
		return r.relateAtOnce(a, b, index)
	}
	c := r.compare(a.place, b.place, latest(a.seen), earliest(b.seen))
	if a.place == b.place {
		c.score += samePlace
	}
	why := r.val(index).sort.String()
	if len(c.same) > 0 {
		why = join(c.same)
	}
	proof := r.shownBy(a, b, index)
	switch {
	case c.score < enough:
		reason := "the same " + why + " is not enough"
		if len(c.differ) > 0 {
			reason += " against " + c.differences()
		}
		return edge{}, apartness{a, b, reason, proof}, false
	case a.place != b.place && a.last > b.first && slices.Contains(c.differ, sortMAC):
		// Who only repeats a serial number has another card, while the device is where
		// it was.
		return edge{}, apartness{a, b, "the same " + why + ", in turn at two places with another MAC address", proof}, false
	case !c.hard && a.place != b.place && !a.vacated(b.first):
		return edge{}, apartness{a, b, "the same " + why + ", and nothing shows that it left the place before", proof}, false
	}
	reason := "the same " + why + ", one after the other"
	return edge{a, b, c.score, reason, proof}, apartness{}, true
}

// relateAtOnce decides on two stays that were seen at once: only the hardware
// joins them.
func (r *Resolver) relateAtOnce(a, b *stay, index uint32) (edge, apartness, bool) {
	v := r.val(index)
	proof := r.shownBy(a, b, index)
	if c, ok := r.contradict(a, b); ok {
		return edge{}, apartness{a, b, "the same " + v.sort.String() + " at once, but another " + c.String(), proof}, false
	}
	if v.sort == sortMAC {
		return edge{a, b, weights()[sortMAC].same, "the same MAC address at both", proof}, apartness{}, true
	}
	if v.sort == sortBoot {
		for _, x := range a.seen {
			for _, y := range b.seen {
				if x.value == index && y.value == index && sameStart(a.place, b.place, x, y) {
					return edge{
						a, b, weights()[sortMAC].same, "one SNMP engine with one boot count and moment of start answers at both",
						newShownIn(a.place.sights[x.first].id, b.place.sights[y.first].id),
					}, apartness{}, true
				}
			}
		}
		return edge{}, apartness{a, b, "the same SNMP engine id, started at different times", proof}, false
	}
	return edge{}, apartness{a, b, "the same " + v.sort.String() + " at once in two places", proof}, false
}

// contradict finds what one device cannot have twice at once.
func (r *Resolver) contradict(a, b *stay) (sort, bool) {
	for _, x := range a.seen {
		if !x.key.sort.contradicts() {
			continue
		}
		common, both := false, false
		for _, y := range b.seen {
			if x.key == y.key {
				both = true
				common = common || has(a, y.key, y.value)
			}
		}
		if both && !common {
			return x.key.sort, true
		}
	}
	return 0, false
}

// contradicts reports whether one device cannot have two of a sort at once.
func (s sort) contradicts() bool {
	return s == sortSSH || s == sortSerial || s == sortEngine || s == sortModel
}

func has(s *stay, k trackKey, v uint32) bool {
	return slices.ContainsFunc(s.seen, func(x seen) bool { return x.key == k && x.value == v })
}

// shownBy are the last observation of a value in a and the first of it in b.
func (r *Resolver) shownBy(a, b *stay, index uint32) shownIn {
	x, y := int32(-1), int32(-1)
	for _, s := range a.seen {
		if s.value == index {
			x = max(x, s.last)
		}
	}
	for _, s := range b.seen {
		if s.value == index && (y < 0 || s.first < y) {
			y = s.first
		}
	}
	if x < 0 || y < 0 {
		return shownIn{}
	}
	return newShownIn(a.place.sights[x].id, b.place.sights[y].id)
}

// ids lists observations, rising and without those that are not recorded.
func ids(all ...int64) []int64 {
	all = slices.DeleteFunc(slices.Clone(all), func(id int64) bool { return id == 0 })
	slices.Sort(all)
	return slices.Compact(all)
}

// asset is a set of stays that are one device.
type asset struct {
	stays []*stay
	told  []*stay // those that may contradict others
	// Of those that may: the time they span, and their serial numbers, if all have
	// the same ones or none.
	first, last int64
	serials     []seen
	mixed       bool
	joins       []edge
	apart       []apartness
	name        string // its id
	found       *asset // union-find; itself for a root
}

// newAsset is an asset of one stay.
func newAsset(s *stay) *asset {
	a := &asset{stays: []*stay{s}}
	if slices.ContainsFunc(s.seen, func(x seen) bool { return x.key.sort.contradicts() }) {
		a.told, a.first, a.last = []*stay{s}, s.first, s.last
		a.serials = serialsOf(s)
	}
	a.found = a
	return a
}

func (a *asset) root() *asset {
	for a.found != a {
		a.found = a.found.found
		a = a.found
	}
	return a
}

// cluster joins stays along edges, the best first. An edge that would bring
// together what one device cannot be is left out, and said.
func (r *Resolver) cluster(stays []*stay, edges, ordered []edge, said statements) []*asset {
	for _, s := range stays {
		s.asset = newAsset(s)
	}
	for _, e := range ordered {
		unite(e)
	}
	slices.SortFunc(edges, func(x, y edge) int {
		return cmp.Or(cmp.Compare(y.score, x.score), compareStays(x.a, y.a), compareStays(x.b, y.b), cmp.Compare(x.reason, y.reason), slices.Compare(x.proof[:], y.proof[:]))
	})
	for _, e := range edges {
		x, y := e.a.asset.root(), e.b.asset.root()
		if x == y {
			continue
		}
		if why, bad := r.forbids(x, y, said); bad {
			n := apartness{e.a, e.b, e.reason + ", but " + why, e.proof}
			x.apart, y.apart = append(x.apart, n), append(y.apart, n)
			continue
		}
		unite(e)
	}
	var out []*asset
	taken := make(map[*asset]bool, len(stays))
	for _, s := range stays {
		s.asset = s.asset.root()
		if !taken[s.asset] {
			taken[s.asset] = true
			out = append(out, s.asset)
		}
	}
	return out
}

// unite makes one asset of the two that an edge joins.
func unite(e edge) {
	x, y := e.a.asset.root(), e.b.asset.root()
	if x == y {
		return
	}
	if len(y.stays) > len(x.stays) {
		x, y = y, x
	}
	y.found = x
	x.stays = append(x.stays, y.stays...)
	if len(y.told) > 0 {
		x.tell(y)
	}
	x.joins = append(append(x.joins, y.joins...), e)
	x.apart = append(x.apart, y.apart...)
}

// tell adds the stays of b that may contradict others.
func (a *asset) tell(b *asset) {
	if len(a.told) == 0 {
		a.first, a.last = b.first, b.last
	}
	a.first, a.last = min(a.first, b.first), max(a.last, b.last)
	a.mixed = a.mixed || b.mixed || !a.agrees(b)
	if len(a.serials) == 0 {
		a.serials = b.serials
	}
	a.told = append(a.told, b.told...)
}

// agrees reports whether no serial numbers of two assets can differ: one has none,
// or both have the same.
func (a *asset) agrees(b *asset) bool {
	if len(a.serials) == 0 || len(b.serials) == 0 {
		return true
	}
	same := func(x, y seen) bool { return x.key == y.key && x.value == y.value }
	return !a.mixed && !b.mixed && slices.EqualFunc(a.serials, b.serials, same)
}

// serialsOf are the serial numbers of a stay, in order.
func serialsOf(s *stay) (out []seen) {
	for _, x := range s.seen {
		if x.key.sort == sortSerial {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b seen) int {
		return cmp.Or(cmp.Compare(a.key.track, b.key.track), cmp.Compare(a.value, b.value))
	})
	return out
}

// forbids says why two assets cannot be one device.
func (r *Resolver) forbids(x, y *asset, said statements) (string, bool) {
	left, right := x.told, y.told
	if len(said.splits) > 0 {
		left, right = x.stays, y.stays
	} else if x.agrees(y) && (x.last+atOnce < y.first || y.last+atOnce < x.first) {
		return "", false // never at once: one that moves need not be held against all its past
	}
	for _, a := range left {
		for _, b := range right {
			if said.split(a, b) {
				return "a person said that they are two devices", true
			}
			if r.serialsDiffer(a, b) {
				return "their serial numbers differ", true
			}
			if a.place != b.place && together(a, b) {
				if c, bad := r.contradict(a, b); bad {
					return "they differ at once in " + c.String(), true
				}
			}
		}
	}
	return "", false
}

func (r *Resolver) serialsDiffer(a, b *stay) bool {
	for _, x := range a.seen {
		if x.key.sort == sortSerial {
			for _, y := range b.seen {
				if y.key == x.key && !has(a, y.key, y.value) && !has(b, x.key, x.value) {
					return true
				}
			}
		}
	}
	return false
}
