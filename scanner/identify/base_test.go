package identify

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"probity/evidence"
	"probity/scanner/identify/churn"
)

// shelf is a base in memory.
type shelf struct {
	places map[netip.Addr][]byte
	held   map[Key][]netip.Addr
	assets map[string]evidence.Asset
	names  map[string][]string
	former map[string]netip.Addr
	stated int64
	asked  int // places that were read
}

func newShelf() *shelf {
	return &shelf{
		places: map[netip.Addr][]byte{}, held: map[Key][]netip.Addr{}, assets: map[string]evidence.Asset{},
		names: map[string][]string{}, former: map[string]netip.Addr{},
	}
}

func (s *shelf) Place(a netip.Addr) ([]byte, error) {
	s.asked++
	return s.places[a], nil
}
func (s *shelf) Holders(k Key) ([]netip.Addr, error) { return s.held[k], nil }
func (s *shelf) NamesOf(id string) ([]string, error) { return s.names[id], nil }
func (s *shelf) Stated() int64                       { return s.stated }
func (s *shelf) PlacesOf(id string) (all []netip.Addr, _ error) {
	for _, st := range s.assets[id].Stays {
		all = append(all, st.Addr)
	}
	return all, nil
}

func (s *shelf) Places() (all []netip.Addr, _ error) {
	for a := range s.places {
		all = append(all, a)
	}
	return all, nil
}

func (s *shelf) StayAt(id string) (netip.Addr, error) {
	for _, a := range s.assets {
		for _, st := range a.Stays {
			if st.ID == id {
				return st.Addr, nil
			}
		}
	}
	return s.former[id], nil
}

func (s *shelf) Named(name string) (all []string, _ error) {
	for id, names := range s.names {
		if slices.Contains(names, name) {
			all = append(all, id)
		}
	}
	return all, nil
}

// take resolves what is new and keeps the result.
func (s *shelf) take(t testing.TB, obs []evidence.Observation, facts []evidence.AssetFact) {
	t.Helper()
	r := New(s)
	for i := range obs {
		r.Add(&obs[i])
	}
	u, err := r.Resolve(facts)
	if err != nil {
		t.Fatal(err)
	}
	next := newShelf()
	for a, names := range u.Assets {
		if _, twice := next.assets[a.ID]; twice {
			t.Fatalf("asset %s comes twice", a.ID)
		}
		next.assets[a.ID], next.names[a.ID] = a, names
	}
	maps.Insert(s.places, u.Places)
	for k, addr := range u.Held {
		if slices.Contains(s.held[k], addr) {
			t.Fatalf("an identifier is told twice for %s", addr)
		}
		s.held[k] = append(s.held[k], addr)
		slices.SortFunc(s.held[k], netip.Addr.Compare)
	}
	for _, id := range u.Gone {
		if _, ok := s.assets[id]; !ok {
			t.Fatalf("%s is gone and never was", id)
		}
		delete(s.assets, id)
		delete(s.names, id)
	}
	for id, a := range next.assets {
		if _, ok := s.assets[id]; ok {
			t.Fatalf("%s is new and was there", id)
		}
		s.assets[id], s.names[id] = a, next.names[id]
	}
	maps.Copy(s.former, u.Former)
	if n := len(facts); n > 0 {
		s.stated = facts[n-1].ID
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
}

// differ says what two shelves do not have in common.
func (s *shelf) differ(o *shelf) string {
	for id, a := range s.assets {
		if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", o.assets[id]); x != y {
			return fmt.Sprintf("asset %s\n%.4000s\n%.4000s", id, x, y)
		}
		if !slices.Equal(s.names[id], o.names[id]) {
			return fmt.Sprintf("names of %s\n%q\n%q", id, s.names[id], o.names[id])
		}
	}
	for addr, record := range s.places {
		if !bytes.Equal(record, o.places[addr]) {
			return fmt.Sprintf("record of %s\n%x\n%x", addr, record, o.places[addr])
		}
	}
	for k, addrs := range s.held {
		if !slices.Equal(addrs, o.held[k]) {
			return fmt.Sprintf("holders of %x\n%v\n%v", k, addrs, o.held[k])
		}
	}
	if len(s.assets) != len(o.assets) || len(s.places) != len(o.places) || len(s.held) != len(o.held) {
		return fmt.Sprintf("%d assets, %d places, %d identifiers; %d, %d, %d", len(s.assets), len(s.places), len(s.held), len(o.assets), len(o.places), len(o.held))
	}
	return ""
}

// say makes statements about devices that were seen: an inventory with changed and
// ambiguous rows, labels, merges and splits of random assets.
func say(r *rand.Rand, s *shelf, facts []evidence.AssetFact) []evidence.AssetFact {
	var ids []string
	for id := range s.assets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for range 6 {
		a := s.assets[ids[r.IntN(len(ids))]]
		f := evidence.AssetFact{ID: int64(len(facts) + 1), Kind: evidence.FactLabel, Asset: a.ID, Values: map[string]string{"owner": fmt.Sprint("team ", len(facts))}}
		switch r.IntN(5) {
		case 0:
			f.Kind, f.Other, f.Values = evidence.FactMerge, ids[r.IntN(len(ids))], nil
		case 1:
			if len(a.Stays) > 1 {
				f.Kind, f.Values = evidence.FactSplit, map[string]string{SplitApart: a.Stays[0].ID, SplitFrom: a.Stays[1].ID}
			}
		case 2, 3:
			f.Kind, f.Asset, f.Other = evidence.FactInventory, "", fmt.Sprint("row ", r.IntN(12))
			f.Values = map[string]string{"model": fmt.Sprint("model ", len(facts)), evidence.ValueName: fmt.Sprintf("dev%05d", r.IntN(60))}
			if len(a.Addresses) > 0 {
				f.Values[evidence.ValueAddress] = a.Addresses[0].String()
			}
			for _, c := range a.Claims {
				if c.Attribute == evidence.AttrMAC && r.IntN(2) == 0 {
					f.Values["mac"] = c.Value
				}
			}
		}
		facts = append(facts, f)
	}
	return facts
}

// TestResolver_fromBase resolves a site week by week, each time from what the last
// resolution left, and in random parts and orders: byte for byte what one
// resolution of everything gives. No id that was ever given is lost.
func TestResolver_fromBase(t *testing.T) {
	for _, seed := range []uint64{11, 12, 13} {
		rnd := rand.New(rand.NewPCG(seed, 5))
		var all, week []evidence.Observation
		weekly := newShelf()
		w := churn.New(t, seed, 100, func(o evidence.Observation, _ int) { week = append(week, o) })
		given := map[string]bool{}
		var facts []evidence.AssetFact
		for range 6 {
			w.Observe()
			w.Week()
			weekly.take(t, week, facts)
			all, week = append(all, week...), nil
			for id := range weekly.assets {
				given[id] = true
			}
			facts = say(rnd, weekly, facts)
			weekly.take(t, nil, facts)
		}
		whole := newShelf()
		whole.take(t, all, facts)
		if diff := whole.differ(weekly); diff != "" {
			t.Errorf("seed %d, week by week: %s", seed, diff)
		}
		for id := range given {
			if addr, _ := weekly.StayAt(id); !addr.IsValid() {
				r := New(nil)
				for i := range all {
					r.Add(&all[i])
				}
				if _, err := r.Resolve([]evidence.AssetFact{{ID: 1, Kind: evidence.FactLabel, Asset: id}}); err != nil || r.find(id) == nil {
					t.Errorf("seed %d: the id %s is lost", seed, id)
				}
			}
		}
		for range 3 {
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			parts := newShelf()
			rest, said := all, 0
			for len(rest) > 0 {
				n := 1 + rnd.IntN(len(rest))
				said = max(said, min(len(facts), said+rnd.IntN(len(facts)/2)))
				parts.take(t, rest[:n], facts[:said])
				rest = rest[n:]
			}
			parts.take(t, nil, facts)
			if diff := whole.differ(parts); diff != "" {
				t.Errorf("seed %d, in parts: %s", seed, diff)
			}
		}
	}
}

// TestResolver_damagedBase: a base that contradicts itself is an error, never a
// wrong result.
func TestResolver_damagedBase(t *testing.T) {
	var week []evidence.Observation
	w := churn.New(t, 21, 40, func(o evidence.Observation, _ int) { week = append(week, o) })
	w.Observe()
	good := newShelf()
	good.take(t, week, nil)
	first := week
	week = nil
	w.Week()
	w.Observe()
	for _, tt := range []struct {
		name string
		harm func(*shelf)
	}{
		{"a bit of each record", func(s *shelf) {
			for a, r := range s.places {
				r = bytes.Clone(r)
				r[len(r)/2] ^= 4
				s.places[a] = r
			}
		}},
		{"records cut short", func(s *shelf) {
			for a, r := range s.places {
				s.places[a] = r[:len(r)-1]
			}
		}},
		{"records lost", func(s *shelf) { clear(s.places) }},
		{"identifiers listed for a wrong place", func(s *shelf) {
			for k := range s.held {
				s.held[k] = append(s.held[k], first[0].Endpoint.Addr)
			}
		}},
	} {
		s := newShelf()
		s.take(t, first, nil)
		tt.harm(s)
		r := New(s)
		for i := range week {
			r.Add(&week[i])
		}
		if _, err := r.Resolve(nil); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}

func FuzzRecord(f *testing.F) {
	s := newShelf()
	w := churn.New(f, 22, 10, func(o evidence.Observation, _ int) { s.take(f, []evidence.Observation{o}, nil) })
	w.Observe()
	for _, r := range s.places {
		f.Add(r[:len(r)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		r, p := New(nil), &place{}
		record := sealed(b)
		if err := r.decode(p, record); err != nil {
			return
		}
		_ = r.decode(&place{}, r.encode(p)) // must not panic
		if d := time.Since(start); d > time.Second {
			t.Errorf("took %v", d)
		}
	})
}
