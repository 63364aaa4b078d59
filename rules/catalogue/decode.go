package catalogue

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"probity/evidence"
	"probity/internal/strictyaml"
)

// Files that are not areas.
const (
	sourcesFile = "sources.yaml"
	limitsFile  = "limits.yaml"
)

// The shapes of the YAML files.
type (
	sourcesYAML struct {
		Version string                         `yaml:"version"`
		Date    string                         `yaml:"date"`
		Sources []strictyaml.Value[sourceYAML] `yaml:"sources"`
	}
	sourceYAML struct {
		ID        string `yaml:"id"`
		Title     string `yaml:"title"`
		Edition   string `yaml:"edition"`
		Publisher string `yaml:"publisher"`
		Citation  string `yaml:"citation"`
		Force     string `yaml:"force"`
		Verified  string `yaml:"verified"`
		Checked   string `yaml:"checked"`
	}
	limitsYAML struct {
		Method    []string                              `yaml:"method"`
		Standards []strictyaml.Value[standardLimitYAML] `yaml:"standards"`
	}
	standardLimitYAML struct {
		Name    string   `yaml:"name"`
		Sources []string `yaml:"sources"`
		Shows   string   `yaml:"shows"`
		Never   string   `yaml:"never"`
	}
	areaYAML struct {
		Area  strictyaml.Value[string]     `yaml:"area"`
		Title string                       `yaml:"title"`
		Rules []strictyaml.Value[ruleYAML] `yaml:"rules"`
	}
	ruleYAML struct {
		ID             string                         `yaml:"id"`
		Title          string                         `yaml:"title"`
		Severity       evidence.Severity              `yaml:"severity"`
		Rationale      string                         `yaml:"rationale"`
		Lint           string                         `yaml:"lint"`
		Command        string                         `yaml:"command"`
		Status         Status                         `yaml:"status"`
		Since          string                         `yaml:"since"`
		Strict         bool                           `yaml:"strict"`
		Observed       string                         `yaml:"observed"`
		Method         string                         `yaml:"method"`
		AppliesTo      []string                       `yaml:"applies_to"`
		Params         map[string]any                 `yaml:"params"`
		Verdicts       map[evidence.Outcome]string    `yaml:"verdicts"`
		Remediation    string                         `yaml:"remediation"`
		FalsePositives string                         `yaml:"false_positives"`
		Examples       []exampleYAML                  `yaml:"examples"`
		Clauses        []strictyaml.Value[clauseYAML] `yaml:"clauses"`
	}
	exampleYAML struct {
		Case string           `yaml:"case"`
		Want evidence.Outcome `yaml:"want"`
	}
	clauseYAML struct {
		Source   string            `yaml:"source"`
		Clause   string            `yaml:"clause"`
		Relation evidence.Relation `yaml:"relation"`
		Verified string            `yaml:"verified"`
		Title    string            `yaml:"title"`
	}
)

// load reads and validates every file of a folder.
func load(dir fs.FS) (*Catalogue, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("rule catalogue: %w", err)
	}
	slices.Sort(names)
	contents := make(map[string][]byte, len(names))
	var all []byte
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("rule catalogue: %w", err)
		}
		contents[name] = data
		all = append(all, data...)
	}
	b := builder{
		catalogue: &Catalogue{digest: evidence.DigestOf(all), index: map[string]int{}},
		editions:  map[string]Source{},
		clauses:   map[[2]string]clauseYAML{},
	}
	b.sources(sourcesFile, contents[sourcesFile])
	b.limits(limitsFile, contents[limitsFile])
	for _, a := range decodeAreas(names, contents) {
		b.area(a)
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, fmt.Errorf("rule catalogue: %w", err)
	}
	c := b.catalogue
	slices.SortFunc(c.rules, func(x, y Rule) int { return strings.Compare(x.ID, y.ID) })
	for i, r := range c.rules {
		c.index[r.ID] = i
	}
	slices.SortFunc(c.areas, func(x, y Area) int { return strings.Compare(x.ID, y.ID) })
	return c, nil
}

// builder collects the catalogue and all that is wrong with it.
type builder struct {
	catalogue *Catalogue
	editions  map[string]Source
	clauses   map[[2]string]clauseYAML // by source and locator, as first seen
	errs      []error
}

func (b *builder) failf(file string, at strictyaml.Pos, format string, args ...any) {
	b.errs = append(b.errs, strictyaml.Errorf(file, at, format, args...))
}

func (b *builder) decode(file string, data []byte, out any) bool {
	if err := strictyaml.Decode(file, data, out); err != nil {
		b.errs = append(b.errs, err)
		return false
	}
	return true
}

func (b *builder) sources(file string, data []byte) {
	var y sourcesYAML
	if !b.decode(file, data, &y) {
		return
	}
	b.catalogue.version, b.catalogue.date = y.Version, y.Date
	if !isVersion(y.Version) {
		b.failf(file, strictyaml.Pos{Line: 1, Column: 1}, "version %q: want three numbers, such as 1.0.0", y.Version)
	}
	for _, v := range y.Sources {
		s := Source(v.V)
		b.texts(file, v.Pos, "source "+s.ID, map[string]string{
			"id": s.ID, "title": s.Title, "edition": s.Edition, "force": s.Force, "checked": s.Checked,
		})
		b.verified(file, v.Pos, s.Verified)
		if _, twice := b.editions[s.ID]; twice {
			b.failf(file, v.Pos, "source %q is given twice", s.ID)
		}
		b.editions[s.ID] = s
		b.catalogue.sources = append(b.catalogue.sources, s)
	}
}

func (b *builder) limits(file string, data []byte) {
	var y limitsYAML
	if !b.decode(file, data, &y) {
		return
	}
	l := &b.catalogue.limits
	l.Method = y.Method
	for _, v := range y.Standards {
		b.texts(file, v.Pos, "limit "+v.V.Name, map[string]string{"name": v.V.Name, "shows": v.V.Shows, "never": v.V.Never})
		for _, id := range v.V.Sources {
			b.known(file, v.Pos, id)
		}
		l.Standards = append(l.Standards, StandardLimit(v.V))
	}
}

// areaFile is a decoded file of rules.
type areaFile struct {
	name string
	areaYAML
	err error
}

// decodeAreas decodes the files of rules, several at a time: every command that
// judges waits for them.
func decodeAreas(names []string, contents map[string][]byte) []areaFile {
	var out []areaFile
	for _, name := range names {
		if name != sourcesFile && name != limitsFile {
			out = append(out, areaFile{name: name})
		}
	}
	var all sync.WaitGroup
	for i := range out {
		a := &out[i]
		all.Go(func() { a.err = strictyaml.Decode(a.name, contents[a.name], &a.areaYAML) })
	}
	all.Wait()
	return out
}

func (b *builder) area(y areaFile) {
	file := y.name
	if y.err != nil {
		b.errs = append(b.errs, y.err)
		return
	}
	if want := strings.ToUpper(strings.TrimSuffix(path.Base(file), ".yaml")); y.Area.V != want {
		b.failf(file, y.Area.Pos, "area %q: want %q, the name of the file", y.Area.V, want)
	}
	b.catalogue.areas = append(b.catalogue.areas, Area{ID: y.Area.V, Title: y.Title})
	for _, v := range y.Rules {
		b.rule(file, v.Pos, y.Area.V, v.V)
	}
}

func (b *builder) rule(file string, at strictyaml.Pos, area string, y ruleYAML) {
	b.check(file, at, area, y)
	r := Rule{
		Rule: evidence.Rule{
			ID: y.ID, Area: area, Title: y.Title, Severity: y.Severity, Rationale: y.Rationale,
			Lint: y.Lint, Verdicts: y.Verdicts, Remediation: y.Remediation, FalsePositives: y.FalsePositives,
		},
		Status: y.Status, Since: y.Since, Observed: y.Observed, Method: y.Method,
		Command: y.Command, AppliesTo: y.AppliesTo, Params: map[string]any{}, Strict: y.Strict,
	}
	for _, name := range slices.Sorted(maps.Keys(y.Params)) {
		v, err := value(y.Params[name])
		if err != nil {
			b.failf(file, at, "%s: parameter %q: %v", y.ID, name, err)
		}
		r.Params[name] = v
	}
	for _, e := range y.Examples {
		if e.Case == "" || !slices.Contains(evidence.Outcomes(), e.Want) {
			b.failf(file, at, "%s: an example needs a case and an outcome, got %q and %q", y.ID, e.Case, e.Want)
		}
		r.Examples = append(r.Examples, Example(e))
	}
	for _, v := range y.Clauses {
		r.Clauses = append(r.Clauses, b.clause(file, v.Pos, y.ID, v.V))
	}
	b.catalogue.rules = append(b.catalogue.rules, r)
}

func (b *builder) clause(file string, at strictyaml.Pos, rule string, y clauseYAML) evidence.Clause {
	b.texts(file, at, rule+": clause", map[string]string{"source": y.Source, "clause": y.Clause, "title": y.Title})
	b.verified(file, at, y.Verified)
	b.known(file, at, y.Source)
	relations := []evidence.Relation{evidence.RelationTests, evidence.RelationSupports, evidence.RelationInput, evidence.RelationContext}
	if !slices.Contains(relations, y.Relation) {
		b.failf(file, at, "relation %q: want one of %v", y.Relation, relations)
	}
	key := [2]string{y.Source, y.Clause}
	first, seen := b.clauses[key]
	switch {
	case !seen:
		b.clauses[key] = y
	case first.Title != y.Title || first.Verified != y.Verified:
		b.failf(file, at, "clause %s %s differs from its other rows: %q (%s) and %q (%s)",
			y.Source, y.Clause, y.Title, y.Verified, first.Title, first.Verified)
	}
	s := b.editions[y.Source]
	return evidence.Clause{
		Source: y.Source, Edition: s.Edition, Clause: y.Clause, Title: y.Title,
		Relation: y.Relation, Force: s.Force, Verified: y.Verified,
	}
}
