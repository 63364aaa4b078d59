package active

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/scanner"
)

// TestRun_response scans one service that answers, or ceases to, and reads what the
// run records of it.
func TestRun_response(t *testing.T) {
	us := func(n int) []int64 { return make([]int64, n) } // time stands still in a bubble
	slow := func(_ string, nth int) error {
		if nth > 3 {
			time.Sleep(400 * time.Millisecond) // too little for the breaker
		}
		return nil
	}
	for name, tt := range map[string]struct {
		level       scanner.Level
		dial        func(string, int) error
		connections int // of the response probe
		want        *evidence.ResponseFacts
	}{
		"gentle, nothing more is sent": {
			scanner.Gentle, nil, 0,
			&evidence.ResponseFacts{Accepted: 5, Answered: 5, First: us(3), Last: us(2)},
		},
		"one more after the last probe": {
			scanner.Standard, nil, 1,
			&evidence.ResponseFacts{Accepted: 6, Answered: 5, First: us(3), Last: us(3), After: evidence.ResultData},
		},
		"gone after the last probe": {
			scanner.Standard, after(5, syscall.ECONNREFUSED), 2,
			&evidence.ResponseFacts{Accepted: 5, Answered: 5, Missed: 2, Refused: 2, InARow: 2, AtEnd: 2, First: us(3), Last: us(2), After: evidence.ResultRefused},
		},
		"gone with the last connection, not left alone by the scan": {
			scanner.Standard, after(4, syscall.ECONNREFUSED), 2,
			&evidence.ResponseFacts{Accepted: 4, Answered: 4, Missed: 3, Refused: 3, InARow: 3, AtEnd: 3, First: us(3), Last: us(1), After: evidence.ResultRefused},
		},
		"one lost packet": {
			scanner.Standard, func(_ string, nth int) error {
				if nth == 6 {
					return os.ErrDeadlineExceeded
				}
				return nil
			}, 2,
			&evidence.ResponseFacts{Accepted: 6, Answered: 5, Missed: 1, InARow: 1, First: us(3), Last: us(3), After: evidence.ResultData},
		},
		"slower": {
			scanner.Gentle, slow, 0,
			&evidence.ResponseFacts{Accepted: 5, Answered: 5, First: us(3), Last: []int64{400_000, 400_000}},
		},
		"never there": {scanner.Standard, after(0, syscall.ECONNREFUSED), 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, b := &network{serve: echo, dial: tt.dial}, &book{}
				k := knocker{name: "tls", dials: 5}
				p := planLevel(t, tt.level, "1001", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
				if _, err := Run(t.Context(), p, options(b, n, k)); err != nil {
					t.Fatal(err)
				}
				if tt.want == nil {
					if len(b.responses) > 0 {
						t.Fatalf("rows %+v", b.responses)
					}
					return
				}
				if len(b.responses) != 1 || b.responses[0].Connections != int64(tt.connections) || len(b.responseFacts) != 1 {
					t.Fatalf("rows %+v, facts of %d endpoints", b.responses, len(b.responseFacts))
				}
				if most := p.Totals().MaxConnections; int64(len(n.attempts)) > most {
					t.Errorf("%d connections, planned were %d at most", len(n.attempts), most)
				}
				for _, got := range b.responseFacts {
					if diff := cmp.Diff(*tt.want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}
