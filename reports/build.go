package reports

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/rules/catalogue"
)

// builder holds what the parts of a document share.
type builder struct {
	in Input
	*tally
	rules   map[string]catalogue.Rule
	heard   map[int64]bool               // observations that anyone can have forged
	byPlace map[evidence.Endpoint]string // asset of an endpoint
	byAddr  map[string]string            // asset of an address
	labels  map[string]string            // of an asset
}

// Build makes the document of a report. The inputs are not changed.
func Build(in Input) Document {
	if in.Findings == nil {
		in.Findings = FindingList(nil)
	}
	b := &builder{
		in: in, tally: take(in.Findings), rules: map[string]catalogue.Rule{},
		byPlace: map[evidence.Endpoint]string{}, byAddr: map[string]string{}, labels: map[string]string{},
	}
	for _, r := range in.Catalogue.Rules() {
		b.rules[r.ID] = r
	}
	d := Document{
		Schema: Schema, Tool: safetext.Clean(in.Tool), Generated: in.Generated.UTC(), AsOf: in.AsOf.UTC(),
		Profile: in.Profile, ProfileNote: profileNote(in.Profile), Policy: digestText(in.Policy),
		Verify: []string{}, Checkpoint: checkpoint(in.Checkpoint),
	}
	for _, step := range in.Verify {
		d.Verify = append(d.Verify, safetext.Clean(step))
	}
	b.heard = b.forgeable()
	d.Assets = b.assets()
	d.Findings = Ordered{b: b, groups: b.groups, n: in.Findings.Len()}
	d.Duplicates = b.duplicateList()
	d.Summary = b.summary(d.Assets)
	d.Actions = b.actionList()
	d.Rules = b.ruleList()
	d.Sources = b.sources()
	d.Clauses = b.clauses()
	d.Limits, d.Catalogue = b.limits()
	d.Traffic = b.traffic()
	d.Coverage = b.coverage()
	d.Runs = b.runs()
	d.Observations = b.observationList()
	d.Certificates = b.certificateList()
	return d
}

// checkpoint cleans a checkpoint; the lines of its note stay apart.
func checkpoint(c *Checkpoint) *Checkpoint {
	if c == nil {
		return nil
	}
	x := *c
	x.Origin, x.Root, x.State = safetext.Clean(c.Origin), safetext.Clean(c.Root), safetext.Clean(c.State)
	lines := strings.Split(c.Note, "\n")
	for i := range lines {
		lines[i] = safetext.Clean(lines[i])
	}
	x.Note = strings.Join(lines, "\n")
	return &x
}

func profileNote(p string) string {
	switch p {
	case "premarket":
		return "Verdicts for a device before it is sold: a warn of a rule marked strict is a fail."
	case "legacy":
		return "Verdicts as the catalogue lists them; each fail needs a recorded waiver and stays visible."
	}
	return "Verdicts as the catalogue lists them."
}

func digestText(d evidence.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func (b *builder) assets() []Asset {
	out := make([]Asset, 0, len(b.in.Assets))
	for _, a := range b.in.Assets {
		x := Asset{
			ID: safetext.Clean(a.ID), Label: label(a), Addresses: []string{}, Endpoints: []string{}, Claims: []Claim{},
			FirstSeen: a.FirstSeen.UTC(), LastSeen: a.LastSeen.UTC(),
		}
		for _, addr := range a.Addresses {
			x.Addresses = append(x.Addresses, addr.String())
			b.byAddr[addr.String()] = x.ID
		}
		for _, e := range slices.SortedFunc(slices.Values(a.Endpoints), evidence.Endpoint.Compare) {
			x.Endpoints = append(x.Endpoints, safetext.Clean(e.String()))
			b.byPlace[e] = x.ID
		}
		for _, c := range a.Claims {
			x.Claims = append(x.Claims, Claim{
				Attribute: string(c.Attribute), Value: safetext.Clean(c.Value), Confidence: c.Confidence,
				Layer: safetext.Clean(c.Layer), Source: safetext.Clean(c.Source), Observation: c.Observation,
			})
		}
		x.identify(a.Claims)
		if n := b.perAsset[a.ID]; n != nil {
			x.Outcomes, x.Worst = n.outcomes, n.worst
		}
		b.labels[x.ID] = x.Label
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(x, y Asset) int {
		return cmp.Or(y.Worst.Compare(x.Worst), cmp.Compare(y.Outcomes.Fail, x.Outcomes.Fail),
			cmp.Compare(y.Outcomes.Warn, x.Outcomes.Warn), cmp.Compare(x.ID, y.ID))
	})
	return out
}

// label is what to call an asset: maker and model or product family where claimed,
// else the name that people state, else a host name, else its first address.
func label(a evidence.Asset) string {
	best := map[evidence.Attribute]evidence.Claim{}
	for _, c := range a.Claims {
		if old, ok := best[c.Attribute]; !ok || c.Confidence > old.Confidence {
			best[c.Attribute] = c
		}
	}
	name := strings.TrimSpace(best[evidence.AttrManufacturer].Value + " " + cmp.Or(best[evidence.AttrModel].Value, best[evidence.AttrFamily].Value))
	if name == "" {
		name = statedIn(a.Facts, func(f evidence.AssetFact) (kind, value string) { return string(f.Kind), f.Values[evidence.ValueName] })
	}
	name = cmp.Or(name, best[evidence.AttrHostname].Value)
	if name == "" && len(a.Addresses) > 0 {
		name = a.Addresses[0].String()
	}
	if name == "" {
		name = a.ID
	}
	return safetext.CleanN(name, 120)
}

func (b *builder) duplicateList() []Duplicate {
	out := []Duplicate{}
	for _, f := range b.duplicates {
		g := f.Subject.Group
		d := Duplicate{
			Kind: g.Kind, Value: safetext.Clean(g.Value), Confidence: g.Confidence, Rule: f.Rule, Severity: f.Severity,
			Outcome: f.Outcome, Detail: safetext.Clean(f.Detail), Finding: f.Key.String(),
			Instances: b.instances(g), Certificates: []string{},
		}
		for _, c := range g.Certificates {
			d.Certificates = append(d.Certificates, c.String())
		}
		out = append(out, d)
	}
	outcomes := evidence.Outcomes()
	slices.SortStableFunc(out, func(x, y Duplicate) int {
		return cmp.Or(cmp.Compare(slices.Index(outcomes, x.Outcome), slices.Index(outcomes, y.Outcome)),
			y.Severity.Compare(x.Severity), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Value, y.Value))
	})
	return out
}

// instances groups the endpoints of a duplicate by the asset they belong to.
func (b *builder) instances(g *evidence.Duplicate) []Instance {
	endpoints := map[string][]string{}
	for _, id := range g.Assets {
		endpoints[safetext.Clean(id)] = []string{}
	}
	var loose []Instance
	for _, e := range g.Endpoints {
		text := safetext.Clean(e.String())
		id, ok := b.byPlace[e]
		if !ok {
			id, ok = b.byAddr[e.Addr.String()]
		}
		if ok {
			endpoints[id] = append(endpoints[id], text)
		} else {
			loose = append(loose, Instance{Label: text, Endpoints: []string{text}})
		}
	}
	out := make([]Instance, 0, len(endpoints)+len(loose))
	for _, id := range slices.Sorted(maps.Keys(endpoints)) {
		out = append(out, Instance{Asset: id, Label: cmp.Or(b.labels[id], id), Endpoints: endpoints[id]})
	}
	return append(out, loose...)
}

func (b *builder) summary(assets []Asset) Summary {
	s := Summary{
		Assets: len(assets), BySeverity: []SeverityCount{}, Outcomes: b.all,
		Endpoints: len(b.endpoints), Certificates: len(b.certificates),
	}
	for _, a := range assets {
		if a.Outcomes.Fail > 0 {
			s.AssetsWithFail++
		}
	}
	for _, severity := range slices.Backward(evidence.Severities()) {
		row := SeverityCount{Severity: severity}
		if c := b.bySeverity[severity]; c != nil {
			row.Counts = *c
		}
		s.BySeverity = append(s.BySeverity, row)
	}
	s.Headline = headline(s)
	return s
}

func headline(s Summary) string {
	o := s.Outcomes
	if o.Total() == 0 {
		return "Nothing was judged: there are no findings."
	}
	text := fmt.Sprintf("%s, %s and %s; %s.", count(o.Fail, "fail"), count(o.Warn, "warn"),
		fmt.Sprintf("%d inconclusive", o.Inconclusive), count(o.Pass, "pass", "passes"))
	if s.Assets > 0 {
		text += fmt.Sprintf(" %d of %s with at least one fail.", s.AssetsWithFail, count(s.Assets, "asset"))
	}
	return text
}

// count writes "1 asset" or "2 assets".
func count(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func (b *builder) actionList() []Action {
	out := make([]Action, 0, len(b.actions))
	for _, id := range slices.Sorted(maps.Keys(b.actions)) {
		r, todo := b.rules[id], b.actions[id]
		a := Action{
			Rule: id, Title: safetext.Clean(todo.title), Severity: todo.severity, Fail: todo.fail, Warn: todo.warn,
			Remediation: r.Remediation, Why: r.Rationale, FalsePositives: r.FalsePositives, Assets: []string{},
		}
		for id := range todo.assets {
			a.Assets = append(a.Assets, safetext.Clean(id))
		}
		slices.Sort(a.Assets)
		a.Assets = slices.Compact(a.Assets)
		out = append(out, a)
	}
	slices.SortStableFunc(out, func(x, y Action) int {
		return cmp.Or(cmp.Compare(min(y.Fail, 1), min(x.Fail, 1)), y.Severity.Compare(x.Severity),
			cmp.Compare(y.Fail, x.Fail), cmp.Compare(y.Warn, x.Warn))
	})
	return out
}
