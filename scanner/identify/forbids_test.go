package identify

import (
	"math/rand/v2"
	"testing"
)

// TestResolver_forbids holds assets that were never seen at once against each other:
// they may be one device unless the serial numbers of any two of their stays differ.
func TestResolver_forbids(t *testing.T) {
	r := New(nil)
	random := rand.New(rand.NewPCG(1, 2))
	at := int64(0)
	device := func() *asset {
		var first *stay
		for range 1 + random.IntN(3) {
			at += 2 * atOnce
			s := &stay{place: &place{}, first: at, last: at}
			for range random.IntN(3) {
				k := trackKey{[]sort{sortSerial, sortSSH}[random.IntN(2)], text(random.IntN(2))}
				s.seen = append(s.seen, seen{key: k, value: uint32(random.IntN(2))})
			}
			s.asset = newAsset(s)
			if first == nil {
				first = s
			}
			unite(edge{a: first, b: s})
		}
		return first.asset.root()
	}
	var count [2]int
	for range 2000 {
		x, y := device(), device()
		want := false
		for _, a := range x.stays {
			for _, b := range y.stays {
				want = want || r.serialsDiffer(a, b)
			}
		}
		_, got := r.forbids(x, y, statements{})
		if got != want {
			t.Fatalf("%t, want %t, of %+v and %+v", got, want, x, y)
		}
		if got {
			count[1]++
		} else {
			count[0]++
		}
	}
	if min(count[0], count[1]) < 200 {
		t.Errorf("%d may be one device and %d not", count[0], count[1])
	}
}
