package identify

import (
	"slices"
	"strings"

	"probity/evidence"
)

// The values of a statement that splits an asset: ids of stays, with blanks
// between them.
const (
	SplitApart = "apart" // those that are another device
	SplitFrom  = "from"  // those that stay
)

// statements are what people said about which stays are one device.
type statements struct {
	facts  []evidence.AssetFact
	splits []splitFact
}

type splitFact struct{ apart, from []string }

func newStatements(facts []evidence.AssetFact) statements {
	st := statements{facts: facts}
	for _, f := range facts {
		if f.Kind == evidence.FactSplit {
			st.splits = append(st.splits, splitFact{strings.Fields(f.Values[SplitApart]), strings.Fields(f.Values[SplitFrom])})
		}
	}
	return st
}

// split reports whether people said that two stays are two devices.
func (st statements) split(a, b *stay) bool {
	for _, s := range st.splits {
		if slices.Contains(s.apart, a.id) && slices.Contains(s.from, b.id) ||
			slices.Contains(s.apart, b.id) && slices.Contains(s.from, a.id) {
			return true
		}
	}
	return false
}

// merges are the joins that people ordered, as far as both stays are there and
// nobody said the contrary later.
func (st statements) merges(find func(string) *stay) []edge {
	var out []edge
	for i, f := range st.facts {
		if f.Kind != evidence.FactMerge {
			continue
		}
		a, b := find(f.Asset), find(f.Other)
		if a == nil || b == nil || newStatements(st.facts[i:]).split(a, b) {
			continue
		}
		reason := "a person said so"
		if f.Reason != "" {
			reason += ": " + f.Reason
		}
		out = append(out, edge{a, b, 0, reason, shownIn{}})
	}
	return out
}

// inForce leaves out the splits that a later merge undoes.
func (st statements) inForce(find func(string) *stay) statements {
	var kept []splitFact
	n := 0
	for i, f := range st.facts {
		if f.Kind != evidence.FactSplit {
			continue
		}
		s := st.splits[n]
		n++
		undone := slices.ContainsFunc(st.facts[i:], func(m evidence.AssetFact) bool {
			a, b := find(m.Asset), find(m.Other)
			return m.Kind == evidence.FactMerge && a != nil && b != nil && statements{splits: []splitFact{s}}.split(a, b)
		})
		if !undone {
			kept = append(kept, s)
		}
	}
	st.splits = kept
	return st
}

// named lists the stays that a statement names besides its assets.
func named(f evidence.AssetFact) []string {
	return append(strings.Fields(f.Values[SplitApart]), strings.Fields(f.Values[SplitFrom])...)
}
