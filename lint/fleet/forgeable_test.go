package fleet

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/lint"
)

// TestShared_forgeable: a certificate that was only heard in traffic at one of two
// places proves no second device, because anyone on the network can replay it; a
// scan, or a signature of its key, does.
func TestShared_forgeable(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump"}, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20")}
	var assets []evidence.Asset
	for i, addr := range addrs {
		assets = append(assets, evidence.Asset{
			ID: "dev-" + string('1'+rune(i)), Addresses: []netip.Addr{addr},
			Claims: []evidence.Claim{{Attribute: evidence.AttrSSHHostKey, Value: addr.String(), Confidence: 95, Layer: "ssh"}},
		})
	}
	for _, tt := range []struct {
		name       string
		method     evidence.Method
		possession evidence.Possession
		outcome    evidence.Outcome
		confidence int
	}{
		{"scanned", evidence.Active, "", evidence.Fail, confidencePassedOn},
		{"signed", evidence.Passive, evidence.PossessionVerified, evidence.Fail, confidencePassedOn},
		{"presented", evidence.Passive, "", evidence.Warn, confidenceHeard},
		{"of another key", evidence.Passive, evidence.PossessionRefuted, evidence.Warn, confidenceHeard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var obs []evidence.Observation
			for i, addr := range addrs {
				o := evidence.Observation{
					ID: int64(i + 1), Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: at,
					Endpoint: evidence.Endpoint{Addr: addr, Port: 443, Transport: evidence.TCP}, Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: der}},
					Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: evidence.OfferFull, Version: 0x0303}},
				}
				if i == 1 {
					o.Method, o.Facts.TLS.Possession = tt.method, tt.possession
				}
				obs = append(obs, o)
			}
			env := &lint.Env{At: at, Policy: &lint.Policy{}, Corpus: lint.NewCorpus(obs, assets)}
			got := uniqueCertificate().Fleet(env, env.Corpus)
			if len(got) != 1 || got[0].Outcome != tt.outcome || got[0].Group.Confidence != tt.confidence {
				t.Fatalf("%+v", got)
			}
			if heard := strings.Contains(got[0].Detail, "anyone on the network can forge"); heard != (tt.outcome == evidence.Warn) {
				t.Error(got[0].Detail)
			}
		})
	}
}
