package scanner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// paper is a prober that can be planned with and never runs.
type paper struct {
	name      string
	exchanges int
}

func (p paper) Name() string                  { return p.name }
func (p paper) Transport() evidence.Transport { return evidence.TCP }
func (p paper) Exchanges(Level) []Exchange {
	return slices.Repeat([]Exchange{{What: p.name, MaxBytes: 100}}, p.exchanges)
}

func (p paper) Probe(context.Context, Session, []evidence.Observation) ([]evidence.Observation, error) {
	return nil, errors.New("planning must not probe")
}

func paperProbers() []Prober {
	return []Prober{paper{"tls", 5}, paper{"ssh", 3}, paper{"dicom", 1}, paper{"snmp", 1}}
}

func makePlan(t *testing.T, ports string, scope Scope) (*Plan, error) {
	t.Helper()
	table, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	set, err := table.Select(ports)
	if err != nil {
		t.Fatal(err)
	}
	return NewPlan(scope, table, set, Gentle, DefaultRates(), paperProbers())
}

func targets(t *testing.T, texts ...string) []Target {
	t.Helper()
	ts, err := LoadTargets(texts)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func rows(p *Plan) []string {
	var out []string
	for pr := range p.Probes() {
		row := pr.Endpoint.String() + " " + pr.Prober
		if pr.When != "" {
			row += " if"
		}
		if len(pr.Follows) > 0 {
			row += " then " + strings.Join(pr.Follows, ",")
		}
		out = append(out, row)
	}
	return out
}

func TestNewPlan_probersOfPorts(t *testing.T) {
	p, err := makePlan(t, "22,104,443,2575,9100,udp/161,udp/24105", Scope{Targets: targets(t, "192.0.2.1", "192.0.2.1:8000")})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"tcp/192.0.2.1:22 ssh",
		"tcp/192.0.2.1:104 tls", "tcp/192.0.2.1:104 dicom if",
		"tcp/192.0.2.1:443 tls then ssh,dicom",
		"tcp/192.0.2.1:2575 tls",
		"tcp/192.0.2.1:8000 tls then ssh,dicom",
		"udp/192.0.2.1:161 snmp",
	}
	if diff := cmp.Diff(want, rows(p)); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	excluded := []Exclusion{
		{"port tcp/9100", "whatever is sent is printed: never touch", 1},
		{"port udp/24105", "a packet would open a data session: never touch", 1},
	}
	if diff := cmp.Diff(excluded, p.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got):\n%s", diff)
	}
	for pr := range p.Probes() {
		clinical := slices.Contains([]uint16{104, 2575, 161}, pr.Endpoint.Port)
		if want := map[bool]time.Duration{true: ClinicalTime, false: 10 * time.Second}[clinical]; pr.Time != want {
			t.Errorf("%s: one connection may last %v, want %v", pr.Endpoint, pr.Time, want)
		}
	}
	tot := p.Totals()
	wantTotals := Totals{
		Assets: 1, Endpoints: 6, Probes: 7, MinConnections: 6, MaxConnections: 3 + 6 + 9 + 5 + 9 + 1 + 1, MaxBytes: 3300,
		MinDuration: 3 * time.Second, MaxDuration: 17 * time.Second,
	}
	if diff := cmp.Diff(wantTotals, tot); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestNewPlan_exclusionsWin(t *testing.T) {
	ex, err := ReadTargets(strings.NewReader("192.0.2.2 # ventilator\n192.0.2.4-6\n192.0.2.1:22#console\n2001:db8::/64"), "deny")
	if err != nil {
		t.Fatal(err)
	}
	p, err := makePlan(t, "22,443", Scope{
		Targets:    targets(t, "192.0.2.0/29", "192.0.2.2:443", "2001:db8::5"),
		Exclusions: ex,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"tcp/192.0.2.1:443 tls then ssh,dicom", "tcp/192.0.2.3:22 ssh", "tcp/192.0.2.3:443 tls then ssh,dicom"}
	if diff := cmp.Diff(want, rows(p)); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	wantEx := []Exclusion{
		{"192.0.2.0", "network address of 192.0.2.0/29", 1},
		{"192.0.2.1:22", "console", 1},
		{"192.0.2.2", "ventilator", 1},
		{"192.0.2.4-6", "no reason given", 3},
		{"192.0.2.7", "broadcast address of 192.0.2.0/29", 1},
		{"2001:db8::/64", "no reason given", 1},
	}
	if diff := cmp.Diff(wantEx, p.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got):\n%s", diff)
	}
}

func TestNewPlan_refusesAddresses(t *testing.T) {
	for _, tt := range []struct {
		target  string
		public  bool
		refused bool
	}{
		{"127.1.2.3", false, false},
		{"10.0.0.1", false, false},
		{"172.16.0.1", false, false},
		{"192.168.0.1", false, false},
		{"169.254.1.1", false, false},
		{"fd00::1", false, false},
		{"fe80::1%lo", false, false},
		{"8.8.8.8", false, true},
		{"8.8.8.8", true, false},
		{"2001:4860::1", false, true},
		{"::ffff:8.8.8.8", false, true},
		{"172.32.0.1", false, true},
		{"100.64.0.1", false, true},
		{"0.0.0.0", true, true},
		{"::", true, true},
		{"224.0.0.1", true, true},
		{"ff02::1", true, true},
		{"255.255.255.255", true, true},
		{"240.0.0.1", true, true},
	} {
		_, err := makePlan(t, "443", Scope{Targets: targets(t, tt.target), AllowPublic: tt.public})
		if errors.Is(err, ErrRefused) != tt.refused || !tt.refused && err != nil {
			t.Errorf("%s with public addresses allowed %v: %v", tt.target, tt.public, err)
		}
	}
}

func TestNewPlan_bounds(t *testing.T) {
	_, err := makePlan(t, "443", Scope{Targets: targets(t, "10.0.0.0/15")})
	if err == nil || !strings.Contains(err.Error(), "--max-addresses") {
		t.Errorf("131,072 addresses: %v", err)
	}
	if _, err = makePlan(t, "443", Scope{Targets: targets(t, "fd00::/8")}); err == nil {
		t.Error("2^120 addresses were accepted")
	}
	if _, err = makePlan(t, "443", Scope{Targets: targets(t, "10.0.0.0/16")}); err != nil {
		t.Errorf("65,536 addresses: %v", err)
	}
	if _, err = makePlan(t, "443", Scope{Targets: targets(t, "fd00::/8"), MaxAddresses: 1 << 40}); err == nil {
		t.Error("2^40 addresses may be allowed")
	}
	if _, err = makePlan(t, "443", Scope{}); err == nil {
		t.Error("a plan without a target was made")
	}
}

func TestNewPlan_spreadsAndRepeats(t *testing.T) {
	scope := Scope{Targets: targets(t, "10.0.2.1-2", "10.0.1.1-3", "fd00::1", "10.0.1.2:443")}
	p, err := makePlan(t, "443", scope)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for addr := range p.Assets() {
		order = append(order, addr.String())
	}
	want := []string{"10.0.1.1", "10.0.2.1", "fd00::1", "10.0.1.2", "10.0.2.2", "10.0.1.3"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	slices.Reverse(scope.Targets)
	again, err := makePlan(t, "443", scope)
	if err != nil {
		t.Fatal(err)
	}
	d1, d2 := p.Digest(), again.Digest()
	if d1 != d2 {
		t.Errorf("digests %s and %s, want the same for the same targets", d1, d2)
	}
	other, err := makePlan(t, "8443", scope)
	if err != nil {
		t.Fatal(err)
	}
	if other.Digest() == d1 {
		t.Error("another port gives the same digest")
	}
}

// TestNewPlan_matchesEnumeration holds the arithmetic of plans against one that
// looks at every address.
func TestNewPlan_matchesEnumeration(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	low := func() int { return 100 + rng.IntN(100) }
	pick := func(forms ...string) string {
		f := forms[rng.IntN(len(forms))]
		switch n := low(); strings.Count(f, "%d") {
		case 1:
			return fmt.Sprintf(f, n)
		case 2:
			return fmt.Sprintf(f, n, n+rng.IntN(50))
		case 3:
			return fmt.Sprintf(f, rng.IntN(3), n, n+rng.IntN(50))
		}
		return f
	}
	for range 60 {
		var asked, denied []string
		for range 1 + rng.IntN(6) {
			asked = append(asked, pick("10.0.1.%d", "10.0.%d.%d-%d", "10.0.2.0/28", "10.0.0.0/23", "10.0.1.%d:8443", "fd00::%d", "fd00::%d-fd00::%d",
				"fd00:0:0:1::/120", "fe80::%d%%eth0", "fe80::%d%%eth1", "10.0.0.250-10.0.1.9", "fd00::ffff:ffff:ffff:fff0-fd00:0:0:1::8"))
		}
		for range rng.IntN(4) {
			denied = append(denied, pick("10.0.1.%d", "10.0.%d.%d-%d", "10.0.1.0/25", "fe80::%d", "fe80::/64", "10.0.1.%d:443", "fd00::%d-fd00::%d"))
		}
		scope := Scope{Targets: targets(t, asked...), Exclusions: targets(t, denied...)}
		p, err := makePlan(t, "22,443", scope)
		if err != nil {
			t.Fatalf("%v: %v", asked, err)
		}
		got := rows(p)
		slices.Sort(got)
		want := enumerate(t, p, scope)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("targets %v without %v (-enumerated +planned):\n%s", asked, denied, diff)
		}
		seen := map[netip.Addr]bool{}
		for a := range p.Assets() {
			if seen[a] {
				t.Fatalf("%v: %s comes twice", asked, a)
			}
			seen[a] = true
		}
		if tot := p.Totals(); tot.Probes != len(got) || tot.Assets != len(seen) {
			t.Fatalf("%v: totals %+v, want %d probes of %d assets", asked, tot, len(got), len(seen))
		}
	}
}

// enumerate lists, in the form of rows, what a scope asks of ports 22 and 443.
func enumerate(t *testing.T, p *Plan, scope Scope) []string {
	t.Helper()
	all := map[string]bool{}
	for _, target := range scope.Targets {
		for a := target.From; a.Compare(target.To) <= 0; a = a.Next() {
			if pre := target.Prefix; pre.IsValid() && a.Is4() && pre.Bits() < 31 && (a == target.From || a == target.To) {
				continue
			}
			ports := []uint16{target.Port}
			if target.Port == 0 {
				ports = []uint16{22, 443}
			}
			for _, n := range ports {
				ep := evidence.Endpoint{Addr: a, Port: n, Transport: evidence.TCP}
				if _, no := p.Deny().Denies(ep); no {
					continue
				}
				all[ep.String()+map[bool]string{true: " ssh", false: " tls then ssh,dicom"}[n == 22]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// TestNewPlan_large plans ten million devices: the plan starts at once and keeps
// a few kilobytes.
func TestNewPlan_large(t *testing.T) {
	scope := Scope{Targets: targets(t, "10.0.0.0/8", "fd00::/104"), MaxAddresses: 1 << 26}
	scope.Exclusions = targets(t, "10.1.0.0/16", "10.2.3.4")
	var p *Plan
	var err error
	var before, behind runtime.MemStats
	runtime.ReadMemStats(&before)
	if p, err = makePlan(t, "clinical", scope); err != nil {
		t.Fatal(err)
	}
	for range p.Assets() {
		break
	}
	runtime.ReadMemStats(&behind)
	if n := behind.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("making the plan allocated %d bytes", n)
	}
	want := 1<<24 - 2 - 1<<16 - 1 + 1<<24
	if tot := p.Totals(); tot.Assets != want || tot.Probes != want*len(p.shape(0).probes) || tot.MaxConnections <= 0 {
		t.Errorf("totals %+v, want %d assets", tot, want)
	}
	if want := (Exclusion{"10.1.0.0/16", "no reason given", 1 << 16}); !slices.Contains(p.Exclusions, want) {
		t.Errorf("exclusions %v, want %v", p.Exclusions, want)
	}
	var first []string
	for a := range p.Assets() {
		if first = append(first, a.String()); len(first) == 3 {
			break
		}
	}
	if diff := cmp.Diff([]string{"10.0.0.1", "10.0.1.0", "10.0.2.0"}, first); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestNewPlan_digest shows that the digest is that of what is sent, however it
// was asked for.
func TestNewPlan_digest(t *testing.T) {
	digest := func(exclude string, texts ...string) evidence.Digest {
		t.Helper()
		scope := Scope{Targets: targets(t, texts...)}
		if exclude != "" {
			scope.Exclusions = targets(t, exclude)
		}
		p, err := makePlan(t, "443", scope)
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest()
	}
	want := digest("", "10.0.0.1-4")
	for _, texts := range [][]string{{"10.0.0.3-4", "10.0.0.1", "10.0.0.2"}, {"10.0.0.1-3", "10.0.0.2-4"}, {"10.0.0.1-4", "10.0.0.2:443"}} {
		if got := digest("", texts...); got != want {
			t.Errorf("%v: another digest", texts)
		}
	}
	for _, texts := range [][]string{{"10.0.0.1-5"}, {"10.0.0.1-4", "10.0.0.2:444"}, {"10.0.0.1-3"}} {
		if got := digest("", texts...); got == want {
			t.Errorf("%v: the same digest", texts)
		}
	}
	if digest("10.0.0.2", "10.0.0.1-4") == want {
		t.Error("an exclusion leaves the digest as it was")
	}
}

func TestDenyList_everyForm(t *testing.T) {
	ports, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	deny, err := NewDenyList(targets(t, "10.0.0.1", "10.1.0.0/16", "10.2.0.1-9", "10.3.0.1:443", "udp/10.3.0.1:161", "fe80::1"), ports)
	if err != nil {
		t.Fatal(err)
	}
	for ep, want := range map[string]bool{
		"10.0.0.1:1": true, "10.0.0.2:1": false, "10.1.255.255:1": true, "10.2.0.9:1": true, "10.2.0.10:1": false,
		"10.3.0.1:443": true, "10.3.0.1:444": false, "[::ffff:10.0.0.1]:1": true, "[fe80::1%eth0]:22": true, "10.9.0.1:9100": true,
	} {
		ap := netip.MustParseAddrPort(ep)
		if _, got := deny.Denies(evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.TCP}); got != want {
			t.Errorf("%s denied: %v, want %v", ep, got, want)
		}
	}
	udp := evidence.Endpoint{Addr: netip.MustParseAddr("10.3.0.1"), Port: 161, Transport: evidence.UDP}
	if _, got := deny.Denies(udp); !got {
		t.Error("udp/10.3.0.1:161 is not denied")
	}
	if _, err := NewDenyList([]Target{{Text: "pump.example", Name: "pump.example"}}, ports); err == nil {
		t.Error("an exclusion that excludes nothing was accepted")
	}
}

func TestPorts_table(t *testing.T) {
	ports, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"all-tls", "clinical", "lab", "web"}, ports.Profiles()); diff != "" {
		t.Errorf("profiles (-want +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for _, p := range ports.known {
		id := fmt.Sprintf("%s/%d", p.Transport, p.Number)
		if seen[id] {
			t.Errorf("%s is twice in the table", id)
		}
		seen[id] = true
		if p.Source == "" || p.Service == "" || (p.Note == "") != (p.Action != ActionNever && !p.Action.labOnly()) {
			t.Errorf("%s: every port needs service and source, and a note exactly when it is never touched", id)
		}
		if p.Action == ActionNever && len(p.Profiles) > 0 {
			t.Errorf("%s: in a port set, but never touched", id)
		}
		if !slices.Contains([]Action{
			ActionTLS, ActionTLSOnly, ActionDICOM, ActionSSH, ActionSNMP, ActionNever,
			ActionHTTP, ActionWeb, ActionSDC, ActionBanner, ActionFTP, ActionRDP, ActionSMB, ActionStartTLS,
			ActionVNC, ActionOPCUA, ActionMQTT, ActionModbus, ActionBACnet, ActionDTLS,
		}, p.Action) {
			t.Errorf("%s: unknown action %q", id, p.Action)
		}
	}
	for _, lab := range []string{"1883", "502", "udp/47808"} {
		outside, err1 := ports.Select(lab)
		inside, err2 := ports.Lab().Select(lab)
		if err1 != nil || err2 != nil || outside[0].Action != ActionNever || outside[0].Note == "" || !inside[0].Action.labOnly() {
			t.Errorf("port %s: %+v outside of a lab, %+v in one; %v, %v", lab, outside, inside, err1, err2)
		}
	}
	for spec, want := range map[string]Port{
		"dtls/14433":      {Number: 14433, Transport: evidence.UDP, Action: ActionDTLS, Service: "dtls"},
		"smtp/2525":       {Number: 2525, Transport: evidence.TCP, Action: ActionStartTLS, Service: "smtp"},
		"dicom/8443":      {Number: 8443, Transport: evidence.TCP, Action: ActionDICOM, Service: "dicom"},
		"https/2575":      {Number: 2575, Transport: evidence.TCP, Action: ActionTLSOnly, Service: "hl7"},
		"dtls/24105":      {Number: 24105, Transport: evidence.UDP, Action: ActionNever, Service: "intellivue-export"},
		"mqtt/1884":       {Number: 1884, Transport: evidence.TCP, Action: ActionNever, Service: "mqtt"},
		"postgresql/5432": {Number: 5432, Transport: evidence.TCP, Action: ActionStartTLS, Service: "postgresql"},
	} {
		got, err := ports.Select(spec)
		if err != nil || len(got) != 1 || got[0].Number != want.Number || got[0].Transport != want.Transport || got[0].Action != want.Action || got[0].Service != want.Service {
			t.Errorf("Select(%q): %+v, %v", spec, got, err)
		}
	}
	for _, bad := range []string{"nonsense/443", "dtls/", "dtls/0", "/4433", "", "0", "65536", "9-3", "clinic", "udp/x", "1-65535"} {
		if _, err := ports.Select(bad); err == nil {
			t.Errorf("Select(%q) was accepted", bad)
		}
	}
}

// TestPorts_clinicalListeners holds the promise that listeners of protocols
// that carry results and alarms never see more than a TLS hello.
func TestPorts_clinicalListeners(t *testing.T) {
	ports, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint16{2575, 6661, 20046} {
		if got := ports.Lookup(evidence.TCP, n).Action; got != ActionTLSOnly {
			t.Errorf("tcp/%d: %s, want %s", n, got, ActionTLSOnly)
		}
	}
	for _, n := range []uint16{24105, 24005, 2000, 7000} {
		if got := ports.Lookup(evidence.UDP, n).Action; got != ActionNever {
			t.Errorf("udp/%d: %s, want %s", n, got, ActionNever)
		}
	}
}
