package identify

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"probity/evidence"
)

// TestServerClaims_heard: what a certificate says counts in full if a scan saw it
// or its key signed the handshake, little if it was only presented in traffic, and
// not at all if another key signed. So it is with SSH host keys.
func TestServerClaims_heard(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x", SerialNumber: "SN-1"}, NotBefore: at, NotAfter: at.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	e := evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP}
	for _, tt := range []struct {
		method     evidence.Method
		possession evidence.Possession
		want       int
	}{
		{evidence.Active, "", confidenceSubject},
		{evidence.Passive, evidence.PossessionVerified, confidenceSubject},
		{evidence.Passive, "", confidenceHeard},
		{evidence.Passive, evidence.PossessionRefuted, 0},
	} {
		o := evidence.Observation{
			Method: tt.method, Kind: evidence.KindTLS, Endpoint: e, Result: evidence.ResultData,
			Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: der}},
			Facts: evidence.Facts{TLS: &evidence.TLSFacts{Possession: tt.possession}},
		}
		got := 0
		for _, c := range serverClaims(o, newMemo()) {
			if c.Attribute == evidence.AttrSerial && c.Value == "SN-1" {
				got = c.Confidence
			}
		}
		if got != tt.want {
			t.Errorf("%s, possession %q: confidence %d, want %d", tt.method, tt.possession, got, tt.want)
		}
	}
	for method, want := range map[evidence.Method]int{evidence.Active: confidenceKey, evidence.Passive: confidenceTold} {
		o := evidence.Observation{
			Method: method, Kind: evidence.KindSSH, Endpoint: e, Result: evidence.ResultData,
			Keys: []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: []byte("key")}}, Facts: evidence.Facts{SSH: &evidence.SSHFacts{}},
		}
		if got := serverClaims(o, newMemo()); len(got) != 1 || got[0].Confidence != want {
			t.Errorf("%s: %+v", method, got)
		}
	}
}
