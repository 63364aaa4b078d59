package identify

import (
	"slices"
	"strings"

	"probity/evidence"
)

// The values of a statement that splits an asset, or merges two: ids of stays, with
// blanks between them. They keep it clear whatever is seen later.
const (
	SplitApart = "apart" // those that are another device
	SplitFrom  = "from"  // those that stay
	MergeKept  = "kept"  // those of the asset
	MergeEnded = "ended" // those of the other
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

// merged are the stays on both sides of a merge.
func merged(f evidence.AssetFact) (kept, ended []string) {
	return sides(f.Values[MergeKept], f.Asset), sides(f.Values[MergeEnded], f.Other)
}

func sides(stays, asset string) []string {
	if ids := strings.Fields(stays); len(ids) > 0 {
		return ids
	}
	return []string{asset}
}

// mostPairs bounds the pairs of stays that one merge joins; of more, one of each side
// is joined with all of the other.
const mostPairs = 4096

// merges are the joins that people ordered, as far as both stays are there and
// nobody said the contrary later. All stays of both assets are joined, so that what
// contradicts the merge does not take them apart.
func (st statements) merges(find func(string) *stay) []edge {
	var out []edge
	for i, f := range st.facts {
		if f.Kind != evidence.FactMerge {
			continue
		}
		reason := "a person said so"
		if f.Reason != "" {
			reason += ": " + f.Reason
		}
		later := newStatements(st.facts[i:])
		pairs(f, find, func(a, b *stay) {
			if !later.split(a, b) {
				out = append(out, edge{a, b, 0, reason, shownIn{}})
			}
		})
	}
	return out
}

// pairs calls do with the stays that a merge joins, that of the ids of the assets
// first.
func pairs(f evidence.AssetFact, find func(string) *stay, do func(a, b *stay)) {
	kept, ended := merged(f)
	for i, x := range kept {
		a := find(x)
		for j, y := range ended {
			if len(kept)*len(ended) > mostPairs && i > 0 && j > 0 {
				break
			}
			if b := find(y); a != nil && b != nil {
				do(a, b)
			}
		}
	}
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
			found := false
			if m.Kind == evidence.FactMerge {
				pairs(m, find, func(a, b *stay) { found = found || statements{splits: []splitFact{s}}.split(a, b) })
			}
			return found
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
	var out []string
	for _, k := range []string{SplitApart, SplitFrom, MergeKept, MergeEnded} {
		out = append(out, strings.Fields(f.Values[k])...)
	}
	return out
}
