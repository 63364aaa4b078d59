package tlsprobe

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner"
)

// TestPeer_names asks OpenSSL what names change: the certificate, and with
// -servername_fatal whether a wrong one is refused.
func TestPeer_names(t *testing.T) {
	paths := peer.Require(t, "openssl")
	first, firstKey := keyPair(t, paths["openssl"], "first", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-addext", "subjectAltName=DNS:pacs.example")
	second, secondKey := keyPair(t, paths["openssl"], "second", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	type seen struct {
		Name      string
		Certified bool // with another certificate than the first
		Used      bool
		Alert     int // fatal; -1: none
		Warning   int
	}
	for _, tt := range []struct {
		name  string
		level scanner.Level
		args  []string
		want  []seen
	}{
		{"standard", scanner.Standard, []string{"-tls1_2"}, []seen{{"pacs.example", true, true, -1, -1}, {unknownName, false, false, -1, 112}}},
		{"exhaustive", scanner.Exhaustive, []string{"-tls1_2"}, []seen{{"pacs.example", true, true, -1, -1}}}, // nothing was left to choose under the other
		{"fatal", scanner.Standard, []string{"-tls1_2", "-servername_fatal"}, []seen{{"pacs.example", true, true, -1, -1}, {unknownName, false, false, 112, -1}}},
		{"1.3", scanner.Standard, []string{"-tls1_3"}, []seen{{"pacs.example", true, true, -1, -1}, {unknownName, false, false, -1, -1}}},
		{"1.3 fatal", scanner.Exhaustive, []string{"-tls1_3", "-servername_fatal"}, []seen{{"pacs.example", true, true, -1, -1}, {unknownName, false, false, 112, -1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			args := append([]string{
				"s_server", "-www", "-accept", "127.0.0.1:" + port, "-cert", first, "-key", firstKey,
				"-servername", "pacs.example", "-cert2", second, "-key2", secondKey,
			}, tt.args...)
			m := start(t, port, paths["openssl"], args...)
			m.level = tt.level
			obs, err := New().Probe(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			number := func(p *uint8) int {
				if p == nil {
					return -1
				}
				return int(*p)
			}
			var got []seen
			for _, o := range obs {
				if f := o.Facts.TLS; f.ServerName != "" && (f.Version != 0 || f.Offer == evidence.OfferName) {
					other := len(o.Certs) > 0 && evidence.DigestOf(o.Certs[0].DER) != evidence.DigestOf(obs[0].Certs[0].DER)
					got = append(got, seen{f.ServerName, other, f.NameUsed, number(f.Alert), number(f.Warning)})
				}
			}
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, listing(obs))
			}
		})
	}
}
