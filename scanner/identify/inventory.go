package identify

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"probity/evidence"
)

// The layers of what people said.
const (
	layerLabel     = "label"
	layerInventory = "inventory"
)

// What people said is what they answer for: above what a device says of itself,
// and a label above a list.
const (
	confidenceLabel     = 100
	confidenceInventory = 95
)

// assign finds the asset that each statement is about. An inventory row is
// matched by what names one device, and else by host name or address; a row that
// fits several devices fits none. Of the rows of one key, and of the labels of
// one asset, the newest counts, and the others stay listed.
func (r *Resolver) assign(facts []evidence.AssetFact) map[*asset][]evidence.AssetFact {
	if len(facts) == 0 {
		return nil
	}
	out := map[*asset][]evidence.AssetFact{}
	for _, f := range facts {
		if f.Kind == evidence.FactInventory {
			continue
		}
		for _, id := range slices.Compact([]string{f.Asset, f.Other}) {
			if s := r.find(id); s != nil && !slices.ContainsFunc(out[s.asset], func(o evidence.AssetFact) bool { return o.ID == f.ID }) {
				out[s.asset] = append(out[s.asset], f)
			}
		}
	}
	rows := Inventory(facts)
	if len(rows) == 0 {
		return out
	}
	ix := r.index()
	for _, f := range rows {
		if a, by := ix.match(f.Values); a != nil {
			f.Matched = by
			out[a] = append(out[a], f)
		}
	}
	for a := range out {
		slices.SortStableFunc(out[a], func(x, y evidence.AssetFact) int { return cmp.Compare(x.ID, y.ID) })
	}
	return out
}

// Inventory returns the inventory rows that are in force: the newest of each key.
func Inventory(facts []evidence.AssetFact) []evidence.AssetFact {
	newest := map[string]int64{}
	for _, f := range facts {
		if f.Kind == evidence.FactInventory {
			newest[f.Other] = f.ID
		}
	}
	var out []evidence.AssetFact
	for _, f := range facts {
		if f.Kind == evidence.FactInventory && newest[f.Other] == f.ID {
			out = append(out, f)
		}
	}
	return out
}

// index finds assets by what names them; nil stands for several.
type index map[string]*asset

func (ix index) put(attribute, text string, a *asset) {
	k := attribute + "\x00" + normal(text)
	if old, ok := ix[k]; ok && old != a {
		ix[k] = nil
		return
	}
	ix[k] = a
}

func (r *Resolver) index() index {
	ix := index{}
	for a, built := range r.assets {
		for _, c := range built.Claims {
			if slices.Contains([]evidence.Attribute{evidence.AttrSerial, evidence.AttrMAC, evidence.AttrUDI}, c.Attribute) {
				ix.put(string(c.Attribute), c.Value, a)
			}
			if c.Attribute == evidence.AttrHostname {
				ix.put(evidence.ValueName, c.Value, a)
			}
		}
		for _, s := range a.stays {
			for i := range s.place.sights[s.lo:s.hi] {
				for _, m := range r.contents[s.place.sights[s.lo+i].content].marks {
					if r.marks[m].sort == sortCertificate {
						ix.put(evidence.ValueCertificate, r.values[r.marks[m].value].text, a)
					}
				}
			}
		}
		for _, addr := range built.Addresses {
			ix.put(evidence.ValueAddress, addr.String(), a)
		}
	}
	return ix
}

// match returns the one asset that a row is about and what shows it, the surest
// first.
func (ix index) match(row map[string]string) (*asset, string) {
	for _, k := range []string{
		string(evidence.AttrUDI), string(evidence.AttrSerial), evidence.ValueCertificate, string(evidence.AttrMAC),
		evidence.ValueName, evidence.ValueAddress,
	} {
		for text := range strings.FieldsSeq(strings.ReplaceAll(row[k], ",", " ")) {
			if a := ix[k+"\x00"+normal(text)]; a != nil {
				return a, k
			}
		}
	}
	return nil, ""
}

// normal is what two spellings of one identifier have in common.
func normal(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr().Unmap().String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return strings.Map(func(c rune) rune {
		if c == ':' || c == '-' || c == ' ' || c == '.' {
			return -1
		}
		return c
	}, s)
}

// statedClaims are the claims that people make: the newest for each attribute,
// labels before inventories.
func statedClaims(facts []evidence.AssetFact) []evidence.Claim {
	type key struct {
		attribute evidence.Attribute
		layer     string
	}
	latest := map[key]evidence.Claim{}
	for _, f := range facts {
		layer, confidence := layerLabel, confidenceLabel
		switch f.Kind {
		case evidence.FactInventory:
			layer, confidence = layerInventory, confidenceInventory
		case evidence.FactLabel:
		default:
			continue
		}
		for k, v := range f.Values {
			if a := evidence.Attribute(k); claimable(a) {
				latest[key{a, layer}] = evidence.Claim{Attribute: a, Value: v, Confidence: confidence, Layer: layer}
			}
		}
	}
	out := slices.Collect(maps.Values(latest))
	slices.SortFunc(out, func(a, b evidence.Claim) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Layer, b.Layer))
	})
	return slices.DeleteFunc(out, func(c evidence.Claim) bool { return c.Value == "" })
}

// claimable reports whether a value of a statement says what an attribute is.
func claimable(a evidence.Attribute) bool {
	return slices.Contains([]evidence.Attribute{
		evidence.AttrManufacturer, evidence.AttrModel, evidence.AttrVersion, evidence.AttrSerial, evidence.AttrClass,
		evidence.AttrUDI, evidence.AttrOS, evidence.AttrHostname,
	}, a)
}
