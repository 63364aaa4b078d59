package reports

import (
	"cmp"
	"maps"
	"slices"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/rules/catalogue"
)

// ruleList is every rule that has findings, by id.
func (b *builder) ruleList() []Rule {
	out := []Rule{}
	for _, id := range slices.Sorted(maps.Keys(b.perRule)) {
		r := b.rules[id]
		x := Rule{
			ID: id, Title: r.Title, Severity: r.Severity, Lint: r.Lint, Why: r.Rationale, Observed: r.Observed,
			Verdicts: r.Verdicts, Remediation: r.Remediation, FalsePositives: r.FalsePositives,
			Clauses: []RuleClause{}, Outcomes: *b.perRule[id],
		}
		for _, c := range r.Clauses {
			x.Clauses = append(x.Clauses, RuleClause{
				Source: c.Source, Edition: c.Edition, Clause: c.Clause, Title: c.Title, Relation: c.Relation, Verified: c.Verified,
			})
		}
		out = append(out, x)
	}
	return out
}

// sources are the sources of the catalogue that clauses name, in its order.
func (b *builder) sources() []Source {
	named := map[string]bool{}
	for _, r := range b.rules {
		for _, c := range r.Clauses {
			named[c.Source] = true
		}
	}
	out := []Source{}
	for _, s := range b.in.Catalogue.Sources() {
		if named[s.ID] {
			out = append(out, Source{
				ID: s.ID, Title: s.Title, Edition: s.Edition, Publisher: s.Publisher,
				Force: s.Force, Verified: s.Verified, Checked: s.Checked,
			})
		}
	}
	return out
}

// clauses is the index of every clause of the catalogue, by source in the order
// of the catalogue and by the rules that bear on it.
func (b *builder) clauses() []Clause {
	type key struct{ source, clause, relation string }
	rows := map[key]*Clause{}
	order := []key{}
	for _, r := range b.in.Catalogue.Rules() {
		for _, c := range r.Clauses {
			k := key{c.Source, c.Clause, string(c.Relation)}
			if rows[k] == nil {
				rows[k] = &Clause{
					Source: c.Source, Edition: c.Edition, Clause: c.Clause, Title: c.Title, Relation: c.Relation,
					Force: c.Force, Verified: c.Verified, Rules: []string{}, Planned: []string{},
				}
				order = append(order, k)
			}
			row := rows[k]
			if !r.Decided() {
				row.Planned = append(row.Planned, r.ID)
				continue
			}
			row.Rules = append(row.Rules, r.ID)
			if n := b.perRule[r.ID]; n != nil {
				row.Outcomes.merge(*n)
			}
		}
	}
	place := map[string]int{}
	for i, s := range b.in.Catalogue.Sources() {
		place[s.ID] = i
	}
	out := make([]Clause, 0, len(order))
	for _, k := range order {
		row := *rows[k]
		row.Statement = statement(row)
		out = append(out, row)
	}
	slices.SortStableFunc(out, func(x, y Clause) int {
		return cmp.Or(cmp.Compare(place[x.Source], place[y.Source]), cmp.Compare(x.Clause, y.Clause))
	})
	return out
}

// statement words what the outcomes say about a clause. The verb follows from
// the relation, and only a rule that tests the clause itself says "meets".
func statement(c Clause) string {
	o := c.Outcomes.Outcome()
	switch {
	case c.Relation == evidence.RelationContext:
		return "background"
	case len(c.Rules) == 0:
		return "no check yet"
	case o == "":
		return "not observed"
	case o == evidence.NotApplicable:
		return "not applicable to what was observed"
	case o == evidence.Inconclusive:
		return "not shown: data is missing"
	case c.Relation == evidence.RelationInput:
		return "the observations are a record for it"
	}
	tests := c.Relation == evidence.RelationTests
	switch {
	case o == evidence.Fail && tests:
		return "an observation does not meet it"
	case o == evidence.Fail:
		return "an observation contradicts it"
	case o == evidence.Warn:
		return "an observation raises a doubt"
	case tests:
		return "the observations meet it"
	}
	return "the observations support it"
}

// limits are the limits of the method and of the standards that the rules with
// findings mention, and the rules that nothing decides.
func (b *builder) limits() (Limits, CatalogueInfo) {
	c := b.in.Catalogue
	mentioned := map[string]bool{}
	for id := range b.perRule {
		for _, cl := range b.rules[id].Clauses {
			mentioned[cl.Source] = true
		}
	}
	l := Limits{Method: c.Limits().Method, Standards: []StandardLimit{}, Undecided: []AreaCount{}}
	for _, s := range c.Limits().Standards {
		if slices.ContainsFunc(s.Sources, func(id string) bool { return mentioned[id] }) {
			l.Standards = append(l.Standards, StandardLimit{Name: s.Name, Shows: s.Shows, Never: s.Never})
		}
	}
	info := CatalogueInfo{Version: c.Version(), Date: c.Date(), Digest: c.Digest().String()}
	byArea := map[string]*AreaCount{}
	for _, a := range c.Areas() {
		byArea[a.ID] = &AreaCount{Area: a.ID, Title: a.Title, Rules: []string{}}
	}
	for _, r := range c.Rules() {
		info.Rules++
		a := byArea[r.Area]
		if r.Decided() {
			info.Decided++
			a.Decided++
		} else if r.Status == catalogue.Planned {
			info.Planned++
			a.Planned++
			a.Rules = append(a.Rules, r.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byArea)) {
		if byArea[id].Planned > 0 {
			l.Undecided = append(l.Undecided, *byArea[id])
		}
	}
	return l, info
}

// coverage says what was tried and what came of it.
func (b *builder) coverage() Coverage {
	c := Coverage{Probes: []ProbeSum{}, NotReached: []Unreached{}, Excluded: []Excluded{}}
	for _, r := range b.in.Runs {
		if r.End != nil {
			c.Targets += r.End.Targets
			c.Reached += r.End.Reached
			c.PacketsSeen += r.End.PacketsSeen
			c.PacketsDropped += r.End.PacketsDropped
		}
		for _, s := range r.Scope {
			if !s.Allowed {
				c.Excluded = append(c.Excluded, Excluded{Target: safetext.Clean(s.Target), Reason: safetext.Clean(s.Reason)})
			}
		}
	}
	sums := map[string]*ProbeSum{}
	for _, p := range b.in.Probes {
		s := sums[p.Probe]
		if s == nil {
			s = &ProbeSum{Probe: safetext.Clean(p.Probe)}
			sums[p.Probe] = s
		}
		s.Connections += p.Connections
		s.BytesSent += p.BytesSent
		s.BytesReceived += p.BytesReceived
		switch p.Outcome {
		case evidence.ProbeSent:
			s.Sent++
			continue
		case evidence.ProbeNotNeeded:
			s.NotNeeded++
			continue
		case evidence.ProbeSkipped:
			s.Skipped++
		}
		c.NotReached = append(c.NotReached, Unreached{
			Endpoint: safetext.Clean(p.Endpoint.String()), Probe: s.Probe, Why: "not probed: " + safetext.Clean(p.Reason),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		c.Probes = append(c.Probes, *sums[name])
	}
	c.NotReached = append(c.NotReached, b.silent()...)
	slices.SortStableFunc(c.NotReached, func(x, y Unreached) int {
		return cmp.Or(cmp.Compare(x.Why, y.Why), cmp.Compare(x.Endpoint, y.Endpoint), cmp.Compare(x.Probe, y.Probe))
	})
	return c
}

// silent lists the endpoints that were asked and never answered with data.
func (b *builder) silent() []Unreached {
	answered := map[evidence.Endpoint]bool{}
	first := map[evidence.Endpoint]evidence.Observation{}
	for _, o := range b.in.Observations {
		if o.Result == evidence.ResultData {
			answered[o.Endpoint] = true
		}
		if _, seen := first[o.Endpoint]; !seen {
			first[o.Endpoint] = o
		}
	}
	var out []Unreached
	for _, e := range slices.SortedFunc(maps.Keys(first), evidence.Endpoint.Compare) {
		if answered[e] {
			continue
		}
		why := map[evidence.Result]string{
			evidence.ResultRefused: "connection refused", evidence.ResultTimeout: "no answer in time",
			evidence.ResultReset: "closed before an answer", evidence.ResultError: "error",
		}[first[e].Result]
		if d := first[e].Detail; d != "" && first[e].Result == evidence.ResultError {
			why += ": " + safetext.Clean(d)
		}
		out = append(out, Unreached{Endpoint: safetext.Clean(e.String()), Why: cmp.Or(why, "no data")})
	}
	return out
}

func (b *builder) runs() []Run {
	out := []Run{}
	for _, r := range b.in.Runs {
		x := Run{
			ID: r.ID, UUID: safetext.Clean(r.UUID), Mode: r.Mode, Started: r.Started.UTC(), Tool: safetext.Clean(r.Tool),
			ToolSHA256: digestText(r.ToolHash), Catalogue: digestText(r.Catalogue), Config: digestText(r.Config),
			Operator: safetext.Clean(r.Operator), Authority: safetext.Clean(r.Authority), Sensor: safetext.Clean(r.Sensor),
			Note: safetext.Clean(r.Note),
		}
		if e := r.End; e != nil {
			x.Status, x.Ended, x.Targets, x.Reached = e.Status, e.Ended.UTC(), e.Targets, e.Reached
			x.PacketsSeen, x.PacketsDropped = e.PacketsSeen, e.PacketsDropped
			x.EndNote = safetext.Clean(e.Note)
		}
		out = append(out, x)
	}
	return out
}

// observationList lists the observations that findings rest on, by id.
func (b *builder) observationList() List[Observation] {
	if b.in.Lists != nil {
		return List[Observation]{func(yield func(Observation, error) bool) {
			for o, err := range b.in.Lists.Observations {
				if err == nil && !b.observations[o.ID] {
					continue
				}
				var raw []evidence.Digest
				for _, blob := range o.Raw {
					raw = append(raw, evidence.DigestOf(blob.Data))
				}
				if !yield(observed(&o, raw), err) || err != nil {
					return
				}
			}
		}}
	}
	out := []Observation{}
	for _, o := range b.in.Observations {
		if b.observations[o.ID] {
			out = append(out, observed(&o, b.in.Raw[o.ID]))
		}
	}
	slices.SortFunc(out, func(x, y Observation) int { return cmp.Compare(x.ID, y.ID) })
	return listOf(out)
}

// observed is an observation as a report lists it, with the digests of its raw bytes.
func observed(o *evidence.Observation, raw []evidence.Digest) Observation {
	x := Observation{
		ID: o.ID, Run: o.Run, Method: o.Method, Kind: o.Kind, Endpoint: safetext.Clean(o.Endpoint.String()),
		At: o.At.UTC(), Result: o.Result, Detail: safetext.Clean(o.Detail), Raw: []string{},
	}
	for _, sum := range raw {
		x.Raw = append(x.Raw, sum.String())
	}
	return x
}

// certificateList lists the certificates that findings name.
func (b *builder) certificateList() List[Certificate] {
	named := func(c Certificate) bool {
		sum, err := evidence.ParseDigest(c.SHA256)
		return err == nil && (b.certificates[sum] || b.members[sum])
	}
	clean := func(c Certificate) Certificate {
		c.Subject, c.Issuer, c.Serial = safetext.Clean(c.Subject), safetext.Clean(c.Issuer), safetext.Clean(c.Serial)
		c.KeyAlgorithm = safetext.Clean(c.KeyAlgorithm)
		return c
	}
	if b.in.Lists != nil {
		return List[Certificate]{func(yield func(Certificate, error) bool) {
			for c, err := range b.in.Lists.Certificates {
				if err == nil && !named(c) {
					continue
				}
				if !yield(clean(c), err) || err != nil {
					return
				}
			}
		}}
	}
	out := []Certificate{}
	for _, c := range b.in.Certificates {
		if named(c) {
			out = append(out, clean(c))
		}
	}
	slices.SortFunc(out, func(x, y Certificate) int { return cmp.Compare(x.SHA256, y.SHA256) })
	return listOf(out)
}
