//go:build cgo

package main

import (
	"testing"

	"probity/evidence"
	"probity/evidence/store"
	"probity/fixtures/lab"
)

// wantIdentities holds what a scan of a lab claims against the truth: no device
// is of another maker or model than what is claimed with more than a hint.
func wantIdentities(t *testing.T, truth lab.Truth, db string) {
	t.Helper()
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	assets, err := st.Assets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	devices := map[string]lab.Device{}
	for _, d := range truth.Devices {
		for _, addr := range d.Addresses {
			devices[addr] = d
		}
	}
	identified, claimed := 0, 0
	for _, a := range assets {
		level, best := evidence.LevelNone, map[evidence.Attribute]evidence.Claim{}
		for _, c := range a.Claims {
			if c.Attribute == evidence.AttrIdentity {
				level = evidence.Level(c.Value)
			}
			if c.Confidence > best[c.Attribute].Confidence {
				best[c.Attribute] = c
			}
		}
		if level == evidence.LevelIdentified || level == evidence.LevelConfirmed {
			identified++
		}
		maker, model := best[evidence.AttrManufacturer], best[evidence.AttrModel]
		if maker.Confidence < leastConfidence && level == evidence.LevelNone {
			continue
		}
		claimed++
		for _, addr := range a.Addresses {
			d := devices[addr.String()]
			if maker.Value != d.Manufacturer || model.Value != "" && model.Value != d.Model {
				t.Errorf("%s is %s as %q %q, in truth %q %q", addr, level, maker.Value, model.Value, d.Manufacturer, d.Model)
			}
		}
	}
	if claimed == 0 {
		t.Error("of no device a maker is claimed: the comparison shows nothing")
	}
	t.Logf("of %d of %d assets a maker is claimed, all rightly; %d are identified or confirmed", claimed, len(assets), identified)
}
