package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"probity/evidence"
	"probity/rules/catalogue"
)

// Explanation is what [ExplainRule] shows besides the rule itself.
type Explanation struct {
	// CheckSource cites what the check implements; empty when nothing decides the
	// rule.
	CheckSource string
	// Params are the parameters in force with their meaning.
	Params []ParamText
	// Sources are the sources of the catalogue.
	Sources []catalogue.Source
	Width   int // of the terminal, in cells; 0: 100
}

// ParamText describes a parameter.
type ParamText struct {
	Name, Doc, Value string
}

// ExplainRule writes all that the catalogue says about a rule: what it tests and
// why, what each outcome means, the parameters, the clauses with edition and how
// their text was checked, when it may be wrong, and what to do.
func ExplainRule(w io.Writer, r catalogue.Rule, x Explanation) error {
	var b bytes.Buffer
	width := max(minWidth, cmp.Or(x.Width, defaultWidth))
	section := func(title string) { fmt.Fprintf(&b, "\n%s\n", title) }
	para := func(text string) {
		for line := range strings.Lines(wrap(text, width-2)) {
			b.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	fmt.Fprintf(&b, "%s  %s\n", r.ID, r.Title)
	fmt.Fprintf(&b, "severity %s, %s since catalogue %s", r.Severity, r.Status, r.Since)
	if r.Strict {
		b.WriteString("; the premarket profile raises a warn to a fail")
	}
	b.WriteString("\n")
	section("WHY")
	para(r.Rationale)
	section("WHAT IS TESTED")
	para(r.Observed + "; " + r.Method + ". Applies to: " + strings.Join(r.AppliesTo, ", ") + ".")
	if r.Command != "" {
		para("The command `probity " + r.Command + "` decides this rule; a scan yields no finding on it.")
	} else if r.Lint == "" {
		para("No check decides this rule yet: it yields no finding.")
	} else {
		para("Check " + r.Lint + " (" + cmp.Or(x.CheckSource, "no source given") + ").")
	}
	section("WHAT EACH OUTCOME MEANS")
	for _, o := range evidence.Outcomes() {
		if text := r.Verdicts[o]; text != "" {
			hang(&b, fmt.Sprintf("  %-15s", o), text, width)
		}
	}
	if len(x.Params) > 0 {
		section("PARAMETERS (set in the policy under rules: " + r.ID + ")")
		for _, p := range x.Params {
			hang(&b, fmt.Sprintf("  %s = %s  ", p.Name, p.Value), p.Doc, width)
		}
	}
	section("WHEN IT MAY BE WRONG")
	para(r.FalsePositives)
	section("WHAT TO DO")
	para(r.Remediation)
	if err := clausesText(&b, r, x.Sources, width); err != nil {
		return err
	}
	return flush(w, &b)
}

// hang writes a label and a text whose further lines start below its first.
func hang(b *bytes.Buffer, label, text string, width int) {
	indent := strings.Repeat(" ", len(label))
	for i, line := range strings.Split(wrap(text, max(20, width-len(label))), "\n") {
		if i == 0 {
			b.WriteString(label + line + "\n")
			continue
		}
		b.WriteString(indent + line + "\n")
	}
}

func clausesText(b *bytes.Buffer, r catalogue.Rule, sources []catalogue.Source, width int) error {
	b.WriteString("\nCLAUSES\n")
	var rows [][]string
	used := map[string]string{}
	for _, c := range r.Clauses {
		rows = append(rows, []string{c.Source, c.Clause, string(c.Relation), c.Verified, c.Title})
		used[c.Source] = c.Edition
	}
	if err := grid(b, []string{"SOURCE", "CLAUSE", "RELATION", "TEXT", "SUBJECT"}, rows, width); err != nil {
		return err
	}
	b.WriteString("\nEDITIONS\n")
	titles := map[string]catalogue.Source{}
	for _, s := range sources {
		titles[s.ID] = s
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		hang(b, "  "+id+"  ", fmt.Sprintf("%s (%s; %s)", titles[id].Title, used[id], titles[id].Force), width)
	}
	b.WriteString("\n" + wrap("An outcome supports or contradicts a clause; it shows no conformity. \"tests\": the rule tests the clause itself; \"input\": a record for an activity that the clause asks for. The text of a clause was verified, or is second-hand, or recalled and to be checked before it is relied on.", width) + "\n")
	return nil
}
