package identify

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"probity/evidence"
)

// events is the life of an asset, by time.
func (r *Resolver) events(a *asset, h *history, out *evidence.Asset) []evidence.Event {
	var all []evidence.Event
	add := func(e evidence.Event) { all = append(all, e) }
	for i, s := range a.stays {
		kind := evidence.EventMoved
		if i == 0 {
			kind = evidence.EventAppeared
		}
		add(evidence.Event{
			At: fromMS(s.first), Kind: kind, Subject: s.place.addr.String(), Detail: s.cut,
			Observations: ids(append(s.cutAt[:], s.place.sights[s.lo].id)...),
		})
		if next := s.successor(); next != nil && next.assetOf() != a.name {
			add(evidence.Event{
				At: fromMS(next.first), Kind: evidence.EventLeft, Subject: s.place.addr.String(), After: next.assetOf(), Detail: next.cut,
				Observations: ids(s.place.sights[s.hi-1].id, next.place.sights[next.lo].id),
			})
		}
	}
	for _, e := range a.joins {
		add(evidence.Event{
			At: fromMS(max(e.a.first, e.b.first)), Kind: evidence.EventJoined, Subject: "the stays at " + e.a.place.addr.String() + " and " + e.b.place.addr.String(),
			Before: e.b.id, After: out.ID, Detail: e.reason, Observations: e.proof.list(),
		})
	}
	for _, n := range a.apart {
		if n.a.assetOf() == n.b.assetOf() {
			continue // joined for another reason
		}
		other := n.a
		if n.a.asset == a {
			other = n.b
		}
		add(evidence.Event{
			At: fromMS(max(n.a.first, n.b.first)), Kind: evidence.EventApart, Subject: other.place.addr.String(),
			After: other.assetOf(), Detail: n.reason, Observations: n.proof.list(),
		})
	}
	for _, t := range h.tracks {
		all = append(all, r.changes(t)...)
	}
	all = append(all, stated(a, out)...)
	slices.SortFunc(all, func(x, y evidence.Event) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Subject, y.Subject),
			cmp.Compare(x.Before, y.Before), cmp.Compare(x.After, y.After), cmp.Compare(x.Detail, y.Detail), slices.Compare(x.Observations, y.Observations))
	})
	return once(all)
}

// once drops events that say again, in the same sweep, what one said: a server shows
// a new certificate under each name that it is asked for.
func once(all []evidence.Event) []evidence.Event {
	type change struct {
		kind                           evidence.EventKind
		subject, before, after, detail string
	}
	said := make(map[change]time.Time, len(all))
	return slices.DeleteFunc(all, func(e evidence.Event) bool {
		c := change{e.Kind, e.Subject, e.Before, e.After, e.Detail}
		at, again := said[c]
		if again && e.Fact == 0 && e.At.Sub(at).Milliseconds() <= sweepGap {
			return true
		}
		said[c] = e.At
		return false
	})
}

// successor is the next stay at the place.
func (s *stay) successor() *stay {
	i, _ := slices.BinarySearchFunc(s.place.stays, s.hi, func(o *stay, hi int32) int { return cmp.Compare(o.lo, hi) })
	if i < len(s.place.stays) {
		return s.place.stays[i]
	}
	return nil
}

// changes lists the changes of a track: one value ended before the next began.
// Values that are seen in turn are no change.
func (r *Resolver) changes(t *historyTrack) []evidence.Event {
	k := t.key
	if k.sort == numSorts && !changeable(evidence.Attribute(r.texts.of(k.attribute))) {
		return nil
	}
	var out []evidence.Event
	for i := 1; i < len(t.values); i++ {
		before, after := t.values[i-1], t.values[i]
		if !earlier(before.last, after.first) || before.text == after.text || before.last.run == after.first.run && before.last.run != 0 {
			continue
		}
		if i+1 < len(t.values) && !earlier(after.first, t.values[i+1].first) {
			continue // several values begin at once
		}
		e := evidence.Event{
			At: fromMS(after.first.at), Before: before.text, After: after.text, Endpoint: after.endpoint, Since: fromMS(before.last.at),
			Observations: ids(before.last.id, after.first.id),
		}
		r.describe(&e, k, before, after)
		out = append(out, e)
	}
	return out
}

func changeable(a evidence.Attribute) bool {
	return slices.Contains([]evidence.Attribute{
		evidence.AttrVersion, evidence.AttrToolkitVersion, evidence.AttrOS, evidence.AttrModel, evidence.AttrManufacturer,
		evidence.AttrSerial, evidence.AttrToolkit, evidence.AttrApplication, evidence.AttrUDI,
	}, a)
}

// describe says what sort of change it is.
func (r *Resolver) describe(e *evidence.Event, k historyKey, before, after historyValue) {
	switch k.sort {
	case sortCertificate:
		e.Subject, e.Kind = "certificate of "+after.endpoint.String(), evidence.EventReplaced
		x, y := r.leafOf(before.number), r.leafOf(after.number)
		switch {
		case x.key != "" && x.key == y.key:
			e.Kind, e.Detail = evidence.EventRenewed, "the same key"
		case x.subject != "" && x.subject == y.subject:
			e.Kind, e.Detail = evidence.EventRenewed, "the same subject with a new key"
		default:
			e.Detail = "another subject and key"
		}
		if x.notAfter != 0 {
			e.Expiry = time.Unix(x.notAfter, 0).UTC()
		}
	case sortSSH, sortTLS:
		e.Kind, e.Subject = evidence.EventKeyChanged, k.sort.String()+" of "+after.endpoint.String()
		if k.sort == sortSSH {
			_, algorithm, _ := strings.Cut(r.texts.of(k.track), "/")
			e.Detail = algorithm
		}
	case numSorts:
		attribute := r.texts.of(k.attribute)
		e.Kind, e.Subject = evidence.EventChanged, attribute+" by "+r.texts.of(k.layer)
		if versioned(evidence.Attribute(attribute)) {
			if c, ok := compareVersions(after.text, before.text); ok && c < 0 {
				e.Kind, e.Detail = evidence.EventBackwards, "a lower version than before"
			}
		}
	default:
		e.Kind, e.Subject = evidence.EventChanged, k.sort.String()
		e.Before, e.After = strings.ReplaceAll(e.Before, "\t", " "), strings.ReplaceAll(e.After, "\t", " ")
	}
}

func versioned(a evidence.Attribute) bool {
	return a == evidence.AttrVersion || a == evidence.AttrToolkitVersion || a == evidence.AttrToolkit || a == evidence.AttrOS
}

// compareVersions orders two versions of one scheme: the same words with other
// numbers. It reports false where the schemes differ, because then the order is
// not known.
func compareVersions(a, b string) (int, bool) {
	x, y := versionParts(a), versionParts(b)
	for i := range min(len(x), len(y)) {
		m, e1 := strconv.ParseUint(x[i], 10, 63)
		n, e2 := strconv.ParseUint(y[i], 10, 63)
		switch {
		case e1 == nil && e2 == nil:
			if m != n {
				return cmp.Compare(m, n), true
			}
		case x[i] != y[i]:
			return 0, false
		}
	}
	return cmp.Compare(len(x), len(y)), len(x) == len(y) || numericRest(x, y)
}

// numericRest reports whether the longer list goes on with a number: 1.2.1 is
// above 1.2, while 1.2-beta is not known to be.
func numericRest(x, y []string) bool {
	long, n := x, len(y)
	if len(y) > len(x) {
		long, n = y, len(x)
	}
	_, err := strconv.ParseUint(long[n], 10, 63)
	return err == nil
}

// versionParts splits a text into numbers and words.
func versionParts(s string) []string {
	var out []string
	s = strings.ToLower(s)
	for s != "" {
		digit := s[0] >= '0' && s[0] <= '9'
		word := s[0] >= 'a' && s[0] <= 'z'
		if !digit && !word {
			s = s[1:]
			continue
		}
		n := 1
		for n < len(s) && (digit && s[n] >= '0' && s[n] <= '9' || word && s[n] >= 'a' && s[n] <= 'z') {
			n++
		}
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

// stated are the events of what people said, and what became of it.
func stated(a *asset, out *evidence.Asset) []evidence.Event {
	var all []evidence.Event
	var retired *evidence.AssetFact
	for i, f := range out.Facts {
		kind := evidence.EventStated
		if f.Kind == evidence.FactInventory {
			kind = evidence.EventInventoried
		}
		all = append(all, evidence.Event{At: f.At, Kind: kind, Subject: string(f.Kind), After: factText(f), Detail: f.Reason, Fact: f.ID})
		if status, ok := f.Values[evidence.ValueStatus]; ok {
			all = append(all, returned(a, retired, f.At)...)
			retired = nil
			if evidence.Retired(status) {
				retired = &out.Facts[i]
			}
		}
	}
	return append(all, returned(a, retired, out.LastSeen)...)
}

// returned is the first sight of a device that was said to be out of service, up to
// the time of the next statement about that.
func returned(a *asset, retired *evidence.AssetFact, until time.Time) []evidence.Event {
	if retired == nil {
		return nil
	}
	var back *sight
	for _, s := range a.stays {
		for i := range s.sights() {
			x := &s.sights()[i]
			if x.at > retired.At.UnixMilli() && x.at <= until.UnixMilli() && (back == nil || earlier(*x, *back)) {
				back = x
			}
		}
	}
	if back == nil {
		return nil
	}
	return []evidence.Event{{
		At: fromMS(back.at), Kind: evidence.EventReturned, Subject: "status", Before: retired.Values[evidence.ValueStatus],
		Detail: "seen after it was said to be out of service", Fact: retired.ID, Observations: ids(back.id),
	}}
}

// factText is a statement in one line.
func factText(f evidence.AssetFact) string {
	var parts []string
	if f.Kind == evidence.FactMerge {
		parts = append(parts, f.Other)
	}
	if f.Address.IsValid() {
		parts = append(parts, f.Address.String())
	}
	keys := make([]string, 0, len(f.Values))
	for k := range f.Values {
		if !slices.Contains([]string{SplitApart, SplitFrom, MergeKept, MergeEnded}, k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		parts = append(parts, k+"="+f.Values[k])
	}
	return strings.Join(parts, " ")
}
