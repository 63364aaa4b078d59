package identify

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// TestResolve_told: what a device tells of itself is claimed of its own address,
// be it the server or, for an analyser that calls, the client.
func TestResolve_told(t *testing.T) {
	server, client, monitor := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.1")
	obs := []evidence.Observation{
		{
			ID: 1, Method: evidence.Passive, Kind: evidence.KindIdentity, Result: evidence.ResultData,
			Endpoint: evidence.Endpoint{Addr: server, Transport: evidence.Link},
			Facts:    evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "arp", MAC: "02:00:00:00:00:01"}},
		},
		{
			ID: 2, Method: evidence.Passive, Kind: evidence.KindIdentity, Result: evidence.ResultData,
			Endpoint: evidence.Endpoint{Addr: server, Port: 6000, Transport: evidence.TCP}, Peer: evidence.Endpoint{Addr: client, Port: 40000, Transport: evidence.TCP},
			Facts: evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "poct1", Sender: evidence.RoleClient, Model: "G1"}},
		},
		{
			ID: 3, Method: evidence.Passive, Kind: evidence.KindSNMP, Result: evidence.ResultData,
			Endpoint: evidence.Endpoint{Addr: client, Port: 161, Transport: evidence.UDP},
			Facts:    evidence.Facts{SNMP: &evidence.SNMPFacts{EngineID: []byte{1, 2, 3, 4, 5}, EngineBoots: 1}},
		},
		{
			ID: 4, Method: evidence.Passive, Kind: evidence.KindIdentity, Result: evidence.ResultData,
			Endpoint: evidence.Endpoint{Addr: monitor, Port: 24005, Transport: evidence.UDP},
			Facts:    evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "intellivue", Experimental: true, Model: "M1"}},
		},
	}
	want := map[netip.Addr][]evidence.Claim{
		monitor: {
			{Attribute: evidence.AttrClass, Value: "monitor", Confidence: 50, Layer: "intellivue", Source: "bedside/intellivue-broadcast", Observation: 4},
			{Attribute: evidence.AttrDeviceType, Value: "patient monitor", Confidence: 50, Layer: "intellivue", Source: "bedside/intellivue-broadcast", Observation: 4},
			{Attribute: evidence.AttrManufacturer, Value: "Philips", Confidence: 50, Layer: "intellivue", Source: "bedside/intellivue-broadcast", Observation: 4},
			{Attribute: evidence.AttrModel, Value: "M1", Confidence: confidenceBanner / 2, Layer: "intellivue", Observation: 4},
			{Attribute: evidence.AttrFamily, Value: "IntelliVue", Confidence: 50, Layer: "intellivue", Source: "bedside/intellivue-broadcast", Observation: 4},
			{Attribute: evidence.AttrIdentity, Value: "possible", Confidence: 50, Layer: "verdict", Source: "intellivue", Observation: 4},
		},
		server: {{Attribute: evidence.AttrMAC, Value: "02:00:00:00:00:01", Confidence: confidenceLink, Layer: "arp", Observation: 1}},
		client: {
			{Attribute: evidence.AttrClass, Value: "analyser", Confidence: 60, Layer: "poct1", Source: "laboratory/poct1", Observation: 2},
			{Attribute: evidence.AttrEngineID, Value: "0102030405", Confidence: confidenceTold, Layer: "snmp", Observation: 3},
			{Attribute: evidence.AttrModel, Value: "G1", Confidence: confidenceHello, Layer: "poct1", Observation: 2},
			{Attribute: evidence.AttrIdentity, Value: "probable", Confidence: 60, Layer: "verdict", Source: "poct1", Observation: 2},
		},
	}
	got := map[netip.Addr][]evidence.Claim{}
	for _, a := range Resolve(obs) {
		got[a.Addresses[0]] = a.Claims
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNames_whole: a serial number and a name are one, blanks or not; addresses may
// be several.
func TestNames_whole(t *testing.T) {
	var got []string
	names(map[string]string{"serial": "SN 17", "name": "ct 1", "address": "192.0.2.1 2001:db8::1"}, func(name, _ string) bool {
		got = append(got, name)
		return true
	})
	if diff := cmp.Diff([]string{"serial sn17", "name ct1", "address 192.0.2.1", "address 2001:db8::1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
