//go:build cgo

package main

import (
	"net/netip"
	"strings"
	"testing"

	"probity/evidence"
	"probity/scanner"
)

// TestProtection_declared holds that what the operator says of a device beats what
// is on record and what an answer shows.
func TestProtection_declared(t *testing.T) {
	at := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	pump := []evidence.Claim{{Attribute: evidence.AttrClass, Value: "infusion pump", Confidence: 80, Layer: "sdc"}}
	assets := []evidence.Asset{
		{Addresses: []netip.Addr{at("10.0.0.1"), at("fd00::1")}, Claims: pump},
		{Addresses: []netip.Addr{at("10.0.0.2")}, Claims: pump},
		{Addresses: []netip.Addr{at("10.0.0.3"), at("10.0.0.4")}},
	}
	list, err := scanner.ReadClasses(strings.NewReader("10.0.0.2 workstation\n10.0.0.3 ventilator\n"), "classes")
	if err != nil {
		t.Fatal(err)
	}
	p := newProtection(assets, scanner.NewClasses(list))
	for addr, want := range map[string]bool{"10.0.0.1": true, "fd00::1": true, "10.0.0.2": false, "10.0.0.4": false} {
		if why := p.why(at(addr), nil); (why != "") != want {
			t.Errorf("%s: left alone for %q, want %t", addr, why, want)
		}
	}
	same := sameAsset(assets, map[netip.Addr]string{at("10.0.0.3"): "A7", at("10.0.0.9"): "A7"})
	for _, group := range [][]string{{"10.0.0.1", "fd00::1"}, {"10.0.0.3", "10.0.0.4", "10.0.0.9"}} {
		for _, addr := range group {
			if same[at(addr)] == "" || same[at(addr)] != same[at(group[0])] {
				t.Errorf("%s: asset %q, want that of %s, %q", addr, same[at(addr)], group[0], same[at(group[0])])
			}
		}
	}
	if same[at("10.0.0.2")] != "" || same[at("10.0.0.1")] == same[at("10.0.0.3")] {
		t.Errorf("assets %v", same)
	}
}
