package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
	"probity/internal/strictyaml"
)

// check reports what is wrong with the fields of one rule.
func (b *builder) check(file string, at strictyaml.Pos, area string, y ruleYAML) {
	if !isID(y.ID, area) {
		b.failf(file, at, "rule id %q: want MD-%s- and three digits", y.ID, area)
	}
	if slices.ContainsFunc(b.catalogue.rules, func(r Rule) bool { return r.ID == y.ID }) {
		b.failf(file, at, "rule %s is given twice", y.ID)
	}
	if !slices.Contains(evidence.Severities(), y.Severity) {
		b.failf(file, at, "%s: severity %q: want one of %v", y.ID, y.Severity, evidence.Severities())
	}
	if !isVersion(y.Since) {
		b.failf(file, at, "%s: since %q: want three numbers, such as 1.0.0", y.ID, y.Since)
	}
	b.texts(file, at, y.ID, map[string]string{
		"title": y.Title, "rationale": y.Rationale, "observed": y.Observed, "method": y.Method,
		"remediation": y.Remediation, "false_positives": y.FalsePositives,
	})
	if len(y.AppliesTo) == 0 || len(y.Clauses) == 0 {
		b.failf(file, at, "%s: want at least one entry in applies_to and in clauses", y.ID)
	}
	switch y.Status {
	case Stable:
		if (y.Lint == "") == (y.Command == "") {
			b.failf(file, at, "%s: a stable rule needs a lint, or the command that decides it", y.ID)
		}
	case Planned:
		if y.Lint+y.Command != "" || len(y.Examples) > 0 {
			b.failf(file, at, "%s: a planned rule has no lint and no examples", y.ID)
		}
	case Deprecated:
	default:
		b.failf(file, at, "%s: status %q: want stable, planned or deprecated", y.ID, y.Status)
	}
	b.verdicts(file, at, y)
}

// verdicts wants a text for each outcome the rule can have: always for pass and,
// unless the rule only informs, for fail or warn.
func (b *builder) verdicts(file string, at strictyaml.Pos, y ruleYAML) {
	for _, o := range slices.Sorted(maps.Keys(y.Verdicts)) {
		switch {
		case !slices.Contains(evidence.Outcomes(), o):
			b.failf(file, at, "%s: verdict %q: want one of %v", y.ID, o, evidence.Outcomes())
		case strings.TrimSpace(y.Verdicts[o]) == "":
			b.failf(file, at, "%s: the verdict text of %q is empty: leave the key out if the rule never has that outcome", y.ID, o)
		}
	}
	negative := y.Verdicts[evidence.Fail] + y.Verdicts[evidence.Warn]
	if y.Verdicts[evidence.Pass] == "" || negative == "" && y.Severity != evidence.Info {
		b.failf(file, at, "%s: want verdict texts for pass and for fail or warn", y.ID)
	}
	if y.Strict && y.Verdicts[evidence.Warn] == "" {
		b.failf(file, at, "%s: strict raises a warn, but the rule has no verdict text for warn", y.ID)
	}
}

// texts reports each key whose text is empty.
func (b *builder) texts(file string, at strictyaml.Pos, what string, values map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if strings.TrimSpace(values[key]) == "" {
			b.failf(file, at, "%s: %q is missing or empty", what, key)
		}
	}
}

func (b *builder) verified(file string, at strictyaml.Pos, v string) {
	if states := []string{"verified", "second-hand", "recalled"}; !slices.Contains(states, v) {
		b.failf(file, at, "verified %q: want one of %v", v, states)
	}
}

func (b *builder) known(file string, at strictyaml.Pos, source string) {
	if _, ok := b.editions[source]; ok {
		return
	}
	near := ""
	if n := strictyaml.Nearest(source, slices.Sorted(maps.Keys(b.editions))); n != "" {
		near = fmt.Sprintf(": did you mean %q?", n)
	}
	b.failf(file, at, "source %q is not in %s%s", source, sourcesFile, near)
}

func isID(id, area string) bool {
	n, ok := strings.CutPrefix(id, "MD-"+area+"-")
	number, err := strconv.Atoi(n)
	return ok && area != "" && err == nil && len(n) == 3 && number > 0
}

func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) == 3 && !slices.ContainsFunc(parts, func(p string) bool {
		_, err := strconv.ParseUint(p, 10, 16)
		return err != nil
	})
}

// value brings a decoded parameter into one of the types that checks declare.
func value(v any) (any, error) {
	switch v := v.(type) {
	case string, bool:
		return v, nil
	case uint64:
		return strconv.Atoi(strconv.FormatUint(v, 10))
	case int64:
		return int(v), nil
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("entry %d is %v: want text", i+1, e)
			}
			list[i] = s
		}
		return list, nil
	case map[string]any:
		m := make(map[string]int, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n, err := value(v[k])
			i, ok := n.(int)
			if err != nil || !ok {
				return nil, fmt.Errorf("entry %q is %v: want a whole number", k, v[k])
			}
			m[k] = i
		}
		return m, nil
	default:
		return nil, fmt.Errorf("%v: want a whole number, true or false, a text, a list of texts or a mapping to whole numbers", v)
	}
}
