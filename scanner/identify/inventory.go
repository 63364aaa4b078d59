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

// match finds the assets that the statements of people are about. An inventory
// row is matched by what names one device, and else by host name or address; a
// row that fits several devices fits none. Of the rows of one key, and of the
// labels of one asset, the newest counts, and the others stay listed.
func (r *Resolver) match(facts []evidence.AssetFact, g *grouping) map[*asset][]evidence.AssetFact {
	if len(facts) == 0 {
		return nil
	}
	rows := r.matchRows(facts, g)
	out := map[*asset][]evidence.AssetFact{}
	for _, f := range facts {
		if f.Kind == evidence.FactInventory {
			continue
		}
		for _, id := range slices.Compact([]string{f.Asset, f.Other}) {
			s := r.byID[id]
			if addr := r.stayAt(id); s == nil && addr.IsValid() && r.places[addr] != nil {
				s = r.find(id)
			}
			if s == nil || s.asset == nil { // nothing new is said of it
				continue
			}
			if !slices.ContainsFunc(out[s.asset], func(o evidence.AssetFact) bool { return o.ID == f.ID }) {
				out[s.asset] = append(out[s.asset], f)
			}
		}
	}
	for a, matched := range rows {
		out[a] = append(out[a], matched...)
		slices.SortStableFunc(out[a], func(x, y evidence.AssetFact) int { return cmp.Compare(x.ID, y.ID) })
	}
	return out
}

// matcher matches the rows of an inventory. Only those are looked at that are
// new, or have a name in common with an asset that is worked out anew.
type matcher struct {
	r      *Resolver
	rows   []evidence.AssetFact
	older  []map[string]string        // what each row said when the base was made; nil for nothing
	wanted map[string][]int           // rows that have a name
	named  map[string]map[string]bool // assets worked out anew that have such a name
	open   map[int]bool               // rows to look at
	formed map[string]*asset
	looked map[string]bool // assets of the base whose names were asked for
}

func (r *Resolver) matchRows(facts []evidence.AssetFact, g *grouping) map[*asset][]evidence.AssetFact {
	m := matcher{
		r: r, rows: Inventory(facts), wanted: map[string][]int{}, named: map[string]map[string]bool{}, open: map[int]bool{},
		formed: map[string]*asset{}, looked: map[string]bool{},
	}
	if len(m.rows) == 0 {
		return nil
	}
	m.prepare(facts)
	for done := 0; ; {
		for ; done < len(r.formed); done++ {
			m.take(r.formed[done])
		}
		m.release()
		more := m.affected()
		if len(more) == 0 || r.err != nil {
			break
		}
		g.run(more)
	}
	out := map[*asset][]evidence.AssetFact{}
	for i := range m.open {
		f := m.rows[i]
		id, by := m.holder(f.Values, m.now)
		if a := m.formed[id]; a != nil {
			f.Matched = by
			out[a] = append(out[a], f)
		}
	}
	return out
}

// prepare lists what the rows may name and opens those that are new.
func (m *matcher) prepare(facts []evidence.AssetFact) {
	var before []evidence.AssetFact
	if m.r.base != nil {
		stated := m.r.base.Stated()
		before = Inventory(slices.DeleteFunc(slices.Clone(facts), func(f evidence.AssetFact) bool { return f.ID > stated }))
	}
	old := map[string]map[string]string{}
	for _, f := range before {
		old[f.Other] = f.Values
	}
	m.older = make([]map[string]string, len(m.rows))
	for i, f := range m.rows {
		m.older[i] = old[f.Other]
		names(f.Values, func(name, _ string) bool {
			m.wanted[name] = append(m.wanted[name], i)
			return true
		})
		if m.r.base == nil || f.ID > m.r.base.Stated() {
			m.open[i] = true
		}
	}
}

// take opens the rows that have a name of an asset that was worked out.
func (m *matcher) take(a *asset) {
	m.formed[a.name] = a
	for _, name := range m.r.history(a).names(a) {
		if len(m.wanted[name]) == 0 {
			continue
		}
		if m.named[name] == nil {
			m.named[name] = map[string]bool{}
		}
		m.named[name][a.name] = true
		for _, i := range m.wanted[name] {
			m.open[i] = true
		}
	}
}

// release opens the rows that have a name of an asset as the base has it.
func (m *matcher) release() {
	for id := range m.r.replaced {
		if m.looked[id] || m.r.base == nil {
			continue
		}
		m.looked[id] = true
		list, err := m.r.base.NamesOf(id)
		m.r.fail(err)
		for _, name := range list {
			for _, i := range m.wanted[name] {
				m.open[i] = true
			}
		}
	}
}

// affected lists stays of the assets that rows are matched to now, or were, and
// that are not worked out anew.
func (m *matcher) affected() []*stay {
	if m.r.base == nil {
		return nil
	}
	var out []*stay
	add := func(id string) {
		if id == "" || m.formed[id] != nil || m.r.replaced[id] {
			return
		}
		m.r.replaced[id] = true
		addrs, err := m.r.base.PlacesOf(id)
		m.r.fail(err)
		for _, addr := range addrs {
			p := m.r.place(addr)
			for _, s := range p.stays {
				if p.before[s.id] == id {
					out = append(out, s)
				}
			}
		}
	}
	for i := range m.open {
		now, _ := m.holder(m.rows[i].Values, m.now)
		was, _ := m.holder(m.older[i], m.then)
		add(now)
		add(was)
	}
	return out
}

// now and then list the assets that have a name.
func (m *matcher) now(name string) []string {
	out := slices.DeleteFunc(m.then(name), func(id string) bool { return m.r.replaced[id] })
	for id := range m.named[name] {
		out = append(out, id)
	}
	return out
}

func (m *matcher) then(name string) []string {
	if m.r.base == nil {
		return nil
	}
	out, err := m.r.base.Named(name)
	m.r.fail(err)
	return out
}

// holder returns the one asset that a row is about and what shows it, the surest
// first.
func (m *matcher) holder(row map[string]string, having func(string) []string) (id, by string) {
	names(row, func(name, k string) bool {
		if all := having(name); len(all) == 1 {
			id, by = all[0], k
		}
		return id == ""
	})
	return id, by
}

// names lists what may name the device of a row, the surest first: the name as
// assets have it, and the name of the value.
func names(row map[string]string, do func(name, k string) bool) {
	for _, k := range []string{
		string(evidence.AttrUDI), string(evidence.AttrSerial), evidence.ValueCertificate, string(evidence.AttrMAC),
		evidence.ValueName, evidence.ValueAddress,
	} {
		all := []string{row[k]}
		if k == evidence.ValueCertificate || k == string(evidence.AttrMAC) || k == evidence.ValueAddress { // may be several
			all = strings.Fields(row[k])
		}
		for _, text := range all {
			if text != "" && !do(nameOf(k, text), k) {
				return
			}
		}
	}
}

func nameOf(k, text string) string { return k + " " + normal(text) }

// names lists the names by which an inventory may mean an asset.
func (h *history) names(a *asset) []string {
	var out []string
	for _, c := range h.claims() {
		if slices.Contains([]evidence.Attribute{evidence.AttrSerial, evidence.AttrMAC, evidence.AttrUDI}, c.Attribute) {
			out = append(out, nameOf(string(c.Attribute), c.Value))
		}
		if c.Attribute == evidence.AttrHostname {
			out = append(out, nameOf(evidence.ValueName, c.Value))
		}
	}
	for k, t := range h.tracks {
		if k.sort == sortCertificate {
			for _, v := range t.values {
				out = append(out, nameOf(evidence.ValueCertificate, v.text))
			}
		}
	}
	for _, s := range a.stays {
		if !s.ended() && !a.left(s) {
			out = append(out, nameOf(evidence.ValueAddress, s.place.addr.String()))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Inventory returns the inventory rows about devices that are in force: the newest
// of each key.
func Inventory(facts []evidence.AssetFact) []evidence.AssetFact {
	return slices.DeleteFunc(inForce(facts), evidence.AssetFact.Disclosure)
}

// Disclosures returns what manufacturers disclose of models: the newest of each.
func Disclosures(facts []evidence.AssetFact) []evidence.AssetFact {
	return slices.DeleteFunc(inForce(facts), func(f evidence.AssetFact) bool { return !f.Disclosure() })
}

func inForce(facts []evidence.AssetFact) []evidence.AssetFact {
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
