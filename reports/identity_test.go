package reports

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

func TestAsset_identify(t *testing.T) {
	var x Asset
	x.identify([]evidence.Claim{
		{Attribute: evidence.AttrClass, Value: "medical device", Confidence: 70, Layer: "sdc"},
		{Attribute: evidence.AttrClass, Value: "pump", Confidence: 91, Layer: evidence.LayerVerdict},
		{Attribute: evidence.AttrIdentity, Value: "identified", Layer: "label"}, // no verdict
		{Attribute: evidence.AttrIdentity, Value: string(evidence.LevelProbable), Layer: evidence.LayerVerdict},
		{Attribute: evidence.AttrConflict, Value: `manufacturer: "A" by dicom, but "B" by x509`, Layer: evidence.LayerVerdict},
	})
	want := Asset{Identity: evidence.LevelProbable, Class: "pump", Conflicts: []string{`manufacturer: "A" by dicom, but "B" by x509`}}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	x.Label = "bed 1"
	if err := identityText(&b, Document{Assets: []Asset{x, {Identity: evidence.LevelNone}}}, TableOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"IDENTITY of 2 assets: 1 probable, 1 unknown\n", `bed 1  manufacturer: "A" by dicom, but "B" by x509`} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in:\n%s", line, b.String())
		}
	}
}

// TestAssetTable_fits holds that no line of a device with many places is wider than
// the terminal.
func TestAssetTable_fits(t *testing.T) {
	a := AssetRecord{ID: "asset-1", Label: "pump", Claims: []Claim{
		{Attribute: "udi", Value: strings.Repeat("0123456789", 12), Layer: "sdc"},
		{Attribute: "operating_system", Value: "Debian", Layer: "inventory", Confidence: 95, Observation: 1234567},
	}}
	for i := range 40 {
		addr := fmt.Sprintf("2001:db8:0:1::%x", 0xf000+i)
		a.Addresses = append(a.Addresses, addr)
		a.Stays = append(a.Stays, AssetStay{ID: "stay-" + addr, Address: addr})
		a.Events = append(a.Events, AssetEvent{
			Kind: "joined", Subject: addr, Before: "stay-" + addr, After: "asset-1",
			Detail: "the same MAC address 00:1a:2b:3c:4d:5e, one after the other", Observations: []int64{1, 2},
		})
	}
	for _, width := range []int{60, 80, 120, 200} {
		var b strings.Builder
		if err := AssetTable(&b, a, TableOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len(strings.TrimRight(line, "\n ")); n > width {
				t.Errorf("%d columns at %d: %s", n, width, line)
			}
		}
	}
}

// TestAssetsTable_known holds that a list says of each asset what is known of it,
// keeps ids in one piece and fits the terminal, whatever a device calls itself.
func TestAssetsTable_known(t *testing.T) {
	long := strings.Repeat("very-long-host-name.", 40)
	claims := func(list ...string) (out []Claim) {
		for i := 0; i < len(list); i += 3 {
			out = append(out, Claim{Attribute: list[i], Value: list[i+1], Layer: list[i+2], Confidence: 50})
		}
		return out
	}
	assets := []AssetRecord{
		{
			ID: "asset-0a1b2c3d4e5f", Addresses: []string{"192.0.2.7"}, Endpoints: []string{"tcp/192.0.2.7:104", "tcp/192.0.2.7:443#a", "tcp/192.0.2.7:443#b", "udp/192.0.2.7:0"},
			Claims: claims("role", "DICOM node", "dicom", "toolkit", "OFFIS DCMTK", "dicom", "class", "medical device", "dicom"),
		},
		{
			ID: "asset-1a1b2c3d4e5f", Addresses: []string{"2001:db8::7", "2001:db8::8", "2001:db8::9", "2001:db8::a"}, Status: "retired",
			Claims: claims("manufacturer", "Acme", "oui", "mac", "00:1b:21:0a:0b:0c", "arp", "identity", "possible", "verdict"),
		},
		{ID: "asset-2a1b2c3d4e5f", Stays: []AssetStay{{Address: "192.0.2.9"}}, Claims: claims("hostname", long, "x509", "hint", "honeypot", "dicom")},
		{
			ID: "asset-3a1b2c3d4e5f", Addresses: []string{"192.0.2.3"}, Claims: claims("hostname", "seen", "mdns"),
			Facts: []AssetStated{
				{Kind: "label", Values: map[string]string{"name": "CT 1", "location": "Ward 3"}},
				{Kind: "inventory", Values: map[string]string{"name": "listed", "asset_tag": "A-9"}},
			},
		},
	}
	for _, width := range []int{60, 80, 110, 130, 300} {
		var b strings.Builder
		if err := AssetsTable(&b, assets, TableOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(b.String()), " ")
		for _, a := range assets {
			if !strings.Contains(text, a.ID) {
				t.Errorf("at %d: %s is not in one piece:\n%s", width, a.ID, b.String())
			}
		}
		for line := range strings.Lines(b.String()) {
			if n := len(strings.TrimRight(line, "\n ")); n > width {
				t.Errorf("%d columns at %d: %s", n, width, line)
			}
		}
		if width < 300 {
			continue
		}
		for _, want := range []string{
			"DICOM node, OFFIS DCMTK (unknown) medical device (50) 192.0.2.7 tcp/104 tcp/443 0001",
			"Acme (possible) - 2001:db8::7 2001:db8::8 2001:db8::9 +1 00:1b:21:0a:0b:0c of Acme - 0001",
			"retired", "was 192.0.2.9", "very-long-host-name.…, perhaps a honeypot (unknown)", "CT 1, tag A-9 (unknown) - 192.0.2.3 in Ward 3",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in:\n%s", want, b.String())
			}
		}
	}
}
