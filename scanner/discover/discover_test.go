package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/scanner"
)

// ether is a link in memory on which some addresses answer.
type ether struct {
	there   map[netip.Addr]time.Duration // how long each takes
	noise   []reply
	mu      sync.Mutex
	asked   []netip.Addr
	at      []time.Time
	answers chan reply
	once    sync.Once
	gone    chan struct{}
}

func newEther(there map[netip.Addr]time.Duration, noise ...reply) *ether {
	return &ether{there: there, noise: noise, answers: make(chan reply, 256), gone: make(chan struct{})}
}

func (e *ether) ask(addr netip.Addr) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked, e.at = append(e.asked, addr), append(e.at, time.Now())
	for _, n := range e.noise {
		e.answers <- n
	}
	if after, ok := e.there[addr]; ok {
		time.AfterFunc(after, func() {
			e.answers <- reply{addr, evidence.IdentityFacts{Protocol: "arp", MAC: "02:00:00:00:00:07"}, arpSize}
		})
	}
	return arpSize, nil
}

func (e *ether) answer() (reply, error) {
	select {
	case r := <-e.answers:
		return r, nil
	case <-e.gone:
		return reply{}, net.ErrClosed
	}
}

func (e *ether) Close() error {
	e.once.Do(func() { close(e.gone) })
	return nil
}

type book struct {
	rows []string
	obs  []evidence.Observation
	sent int64
}

func (b *book) RecordProbe(_ context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	b.rows = append(b.rows, fmt.Sprintf("%s %s %d/%d", rec.Endpoint.Addr, rec.Probe, rec.BytesSent, rec.BytesReceived))
	b.obs = append(b.obs, obs...)
	b.sent += rec.BytesSent
	return nil
}

type nothing struct{}

func (nothing) Name() string                               { return "tls" }
func (nothing) Transport() evidence.Transport              { return evidence.TCP }
func (nothing) Exchanges(scanner.Level) []scanner.Exchange { return []scanner.Exchange{{What: "x"}} }

func (nothing) Probe(context.Context, scanner.Session, []evidence.Observation) ([]evidence.Observation, error) {
	return nil, errors.New("planning must not probe")
}

func planOf(t *testing.T, exclude []string, targets ...string) *scanner.Plan {
	t.Helper()
	table, err := scanner.LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	set, err := table.Select("443")
	if err != nil {
		t.Fatal(err)
	}
	in, err := scanner.LoadTargets(targets)
	if err != nil {
		t.Fatal(err)
	}
	out, err := scanner.LoadTargets(exclude)
	if err != nil {
		t.Fatal(err)
	}
	p, err := scanner.NewPlan(scanner.Scope{Targets: in, Exclusions: out}, table, set, scanner.Gentle, scanner.DefaultRates(), []scanner.Prober{nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testLink() *Link {
	return &Link{
		Interface: net.Interface{Index: 7, Name: "eth7", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}},
		Prefixes:  []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("fd00::1/64")},
	}
}

// TestRun_sweep asks for each planned address of the link once, at the rate, and
// takes the answers of those only.
func TestRun_sweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stranger := reply{netip.MustParseAddr("10.0.0.99"), evidence.IdentityFacts{MAC: "02:00:00:00:00:99"}, arpSize}
		there := netip.MustParseAddr("10.0.0.7")
		e := newEther(map[netip.Addr]time.Duration{there: 300 * time.Millisecond, netip.MustParseAddr("10.0.0.8"): 3 * time.Second}, stranger)
		plan := planOf(t, []string{"10.0.0.5"}, "10.0.0.1-9", "10.9.9.9", "fd00::7")
		b := &book{}
		r, err := Run(t.Context(), testLink(), []Method{ARP}, Media{ARP: e}, plan, Options{Ledger: b, Now: time.Now, Rate: 10})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, last := range []int{2, 3, 4, 6, 7, 8, 9} { // not our own, not the excluded, not what is behind a router
			row := fmt.Sprintf("10.0.0.%d arp 28/0", last)
			if last == 7 {
				row = "10.0.0.7 arp 28/28"
			}
			want = append(want, row)
		}
		slices.Sort(b.rows)
		if diff := cmp.Diff(want, b.rows); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		for i := 1; i < len(e.at); i++ {
			if d := e.at[i].Sub(e.at[i-1]); d < 100*time.Millisecond-time.Microsecond {
				t.Errorf("%v between two packets", d)
			}
		}
		if len(b.obs) != 1 || b.obs[0].Endpoint.Addr != there || b.obs[0].Facts.Identity.MAC == "" {
			t.Errorf("observations %+v", b.obs)
		}
		for addr, absent := range map[string]bool{"10.0.0.7": false, "10.0.0.2": true, "10.0.0.8": true, "10.9.9.9": false, "fd00::7": false} {
			if (r.Absent(netip.MustParseAddr(addr)) != "") != absent {
				t.Errorf("%s: absent %q, want %t", addr, r.Absent(netip.MustParseAddr(addr)), absent)
			}
		}
		planned := 0
		for range Questions(testLink(), []Method{ARP}, plan) {
			planned++
		}
		if planned != r.Sent || b.sent != r.Bytes || len(e.asked) != planned {
			t.Errorf("%d packets planned, %d sent; %d and %d bytes", planned, r.Sent, b.sent, r.Bytes)
		}
	})
}

// TestRun_stopped ends sending at once; every packet that was sent has its row.
func TestRun_stopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2050*time.Millisecond)
		defer cancel()
		e, b := newEther(nil), &book{}
		_, err := Run(ctx, testLink(), []Method{ARP, MDNS}, Media{ARP: e}, planOf(t, nil, "10.0.0.0/24"), Options{Ledger: b, Now: time.Now, Rate: 10})
		if !errors.Is(err, context.DeadlineExceeded) || len(e.asked) != 21 || len(b.rows) != 21 {
			t.Errorf("%d packets, %d rows, error %v", len(e.asked), len(b.rows), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		windows, err := scanner.ParseWindows([]string{"daily 00:00-00:01 UTC"}) // the bubble begins at midnight
		if err != nil {
			t.Fatal(err)
		}
		e, b := newEther(nil), &book{}
		_, err = Run(t.Context(), testLink(), []Method{ARP}, Media{ARP: e}, planOf(t, nil, "10.0.0.0/24"), Options{Ledger: b, Now: time.Now, Rate: 2, Windows: windows})
		if !errors.Is(err, scanner.ErrRefused) || len(e.asked) != 120 || len(b.rows) != 120 {
			t.Errorf("%d packets and %d rows in a window of a minute, error %v", len(e.asked), len(b.rows), err)
		}
	})
}

func TestParseMethods(t *testing.T) {
	got, err := ParseMethods("WS-Discovery, arp,arp")
	if diff := cmp.Diff([]Method{ARP, WSDiscovery}, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "ping", "arp,"} {
		if got, err := ParseMethods(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// TestQuestions holds the bytes of the questions against their standards.
func TestQuestions(t *testing.T) {
	addr := netip.MustParseAddr("fd00::1:2345")
	if got := solicited(addr); got != netip.MustParseAddr("ff02::1:ff01:2345") {
		t.Errorf("group %s", got)
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	if got, want := fmt.Sprintf("%x", request(mac, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.7"))), "0001080006040001"+"020000000001"+"0a000001"+"000000000000"+"0a000007"; got != want {
		t.Errorf("ARP request\ngot  %s\nwant %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", solicitation(mac, addr)), "8700000000000000"+"fd000000000000000000000000012345"+"0101020000000001"; got != want || len(got) != 2*solicitationSize {
		t.Errorf("solicitation\ngot  %s\nwant %s", got, want)
	}
	var names []string
	for q := range Questions(testLink(), all(), planOf(t, nil, "10.0.0.7", "fd00::7")) {
		names = append(names, string(q.Method)+" "+q.To.String())
		if q.Bytes == 0 || q.Why == "" || q.Bytes != len(q.text) && !q.Method.onLink() {
			t.Errorf("incomplete: %+v", q)
		}
	}
	want := []string{
		"arp link/10.0.0.7", "nd link/fd00::7", "mdns udp/224.0.0.251:5353", "mdns udp/[ff02::fb]:5353",
		"ssdp udp/239.255.255.250:1900", "ssdp udp/[ff02::c]:1900",
		"ws-discovery udp/239.255.255.250:3702", "ws-discovery udp/239.255.255.250:3702", "ws-discovery udp/[ff02::c]:3702", "ws-discovery udp/[ff02::c]:3702",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
}
