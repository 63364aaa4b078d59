package identify

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"probity/evidence"
)

// timeMS is a time with milliseconds, as ids and texts have it.
const timeMS = "2006-01-02T15:04:05.000Z"

func fromMS(v int64) time.Time { return time.UnixMilli(v).UTC() }

// idOf makes the id of what has a name of its own.
func idOf(name string) string {
	d := evidence.DigestOf([]byte(name))
	return "asset-" + hex.EncodeToString(d[:6])
}

// build makes the asset that its stays amount to, with what people said of it.
func (r *Resolver) build(a *asset, facts []evidence.AssetFact) (evidence.Asset, []string) {
	out := evidence.Asset{ID: a.name, Facts: facts, FirstSeen: fromMS(a.stays[0].first), Addresses: []netip.Addr{}}
	last := a.stays[0].last
	for _, s := range a.stays {
		last = max(last, s.last)
		ended := s.ended()
		left := !ended && a.left(s)
		out.Stays = append(out.Stays, evidence.Stay{
			ID: s.id, Addr: s.place.addr, First: fromMS(s.first), Last: fromMS(s.last), Ended: ended, Left: left,
		})
		if !ended && !left {
			out.Addresses = append(out.Addresses, s.place.addr)
		}
	}
	out.LastSeen = fromMS(last)
	slices.SortFunc(out.Addresses, netip.Addr.Compare)
	out.Addresses = slices.Compact(out.Addresses)
	h := r.history(a)
	out.Endpoints = h.endpoints(out.Addresses)
	out.Claims = conclude(append(statedClaims(facts), h.claims()...))
	for _, e := range a.joins {
		out.Joins = append(out.Joins, evidence.Join{Kept: e.a.id, Ended: e.b.id, Reason: e.reason, Observations: e.proof.list()})
	}
	slices.SortFunc(out.Joins, func(x, y evidence.Join) int {
		return cmp.Or(cmp.Compare(x.Kept, y.Kept), cmp.Compare(x.Ended, y.Ended), cmp.Compare(x.Reason, y.Reason))
	})
	out.Events = r.events(a, h, &out)
	return out, h.names(a)
}

// assetOf is the id of the asset that a stay is of.
func (s *stay) assetOf() string {
	if s.asset != nil {
		return s.asset.name
	}
	return s.place.before[s.id]
}

// id is that of the stay that was recorded first, of one run that with the
// lowest address.
func (a *asset) id() string {
	best := a.stays[0]
	for _, s := range a.stays[1:] {
		x, y := s.born(), best.born()
		if cmp.Or(cmp.Compare(x.run, y.run), s.place.addr.Compare(best.place.addr), recorded(x, y)) < 0 {
			best = s
		}
	}
	return best.id
}

// left reports whether the device came to another address of the same protocol
// after it was last seen at this one.
func (a *asset) left(s *stay) bool {
	for _, o := range slices.Backward(a.stays) { // the newest are the likeliest
		if o.first <= s.last {
			return false // those before began no later
		}
		if o.place != s.place && o.place.addr.Is4() == s.place.addr.Is4() && !together(o, s) {
			return true
		}
	}
	return false
}

// ended reports whether another device came to the address after the stay.
func (s *stay) ended() bool {
	for _, o := range slices.Backward(s.place.stays) {
		if o == s {
			break // those before ended before
		}
		if o.last > s.last && o.assetOf() != s.assetOf() {
			return true
		}
	}
	return false
}

// history is what an asset showed over time.
type history struct {
	r      *Resolver
	places map[evidence.Endpoint]bool
	tracks map[historyKey]*historyTrack
}

// historyKey is a place within a device at which there is one value at a time.
// For claims the sort is numSorts.
type historyKey struct {
	sort      sort
	track     text
	port      uint16
	attribute text
	layer     text
}

type historyTrack struct {
	key    historyKey
	values []historyValue
	index  map[shownValue]int // of values, where there are many
	last   sight
}

// fewValues is how many values of a track are searched one by one.
const fewValues = 8

// find returns the place of a value.
func (t *historyTrack) find(v shownValue) (int, bool) {
	if t.index != nil {
		i, known := t.index[v]
		return i, known
	}
	i := slices.IndexFunc(t.values, func(o historyValue) bool { return o.shown() == v })
	return i, i >= 0
}

// append adds a value that the track does not have.
func (t *historyTrack) append(v historyValue) {
	t.values = append(t.values, v)
	switch {
	case t.index != nil:
		t.index[v.shown()] = len(t.values) - 1
	case len(t.values) > fewValues:
		t.index = make(map[shownValue]int, 2*len(t.values))
		for i := range t.values {
			t.index[t.values[i].shown()] = i
		}
	}
}

func (v *historyValue) shown() shownValue { return shownValue{v.number, v.claim} }

// shownValue tells one value of a track from another.
type shownValue struct {
	number text
	claim  uint32
}

// historyValue is one value with its first and last sight.
type historyValue struct {
	text        string
	number      text   // of the text
	claim       uint32 // into Resolver.claims
	endpoint    evidence.Endpoint
	first, last sight
	oldest      int64 // lowest id of an observation that showed it
}

func (r *Resolver) history(a *asset) *history {
	h := &history{r: r, places: map[evidence.Endpoint]bool{}, tracks: map[historyKey]*historyTrack{}}
	for _, s := range a.stays {
		h.show(s)
	}
	for _, t := range h.tracks {
		slices.SortFunc(t.values, func(a, b historyValue) int {
			x, y := r.claims.at(a.claim), r.claims.at(b.claim)
			return cmp.Or(cmp.Compare(a.first.at, b.first.at), cmp.Compare(a.first.id, b.first.id), cmp.Compare(a.text, b.text),
				cmp.Compare(r.texts.of(x.source), r.texts.of(y.source)), cmp.Compare(x.confidence, y.confidence))
		})
	}
	return h
}

// span of time in which a stay showed a content.
type shownFrom struct {
	content     uint32
	first, last sight
	oldest      int64
}

// show takes up what a stay showed, each content once, in the order of their
// first sights.
func (h *history) show(s *stay) {
	var all []shownFrom
	index := map[uint32]int{}
	for _, x := range s.sights() {
		i, ok := index[x.content()]
		if !ok {
			index[x.content()] = len(all)
			all = append(all, shownFrom{x.content(), x, x, x.id})
			continue
		}
		if earlier(all[i].last, x) {
			all[i].last = x
		}
		all[i].oldest = min(all[i].oldest, x.id)
	}
	r := h.r
	for i := range all {
		c := &s.place.contents[all[i].content]
		v := historyValue{endpoint: r.endpoint(s.place, c), first: all[i].first, last: all[i].last, oldest: all[i].oldest}
		if !c.client {
			h.places[v.endpoint] = true
		}
		for _, k := range r.held(c) {
			if k.key.sort == sortBoot || k.key.sort == sortSubject || k.key.sort == sortModel {
				continue
			}
			v.number = r.val(k.value).text
			h.add(historyKey{sort: k.key.sort, track: k.key.track}, v)
		}
		for _, n := range r.claimed(c) {
			claim := r.claims.at(n)
			v.number, v.claim = claim.value, n
			h.add(historyKey{sort: numSorts, port: c.port, attribute: claim.attribute, layer: claim.layer}, v)
		}
	}
}

func (h *history) add(k historyKey, v historyValue) {
	t := h.tracks[k]
	if t == nil {
		t = &historyTrack{key: k, last: v.last}
		h.tracks[k] = t
	}
	if earlier(t.last, v.last) {
		t.last = v.last
	}
	i, known := t.find(v.shown())
	if !known {
		v.text = h.r.texts.of(v.number)
		t.append(v)
		return
	}
	o := &t.values[i]
	if earlier(v.first, o.first) {
		o.first, o.endpoint = v.first, v.endpoint
	}
	if earlier(o.last, v.last) {
		o.last = v.last
	}
	o.oldest = min(o.oldest, v.oldest)
}

func earlier(a, b sight) bool { return a.at < b.at || a.at == b.at && a.id < b.id }

// endpoints lists the services at the addresses that the asset has now.
func (h *history) endpoints(now []netip.Addr) []evidence.Endpoint {
	var out []evidence.Endpoint
	for e := range h.places {
		if slices.Contains(now, e.Addr) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, evidence.Endpoint.Compare)
	return out
}

// claims lists what is claimed now: a value that a later run no longer showed,
// where it showed another, is history. Of one claim the first observation stays.
func (h *history) claims() []evidence.Claim {
	var out []evidence.Claim
	for k, t := range h.tracks {
		if k.sort != numSorts {
			continue
		}
		for _, v := range t.values {
			if v.last.run != t.last.run {
				continue
			}
			c := h.r.claim(v.claim)
			c.Observation = v.oldest
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b evidence.Claim) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Layer, b.Layer),
			cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Observation, b.Observation), cmp.Compare(a.Source, b.Source))
	})
	// The same value seen again adds nothing.
	out = slices.CompactFunc(out, func(a, b evidence.Claim) bool {
		return a.Attribute == b.Attribute && a.Value == b.Value && a.Layer == b.Layer
	})
	slices.SortStableFunc(out, func(a, b evidence.Claim) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Value, b.Value),
			cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Observation, b.Observation))
	})
	return out
}
