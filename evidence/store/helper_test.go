package store

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/hex"
	"iter"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/evidence/tlog"
)

// clock is a clock that moves a second with every look.
func clock() func() time.Time {
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		t = t.Add(time.Second)
		return t
	}
}

func openT(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Now: clock(), Origin: "probity/test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func reader(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var (
	testTime = time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)
	web      = evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP, Name: "pump.example"}
	dicom    = evidence.Endpoint{Addr: netip.MustParseAddr("2001:db8::7"), Port: 104, Transport: evidence.TCP}
)

func catalogueDigest() evidence.Digest { return evidence.DigestOf([]byte("catalogue")) }

func testRun(mode evidence.Mode) evidence.Run {
	r := evidence.Run{
		UUID: "00000000-0000-4000-8000-" + hex.EncodeToString([]byte(mode)[:6]), Mode: mode, Started: testTime, Tool: "probity 1", ToolHash: evidence.DigestOf([]byte("tool")),
		Catalogue: catalogueDigest(), Config: evidence.DigestOf([]byte("config")), Operator: "op", Authority: "ticket 7", Sensor: "host", Note: "note",
	}
	if mode == evidence.ModeAssess {
		r.AsOf = testTime
	}
	return r
}

func testCert(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0xbeef), Subject: pkix.Name{CommonName: "pump 1", OrganizationalUnit: []string{"Müller"}},
		NotBefore: testTime.Truncate(time.Second), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func testObservations(run int64, der []byte) []evidence.Observation {
	return []evidence.Observation{
		{
			Run: run, Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: web, At: testTime, Result: evidence.ResultData,
			Raw:   []evidence.Blob{{Media: "application/x-probity-tls", Data: []byte("hello")}, {Media: "x", Data: nil}},
			Certs: []evidence.Presented{{Role: evidence.RoleServer, Position: 0, DER: der}, {Role: evidence.RoleServer, Position: 1, DER: []byte("no certificate")}},
			Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: evidence.OfferFull, Version: 0x0303, CipherSuite: 0xc02f, Handshake: evidence.StageComplete, ClientAuth: evidence.ClientAuthRequested}},
		},
		{
			Run: run, Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: web, At: testTime.Add(time.Second), Result: evidence.ResultData,
			Certs: []evidence.Presented{{Role: evidence.RoleServer, Position: 0, DER: der}},
			Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: evidence.OfferTLS10, Version: 0x0301, CipherSuite: 0x0005, Handshake: evidence.StageCertificate}},
		},
		{
			Run: run, Method: evidence.Active, Kind: evidence.KindSSH, Endpoint: evidence.Endpoint{Addr: web.Addr, Port: 22, Transport: evidence.TCP}, At: testTime, Result: evidence.ResultData,
			Keys:  []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: []byte("key")}},
			Facts: evidence.Facts{SSH: &evidence.SSHFacts{Version: "SSH-2.0-x"}},
		},
		{
			Run: run, Method: evidence.Active, Kind: evidence.KindDICOM, Endpoint: dicom, At: testTime, Result: evidence.ResultTimeout, Detail: "no answer",
		},
	}
}

func passiveObservation(run int64, der []byte) evidence.Observation {
	return evidence.Observation{
		Run: run, Method: evidence.Passive, Kind: evidence.KindDICOM, Endpoint: dicom, At: testTime, Result: evidence.ResultData,
		Peer:  evidence.Endpoint{Addr: netip.MustParseAddr("2001:db8::8"), Port: 40000, Transport: evidence.TCP},
		Certs: []evidence.Presented{{Role: evidence.RoleClient, Position: 0, DER: der}},
		Facts: evidence.Facts{DICOM: &evidence.DICOMFacts{PDU: "rq", CalledAE: "ARCHIVE"}},
	}
}

func testRules() []evidence.Rule {
	return []evidence.Rule{{
		ID: "MD-DUP-001", Area: "DUP", Title: "one certificate, one device", Severity: evidence.High, Rationale: "why", Lint: "fleet/duplicate",
		Verdicts: map[evidence.Outcome]string{evidence.Pass: "p", evidence.Fail: "f"}, Remediation: "reissue", FalsePositives: "HA pairs",
		Clauses: []evidence.Clause{{Source: "S", Edition: "2026", Clause: "1.2", Title: "identity", Relation: evidence.RelationSupports, Force: "law", Verified: "verified"}},
	}}
}

func testFindings(der []byte) []evidence.Finding {
	sum := evidence.DigestOf(der)
	place := evidence.Subject{Endpoint: web, Certificate: sum}
	group := evidence.Subject{Group: &evidence.Duplicate{
		Kind: evidence.DuplicateCertificate, Value: "ab", Certificates: []evidence.Digest{{1}}, Assets: []string{"a1", "a2"},
		Endpoints: []evidence.Endpoint{web}, Confidence: 90,
	}}
	return []evidence.Finding{
		{Key: evidence.FindingKey("MD-DUP-001", place), Rule: "MD-DUP-001", Severity: evidence.High, Outcome: evidence.Pass, Subject: place, Asset: "a1", Title: "t", Detail: "d"},
		{Key: evidence.FindingKey("MD-DUP-001", group), Rule: "MD-DUP-001", Severity: evidence.High, Outcome: evidence.Fail, Subject: group, Title: "t2", Detail: "d2", Observations: []int64{1, 2}},
	}
}

func testAssets() []evidence.Asset {
	return []evidence.Asset{{
		ID: "a1", Addresses: []netip.Addr{web.Addr}, Endpoints: []evidence.Endpoint{web}, FirstSeen: testTime, LastSeen: testTime.Add(time.Hour),
		Claims: []evidence.Claim{
			{Attribute: evidence.AttrManufacturer, Value: "Müller", Confidence: 60, Layer: "x509", Observation: 1},
			{Attribute: evidence.AttrModel, Value: "Pump 3", Confidence: 80, Layer: "dicom", Observation: 2},
			{Attribute: evidence.AttrMAC, Value: "00:11:22:33:44:55", Confidence: 90, Layer: "arp", Source: "oui"},
		},
		Stays: []evidence.Stay{{ID: "a1", Addr: web.Addr, First: testTime, Last: testTime.Add(time.Hour)}, {ID: "a2", Addr: dicom.Addr, First: testTime, Last: testTime, Ended: true}, {ID: "a3", Addr: dicom.Addr, First: testTime, Last: testTime, Left: true}},
		Joins: []evidence.Join{{Kept: "a1", Ended: "a2", Reason: "the same MAC address", Observations: []int64{1, 2}}},
		Events: []evidence.Event{
			{At: testTime, Kind: evidence.EventAppeared, Subject: "192.0.2.1", Observations: []int64{1}},
			{At: testTime.Add(time.Minute), Kind: evidence.EventStated, Subject: "label", After: "name=Pump", Detail: "seen on site", Fact: 1},
		},
		Facts: []evidence.AssetFact{testFacts()[0]},
	}}
}

func testFacts() []evidence.AssetFact {
	return []evidence.AssetFact{
		{At: testTime, Kind: evidence.FactLabel, Asset: "a1", Values: map[string]string{"name": "Pump"}, Reason: "seen on site"},
		{At: testTime, Kind: evidence.FactSplit, Asset: "a1", Address: dicom.Addr, Values: map[string]string{"apart": "a2", "from": "a1"}, Reason: "two devices"},
	}
}

// fill writes an active run, a passive run and an assessment, with at least two
// rows in every logged table that can have two.
func fill(t testing.TB, s *Store) Checkpoint {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	der := testCert(t)
	for i, mode := range []evidence.Mode{evidence.ModeActive, evidence.ModePassive, evidence.ModeAssess} {
		run, err := s.BeginRun(ctx, testRun(mode), []evidence.ScopeEntry{{Target: "192.0.2.0/24", Allowed: true}, {Target: "192.0.2.9", Reason: "pump"}})
		must(err)
		switch mode {
		case evidence.ModeActive:
			obs := testObservations(run.ID, der)
			must(s.RecordProbe(ctx, evidence.ProbeRecord{Run: run.ID, Endpoint: web, Probe: "tls", Started: testTime, Ended: testTime.Add(time.Second), Connections: 2, BytesSent: 300, BytesReceived: 4000, Outcome: evidence.ProbeSent, Reason: "in scope"}, obs[:2]))
			must(s.RecordProbe(ctx, evidence.ProbeRecord{Run: run.ID, Endpoint: dicom, Probe: "dicom", Started: testTime, Ended: testTime, Outcome: evidence.ProbeSkipped, Reason: "pump"}, nil))
			must(s.Record(ctx, obs[2]))
			must(s.Record(ctx, obs[3]))
		case evidence.ModePassive:
			o := passiveObservation(run.ID, der)
			must(s.Record(ctx, o))
			o.Keys = []evidence.HostKey{{Algorithm: "ssh-rsa", Blob: []byte("key 2")}}
			must(s.Record(ctx, o))
		default:
			must(s.SaveCatalogue(ctx, "1", catalogueDigest(), testRules()))
			more := append(testRules(), testRules()...)
			more[1].ID = "MD-DUP-002"
			must(s.SaveCatalogue(ctx, "2", evidence.DigestOf([]byte("catalogue 2")), more))
			must(s.SaveFindings(ctx, run.ID, sequence(testFindings(der))))
			must(s.RecordAssetFacts(ctx, run.ID, testFacts()))
		}
		_, err = s.EndRun(ctx, evidence.RunEnd{Run: run.ID, Ended: testTime.Add(time.Hour), Status: evidence.StatusComplete, Targets: 3, Reached: int64(i), PacketsSeen: 10, PacketsDropped: 1, Note: "end"})
		must(err)
	}
	must(s.SaveResolution(ctx, resolution(testAssets())))
	c, err := s.LastCheckpoint(ctx)
	must(err)
	return c
}

// filled makes a closed database with everything in it.
func filled(t testing.TB) (path string, o VerifyOptions) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "e.db")
	s, err := Open(t.Context(), path, Options{Now: clock(), Origin: "probity/test"})
	if err != nil {
		t.Fatal(err)
	}
	c := fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, VerifyOptions{PublicKey: publicKey(t, path), Checkpoints: [][]byte{c.Note}}
}

func publicKey(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(tlog.PublicFile(path + ".key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func verifyT(t testing.TB, path string, o VerifyOptions) VerifyReport {
	t.Helper()
	r, err := Verify(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// attack opens the file as somebody with a SQLite shell would: no triggers in the
// way, no constraints checked.
func attack(t testing.TB, path string, do func(ctx context.Context, db *sql.Conn)) {
	t.Helper()
	db := sql.OpenDB(connector{dsn: "file:" + path + "?mode=rw&_foreign_keys=off&_synchronous=off&_journal_mode=memory&_ignore_check_constraints=on", access: unguarded})
	defer db.Close()
	ctx := t.Context()
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var names, triggers []string
	err = each(ctx, c, "SELECT name, sql FROM sqlite_schema WHERE type='trigger'", func(scan scanFunc) error {
		var name, text string
		err := scan(&name, &text)
		names, triggers = append(names, name), append(triggers, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, "DROP TRIGGER "+strings.Join(names, "; DROP TRIGGER "))
	do(ctx, c)
	exec(t, c, strings.Join(triggers, ";"))
}

func exec(t testing.TB, c *sql.Conn, query string, args ...any) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// sequence yields findings without an error.
func sequence(fs []evidence.Finding) iter.Seq2[evidence.Finding, error] {
	return func(yield func(evidence.Finding, error) bool) {
		for _, f := range fs {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// collect lists findings.
func collect(fs *Findings) []evidence.Finding {
	var all []evidence.Finding
	for i := range fs.Len() {
		all = append(all, fs.At(i))
	}
	return all
}

// resolution is one that has assets, and a place and an identifier for each.
func resolution(assets []evidence.Asset) Resolution {
	return Resolution{
		Maker: "test", Whole: true, Observation: 2,
		Assets: func(yield func(evidence.Asset, []string) bool) {
			for _, a := range assets {
				if !yield(a, []string{"name of " + a.ID}) {
					return
				}
			}
		},
		Places: func(yield func(netip.Addr, []byte) bool) {
			for i := range assets {
				if !yield(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), []byte{1, byte(i)}) {
					return
				}
			}
		},
		Held: func(yield func([16]byte, netip.Addr) bool) {
			for i := range assets {
				if !yield([16]byte{byte(i)}, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})) {
					return
				}
			}
		},
	}
}
