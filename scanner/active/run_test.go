package active

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"probity/evidence"
	"probity/scanner"
)

// network is an in-memory network that notes every attempt to connect, from the
// far side of the gate.
type network struct {
	// serve answers a connection; a nil return of accept refuses it.
	serve func(address string, c net.Conn)
	dial  func(address string, nth int) error // nil: accept

	mu       sync.Mutex
	attempts []attempt
	open     map[string]int
	maxOpen  map[string]int
}

type attempt struct {
	address string
	at      time.Time
}

func (n *network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.attempts = append(n.attempts, attempt{address, time.Now()})
	nth := len(n.attempts)
	n.mu.Unlock()
	if n.dial != nil {
		if err := n.dial(address, nth); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				<-ctx.Done()
			}
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	n.count(host, 1)
	go func() {
		defer n.count(host, -1)
		defer server.Close()
		if n.serve != nil {
			n.serve(address, server)
		}
	}()
	return end{client}, nil
}

// end is an end of a pipe. Deadlines can be set also after the other end was closed,
// as over TCP.
type end struct{ net.Conn }

func (e end) SetDeadline(t time.Time) error      { return unlessClosed(e.Conn.SetDeadline(t)) }
func (e end) SetReadDeadline(t time.Time) error  { return unlessClosed(e.Conn.SetReadDeadline(t)) }
func (e end) SetWriteDeadline(t time.Time) error { return unlessClosed(e.Conn.SetWriteDeadline(t)) }

func unlessClosed(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

func (n *network) count(host string, by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open, n.maxOpen = map[string]int{}, map[string]int{}
	}
	n.open[host] += by
	n.maxOpen[host] = max(n.maxOpen[host], n.open[host])
}

func (n *network) to(prefix string) []attempt {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.attempts), func(a attempt) bool { return !strings.HasPrefix(a.address, prefix) })
}

// echo answers two bytes by one and waits for the end.
func echo(_ string, c net.Conn) {
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		return
	}
	if _, err := c.Write([]byte{'x'}); err == nil {
		io.Copy(io.Discard, c)
	}
}

// silent waits for the end without a byte.
func silent(_ string, c net.Conn) { io.Copy(io.Discard, c) }

// knocker connects dials times, writes, reads a byte and closes.
type knocker struct {
	name  string
	dials int
	facts func(evidence.Endpoint) evidence.Facts
}

func (k knocker) Name() string                  { return k.name }
func (k knocker) Transport() evidence.Transport { return evidence.TCP }
func (k knocker) Exchanges(scanner.Level) []scanner.Exchange {
	return slices.Repeat([]scanner.Exchange{{What: "knock", MaxBytes: 4}}, k.dials)
}

func (k knocker) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	var out []evidence.Observation
	for range k.dials {
		o := evidence.Observation{Endpoint: s.Endpoint(), At: s.Now(), Result: evidence.ResultData}
		c, err := s.Dial(ctx)
		if errors.Is(err, scanner.ErrVetoed) || ctx.Err() != nil {
			return out, err
		}
		if err != nil {
			o.Result = evidence.ResultRefused
			return append(out, o), nil //nolint:nilerr // a refusal is an observation
		}
		if _, err = c.Write([]byte("hi")); err == nil {
			_, err = c.Read(make([]byte, 8))
		}
		if err != nil {
			o.Result = evidence.ResultTimeout
		} else if k.facts != nil {
			o.Facts = k.facts(s.Endpoint())
		}
		out = append(out, o)
		if err := c.Close(); err != nil {
			return out, err
		}
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
	}
	return out, nil
}

// book is a ledger in memory.
type book struct {
	mu   sync.Mutex
	rows []evidence.ProbeRecord
	obs  []evidence.Observation
	fail int // fail at this row, from 1

	responses     []evidence.ProbeRecord
	responseFacts map[evidence.Endpoint]evidence.ResponseFacts
}

func (b *book) RecordProbe(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if rec.Probe == scanner.ResponseProbe { // which no plan lists
		b.responses = append(b.responses, rec)
		for _, o := range obs {
			if b.responseFacts == nil {
				b.responseFacts = map[evidence.Endpoint]evidence.ResponseFacts{}
			}
			b.responseFacts[o.Endpoint] = *o.Facts.Response
		}
		return nil
	}
	if len(b.rows)+1 == b.fail {
		return errors.New("disk full")
	}
	b.rows = append(b.rows, rec)
	b.obs = append(b.obs, obs...)
	return nil
}

func (b *book) lines() []string {
	var out []string
	for _, r := range b.rows {
		out = append(out, fmt.Sprintf("%s %s %s %d", r.Endpoint, r.Probe, r.Outcome, r.Connections))
	}
	slices.Sort(out)
	return out
}

func plan(t *testing.T, ports string, rates scanner.Rates, probers []scanner.Prober, exclude string, targets ...string) *scanner.Plan {
	t.Helper()
	return planLevel(t, scanner.Gentle, ports, rates, probers, exclude, targets...)
}

func planLevel(t *testing.T, level scanner.Level, ports string, rates scanner.Rates, probers []scanner.Prober, exclude string, targets ...string) *scanner.Plan {
	t.Helper()
	table, err := scanner.LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	set, err := table.Select(ports)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := scanner.LoadTargets(targets)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := scanner.ReadTargets(strings.NewReader(exclude), "deny")
	if err != nil {
		t.Fatal(err)
	}
	p, err := scanner.NewPlan(scanner.Scope{Targets: ts, Exclusions: ex}, table, set, level, rates, probers)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func options(b *book, n *network, probers ...scanner.Prober) Options {
	return Options{Probers: probers, Ledger: b, Now: time.Now, Dialer: n}
}

func TestRun_keepsRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo}, &book{}
		k := knocker{name: "tls", dials: 3}
		rates := scanner.DefaultRates()
		p := plan(t, "443,8443,8042", rates, []scanner.Prober{k}, "", "10.0.0.1-40")
		start := time.Now()
		sum, err := Run(t.Context(), p, options(b, n, k))
		if err != nil {
			t.Fatal(err)
		}
		if want := 40 * 3 * 3; len(n.attempts) != want || sum.Connections != int64(want) || sum.Reached != 120 {
			t.Fatalf("%d connections seen, summary %+v; want %d", len(n.attempts), sum, want)
		}
		checkSpacing(t, "all", n.attempts, time.Second/50)
		for i := 1; i <= 40; i++ {
			host := fmt.Sprintf("10.0.0.%d:", i)
			checkSpacing(t, host, n.to(host), time.Second/2)
		}
		synctest.Wait()
		for host, most := range n.maxOpen {
			if most != 1 {
				t.Errorf("%s: %d connections at the same time", host, most)
			}
		}
		least := p.Totals().MinDuration
		if took := time.Since(start); took < least {
			t.Errorf("took %v, less than the %v of the plan", took, least)
		}
	})
}

// checkSpacing fails if two attempts are closer than the interval. The timers of
// the limiter round to the nanosecond.
func checkSpacing(t *testing.T, what string, as []attempt, interval time.Duration) {
	t.Helper()
	if len(as) < 2 {
		t.Errorf("%s: %d attempts are none to measure", what, len(as))
	}
	slices.SortFunc(as, func(a, b attempt) int { return a.at.Compare(b.at) })
	for i := 1; i < len(as); i++ {
		if d := as[i].at.Sub(as[i-1].at); d < interval-time.Microsecond {
			t.Errorf("%s: %v between two connections, want %v", what, d, interval)
		}
	}
}

func TestRun_denied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo}, &book{}
		k := knocker{name: "tls", dials: 1}
		deny := "10.0.0.2 # ventilator\n10.0.0.3:443\n"
		p := plan(t, "443,9100", scanner.DefaultRates(), []scanner.Prober{k}, deny, "10.0.0.1-3", "10.0.0.2:8443")
		if _, err := Run(t.Context(), p, options(b, n, k)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"tcp/10.0.0.1:443 tls sent 1"}, b.lines()); diff != "" {
			t.Errorf("ledger (-want +got):\n%s", diff)
		}
		// Whatever a plan says, the gate asks the same list again.
		for ep, want := range map[string]string{"10.0.0.2:443": "ventilator", "10.0.0.1:9100": "never touch"} {
			ap := netip.MustParseAddrPort(ep)
			g := &gate{plan: p, dialer: n, now: time.Now, global: rate.NewLimiter(rate.Inf, 1)}
			s := &session{gate: g, asset: g.newAsset(), budget: time.Second}
			s.endpoint = evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.TCP}
			if _, err := s.Dial(t.Context()); !errors.Is(err, scanner.ErrVetoed) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want a veto because of %q", ep, err, want)
			}
		}
		for _, a := range n.attempts {
			if a.address != "10.0.0.1:443" {
				t.Errorf("connection to %s", a.address)
			}
		}
	})
}

func TestRun_breaker(t *testing.T) {
	refused := syscall.ECONNREFUSED
	tests := []struct {
		name  string
		serve func(string, net.Conn)
		dial  func(string, int) error
		want  int // connections
		alive int // rows of the check that it is still there
		trips bool
	}{
		{name: "closed ports are cheap", dial: func(string, int) error { return refused }, want: 8},
		{name: "healthy", serve: echo, want: 16},
		{name: "never answered", dial: func(string, int) error { return os.ErrDeadlineExceeded }, want: 8},
		{name: "goes dark after two", serve: echo, dial: after(2, os.ErrDeadlineExceeded), want: 6, alive: 1, trips: true},
		{name: "filters all ports but one", serve: echo, dial: only("10.0.0.1:1001"), want: 2 + 3 + 1 + 4, alive: 1},
		{name: "goes dark within a probe", serve: echo, dial: after(3, os.ErrDeadlineExceeded), want: 8, alive: 1, trips: true},
		{name: "open ports close", serve: echo, dial: after(3, refused), want: 10},
		{name: "accepts and says nothing", serve: silent, want: 3, trips: true},
		{name: "resets everything after two", serve: hangUpAfter(2), want: 7, trips: true},
		{name: "hangs up on every second hello", serve: hangUpOdd(), want: 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, b := &network{serve: tt.serve, dial: tt.dial}, &book{}
				k := knocker{name: "tls", dials: 2}
				p := plan(t, "1001-1008", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
				sum, err := Run(t.Context(), p, options(b, n, k))
				if err != nil {
					t.Fatal(err)
				}
				if len(n.attempts) != tt.want || (len(sum.Tripped) == 1) != tt.trips {
					t.Errorf("%d connections, tripped %v; want %d, %v", len(n.attempts), sum.Tripped, tt.want, tt.trips)
				}
				if len(b.rows) != 8+tt.alive {
					t.Errorf("%d rows of the ledger for 8 planned probes and %d checks", len(b.rows), tt.alive)
				}
				last := b.rows[len(b.rows)-1]
				if tt.trips != (last.Outcome == evidence.ProbeSkipped && strings.Contains(last.Reason, "breaker open: ")) {
					t.Errorf("last row %+v", last)
				}
			})
		})
	}
}

func after(n int, err error) func(string, int) error {
	return func(_ string, nth int) error {
		if nth > n {
			return err
		}
		return nil
	}
}

// only drops what is sent anywhere else.
func only(address string) func(string, int) error {
	return func(a string, _ int) error {
		if a != address {
			return os.ErrDeadlineExceeded
		}
		return nil
	}
}

func hangUpAfter(n int) func(string, net.Conn) {
	var served atomic.Int64
	return func(address string, c net.Conn) {
		if served.Add(1) <= int64(n) {
			echo(address, c)
		}
	}
}

func hangUpOdd() func(string, net.Conn) {
	var served atomic.Int64
	return func(address string, c net.Conn) {
		if served.Add(1)%2 == 1 {
			echo(address, c)
		}
	}
}

func TestRun_conditionsAndFollowers(t *testing.T) {
	facts := func(ep evidence.Endpoint) evidence.Facts {
		switch ep.Port {
		case 2762:
			return evidence.Facts{TLS: &evidence.TLSFacts{Version: 0x303}}
		case 104, 2575:
			return evidence.Facts{TLS: &evidence.TLSFacts{NotTLS: true, Spoke: "dicom"}}
		}
		return evidence.Facts{TLS: &evidence.TLSFacts{NotTLS: true, Spoke: "ssh"}}
	}
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo, dial: func(address string, _ int) error {
			if strings.HasSuffix(address, ":11112") {
				return syscall.ECONNREFUSED
			}
			return nil
		}}, &book{}
		probers := []scanner.Prober{knocker{"tls", 1, facts}, knocker{name: "dicom", dials: 1}, knocker{name: "ssh", dials: 1}}
		p := plan(t, "104,2575,2762,8000,11112", scanner.DefaultRates(), probers, "", "10.0.0.1")
		sum, err := Run(t.Context(), p, options(b, n, probers...))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"tcp/10.0.0.1:104 dicom sent 1", "tcp/10.0.0.1:104 tls sent 1",
			"tcp/10.0.0.1:11112 dicom not-needed 0", "tcp/10.0.0.1:11112 tls sent 1",
			"tcp/10.0.0.1:2575 tls sent 1", // HL7: nothing else, whatever answers
			"tcp/10.0.0.1:2762 dicom not-needed 0", "tcp/10.0.0.1:2762 tls sent 1",
			"tcp/10.0.0.1:8000 ssh sent 1", "tcp/10.0.0.1:8000 tls sent 1",
		}
		if diff := cmp.Diff(want, b.lines()); diff != "" {
			t.Errorf("ledger (-want +got):\n%s", diff)
		}
		if sum.Planned != 8 || sum.Sent != 7 || sum.NotNeeded != 2 || sum.Skipped != 0 || sum.Endpoints != 5 || sum.Reached != 4 {
			t.Errorf("summary %+v", sum)
		}
	})
}

func TestRun_interrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: silent}, &book{}
		n.serve = func(address string, c net.Conn) {
			if strings.HasPrefix(address, "10.0.0.1:") {
				echo(address, c)
			}
			silent(address, c)
		}
		k := knocker{name: "tls", dials: 2}
		rates := scanner.DefaultRates()
		rates.Parallel = 5 // all begin, in whatever order
		p := plan(t, "443,8443", rates, []scanner.Prober{k}, "", "10.0.0.1-5")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(700*time.Millisecond, cancel)
		start := time.Now()
		sum, err := Run(ctx, p, options(b, n, k))
		if err != nil || !sum.Interrupted {
			t.Fatalf("summary %+v, error %v", sum, err)
		}
		if took := time.Since(start); took != 700*time.Millisecond {
			t.Errorf("the run ended %v after the start, want at the interruption", took)
		}
		if len(b.rows) != 10 {
			t.Errorf("%d rows for 10 planned probes", len(b.rows))
		}
		if len(b.obs) < 2 || b.obs[0].Result != evidence.ResultData {
			t.Errorf("what was observed before the interruption is lost: %+v", b.obs)
		}
		for _, r := range b.rows {
			if r.Outcome == evidence.ProbeSkipped && !strings.Contains(r.Reason, "interrupted") {
				t.Errorf("reason %q", r.Reason)
			}
		}
	})
}

func TestRun_ledgerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo}, &book{fail: 2}
		k := knocker{name: "tls", dials: 1}
		p := plan(t, "443,8443", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1-9")
		_, err := Run(t.Context(), p, options(b, n, k))
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("error %v", err)
		}
		if len(n.attempts) > 10 || len(b.rows) != 1 {
			t.Errorf("%d connections and %d rows after the ledger failed", len(n.attempts), len(b.rows))
		}
	})
}

type broken struct{ knocker }

func (broken) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	if _, err := s.Dial(ctx); err != nil {
		return nil, err
	}
	if s.Endpoint().Port == 443 {
		panic("index out of range")
	}
	_, err := s.Dial(ctx) // without closing
	return nil, err
}

func TestRun_brokenProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, b := &network{serve: echo}, &book{}
		k := broken{knocker{name: "tls", dials: 1}}
		p := plan(t, "443,8443", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
		if _, err := Run(t.Context(), p, options(b, n, k)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n.open["10.0.0.1"] != 0 {
			t.Error("a connection stayed open")
		}
		if len(b.rows) != 2 || !strings.Contains(b.rows[0].Reason, "index out of range") || !strings.Contains(b.rows[1].Reason, "not closed") {
			t.Errorf("rows %+v", b.rows)
		}
	})
}

// flood sends without end; drip sends a byte a second.
func flood(_ string, c net.Conn) {
	for {
		if _, err := c.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

func drip(_ string, c net.Conn) {
	go io.Copy(io.Discard, c)
	for {
		time.Sleep(990 * time.Millisecond)
		if _, err := c.Write([]byte{1}); err != nil {
			return
		}
	}
}

// glutton reads and writes all it can, and tries to lift its deadline.
type glutton struct {
	knocker
	write bool
}

func (g glutton) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	c, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if g.write {
		for {
			if _, err := c.Write(make([]byte, 100)); err != nil {
				return nil, err
			}
		}
	}
	_, err = io.Copy(io.Discard, c)
	return nil, err
}

func TestRun_budgets(t *testing.T) {
	for name, tt := range map[string]struct {
		serve func(string, net.Conn)
		write bool
		bytes [2]int64
		took  time.Duration
	}{
		"endless data":      {serve: flood, bytes: [2]int64{0, 1 << 20}},
		"one byte a second": {serve: drip, bytes: [2]int64{0, 10}, took: 10 * time.Second},
		"endless writes":    {serve: silent, write: true, bytes: [2]int64{1 << 20 / 100 * 100, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, b := &network{serve: tt.serve}, &book{}
				k := glutton{knocker{name: "tls", dials: 1}, tt.write}
				p := plan(t, "443", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1")
				if _, err := Run(t.Context(), p, options(b, n, k)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // for the servers to notice
				r := b.rows[0]
				if got := [2]int64{r.BytesSent, r.BytesReceived}; got != tt.bytes || r.Ended.Sub(r.Started) != tt.took {
					t.Errorf("sent and received %v in %v, want %v in %v", got, r.Ended.Sub(r.Started), tt.bytes, tt.took)
				}
			})
		})
	}
}

// TestRun_oneDevice gives one device three addresses: they share the connection,
// the rate and the breaker.
func TestRun_oneDevice(t *testing.T) {
	names := map[netip.Addr]string{}
	for _, a := range []string{"10.0.0.1", "10.0.1.1", "fd00::1"} {
		names[netip.MustParseAddr(a)] = "pump 7"
	}
	names[netip.MustParseAddr("10.0.2.1")] = "alone"
	targets := []string{"10.0.0.1", "10.0.1.1", "10.0.2.1", "fd00::1"}
	k := knocker{name: "tls", dials: 3}
	t.Run("in turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			open, most := 0, 0
			count := func(by int) {
				mu.Lock()
				defer mu.Unlock()
				open += by
				most = max(most, open)
			}
			n, b := &network{}, &book{}
			n.serve = func(address string, c net.Conn) {
				if !strings.HasPrefix(address, "10.0.2.1:") {
					count(1)
					defer count(-1)
				}
				time.Sleep(400 * time.Millisecond) // others would come meanwhile
				echo(address, c)
			}
			opts := options(b, n, k)
			opts.SameAsset = names
			if _, err := Run(t.Context(), plan(t, "443", scanner.DefaultRates(), []scanner.Prober{k}, "", targets...), opts); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if most != 1 || len(n.attempts) != 12 {
				t.Errorf("%d connections, up to %d to the device at a time", len(n.attempts), most)
			}
			ofDevice := slices.Concat(n.to("10.0.0.1:"), n.to("10.0.1.1:"), n.to("[fd00::1]:"))
			checkSpacing(t, "the device", ofDevice, time.Second/2)
		})
	})
	t.Run("one slot for all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := &network{serve: echo}
			opts := options(&book{}, n, k)
			opts.SameAsset = names
			rates := scanner.DefaultRates()
			rates.Parallel = 1
			if _, err := Run(t.Context(), plan(t, "443", rates, []scanner.Prober{k}, "", targets...), opts); err != nil {
				t.Fatal(err)
			}
			if len(n.attempts) != 12 {
				t.Errorf("%d connections, want 12", len(n.attempts))
			}
		})
	})
	t.Run("left alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, b := &network{serve: silent}, &book{}
			opts := options(b, n, knocker{name: "tls", dials: 1})
			opts.SameAsset, opts.BreakerAfter = names, 2
			p := plan(t, "443", scanner.DefaultRates(), []scanner.Prober{knocker{name: "tls", dials: 1}}, "", targets...)
			sum, err := Run(t.Context(), p, opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(n.attempts) != 3 || len(sum.Tripped) < 1 {
				t.Errorf("%d connections, want two to the device and one to the other; left alone: %v", len(n.attempts), sum.Tripped)
			}
			past := NewPast()
			for _, r := range b.rows {
				past.AddProbe(r)
			}
			later, again := &network{serve: silent}, options(&book{}, &network{}, knocker{name: "tls", dials: 1})
			again.Dialer, again.Past, again.SameAsset = later, past, names
			if _, err := Run(t.Context(), p, again); err != nil || len(later.attempts) != 0 {
				t.Errorf("resumed: %d connections to a device that was left alone, error %v", len(later.attempts), err)
			}
		})
	})
}

// TestRun_begun holds what a window that is closed means: before anything was sent
// a refusal, after that an end with a row for each probe.
func TestRun_begun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows, err := scanner.ParseWindows([]string{"daily 10:00-11:00 UTC"}) // the bubble begins at midnight
		if err != nil {
			t.Fatal(err)
		}
		k := knocker{name: "tls", dials: 1}
		p := plan(t, "443", scanner.DefaultRates(), []scanner.Prober{k}, "", "10.0.0.1-3")
		for _, begun := range []bool{false, true} {
			n, b := &network{serve: echo}, &book{}
			opts := options(b, n, k)
			opts.Windows, opts.Begun = windows, begun
			sum, err := Run(t.Context(), p, opts)
			if errors.Is(err, scanner.ErrRefused) == begun || len(n.attempts) != 0 {
				t.Errorf("begun %t: %d connections, error %v", begun, len(n.attempts), err)
			}
			if begun && (len(b.rows) != 3 || !sum.WindowClosed || sum.Skipped != 3 || sum.Interrupted) {
				t.Errorf("%d rows, summary %+v", len(b.rows), sum)
			}
		}
	})
}
