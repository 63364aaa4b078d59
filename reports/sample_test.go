package reports

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"probity/evidence"
	"probity/rules/catalogue"
)

// hostile is text as an attacker would put it into a certificate or a banner.
const hostile = "\x1b[31mEVIL\x1b[0m</script><script>alert(1)</script>\u202egnp.exe =HYPERLINK(\"x\")"

var sampleTime = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

func endpoint(addr string, port uint16) evidence.Endpoint {
	return evidence.Endpoint{Addr: netip.MustParseAddr(addr), Port: port, Transport: evidence.TCP}
}

func loadCatalogue(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	cat, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// sample is a report input of three devices, one with hostile names, two that
// share a key.
func sample(t testing.TB) Input {
	cat := loadCatalogue(t)
	monitor, archive, pump := endpoint("192.0.2.10", 8443), endpoint("192.0.2.11", 2762), endpoint("192.0.2.12", 8443)
	silent := endpoint("192.0.2.99", 443)
	certA, certB := evidence.DigestOf([]byte("a")), evidence.DigestOf([]byte("b"))
	asset := func(id string, e evidence.Endpoint, maker, model string) evidence.Asset {
		return evidence.Asset{
			ID: id, Addresses: []netip.Addr{e.Addr}, Endpoints: []evidence.Endpoint{e},
			Claims: []evidence.Claim{
				{Attribute: evidence.AttrManufacturer, Value: maker, Confidence: 80, Layer: "x509", Observation: 1},
				{Attribute: evidence.AttrModel, Value: model, Confidence: 60, Layer: "dicom", Observation: 2},
			},
			FirstSeen: sampleTime, LastSeen: sampleTime,
		}
	}
	key := evidence.Duplicate{
		Kind: evidence.DuplicateKey, Value: evidence.DigestOf([]byte("k")).String(), Certificates: []evidence.Digest{certA, certB},
		Assets: []string{"asset-1", "asset-2"}, Endpoints: []evidence.Endpoint{monitor, archive}, Confidence: 90,
	}
	var findings []evidence.Finding
	add := func(rule string, o evidence.Outcome, s evidence.Subject, asset, detail string, obs ...int64) {
		r, err := cat.Rule(rule)
		if err != nil {
			t.Fatal(err)
		}
		findings = append(findings, evidence.Finding{
			ID: int64(len(findings) + 1), Run: 2, Key: evidence.FindingKey(rule, s), Rule: rule, Severity: r.Severity,
			Outcome: o, Subject: s, Asset: asset, Title: r.Title, Detail: detail, Observations: obs,
		})
	}
	on := func(e evidence.Endpoint, c evidence.Digest) evidence.Subject {
		return evidence.Subject{Endpoint: e, Certificate: c}
	}
	add("MD-CERT-002", evidence.Fail, on(monitor, certA), "asset-1", "The certificate expired on 2026-03-01, 267 days before the time of judgement.", 1)
	add("MD-CERT-002", evidence.Pass, on(archive, certB), "asset-2", "Valid until 2027-09-01.", 2)
	add("MD-CERT-014", evidence.Inconclusive, on(archive, certB), "asset-2", "No reference name is known for the endpoint.", 2)
	add("MD-DUP-002", evidence.Fail, evidence.Subject{Group: &key}, "", "2 certificates on 2 assets share one key; the assets have different SSH host keys.", 1, 2)
	add("MD-TLS-004", evidence.Warn, evidence.Subject{Endpoint: pump}, "asset-3", "TLS 1.3 was offered and TLS 1.2 chosen.", 3)
	add("MD-CERT-016", evidence.Warn, on(pump, evidence.DigestOf([]byte("c"))), "asset-3", "The subject is "+hostile+".", 3)
	add("MD-AUTH-001", evidence.NotApplicable, evidence.Subject{Endpoint: monitor}, "asset-1", "The endpoint is a web interface.", 1)
	raw := map[int64][]evidence.Digest{}
	observation := func(id int64, e evidence.Endpoint, r evidence.Result) evidence.Observation {
		o := evidence.Observation{ID: id, Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: e, At: sampleTime, Result: r}
		if r == evidence.ResultData {
			raw[id] = []evidence.Digest{evidence.DigestOf(fmt.Append(nil, id))}
		}
		return o
	}
	run := evidence.Run{
		ID: 1, UUID: "5f0c6e1e-52c2-4f0a-8f6c-0d2f3a4b5c6d", Mode: evidence.ModeActive, Started: sampleTime, Tool: "probity 1.0.0",
		Catalogue: cat.Digest(), Operator: "alice", Authority: "ticket 4711", Sensor: "sensor-1",
	}
	return Input{
		Tool: "probity 1.0.0", Generated: sampleTime.Add(time.Hour), AsOf: sampleTime, Profile: "hospital", Catalogue: cat,
		Runs: []RunRecord{{
			Run:   run,
			End:   &evidence.RunEnd{Run: 1, Ended: sampleTime.Add(time.Minute), Status: evidence.StatusIncomplete, Targets: 4, Reached: 3},
			Scope: []evidence.ScopeEntry{{Target: "192.0.2.0/24", Allowed: true}, {Target: "192.0.2.50", Reason: "infusion pumps, passive only"}},
		}},
		Probes: []evidence.ProbeRecord{
			{ID: 1, Run: 1, Endpoint: monitor, Probe: "tls", Connections: 4, BytesSent: 2100, BytesReceived: 9000, Outcome: evidence.ProbeSent},
			{ID: 2, Run: 1, Endpoint: archive, Probe: "dicom", Connections: 1, BytesSent: 220, BytesReceived: 300, Outcome: evidence.ProbeSent},
			{ID: 3, Run: 1, Endpoint: pump, Probe: "dicom", Outcome: evidence.ProbeSkipped, Reason: "class pump: passive only"},
		},
		Assets: []evidence.Asset{
			asset("asset-1", monitor, "Nihon Example", "BSM-9000"), asset("asset-2", archive, "Archiv AG", "PACS 7"),
			asset("asset-3", pump, hostile, "Pump"),
		},
		Findings: FindingList(findings),
		Observations: []evidence.Observation{
			observation(1, monitor, evidence.ResultData), observation(2, archive, evidence.ResultData),
			observation(3, pump, evidence.ResultData), observation(4, silent, evidence.ResultTimeout),
		},
		Raw: raw,
		Certificates: []Certificate{{
			SHA256: certA.String(), Subject: "CN=monitor-10,O=Hospital", Issuer: "CN=Site CA", Serial: "0a1b",
			NotBefore: sampleTime.AddDate(-2, 0, 0), NotAfter: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), KeyAlgorithm: "ECDSA", KeyBits: 256,
		}},
		Checkpoint: &Checkpoint{Origin: "probity.example/log", Size: 42, Root: evidence.DigestOf([]byte("root")).String(), State: "verified"},
		Verify:     []string{"probity verify --db evidence.db"},
	}
}

// large is a report input of n findings over n/12 devices, shaped like those of
// a hospital group: mostly passes.
func large(t testing.TB, n int) Input {
	in := sample(t)
	in.Findings, in.Assets, in.Observations, in.Certificates = nil, nil, nil, nil
	in.Raw = map[int64][]evidence.Digest{}
	var decided []catalogue.Rule
	for _, r := range in.Catalogue.Rules() {
		if r.Lint != "" {
			decided = append(decided, r)
		}
	}
	outcomes := []evidence.Outcome{
		evidence.Pass, evidence.Pass, evidence.Pass, evidence.NotApplicable, evidence.Pass, evidence.Inconclusive,
		evidence.Pass, evidence.Warn, evidence.Pass, evidence.Pass, evidence.Fail,
	}
	var e evidence.Endpoint
	var findings FindingList
	for i := range n {
		if i%12 == 0 {
			a := i / 12
			e = evidence.Endpoint{Addr: netip.AddrFrom4([4]byte{10, byte(a >> 16), byte(a >> 8), byte(a)}), Port: 8443, Transport: evidence.TCP}
			in.Assets = append(in.Assets, evidence.Asset{
				ID: fmt.Sprintf("asset-%05d", a), Addresses: []netip.Addr{e.Addr}, Endpoints: []evidence.Endpoint{e},
				Claims: []evidence.Claim{{Attribute: evidence.AttrModel, Value: fmt.Sprintf("Model %d", a%40), Confidence: 60, Layer: "x509", Observation: int64(a + 1)}},
			})
			in.Observations = append(in.Observations, evidence.Observation{
				ID: int64(a + 1), Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: e, At: sampleTime,
				Result: evidence.ResultData,
			})
			in.Raw[int64(a+1)] = []evidence.Digest{evidence.DigestOf(fmt.Append(nil, a))}
		}
		r := decided[(i*7+i/12)%len(decided)]
		s := evidence.Subject{Endpoint: e, Certificate: evidence.DigestOf(fmt.Append(nil, i/12))}
		findings = append(findings, evidence.Finding{
			ID: int64(i + 1), Run: 2, Key: evidence.FindingKey(r.ID, s), Rule: r.ID, Severity: r.Severity,
			Outcome: outcomes[(i*5+i/97)%len(outcomes)], Subject: s, Asset: fmt.Sprintf("asset-%05d", i/12), Title: r.Title,
			Detail: fmt.Sprintf("Observed value %d of rule %s.", i%211, r.ID), Observations: []int64{int64(i/12 + 1)},
		})
	}
	in.Findings = findings
	return in
}
