package identify

import (
	"fmt"
	"slices"
	"testing"

	"probity/evidence"
	"probity/scanner/identify/churn"
)

// score compares assets with the truth.
type score struct {
	devices, assets     int
	falseMerges, splits int // assets of several devices; assets beyond one a device
	why                 []string
}

func judge(r *Resolver, truth map[int64]int) score {
	s := score{assets: len(r.formed)}
	pieces := map[int]map[string]bool{}
	for _, a := range r.formed {
		of := map[int]bool{}
		id := a.name
		for _, st := range a.stays {
			for _, x := range st.place.sights[st.lo:st.hi] {
				d := truth[x.id]
				of[d] = true
				if pieces[d] == nil {
					pieces[d] = map[string]bool{}
				}
				pieces[d][id] = true
			}
		}
		if len(of) > 1 {
			s.falseMerges++
			s.why = append(s.why, fmt.Sprintf("%s holds the devices %v: %v", id, of, a.joins))
		}
	}
	s.devices = len(pieces)
	for d, p := range pieces {
		if len(p) > 1 {
			s.splits += len(p) - 1
			s.why = append(s.why, fmt.Sprintf("device %d is %d assets", d, len(p)))
		}
	}
	return s
}

// simulate simulates weeks and resolves after each, as a site does.
func simulate(t testing.TB, seed uint64, devices, weeks int) (score, *churn.World) {
	r, truth := New(nil), map[int64]int{}
	w := churn.New(t, seed, devices, func(o evidence.Observation, device int) {
		truth[o.ID] = device
		r.Add(&o)
	})
	for range weeks {
		w.Observe()
		w.Week()
	}
	if _, err := r.Resolve(nil); err != nil {
		t.Fatal(err)
	}
	return judge(r, truth), w
}

// TestChurn resolves ten simulated weeks of a small site without one false merge.
// BenchmarkChurn has a site of full size.
func TestChurn(t *testing.T) {
	for _, seed := range []uint64{301, 302} {
		s, w := simulate(t, seed, 250, 10)
		t.Logf("seed %d: %d devices, %d assets, %d observations, %d false merges, %d splits (%.2f %%)",
			seed, s.devices, s.assets, w.Observations(), s.falseMerges, s.splits, 100*float64(s.splits)/float64(s.devices))
		if s.falseMerges > 0 || s.splits*100 >= s.devices {
			slices.Sort(s.why)
			t.Errorf("seed %d: %d false merges, %d splits of %d devices\n%v", seed, s.falseMerges, s.splits, s.devices, s.why)
			for _, line := range s.why[:min(len(s.why), 20)] {
				t.Log(line)
			}
		}
	}
}

// BenchmarkChurn is TestChurn with full sites and other seeds: it reports false
// merges and splits in percent of the devices.
func BenchmarkChurn(b *testing.B) {
	for _, tt := range []struct {
		seed    uint64
		devices int
	}{{5000, 2000}, {8000, 10_000}} {
		b.Run(fmt.Sprintf("devices=%d", tt.devices), func(b *testing.B) {
			var total score
			seed := tt.seed
			for b.Loop() {
				s, w := simulate(b, seed, tt.devices, 10)
				b.Logf("seed %d: %d devices, %d assets, %d observations, %d false merges, %d splits", seed, s.devices, s.assets, w.Observations(), s.falseMerges, s.splits)
				seed++
				total.devices += s.devices
				total.falseMerges += s.falseMerges
				total.splits += s.splits
			}
			b.ReportMetric(float64(total.falseMerges), "false-merges")
			b.ReportMetric(100*float64(total.splits)/float64(total.devices), "%splits")
			b.ReportMetric(float64(total.devices)/float64(seed-tt.seed), "devices")
		})
	}
}
