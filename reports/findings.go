package reports

import (
	"bytes"
	"cmp"
	"encoding/json"
	"iter"
	"slices"

	"probity/evidence"
	"probity/internal/safetext"
)

// Findings are those of an assessment by their number, from 0. A report holds none
// of them for long, so that it takes little memory however many there are.
type Findings interface {
	Len() int
	At(i int) evidence.Finding
}

// FindingList are findings that are in memory.
type FindingList []evidence.Finding

// Len implements [Findings].
func (l FindingList) Len() int { return len(l) }

// At implements [Findings].
func (l FindingList) At(i int) evidence.Finding { return l[i] }

// Ordered are the findings of a document in its order. Each is made when it is asked
// for. The zero value is empty.
type Ordered struct {
	b      *builder
	groups []group
	n      int
}

// group are the numbers of the findings of one rule with one outcome, in any order.
type group struct {
	outcome  evidence.Outcome
	severity evidence.Severity
	rule     string
	numbers  []int32
}

// Len returns the number of findings.
func (o Ordered) Len() int { return o.n }

// All yields the findings.
func (o Ordered) All() iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		for _, g := range o.groups {
			for f := range o.b.sorted(g) {
				if !yield(o.b.finding(&f)) {
					return
				}
			}
		}
	}
}

// first returns the first n findings.
func (o Ordered) first(n int) []Finding {
	out := make([]Finding, 0, min(n, o.n))
	for f := range o.All() {
		if len(out) == n {
			break
		}
		out = append(out, f)
	}
	return out
}

// MarshalJSON implements [json.Marshaler]. [JSON] writes one finding after the other.
func (o Ordered) MarshalJSON() ([]byte, error) {
	return json.Marshal(slices.AppendSeq(make([]Finding, 0, o.n), o.All()))
}

// sorted yields the findings of a group by endpoint and key.
func (b *builder) sorted(g group) iter.Seq[evidence.Finding] {
	return func(yield func(evidence.Finding) bool) {
		type row struct {
			endpoint evidence.Endpoint
			key      evidence.Digest
			number   int32
		}
		rows := make([]row, len(g.numbers))
		for i, n := range g.numbers {
			f := b.in.Findings.At(int(n))
			rows[i] = row{f.Subject.Endpoint, f.Key, n}
		}
		slices.SortFunc(rows, func(x, y row) int {
			if n := x.endpoint.Compare(y.endpoint); n != 0 {
				return n
			}
			return cmp.Or(bytes.Compare(x.key[:], y.key[:]), cmp.Compare(x.number, y.number))
		})
		for _, r := range rows {
			if !yield(b.in.Findings.At(int(r.number))) {
				return
			}
		}
	}
}

// finding is a finding as the document shows it.
func (b *builder) finding(f *evidence.Finding) Finding {
	out := Finding{
		ID: f.ID, Run: f.Run, Key: f.Key.String(), Rule: f.Rule, Severity: f.Severity, Outcome: f.Outcome,
		Title: safetext.Clean(f.Title), Detail: safetext.Clean(f.Detail), Asset: safetext.Clean(f.Asset),
		Certificate: digestText(f.Subject.Certificate), Observations: f.Observations,
	}
	if out.Observations == nil {
		out.Observations = []int64{}
	}
	out.HeardOnly = len(f.Observations) > 0 && !slices.ContainsFunc(f.Observations, func(id int64) bool { return !b.heard[id] })
	if f.Subject.Endpoint != (evidence.Endpoint{}) {
		out.Endpoint = safetext.Clean(f.Subject.Endpoint.String())
	}
	if g := f.Subject.Group; g != nil {
		out.Group = safetext.Clean(string(g.Kind) + " " + g.Value)
	}
	return out
}

// tally is what a report needs to know of all findings together.
type tally struct {
	groups       []group
	perRule      map[string]*Counts
	bySeverity   map[evidence.Severity]*Counts
	all          Counts
	perAsset     map[string]*assetCounts // by id
	endpoints    map[evidence.Endpoint]bool
	certificates map[evidence.Digest]bool // those of subjects
	members      map[evidence.Digest]bool // those of groups
	observations map[int64]bool
	duplicates   []evidence.Finding
	actions      map[string]*action // by rule
}

// assetCounts are the findings of an asset.
type assetCounts struct {
	outcomes Counts
	worst    evidence.Severity
}

// action counts the fails and warns of a rule.
type action struct {
	title      string
	severity   evidence.Severity
	fail, warn int
	assets     map[string]bool
}

// take goes over the findings once.
func take(fs Findings) *tally {
	t := &tally{
		perRule: map[string]*Counts{}, bySeverity: map[evidence.Severity]*Counts{}, perAsset: map[string]*assetCounts{},
		endpoints: map[evidence.Endpoint]bool{}, certificates: map[evidence.Digest]bool{}, members: map[evidence.Digest]bool{},
		observations: map[int64]bool{}, actions: map[string]*action{},
	}
	type key struct {
		outcome  evidence.Outcome
		severity evidence.Severity
		rule     string
	}
	groups, counted := map[key]int{}, map[*int64]int{}
	for i := range fs.Len() {
		f := fs.At(i)
		k := key{f.Outcome, f.Severity, f.Rule}
		g, known := groups[k]
		if !known {
			g = len(t.groups)
			groups[k] = g
			t.groups = append(t.groups, group{outcome: f.Outcome, severity: f.Severity, rule: f.Rule})
		}
		t.groups[g].numbers = append(t.groups[g].numbers, int32(i)) //nolint:gosec // far fewer findings fit into memory
		t.count(&f)
		// Findings on one subject share their list.
		if n := len(f.Observations); n > 0 && counted[&f.Observations[0]] < n {
			counted[&f.Observations[0]] = n
			for _, id := range f.Observations {
				t.observations[id] = true
			}
		}
	}
	outcomes := evidence.Outcomes()
	slices.SortFunc(t.groups, func(x, y group) int {
		return cmp.Or(cmp.Compare(slices.Index(outcomes, x.outcome), slices.Index(outcomes, y.outcome)),
			y.severity.Compare(x.severity), cmp.Compare(x.rule, y.rule))
	})
	return t
}

func (t *tally) count(f *evidence.Finding) {
	at(t.perRule, f.Rule).add(f.Outcome)
	at(t.bySeverity, f.Severity).add(f.Outcome)
	t.all.add(f.Outcome)
	if f.Subject.Endpoint != (evidence.Endpoint{}) {
		t.endpoints[f.Subject.Endpoint] = true
	}
	if !f.Subject.Certificate.IsZero() {
		t.certificates[f.Subject.Certificate] = true
	}
	if g := f.Subject.Group; g != nil {
		t.duplicates = append(t.duplicates, *f)
		for _, c := range g.Certificates {
			t.members[c] = true
		}
	}
	var todo *action
	if f.Outcome == evidence.Fail || f.Outcome == evidence.Warn {
		todo = t.actions[f.Rule]
		if todo == nil {
			todo = &action{title: f.Title, severity: f.Severity, assets: map[string]bool{}}
			t.actions[f.Rule] = todo
		}
		if f.Outcome == evidence.Fail {
			todo.fail++
		} else {
			todo.warn++
		}
	}
	for id := range concerns(f) {
		a := at(t.perAsset, id)
		a.outcomes.add(f.Outcome)
		if f.Outcome == evidence.Fail && f.Severity.Compare(a.worst) > 0 {
			a.worst = f.Severity
		}
		if todo != nil {
			todo.assets[id] = true
		}
	}
}

// at is the value of a key, which is made when it is first asked for.
func at[K comparable, V any](m map[K]*V, k K) *V {
	v := m[k]
	if v == nil {
		v = new(V)
		m[k] = v
	}
	return v
}

// concerns yields the assets of a finding: its own, or all that a group shares.
func concerns(f *evidence.Finding) iter.Seq[string] {
	return func(yield func(string) bool) {
		if f.Asset != "" && !yield(f.Asset) || f.Subject.Group == nil {
			return
		}
		for _, id := range f.Subject.Group.Assets {
			if !yield(id) {
				return
			}
		}
	}
}
