package reports

import (
	"encoding/csv"
	"net/netip"
	"strings"
	"testing"

	"probity/evidence"
)

// TestInventoryCSV holds that every device and every row has its line, that a row
// stands beside the device that it is about, and that no cell is a formula or more
// than one line, whatever a device calls itself.
func TestInventoryCSV(t *testing.T) {
	row := func(id int64, key string, values map[string]string) evidence.AssetFact {
		return evidence.AssetFact{ID: id, Kind: evidence.FactInventory, Other: key, Values: values}
	}
	mine := row(1, "id=7", map[string]string{"name": "ct-1", "address": "192.0.2.7", "status": "retired"})
	matched := mine
	matched.Matched = "address"
	assets := []evidence.Asset{
		{ID: "asset-1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, Facts: []evidence.AssetFact{matched}},
		{ID: "asset-2", Claims: []evidence.Claim{
			{Attribute: evidence.AttrHostname, Value: "=cmd|'/C calc'!A0\r\n\x1b[31m", Confidence: 50},
			{Attribute: evidence.AttrClass, Value: "pump", Confidence: 80},
		}},
	}
	var b strings.Builder
	if err := InventoryCSV(&b, InventoryRows(assets, []evidence.AssetFact{mine, row(2, "asset_tag=a-9", map[string]string{"asset_tag": "A-9"})})); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lines[1:] {
		var cells []string
		for i, c := range l {
			if c != "" && !strings.Contains(lines[0][i], "_seen") {
				cells = append(cells, lines[0][i]+"="+c)
			}
		}
		got = append(got, strings.Join(cells, " "))
	}
	want := []string{
		"id=7 address=192.0.2.7 name=ct-1 status=retired probity_asset=asset-1 probity_address=192.0.2.7 probity_name=ct-1 probity_identity=unknown probity_status=retired probity_matched=address",
		`probity_asset=asset-2 probity_name='=cmd|'/C calc'!A0\x0d\x0a\x1b[31m probity_identity=unknown probity_class=pump probity_class_confidence=80`,
		"asset_tag=A-9",
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), b.String())
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d\n got %s\nwant %s", i+2, got[i], want[i])
		}
	}
}
