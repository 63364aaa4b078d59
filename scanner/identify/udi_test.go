package identify

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"probity/evidence"
)

// The long identifiers are the examples of the FDA's "UDI formats by FDA-accredited
// issuing agency", that of HIBCC with the check character that its standard
// demands; the short ones of HIBCC are examples of ANSI/HIBC 2.
func TestReadUDI(t *testing.T) {
	const (
		gs1    = "(01)51022222233336(11)141231(17)150707(10)A213B1(21)1234"
		hibcc  = "+H123PARTNO1234567890120/$$420020216LOT123456789012345/SXYZ456789012345678/16D20130202H"
		iccbba = "=/A9999XYZ100T0944=,000025=A99971312345600=>014032=}013032&,1000000000000XYZ123"
	)
	for _, tt := range []struct{ in, text, serial string }{
		{gs1, gs1, "1234"},
		{"urn:udi:" + gs1, gs1, "1234"},
		{"(01)51022222233336", "(01)51022222233336", ""},
		{hibcc, hibcc, "XYZ456789012345678"},
		{"urn:udi:" + hibcc, hibcc, "XYZ456789012345678"},
		{"+A123BJC5D6E71G", "+A123BJC5D6E71G", ""},
		{"+A99912345/$$52001510X33", "+A99912345/$$52001510X33", ""},
		{iccbba, iccbba, "000025"},
	} {
		u, ok := readUDI(tt.in)
		if !ok || u.text != tt.text || u.serial != tt.serial {
			t.Errorf("%q: %+v, %v", tt.in, u, ok)
		}
	}
	for _, in := range []string{
		"", "+", "=/", "(01)", "pump-17", "+49 30 1234567", "https://example.org/?a=/b",
		strings.Replace(gs1, "51022222233336", "51022222233337", 1), // check digit
		strings.Replace(gs1, "(21)1234", "(21)", 1),
		strings.Replace(gs1, "(11)", "(99)", 1),
		gs1 + "\x00",
		hibcc[:len(hibcc)-1] + "D", // check character
		strings.Replace(hibcc, "LOT", "lot", 1),
		"=/A9999XYZ10", "=/A9999XYZ100T0944rest",
		gs1 + strings.Repeat("1", maxUDI),
	} {
		if u, ok := readUDI(in); ok {
			t.Errorf("%q is read as %+v", in, u)
		}
	}
}

func FuzzReadUDI(f *testing.F) {
	for _, s := range []string{"(01)51022222233336(21)1", "+H123PARTNO1234567890120/$$42", "=/A9999XYZ100T0944=,000025"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, ok := readUDI(s); ok && (!strings.Contains(s, u.text) || !strings.Contains(u.text, u.serial)) {
			t.Errorf("%q: %+v", s, u)
		}
	})
}

// TestClaims_udi: an identifier in a certificate is claimed, with the serial number
// in it, and is what an inventory finds the device by.
func TestClaims_udi(t *testing.T) {
	const id = "(01)51022222233336(21)1234"
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump", SerialNumber: id},
		URIs: []*url.URL{{Scheme: "urn", Opaque: "udi:" + id}}, NotBefore: t0, NotAfter: t0.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	o := evidence.Observation{
		ID: 1, Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: t0,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
		Certs:    []evidence.Presented{{Role: evidence.RoleServer, DER: der}}, Facts: evidence.Facts{TLS: &evidence.TLSFacts{Version: 0x303}},
	}
	row := evidence.AssetFact{ID: 1, Kind: evidence.FactInventory, Other: "a", Values: map[string]string{"udi": id, "model": "P1"}}
	a := Resolve([]evidence.Observation{o}, row)[0]
	got := map[evidence.Attribute]string{}
	for _, c := range a.Claims {
		if c.Layer == "x509" {
			got[c.Attribute] = c.Value
		}
	}
	if got[evidence.AttrUDI] != id || got[evidence.AttrSerial] != "1234" {
		t.Errorf("%v", got)
	}
	if len(a.Facts) != 1 || a.Facts[0].Matched != "udi" {
		t.Errorf("the inventory: %+v", a.Facts)
	}
}
