package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// identify fills in how well the asset is identified, of which class it is, and
// what contradicts it.
func (x *Asset) identify(claims []evidence.Claim) {
	x.Identity = evidence.LevelNone
	var best evidence.Claim
	for _, c := range claims {
		switch {
		case c.Attribute == evidence.AttrIdentity && c.Layer == evidence.LayerVerdict:
			x.Identity = evidence.Level(safetext.Clean(c.Value))
		case c.Attribute == evidence.AttrConflict && c.Layer == evidence.LayerVerdict:
			x.Conflicts = append(x.Conflicts, safetext.Clean(c.Value))
		case c.Attribute == evidence.AttrClass && cmp.Or(cmp.Compare(c.Confidence, best.Confidence), cmp.Compare(best.Value, c.Value)) > 0:
			best = c
		}
	}
	x.Class = safetext.Clean(best.Value)
	slices.Sort(x.Conflicts)
}

// identityText says how many assets are identified how well, and lists what
// contradicts itself.
func identityText(b *bytes.Buffer, d Document, o TableOptions) error {
	if len(d.Assets) == 0 {
		return nil
	}
	levels := map[evidence.Level]int{}
	var rows [][]string
	for _, a := range d.Assets {
		levels[a.Identity]++
		for _, c := range a.Conflicts {
			rows = append(rows, []string{a.Label, c})
		}
	}
	var parts []string
	for _, l := range []evidence.Level{evidence.LevelConfirmed, evidence.LevelIdentified, evidence.LevelProbable, evidence.LevelPossible, evidence.LevelNone} {
		if levels[l] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", levels[l], l))
		}
	}
	fmt.Fprintf(b, "\nIDENTITY of %s: %s\n", count(len(d.Assets), "asset"), strings.Join(parts, ", "))
	if len(rows) == 0 {
		return nil
	}
	shown := len(rows)
	if o.Max > 0 {
		shown = min(shown, o.Max)
	}
	return grid(b, []string{"ASSET", "LAYERS CONTRADICT EACH OTHER"}, rows[:shown], o.width())
}
