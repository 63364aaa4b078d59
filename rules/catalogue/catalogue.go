package catalogue

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/strictyaml"
)

//go:embed data/*.yaml
var embedded embed.FS

// Status is where a rule is in its life. Numbers are never used again, so a rule
// never vanishes: it becomes deprecated.
type Status string

// The states of a rule.
const (
	Stable     Status = "stable"     // a check or a command decides it
	Planned    Status = "planned"    // described, but nothing decides it yet
	Deprecated Status = "deprecated" // kept for old reports
)

// Rule is one entry of the catalogue.
type Rule struct {
	evidence.Rule
	Status Status
	Since  string // catalogue version that brought the rule
	// Command decides the rule where no lint can, because it needs more than recorded
	// facts: "lint --batch". Empty for all others.
	Command string
	// Observed is what the rule looks at, Method how that is obtained.
	Observed string
	Method   string
	// AppliesTo are the kinds of subject: "endpoint", "ca", "fleet", ...
	AppliesTo []string
	// Params are the values that differ from the defaults of the check: int,
	// bool, string, []string or map[string]int.
	Params map[string]any
	// Strict says that the premarket profile raises a warn of this rule to fail.
	Strict bool
	// Examples are the cases that show the rule at work.
	Examples []Example
}

// Decided reports whether a check or a command decides the rule.
func (r Rule) Decided() bool { return r.Lint != "" || r.Command != "" }

// Example names a test case of the check and the outcome it has there.
type Example struct {
	Case string
	Want evidence.Outcome
}

// Source is a standard, law or guidance that clauses belong to.
type Source struct {
	ID        string // such as "FDA-PM-2026"
	Title     string
	Edition   string
	Publisher string
	Citation  string
	Force     string // "law", "non-binding guidance", ...
	Verified  string // "verified", "second-hand" or "recalled": how the text was checked
	Checked   string // what the check consisted of
}

// Area is a group of rules.
type Area struct {
	ID    string // "CERT"
	Title string
}

// Limits say what no scan can show.
type Limits struct {
	Method    []string        // limits of the method, true of every report
	Standards []StandardLimit // limits by standard
}

// StandardLimit says what a scan can contribute to a standard and what not.
type StandardLimit struct {
	Name    string
	Sources []string // ids of [Source]
	Shows   string
	Never   string
}

// Catalogue is the set of rules with their sources and limits.
type Catalogue struct {
	version string
	date    string
	digest  evidence.Digest
	areas   []Area
	rules   []Rule // by id
	index   map[string]int
	sources []Source // in the order of the file
	limits  Limits
}

// Load returns the embedded catalogue.
func Load() (*Catalogue, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("rule catalogue: %w", err)
	}
	return load(data)
}

// Version is the version of the catalogue, such as "1.0.0".
func (c *Catalogue) Version() string { return c.version }

// Date is the day on which the catalogue was last edited, as YYYY-MM-DD.
func (c *Catalogue) Date() string { return c.date }

// Digest is the SHA-256 of the YAML files, concatenated in the order of their
// names: what `cat data/*.yaml | sha256sum` prints.
func (c *Catalogue) Digest() evidence.Digest { return c.digest }

// Rules returns all rules by id.
func (c *Catalogue) Rules() []Rule { return slices.Clone(c.rules) }

// Areas returns all areas by id.
func (c *Catalogue) Areas() []Area { return slices.Clone(c.areas) }

// Sources returns all sources.
func (c *Catalogue) Sources() []Source { return slices.Clone(c.sources) }

// Limits returns what no scan can show.
func (c *Catalogue) Limits() Limits { return c.limits }

// Rule returns the rule with an id; letter case does not count. The error of an
// unknown id names the nearest one.
func (c *Catalogue) Rule(id string) (Rule, error) {
	if i, ok := c.index[strings.ToUpper(strings.TrimSpace(id))]; ok {
		return c.rules[i], nil
	}
	ids := make([]string, len(c.rules))
	for i, r := range c.rules {
		ids[i] = r.ID
	}
	if near := strictyaml.Nearest(id, ids); near != "" {
		return Rule{}, fmt.Errorf("no rule %q: did you mean %s?", id, near)
	}
	return Rule{}, fmt.Errorf("no rule %q: `probity rules list` shows all ids", id)
}
