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
		out.Joins = append(out.Joins, evidence.Join{Kept: e.a.id, Ended: e.b.id, Reason: e.reason, Observations: e.proof})
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
		if cmp.Or(cmp.Compare(s.birth.run, best.birth.run), s.place.addr.Compare(best.place.addr), recorded(s.birth, best.birth)) < 0 {
			best = s
		}
	}
	return best.id
}

// left reports whether the device came to another address of the same protocol
// after it was last seen at this one.
func (a *asset) left(s *stay) bool {
	return slices.ContainsFunc(a.stays, func(o *stay) bool {
		return o.first > s.last && o.place != s.place && o.place.addr.Is4() == s.place.addr.Is4() && !together(o, s)
	})
}

// ended reports whether another device came to the address after the stay.
func (s *stay) ended() bool {
	for _, o := range s.place.stays {
		if o != s && o.last > s.last && o.assetOf() != s.assetOf() {
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
	track     string
	attribute evidence.Attribute
	layer     string
}

type historyTrack struct {
	key    historyKey
	values []historyValue
	last   sight
}

// historyValue is one value with its first and last sight.
type historyValue struct {
	text        string
	claim       evidence.Claim
	endpoint    evidence.Endpoint
	first, last sight
	oldest      int64 // lowest id of an observation that showed it
}

func (r *Resolver) history(a *asset) *history {
	h := &history{r: r, places: map[evidence.Endpoint]bool{}, tracks: map[historyKey]*historyTrack{}}
	for _, s := range a.stays {
		for _, x := range s.place.sights[s.lo:s.hi] {
			c := &s.place.contents[x.content]
			at := s.place.endpoint(c)
			if !c.client {
				h.places[at] = true
			}
			for _, k := range c.marks {
				if k.sort == sortBoot || k.sort == sortSubject || k.sort == sortModel {
					continue
				}
				h.add(historyKey{sort: k.sort, track: k.track}, historyValue{text: r.val(k.value).text, endpoint: at}, x)
			}
			for _, i := range c.claims {
				claim := *r.claims.at(i)
				port := portText(c.port)
				h.add(historyKey{numSorts, port, claim.Attribute, claim.Layer}, historyValue{text: claim.Value, claim: claim, endpoint: at}, x)
			}
		}
	}
	for _, t := range h.tracks {
		slices.SortFunc(t.values, func(a, b historyValue) int {
			return cmp.Or(cmp.Compare(a.first.at, b.first.at), cmp.Compare(a.first.id, b.first.id), cmp.Compare(a.text, b.text),
				cmp.Compare(a.claim.Source, b.claim.Source), cmp.Compare(a.claim.Confidence, b.claim.Confidence))
		})
	}
	return h
}

func (h *history) add(k historyKey, v historyValue, x sight) {
	t := h.tracks[k]
	if t == nil {
		t = &historyTrack{key: k, last: x}
		h.tracks[k] = t
	}
	if x.at > t.last.at || x.at == t.last.at && x.id > t.last.id {
		t.last = x
	}
	i := slices.IndexFunc(t.values, func(o historyValue) bool { return o.text == v.text && o.claim == v.claim })
	if i < 0 {
		v.first, v.last, v.oldest = x, x, x.id
		t.values = append(t.values, v)
		return
	}
	o := &t.values[i]
	if earlier(x, o.first) {
		o.first, o.endpoint = x, v.endpoint
	}
	if earlier(o.last, x) {
		o.last = x
	}
	o.oldest = min(o.oldest, x.id)
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
			c := v.claim
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
