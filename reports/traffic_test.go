package reports

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// heardInput is a report of a passive run: TLS of all kinds, and others.
func heardInput(t *testing.T) Input {
	in := sample(t)
	peer := endpoint("198.51.100.7", 40000)
	add := func(e evidence.Endpoint, kind evidence.Kind, f evidence.Facts, certs ...string) {
		o := evidence.Observation{
			ID: int64(100 + len(in.Observations)), Run: 1, Method: evidence.Passive, Kind: kind, Endpoint: e, Peer: peer,
			At: sampleTime, Result: evidence.ResultData, Facts: f,
		}
		for _, c := range certs {
			o.Certs = append(o.Certs, evidence.Presented{Role: evidence.RoleServer, DER: []byte(c)})
		}
		in.Observations = append(in.Observations, o)
	}
	tls := func(version uint16, f evidence.TLSFacts) evidence.Facts {
		f.Offer, f.Version, f.JA3, f.JA4 = evidence.OfferPassive, version, strings.Repeat("a", 32), "t13d1516h2_8daaf6152771_e5627efa2ab1"
		return evidence.Facts{TLS: &f}
	}
	add(endpoint("192.0.2.10", 8443), evidence.KindTLS, tls(0x0303, evidence.TLSFacts{Possession: evidence.PossessionVerified}), "one")
	add(endpoint("192.0.2.10", 8443), evidence.KindTLS, tls(0x0304, evidence.TLSFacts{CertificateHidden: true}))
	add(endpoint("192.0.2.20", 25), evidence.KindTLS, tls(0x0301, evidence.TLSFacts{Carrier: "smtp", Possession: evidence.PossessionRefuted}), "two")
	add(endpoint("192.0.2.21", 443), evidence.KindTLS, tls(0x0303, evidence.TLSFacts{OCSP: &evidence.OCSPFacts{Statuses: []evidence.OCSPStatus{{Serial: "01", Status: "revoked"}}}}), "three")
	quic := endpoint("192.0.2.22", 443)
	quic.Transport = evidence.UDP
	add(quic, evidence.KindTLS, tls(0x0304, evidence.TLSFacts{Carrier: "quic", CertificateHidden: true}))
	add(endpoint("192.0.2.23", 443), evidence.KindTLS, tls(0, evidence.TLSFacts{})) // only a hello
	add(endpoint("192.0.2.24", 5353), evidence.KindIdentity, evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "mdns", Model: hostile, Hostnames: []string{"pump"}}})
	add(endpoint("192.0.2.25", 23), evidence.KindBanner, evidence.Facts{Banner: &evidence.BannerFacts{Protocol: "telnet"}})
	link := evidence.Endpoint{Addr: peer.Addr, Transport: evidence.Link}
	add(link, evidence.KindIdentity, evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "arp", MAC: "02:00:00:00:00:01"}})
	return in
}

func TestBuild_traffic(t *testing.T) {
	d := Build(heardInput(t))
	var got []string
	for _, s := range d.Traffic.Services {
		got = append(got, s.Endpoint+" "+s.Protocol+": "+s.Saw)
	}
	want := []string{
		"tcp/192.0.2.10:8443 tls: TLS 1.2, TLS 1.3; 1 certificate, its key signed the handshake; certificate not observable passively (TLS 1.3): scan --from-passive asks for it",
		"tcp/192.0.2.20:25 smtp+tls: TLS 1.0; 1 certificate, but the signature of the handshake is not of its key",
		"tcp/192.0.2.21:443 tls: TLS 1.2; 1 certificate, presented without proof of its key; stapled OCSP response: revoked",
		"udp/192.0.2.22:443 quic: TLS 1.3; certificate not observable passively (TLS 1.3)",
		"tcp/192.0.2.24:5353 mdns: ",
		"tcp/192.0.2.25:23 telnet: spoken",
	}
	for i := range got {
		if i < len(want) && strings.HasPrefix(want[i], "tcp/192.0.2.24") { // the hostile one is judged below
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d.Traffic.Hidden != 2 || len(d.Traffic.Clients) != 1 || d.Traffic.Clients[0].Count != 1 || d.Traffic.Services[0].Asset != "asset-1" {
		t.Errorf("%+v", d.Traffic)
	}
	if s := d.Traffic.Services[4].Saw; strings.ContainsAny(s, "\x1b\u202e") || !strings.Contains(s, "pump") {
		t.Errorf("%q", s)
	}
}

// TestReports_traffic: every format shows what was heard, and none where nothing
// was.
func TestReports_traffic(t *testing.T) {
	with, without := Build(heardInput(t)), Build(sample(t))
	for _, d := range []Document{with, without} {
		var table, html bytes.Buffer
		if err := Table(&table, d, TableOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := HTML(&html, d); err != nil {
			t.Fatal(err)
		}
		heard := len(d.Traffic.Services) > 0
		for text, want := range map[string]string{table.String(): "HEARD ON THE WIRE: 6 of 6 services shown", html.String(): `id="traffic"`} {
			if strings.Contains(text, want) != heard || strings.Contains(text, "t13d1516h2_8daaf6152771_e5627efa2ab1") != heard {
				t.Errorf("%q: heard %v, but:\n%.3000s", want, heard, text)
			}
		}
	}
}

// TestReports_heardOnly: a finding that rests on nothing but unsigned traffic says
// so, and one with a signature or a scan behind it does not.
func TestReports_heardOnly(t *testing.T) {
	in := heardInput(t)
	first := &in.Findings.(FindingList)[0]                                             //nolint:forcetypeassert // of the sample
	for id, want := range map[int64]bool{104: false, 106: true, 107: true, 1: false} { // 104 is signed, 1 was scanned
		first.Observations = []int64{id}
		d := Build(in)
		findings := slices.Collect(d.Findings.All())
		i := slices.IndexFunc(findings, func(f Finding) bool { return f.Key == first.Key.String() })
		var table, html bytes.Buffer
		if err := Table(&table, d, TableOptions{Width: 200}); err != nil {
			t.Fatal(err)
		}
		if err := HTML(&html, d); err != nil {
			t.Fatal(err)
		}
		if findings[i].HeardOnly != want || strings.Contains(table.String(), "(heard only)") != want ||
			strings.Contains(table.String(), "Heard only: seen in passing traffic") != want || strings.Contains(html.String(), "(heard only)") != want {
			t.Errorf("observation %d: heard only %v, want %v\n%.2000s", id, findings[i].HeardOnly, want, table.String())
		}
	}
	first.Observations = []int64{1, 106}
	if Build(in).Findings.first(1)[0].HeardOnly {
		t.Error("a finding with a scan behind it is called heard only")
	}
}
