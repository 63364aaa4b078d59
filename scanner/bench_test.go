package scanner

import (
	"errors"
	"testing"
	"time"
)

func TestNewBenchPlan(t *testing.T) {
	ports, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	bench := paper{name: BenchProbe}
	for _, tt := range []struct {
		name    string
		targets []string
		exclude []string
		prober  Prober
		refused bool
		bound   time.Duration // 0: an error
	}{
		{"clinical port", []string{"192.0.2.1:2762"}, nil, bench, false, ClinicalTime},
		{"listener that gets TLS only", []string{"192.0.2.1:2575"}, nil, bench, false, ClinicalTime},
		{"unknown port", []string{"192.0.2.1:12345"}, nil, bench, false, DefaultRates().MaxTime},
		{"no port", []string{"192.0.2.1"}, nil, bench, false, 0},
		{"two addresses", []string{"192.0.2.1-2:443"}, nil, bench, false, 0},
		{"two targets", []string{"192.0.2.1:443", "192.0.2.2:443"}, nil, bench, false, 0},
		{"UDP", []string{"udp/192.0.2.1:161"}, nil, bench, false, 0},
		{"excluded", []string{"192.0.2.1:443"}, []string{"192.0.2.0/24"}, bench, true, 0},
		{"port that is never touched", []string{"192.0.2.1:9100"}, nil, bench, true, 0},
		{"public", []string{"8.8.8.8:443"}, nil, bench, true, 0},
		{"a prober of scans", []string{"192.0.2.1:443"}, nil, paper{name: "tls"}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scope := Scope{Targets: targets(t, tt.targets...), Exclusions: targets(t, tt.exclude...)}
			p, err := NewBenchPlan(scope, ports, DefaultRates(), tt.prober)
			if (err == nil) != (tt.bound != 0) || errors.Is(err, ErrRefused) != tt.refused {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			n := 0
			for _, probes := range p.Assets() {
				for _, pr := range probes {
					if n++; pr.Prober != BenchProbe || pr.Time != tt.bound || pr.When != "" || len(pr.Follows) != 0 {
						t.Errorf("planned: %+v", pr)
					}
				}
			}
			if n != 1 || p.Level != Exhaustive || len(p.Exchanges[BenchProbe]) != len(bench.Exchanges(Exhaustive)) {
				t.Errorf("%d probes at level %s with the exchanges %v", n, p.Level, p.Exchanges)
			}
		})
	}
}
