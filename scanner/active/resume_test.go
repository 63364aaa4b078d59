package active

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/scanner"
)

// TestRun_resumed cuts a run off at many moments and goes on: over both parts
// every probe is finished once, and what followed from an answer is not lost.
func TestRun_resumed(t *testing.T) {
	facts := func(ep evidence.Endpoint) evidence.Facts {
		if ep.Port == 104 || ep.Port == 11112 {
			return evidence.Facts{TLS: &evidence.TLSFacts{NotTLS: true, Spoke: "dicom"}}
		}
		return evidence.Facts{TLS: &evidence.TLSFacts{NotTLS: true, Spoke: "ssh"}}
	}
	probers := []scanner.Prober{knocker{"tls", 1, facts}, knocker{name: "dicom", dials: 1}, knocker{name: "ssh", dials: 1}}
	finished := func(b *book) []string {
		var out []string
		for _, r := range b.rows {
			if r.Outcome != evidence.ProbeSkipped && !strings.Contains(r.Reason, reasonInterrupted) {
				out = append(out, fmt.Sprintf("%s %s %s", r.Endpoint, r.Probe, r.Outcome))
			}
		}
		slices.Sort(out)
		return out
	}
	run := func(t *testing.T, after time.Duration, past *Past) (*book, *network, Summary) {
		n, b := &network{serve: echo}, &book{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if after > 0 {
			time.AfterFunc(after, cancel)
		}
		opts := options(b, n, probers...)
		opts.Past = past
		sum, err := Run(ctx, plan(t, "104,8000,11112", scanner.DefaultRates(), probers, "", "10.0.0.1-3"), opts)
		if err != nil {
			t.Fatal(err)
		}
		return b, n, sum
	}
	var whole []string
	synctest.Test(t, func(t *testing.T) {
		b, _, _ := run(t, 0, nil)
		whole = finished(b)
	})
	for after := 10 * time.Millisecond; after < 3*time.Second; after += 90 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			first, n1, sum1 := run(t, after, nil)
			past := NewPast()
			for _, r := range first.rows {
				past.AddProbe(r)
			}
			for _, o := range first.obs {
				past.AddObservation(o)
			}
			second, n2, sum2 := run(t, 0, past)
			got := slices.Concat(finished(first), finished(second))
			slices.Sort(got)
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Fatalf("cut off after %v (-whole +parts):\n%s", after, diff)
			}
			if sum1.Interrupted && sum1.Skipped == 0 || sum2.Skipped != 0 || sum2.Earlier == 0 && sum1.Sent > 0 {
				t.Errorf("cut off after %v: summaries %+v and %+v", after, sum1, sum2)
			}
			if total, most := len(n1.attempts)+len(n2.attempts), len(whole)+3; total > most {
				t.Errorf("cut off after %v: %d connections, at most %d expected", after, total, most)
			}
		})
	}
}

// TestRun_resumedLeftAlone shows that what a part left alone stays alone.
func TestRun_resumedLeftAlone(t *testing.T) {
	for _, written := range []int{2, 6} { // the last rows never were; the breaker opens within the second
		t.Run(strconv.Itoa(written), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { resumeLeftAlone(t, written) })
		})
	}
}

func resumeLeftAlone(t *testing.T, written int) {
	k := knocker{name: "tls", dials: 2}
	p := plan(t, "1001-1008", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
	first, n := &book{}, &network{serve: silent}
	if sum, err := Run(t.Context(), p, options(first, n, k)); err != nil || len(sum.Tripped) != 1 {
		t.Fatalf("summary %+v, error %v", sum, err)
	}
	past := NewPast()
	for _, r := range first.rows[:written] {
		past.AddProbe(r)
	}
	again, second := &network{serve: echo}, &book{}
	opts := options(second, again, k)
	opts.Past = past
	sum, err := Run(t.Context(), p, opts)
	if err != nil || len(again.attempts) != 0 || len(second.rows) != 8-written || len(sum.Tripped) != 1 {
		t.Errorf("%d connections, rows %+v, summary %+v, error %v", len(again.attempts), second.rows, sum, err)
	}
}

func TestRun_windowCloses(t *testing.T) {
	ws, err := scanner.ParseWindows([]string{"Sat 00:00-00:01 UTC"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // it begins on Saturday, 1 January 2000, at midnight
		n, b := &network{serve: echo}, &book{}
		k := knocker{name: "tls", dials: 1}
		p := plan(t, "1001-1200", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
		opts := options(b, n, k)
		opts.Windows = ws
		closing := time.Now().Add(time.Minute)
		sum, err := Run(t.Context(), p, opts)
		if err != nil || !sum.WindowClosed || sum.Interrupted || sum.Sent == 0 || sum.Sent+sum.Skipped != 200 {
			t.Fatalf("summary %+v, error %v", sum, err)
		}
		if !time.Now().Equal(closing) || len(b.rows) != 200 {
			t.Errorf("ended at %v with %d rows, want %v", time.Now(), len(b.rows), closing)
		}
		for _, a := range n.attempts {
			if !a.at.Before(closing) {
				t.Errorf("connection at %v", a.at)
			}
		}
		if last := b.rows[199]; last.Outcome != evidence.ProbeSkipped || !strings.Contains(last.Reason, "scan window") {
			t.Errorf("last row %+v", last)
		}
		if _, err := Run(t.Context(), p, opts); err == nil {
			t.Error("a run began outside of its window")
		}
		// A machine that slept wakes up outside of the window: no timer has fired.
		g := &gate{plan: p, dialer: n, now: time.Now, windows: ws}
		s := &session{gate: g, asset: g.newAsset(), endpoint: b.rows[0].Endpoint}
		if _, err := s.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "window") {
			t.Errorf("connection outside of the window: %v", err)
		}
	})
}

func TestRun_slowsDown(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, then time.Duration
		trips       bool
	}{
		{"doubles", 400 * time.Millisecond, 950 * time.Millisecond, true},
		{"was always slow", 2 * time.Second, 2 * time.Second, false},
		{"noise of the loopback", time.Microsecond, 100 * time.Millisecond, false},
		{"slower by half", 2 * time.Second, 3 * time.Second, false},
		{"gets faster", 2 * time.Second, time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, b := &network{}, &book{}
				n.serve = func(_ string, c net.Conn) {
					delay := tt.first
					n.mu.Lock()
					if len(n.attempts) > 3 {
						delay = tt.then
					}
					n.mu.Unlock()
					if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
						return
					}
					time.Sleep(delay)
					if _, err := c.Write([]byte{'x'}); err == nil {
						io.Copy(io.Discard, c)
					}
				}
				k := knocker{name: "tls", dials: 10}
				p := plan(t, "1001", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
				sum, err := Run(t.Context(), p, options(b, n, k))
				if err != nil || (len(sum.Tripped) == 1) != tt.trips {
					t.Errorf("summary %+v, error %v", sum, err)
				}
				if want := map[bool]int{true: 6, false: 10}[tt.trips]; len(n.attempts) != want {
					t.Errorf("%d connections, want %d", len(n.attempts), want)
				}
			})
		})
	}
}

func TestRun_protected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo}, &book{}
		k := knocker{name: "tls", dials: 1}
		p := plan(t, "1001-1003", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1-3")
		opts := options(b, n, k)
		opts.Protected = func(addr netip.Addr, obs []evidence.Observation) string {
			switch {
			case addr.String() == "10.0.0.1" && obs == nil:
				return "ventilator on record"
			case addr.String() == "10.0.0.2" && len(obs) > 0:
				return "it says it is a pump"
			}
			return ""
		}
		sum, err := Run(t.Context(), p, opts)
		if err != nil || len(sum.Vetoed) != 2 || len(sum.Tripped) != 0 || sum.Skipped != 5 {
			t.Fatalf("summary %+v, error %v", sum, err)
		}
		if a, b, c := len(n.to("10.0.0.1:")), len(n.to("10.0.0.2:")), len(n.to("10.0.0.3:")); a != 0 || b != 1 || c != 3 {
			t.Errorf("%d, %d and %d connections, want 0, 1 and 3", a, b, c)
		}
		if !slices.ContainsFunc(b.rows, func(r evidence.ProbeRecord) bool {
			return r.Outcome == evidence.ProbeSkipped && r.Reason == "class veto: it says it is a pump"
		}) {
			t.Errorf("no row says why: %+v", b.rows)
		}
	})
}

// TestRun_manyUnsent stops a scan of many addresses: stopping does not write a
// row for each.
func TestRun_manyUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo}, &book{}
		k := knocker{name: "tls", dials: 1}
		p := plan(t, "443,8443", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.0/16")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		sum, err := Run(ctx, p, options(b, n, k))
		if err != nil || !sum.Interrupted || sum.Sent+sum.Skipped != 2*65534 {
			t.Fatalf("summary %+v, error %v", sum, err)
		}
		if most := sum.Sent + maxUnsent + p.Rates.Parallel; len(b.rows) > most {
			t.Errorf("%d rows, at most %d expected", len(b.rows), most)
		}
	})
}
