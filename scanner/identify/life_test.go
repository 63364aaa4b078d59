package identify

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// told are the observations of a story: one line each, "DAY ADDRESS WHAT VALUE".
// A day is a run of its own: what a scan sees at noon, what a sensor sees at six.
func told(t *testing.T, story string) []evidence.Observation {
	t.Helper()
	var out []evidence.Observation
	for line := range strings.Lines(strings.TrimSpace(story)) {
		var day int
		var addr, what, value string
		if n, err := fmt.Sscan(line, &day, &addr, &what, &value); n < 3 && err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		o := evidence.Observation{
			ID: int64(len(out) + 1), Run: int64(2 * day), Method: evidence.Active, Result: evidence.ResultData,
			At: t0.AddDate(0, 0, day), Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr(addr), Transport: evidence.TCP},
		}
		switch what {
		case "arp":
			o.Method, o.Run, o.At, o.Kind = evidence.Passive, int64(2*day-1), o.At.Add(-6*time.Hour), evidence.KindIdentity
			o.Endpoint.Transport = evidence.Link
			o.Facts.Identity = &evidence.IdentityFacts{Protocol: "arp", MAC: "00:1a:00:00:00:0" + value}
		case "name":
			o.Method, o.Run, o.At, o.Kind = evidence.Passive, int64(2*day-1), o.At.Add(-6*time.Hour), evidence.KindIdentity
			o.Facts.Identity = &evidence.IdentityFacts{Protocol: "mdns", Hostnames: []string{value}}
		case "ssh":
			o.Kind, o.Endpoint.Port = evidence.KindSSH, 22
			o.Keys = []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: []byte(value)}}
			o.Facts.SSH = &evidence.SSHFacts{Version: "SSH-2.0-x"}
		case "tls": // subject/key
			o.Kind, o.Endpoint.Port = evidence.KindTLS, 443
			subject, key, _ := strings.Cut(value, "/")
			o.Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: storyCert(t, subject, key, day)}}
			o.Facts.TLS = &evidence.TLSFacts{Offer: evidence.OfferFull, Version: 0x304}
		case "sdc": // serial/firmware
			o.Kind, o.Endpoint.Port = evidence.KindSDC, 6464
			serial, firmware, _ := strings.Cut(value, "/")
			o.Facts.SDC = &evidence.SDCFacts{Manufacturer: "Acme", ModelName: "Vent", Serial: serial, Firmware: firmware}
		case "gone":
			o.Kind, o.Endpoint.Port, o.Result = evidence.KindTLS, 443, evidence.ResultTimeout
		default:
			t.Fatalf("%q: what?", line)
		}
		out = append(out, o)
	}
	return out
}

func storyCert(t *testing.T, subject, key string, day int) []byte {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, key)
	k := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(day + 1)), Subject: pkix.Name{CommonName: subject}, NotBefore: t0, NotAfter: t0.AddDate(1, 0, day),
	}
	der, err := x509.CreateCertificate(nil, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// cast lists the assets of a story by their addresses over time.
func cast(assets []evidence.Asset) []string {
	var out []string
	for _, a := range assets {
		var places []string
		for _, s := range a.Stays {
			places = append(places, fmt.Sprintf("%s@%d-%d", s.Addr, int(s.First.Sub(t0.Add(-6*time.Hour)).Hours()/24), int(s.Last.Sub(t0.Add(-6*time.Hour)).Hours()/24)))
		}
		out = append(out, strings.Join(places, " "))
	}
	slices.Sort(out)
	return out
}

// TestStories: what is one device and what is not.
func TestStories(t *testing.T) {
	for _, tt := range []struct {
		name, story string
		want        []string
	}{
		{"renewal with the same key", "0 192.0.2.1 tls a/k\n7 192.0.2.1 tls b/k", []string{"192.0.2.1@0-7"}},
		{"renewal with the same subject", "0 192.0.2.1 tls a/k\n7 192.0.2.1 tls a/m", []string{"192.0.2.1@0-7"}},
		{"another device at the address", "0 192.0.2.1 tls a/k\n7 192.0.2.1 tls b/m", []string{"192.0.2.1@0-0", "192.0.2.1@7-7"}},
		{"a device that comes back", "0 192.0.2.1 ssh k\n7 192.0.2.1 ssh m\n14 192.0.2.1 ssh k", []string{"192.0.2.1@0-0 192.0.2.1@14-14", "192.0.2.1@7-7"}},
		{"re-imaged", "0 192.0.2.1 arp 1\n0 192.0.2.1 ssh k\n0 192.0.2.1 tls a/k\n7 192.0.2.1 ssh m\n7 192.0.2.1 tls b/m\n8 192.0.2.1 arp 1", []string{"192.0.2.1@0-8"}},
		{"another network card", "0 192.0.2.1 arp 1\n0 192.0.2.1 ssh k\n7 192.0.2.1 arp 2\n7 192.0.2.1 ssh k", []string{"192.0.2.1@0-7"}},
		{"DHCP, by card", "0 192.0.2.1 arp 1\n7 192.0.2.2 arp 1\n7 192.0.2.1 arp 2", []string{"192.0.2.1@0-0 192.0.2.2@7-7", "192.0.2.1@7-7"}},
		{"DHCP, by two keys, place vacated", "0 192.0.2.1 ssh k\n0 192.0.2.1 tls a/k\n7 192.0.2.1 gone\n7 192.0.2.2 ssh k\n7 192.0.2.2 tls a/k", []string{"192.0.2.1@0-0 192.0.2.2@7-7"}},
		{"the same, nothing shows that the place is vacant", "0 192.0.2.1 ssh k\n0 192.0.2.1 tls a/k\n7 192.0.2.2 ssh k\n7 192.0.2.2 tls a/k", []string{"192.0.2.1@0-0", "192.0.2.2@7-7"}},
		{"one key alone is a clone or a move", "0 192.0.2.1 ssh k\n7 192.0.2.1 gone\n7 192.0.2.2 ssh k", []string{"192.0.2.1@0-0", "192.0.2.2@7-7"}},
		{"a certificate alone is one thing", "0 192.0.2.1 tls a/k\n7 192.0.2.1 gone\n7 192.0.2.2 tls a/k", []string{"192.0.2.1@0-0", "192.0.2.2@7-7"}},
		{"clones seen at once never join", "0 192.0.2.1 ssh k\n0 192.0.2.1 tls a/k\n0 192.0.2.2 ssh k\n0 192.0.2.2 tls a/k\n7 192.0.2.1 gone\n7 192.0.2.3 ssh k\n7 192.0.2.3 tls a/k", []string{"192.0.2.1@0-0", "192.0.2.2@0-0", "192.0.2.3@7-7"}},
		{"clones that swap an address", "0 192.0.2.1 arp 1\n0 192.0.2.1 ssh k\n0 192.0.2.2 arp 2\n0 192.0.2.2 ssh k\n7 192.0.2.1 arp 2\n7 192.0.2.1 ssh k", []string{"192.0.2.1@0-0", "192.0.2.2@0-0 192.0.2.1@7-7"}},
		{"v4 and v6 of one card", "0 192.0.2.1 arp 1\n0 2001:db8::1 arp 1\n0 192.0.2.1 ssh k\n0 2001:db8::1 ssh k", []string{"192.0.2.1@0-0 2001:db8::1@0-0"}},
		{"one card, two host keys at once", "0 192.0.2.1 arp 1\n0 192.0.2.2 arp 1\n0 192.0.2.1 ssh k\n0 192.0.2.2 ssh m", []string{"192.0.2.1@0-0", "192.0.2.2@0-0"}},
		{"another serial number is another device", "0 192.0.2.1 sdc S1/1\n0 192.0.2.1 ssh k\n7 192.0.2.1 sdc S2/1\n7 192.0.2.1 ssh k", []string{"192.0.2.1@0-0", "192.0.2.1@7-7"}},
		{"a serial number moves", "0 192.0.2.1 sdc S1/1\n7 192.0.2.2 sdc S1/1", []string{"192.0.2.1@0-0 192.0.2.2@7-7"}},
		{"a serial number that another repeats at once", "0 192.0.2.1 arp 1\n0 192.0.2.1 sdc S1/1\n0 192.0.2.2 arp 2\n0 192.0.2.2 sdc S1/1", []string{"192.0.2.1@0-0", "192.0.2.2@0-0"}},
		{"a serial number that another repeats later", "0 192.0.2.1 arp 1\n0 192.0.2.1 sdc S1/1\n7 192.0.2.2 arp 2\n7 192.0.2.2 sdc S1/1\n14 192.0.2.1 arp 1\n14 192.0.2.1 sdc S1/1", []string{"192.0.2.1@0-14", "192.0.2.2@7-7"}},
		{"keys and subject that another repeats later", "0 192.0.2.1 arp 1\n0 192.0.2.1 ssh k\n0 192.0.2.1 tls a/k\n7 192.0.2.2 arp 2\n7 192.0.2.2 ssh k\n7 192.0.2.2 tls a/k\n14 192.0.2.1 arp 1\n14 192.0.2.1 ssh k", []string{"192.0.2.1@0-14", "192.0.2.2@7-7"}},
		{"a host name that another takes", "0 192.0.2.1 arp 1\n0 192.0.2.1 name pump\n7 192.0.2.2 arp 2\n7 192.0.2.2 name pump", []string{"192.0.2.1@0-0", "192.0.2.2@7-7"}},
		{"a load balancer and its servers", "0 192.0.2.1 arp 1\n0 192.0.2.1 tls www/k\n0 192.0.2.2 arp 2\n0 192.0.2.2 tls www/k\n0 192.0.2.3 arp 3\n0 192.0.2.3 tls www/k", []string{"192.0.2.1@0-0", "192.0.2.2@0-0", "192.0.2.3@0-0"}},
		{"a pair whose common address fails over", "0 192.0.2.1 arp 1\n0 192.0.2.1 ssh k\n0 192.0.2.2 arp 2\n0 192.0.2.2 ssh m\n0 192.0.2.9 arp 1\n0 192.0.2.9 ssh k\n7 192.0.2.1 arp 1\n7 192.0.2.1 ssh k\n7 192.0.2.2 arp 2\n7 192.0.2.2 ssh m\n7 192.0.2.9 arp 2\n7 192.0.2.9 ssh m", []string{"192.0.2.1@0-7 192.0.2.9@0-0", "192.0.2.2@0-7 192.0.2.9@7-7"}},
		{
			"a proxy answers for many",
			"0 192.0.2.1 arp 1\n0 192.0.2.2 arp 1\n0 192.0.2.3 arp 1\n0 192.0.2.4 arp 1\n0 192.0.2.5 arp 1\n0 192.0.2.6 arp 1\n0 192.0.2.7 arp 1\n0 192.0.2.8 arp 1\n0 192.0.2.9 arp 1",
			[]string{"192.0.2.1@0-0", "192.0.2.2@0-0", "192.0.2.3@0-0", "192.0.2.4@0-0", "192.0.2.5@0-0", "192.0.2.6@0-0", "192.0.2.7@0-0", "192.0.2.8@0-0", "192.0.2.9@0-0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obs := told(t, tt.story)
			if diff := cmp.Diff(tt.want, cast(Resolve(obs))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			slices.Reverse(obs)
			if diff := cmp.Diff(tt.want, cast(Resolve(obs))); diff != "" {
				t.Errorf("in the other order (-want +got)\n%s", diff)
			}
		})
	}
}

// TestEvents tells the life of one device.
func TestEvents(t *testing.T) {
	obs := told(t, `
		0 192.0.2.1 arp 1
		0 192.0.2.1 ssh k
		0 192.0.2.1 tls a/k
		0 192.0.2.1 sdc S1/2.10
		7 192.0.2.1 tls a/k
		7 192.0.2.1 sdc S1/2.9
		14 192.0.2.1 ssh m
		14 192.0.2.1 arp 1
		15 192.0.2.1 arp 1
		21 192.0.2.7 arp 1
		21 192.0.2.1 arp 2
		28 192.0.2.7 arp 1`)
	facts := []evidence.AssetFact{
		{ID: 1, Run: 99, At: t0.AddDate(0, 0, 16), Kind: evidence.FactLabel, Asset: Resolve(obs)[0].ID, Values: map[string]string{"status": "retired"}, Reason: "sold"},
		{ID: 2, Run: 99, At: t0.AddDate(0, 0, 24), Kind: evidence.FactLabel, Asset: Resolve(obs)[0].ID, Values: map[string]string{"status": "Lost"}},
	}
	for _, a := range Resolve(obs) {
		if a.Addresses[0].String() == "192.0.2.7" {
			facts[0].Asset, facts[1].Asset = a.ID, a.ID
		}
	}
	var got []string
	for _, a := range Resolve(obs, facts...) {
		if a.Addresses[0].String() != "192.0.2.7" {
			continue
		}
		for _, e := range a.Events {
			got = append(got, fmt.Sprintf("%d %s %s %s>%s %v", int(e.At.Sub(t0.Add(-6*time.Hour)).Hours()/24), e.Kind, e.Subject, short(e.Before), short(e.After), e.Observations))
		}
	}
	want := []string{
		"0 appeared 192.0.2.1 > [1]",
		"7 backwards version by sdc 2.10>2.9 [4 6]",
		"7 renewed certificate of tcp/192.0.2.1:443 *>* [3 5]",
		"14 key-changed SSH host key of tcp/192.0.2.1:22 *>* [2 7]",
		"16 stated label >status=retired []",
		"21 joined the stays at 192.0.2.1 and 192.0.2.7 *>* [9 10]",
		"21 left 192.0.2.1 >* [9 11]",
		"21 moved 192.0.2.7 > [10]",
		"21 returned status retired> [10]",
		"24 stated label >status=Lost []",
		"28 returned status Lost> [12]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func short(s string) string {
	if len(s) > 16 {
		return "*"
	}
	return s
}

// TestStatements: people merge and split, and the later word counts.
func TestStatements(t *testing.T) {
	obs := told(t, "0 192.0.2.1 arp 1\n0 2001:db8::1 arp 1\n0 192.0.2.2 ssh k")
	ids := map[string]string{}
	r := New(nil)
	for i := range obs {
		r.Add(&obs[i])
	}
	if _, err := r.Resolve(nil); err != nil {
		t.Fatal(err)
	}
	for id, s := range r.byID {
		ids[s.place.addr.String()] = id
	}
	split := evidence.AssetFact{ID: 1, Kind: evidence.FactSplit, Asset: ids["192.0.2.1"], Values: map[string]string{
		SplitApart: ids["2001:db8::1"], SplitFrom: ids["192.0.2.1"],
	}}
	join := evidence.AssetFact{ID: 2, Kind: evidence.FactMerge, Asset: ids["192.0.2.1"], Other: ids["192.0.2.2"]}
	again := evidence.AssetFact{ID: 3, Kind: evidence.FactMerge, Asset: ids["192.0.2.1"], Other: ids["2001:db8::1"]}
	gone := evidence.AssetFact{ID: 4, Kind: evidence.FactMerge, Asset: "asset-000000000000", Other: ids["192.0.2.2"]}
	one, two, three := "192.0.2.1@0-0 2001:db8::1@0-0", "192.0.2.1@0-0 192.0.2.2@0-0", "192.0.2.1@0-0 2001:db8::1@0-0 192.0.2.2@0-0"
	for _, tt := range []struct {
		name  string
		facts []evidence.AssetFact
		want  []string
	}{
		{"nothing said", nil, []string{one, "192.0.2.2@0-0"}},
		{"split", []evidence.AssetFact{split}, []string{"192.0.2.1@0-0", "192.0.2.2@0-0", "2001:db8::1@0-0"}},
		{"split and merge", []evidence.AssetFact{split, join}, []string{two, "2001:db8::1@0-0"}},
		{"split taken back", []evidence.AssetFact{split, join, again}, []string{three}},
		{"of an id that never was", []evidence.AssetFact{gone}, []string{one, "192.0.2.2@0-0"}},
	} {
		got := cast(Resolve(obs, tt.facts...))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
		// What is said later has the same effect as what was said before.
		later := newShelf()
		later.take(t, obs, nil)
		for n := range tt.facts {
			later.take(t, nil, tt.facts[:n+1])
		}
		want := newShelf()
		want.take(t, obs, tt.facts)
		if diff := want.differ(later); diff != "" {
			t.Errorf("%s: said later: %s", tt.name, diff)
		}
	}
}

// TestStatements_mergeOfAll: a merge of two assets is one of all their stays, though
// they differ at once in a key, and a later split undoes it for the stays it names.
func TestStatements_mergeOfAll(t *testing.T) {
	obs := told(t, `
		0 192.0.2.1 arp 1
		0 192.0.2.1 ssh k
		7 192.0.2.2 arp 1
		7 192.0.2.2 ssh k
		7 192.0.2.1 arp 2
		7 192.0.2.1 ssh m`)
	var mover, other evidence.Asset
	for _, a := range Resolve(obs) {
		if len(a.Stays) == 2 {
			mover = a
		} else {
			other = a
		}
	}
	merge := evidence.AssetFact{ID: 1, Kind: evidence.FactMerge, Asset: other.ID, Other: mover.ID, Values: map[string]string{
		MergeKept: other.ID, MergeEnded: mover.Stays[0].ID + " " + mover.Stays[1].ID,
	}}
	split := evidence.AssetFact{ID: 2, Kind: evidence.FactSplit, Asset: other.ID, Values: map[string]string{
		SplitApart: other.ID, SplitFrom: mover.Stays[0].ID + " " + mover.Stays[1].ID,
	}}
	for _, tt := range []struct {
		facts []evidence.AssetFact
		want  []string
	}{
		{nil, []string{"192.0.2.1@0-0 192.0.2.2@7-7", "192.0.2.1@7-7"}},
		{[]evidence.AssetFact{merge}, []string{"192.0.2.1@0-0 192.0.2.1@7-7 192.0.2.2@7-7"}},
		{[]evidence.AssetFact{merge, split}, []string{"192.0.2.1@0-0 192.0.2.2@7-7", "192.0.2.1@7-7"}},
	} {
		if diff := cmp.Diff(tt.want, cast(Resolve(obs, tt.facts...))); diff != "" {
			t.Errorf("%d statements (-want +got)\n%s", len(tt.facts), diff)
		}
		later, want := newShelf(), newShelf()
		later.take(t, obs, nil)
		for n := range tt.facts {
			later.take(t, nil, tt.facts[:n+1])
		}
		want.take(t, obs, tt.facts)
		if diff := want.differ(later); diff != "" {
			t.Errorf("%d statements, said later: %s", len(tt.facts), diff)
		}
	}
}

// TestInventory matches rows by what names one device only.
func TestInventory(t *testing.T) {
	obs := told(t, "0 192.0.2.1 sdc S1/1\n0 192.0.2.2 arp 2\n0 192.0.2.3 name twin\n0 192.0.2.4 name twin")
	row := func(id int64, key string, values map[string]string) evidence.AssetFact {
		return evidence.AssetFact{ID: id, Kind: evidence.FactInventory, Other: key, Values: values}
	}
	got := map[string]string{}
	for _, a := range Resolve(obs,
		row(1, "a", map[string]string{"serial": "old"}),
		row(2, "a", map[string]string{"serial": "s-1", "model": "Vent 9"}),
		row(3, "b", map[string]string{"mac": "00-1A-00-00-00-02", "address": "192.0.2.3"}),
		row(4, "c", map[string]string{"name": "twin"}),
		row(5, "d", map[string]string{"address": "192.0.2.4/24"}),
	) {
		for _, f := range a.Facts {
			got[f.Other] = a.Addresses[0].String() + " by " + f.Matched
		}
		if a.Addresses[0].String() == "192.0.2.1" && !slices.ContainsFunc(a.Claims, func(c evidence.Claim) bool {
			return c.Value == "Vent 9" && c.Layer == layerInventory && c.Observation == 0
		}) {
			t.Errorf("the row's model is no claim: %v", a.Claims)
		}
	}
	want := map[string]string{"a": "192.0.2.1 by serial", "b": "192.0.2.2 by mac", "d": "192.0.2.4 by address"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCompareVersions(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
		ok   bool
	}{
		{"1.10", "1.9", 1, true},
		{"2.0", "2.0", 0, true},
		{"1.2", "1.2.1", -1, true},
		{"V3.1 build 7", "V3.1 build 12", -1, true},
		{"9.2p1", "8.9p1", 1, true},
		{"1.2", "1.2-beta", 0, false},
		{"A1", "B1", 0, false},
		{"1.0", "one", 0, false},
	} {
		got, ok := compareVersions(tt.a, tt.b)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("compareVersions(%q, %q) = %d, %v, want %d, %v", tt.a, tt.b, got, ok, tt.want, tt.ok)
		}
	}
}

// TestOnce says a change once that a server shows under several names within a
// sweep, and twice what came again later; statements are all kept.
func TestOnce(t *testing.T) {
	renewed := evidence.Event{At: t0, Kind: evidence.EventRenewed, Subject: "certificate", Before: "a", After: "b"}
	soon, later, other := renewed, renewed, renewed
	soon.At, later.At = t0.Add(time.Second), t0.Add(time.Hour)
	other.After = "c"
	said := evidence.Event{At: t0, Kind: evidence.EventStated, Subject: "label", After: "status=active", Fact: 1}
	twice := said
	twice.Fact = 2
	want := []evidence.Event{renewed, other, said, twice, later}
	got := once([]evidence.Event{renewed, other, said, twice, soon, later})
	if !slices.EqualFunc(want, got, func(x, y evidence.Event) bool { return x.At.Equal(y.At) && x.After == y.After && x.Fact == y.Fact }) {
		t.Errorf("want %v\n got %v", want, got)
	}
}
