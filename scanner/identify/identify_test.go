package identify

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

var t0 = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func snmp(id int64, addr string, engine string, boots, seconds uint32, at time.Time) evidence.Observation {
	return evidence.Observation{
		ID: id, Method: evidence.Active, Kind: evidence.KindSNMP, At: at, Result: evidence.ResultData,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr(addr), Port: 161, Transport: evidence.UDP},
		Facts: evidence.Facts{SNMP: &evidence.SNMPFacts{
			EngineID: []byte(engine), EngineBoots: boots, EngineTime: seconds,
		}},
	}
}

func ssh(id int64, addr string, key string) evidence.Observation {
	return evidence.Observation{
		ID: id, Method: evidence.Active, Kind: evidence.KindSSH, At: t0, Result: evidence.ResultData,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr(addr), Port: 22, Transport: evidence.TCP},
		Keys:     []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: []byte(key)}},
		Facts:    evidence.Facts{SSH: &evidence.SSHFacts{Version: "SSH-2.0-OpenSSH_9.2p1 Debian-2"}},
	}
}

func groups(assets []evidence.Asset) [][]string {
	var out [][]string
	for _, a := range assets {
		var g []string
		for _, addr := range a.Addresses {
			g = append(g, addr.String())
		}
		out = append(out, g)
	}
	return out
}

func TestResolve_joins(t *testing.T) {
	for _, tt := range []struct {
		name string
		obs  []evidence.Observation
		want [][]string
	}{
		{
			"one engine at two addresses",
			[]evidence.Observation{
				snmp(1, "192.0.2.1", "e1", 7, 100, t0),
				snmp(2, "192.0.2.2", "e1", 7, 160, t0.Add(61*time.Second)),
			},
			[][]string{{"192.0.2.1", "192.0.2.2"}},
		},
		{
			"cloned engine id started at another time",
			[]evidence.Observation{
				snmp(1, "192.0.2.1", "e1", 7, 100, t0),
				snmp(2, "192.0.2.2", "e1", 7, 5000, t0),
			},
			[][]string{{"192.0.2.1"}, {"192.0.2.2"}},
		},
		{
			"cloned engine id with another boot count",
			[]evidence.Observation{
				snmp(1, "192.0.2.1", "e1", 7, 100, t0),
				snmp(2, "192.0.2.2", "e1", 8, 100, t0),
			},
			[][]string{{"192.0.2.1"}, {"192.0.2.2"}},
		},
		{
			"the same host key proves nothing",
			[]evidence.Observation{ssh(1, "192.0.2.1", "k"), ssh(2, "192.0.2.2", "k")},
			[][]string{{"192.0.2.1"}, {"192.0.2.2"}},
		},
		{
			"ports of one address",
			[]evidence.Observation{ssh(1, "192.0.2.1", "k"), snmp(2, "192.0.2.1", "e", 1, 1, t0)},
			[][]string{{"192.0.2.1"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, groups(Resolve(tt.obs))); diff != "" {
				t.Errorf("assets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolve_ignoresWhatShowsNoDevice(t *testing.T) {
	refused := ssh(1, "192.0.2.9", "k")
	refused.Result = evidence.ResultRefused
	file := evidence.Observation{
		ID: 2, Result: evidence.ResultData,
		Endpoint: evidence.Endpoint{Transport: evidence.File, Name: "a.pem"},
	}
	if got := Resolve([]evidence.Observation{refused, file}); len(got) != 0 {
		t.Errorf("got %d assets, want none", len(got))
	}
}

func TestResolve_orderDoesNotMatter(t *testing.T) {
	var obs []evidence.Observation
	for i := range int64(40) {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 20)}).String()
		if i%2 == 0 {
			obs = append(obs, snmp(i, addr, string(rune('a'+i%3)), 1, 10, t0))
		} else {
			obs = append(obs, ssh(i, addr, string(rune('a'+i))))
		}
	}
	want := Resolve(obs)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		shuffled := slices.Clone(obs)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(want, Resolve(shuffled), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestClaims_toolkitIsNotManufacturer(t *testing.T) {
	o := evidence.Observation{
		ID: 5, Result: evidence.ResultData, At: t0,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 104, Transport: evidence.TCP},
		Facts: evidence.Facts{DICOM: &evidence.DICOMFacts{
			PDU: "ac", ImplementationUID: "1.2.276.0.7230010.3.0.3.6.7", Implementation: "OFFIS_DCMTK_367",
		}},
	}
	want := []evidence.Claim{
		{Attribute: evidence.AttrClass, Value: "medical device", Confidence: 50, Layer: "dicom", Source: "dicom/association", Observation: 5},
		{Attribute: evidence.AttrRole, Value: "DICOM node", Confidence: 50, Layer: "dicom", Source: "dicom/association", Observation: 5},
		{Attribute: evidence.AttrToolkit, Value: "OFFIS DCMTK", Confidence: 70, Layer: "dicom", Source: "dicom/dcmtk", Observation: 5},
		{Attribute: evidence.AttrToolkitVersion, Value: "3.6.7", Confidence: 70, Layer: "dicom", Source: "dicom/dcmtk", Observation: 5},
	}
	if diff := cmp.Diff(want, Resolve([]evidence.Observation{o})[0].Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestClaims_hl7SenderIsTheOneThatSpeaks(t *testing.T) {
	server, client := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	o := evidence.Observation{
		ID: 6, Result: evidence.ResultData, At: t0, Method: evidence.Passive,
		Endpoint: evidence.Endpoint{Addr: server, Port: 2575, Transport: evidence.TCP},
		Peer:     evidence.Endpoint{Addr: client, Port: 40000, Transport: evidence.TCP},
		Facts:    evidence.Facts{HL7: &evidence.HL7Facts{Sender: evidence.RoleClient, SendingApplication: "MONITOR"}},
	}
	assets := Resolve([]evidence.Observation{o})
	want := []evidence.Claim{{
		Attribute: evidence.AttrApplication, Value: "MONITOR", Confidence: confidenceBanner, Layer: "hl7", Observation: 6,
	}}
	if diff := cmp.Diff(want, assets[1].Claims); diff != "" {
		t.Errorf("claims of the client (-want +got):\n%s", diff)
	}
	if len(assets[0].Claims) != 0 {
		t.Errorf("the server has claims: %v", assets[0].Claims)
	}
}

func TestClaims_services(t *testing.T) {
	claim := func(a evidence.Attribute, v string, confidence int, layer, source string) evidence.Claim {
		return evidence.Claim{Attribute: a, Value: v, Confidence: confidence, Layer: layer, Source: source, Observation: 7}
	}
	for name, tt := range map[string]struct {
		facts evidence.Facts
		want  []evidence.Claim
	}{
		"sdc": {
			evidence.Facts{SDC: &evidence.SDCFacts{Manufacturer: "Acme", ModelName: "Vent", ModelNumber: "7", Firmware: "1.2", Serial: "S-1"}},
			[]evidence.Claim{
				claim(evidence.AttrClass, "medical device", 70, "sdc", "bedside/sdc-metadata"),
				claim(evidence.AttrManufacturer, "Acme", confidenceSelf, "sdc", ""), claim(evidence.AttrModel, "Vent 7", confidenceSelf, "sdc", ""),
				claim(evidence.AttrRole, "SDC provider", 70, "sdc", "bedside/sdc-metadata"),
				claim(evidence.AttrSerial, "S-1", confidenceSelf, "sdc", ""), claim(evidence.AttrVersion, "1.2", confidenceSelf, "sdc", ""),
				claim(evidence.AttrIdentity, "confirmed", confidenceSelf, "verdict", "sdc"),
			},
		},
		"http": {
			evidence.Facts{HTTP: &evidence.HTTPFacts{Server: "nginx/1.22"}},
			[]evidence.Claim{
				claim(evidence.AttrToolkit, "nginx", 40, "http", "services/nginx"), claim(evidence.AttrToolkitVersion, "1.22", 40, "http", "services/nginx"),
			},
		},
		"http unknown": {
			evidence.Facts{HTTP: &evidence.HTTPFacts{Server: "Ward/1"}},
			[]evidence.Claim{claim(evidence.AttrToolkit, "Ward/1", confidenceBanner, "http", "")},
		},
		"fhir": {
			evidence.Facts{FHIR: &evidence.FHIRFacts{Software: "Wardbook", Release: "2024.1"}},
			[]evidence.Claim{claim(evidence.AttrApplication, "Wardbook 2024.1", confidenceSubject, "fhir", "")},
		},
	} {
		o := evidence.Observation{
			ID: 7, Result: evidence.ResultData, At: t0, Facts: tt.facts,
			Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
		}
		if diff := cmp.Diff(tt.want, Resolve([]evidence.Observation{o})[0].Claims); diff != "" {
			t.Errorf("%s: claims (-want +got):\n%s", name, diff)
		}
	}
}

// TestClaims_silence: an answer that tells nothing claims nothing.
func TestClaims_silence(t *testing.T) {
	for name, facts := range map[string]evidence.Facts{
		"http": {HTTP: &evidence.HTTPFacts{Status: 404}},
		"fhir": {FHIR: &evidence.FHIRFacts{Document: "capability"}},
	} {
		o := evidence.Observation{
			ID: 7, Result: evidence.ResultData, At: t0, Facts: facts,
			Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
		}
		if got := Resolve([]evidence.Observation{o})[0].Claims; len(got) > 0 {
			t.Errorf("%s: claims %v", name, got)
		}
	}
}
