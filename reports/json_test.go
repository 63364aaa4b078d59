package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// schemaNode is the part of JSON Schema 2020-12 that the contract uses.
type schemaNode struct {
	Ref                  string                `json:"$ref"`
	Defs                 map[string]schemaNode `json:"$defs"`
	Type                 string                `json:"type"`
	Const                any                   `json:"const"`
	Enum                 []any                 `json:"enum"`
	AnyOf                []schemaNode          `json:"anyOf"`
	Properties           map[string]schemaNode `json:"properties"`
	Required             []string              `json:"required"`
	AdditionalProperties json.RawMessage       `json:"additionalProperties"`
	Items                *schemaNode           `json:"items"`
	Pattern              string                `json:"pattern"`
	Format               string                `json:"format"`
	Minimum              *float64              `json:"minimum"`
	Maximum              *float64              `json:"maximum"`
}

// check returns what is wrong with v.
func (s schemaNode) check(at string, v any, defs map[string]schemaNode) []string {
	if s.Ref != "" {
		return defs[strings.TrimPrefix(s.Ref, "#/$defs/")].check(at, v, defs)
	}
	if len(s.AnyOf) > 0 {
		var all []string
		for _, alternative := range s.AnyOf {
			bad := alternative.check(at, v, defs)
			if len(bad) == 0 {
				return nil
			}
			all = append(all, bad...)
		}
		return all
	}
	if s.Const != nil && v != s.Const || s.Enum != nil && !slices.Contains(s.Enum, v) {
		return []string{fmt.Sprintf("%s: %v is none of %v%v", at, v, s.Const, s.Enum)}
	}
	switch s.Type {
	case "object":
		return s.checkObject(at, v, defs)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %v is no array", at, v)}
		}
		var bad []string
		for i, e := range list {
			bad = append(bad, s.Items.check(fmt.Sprintf("%s[%d]", at, i), e, defs)...)
		}
		return bad
	case "integer":
		n, ok := v.(float64)
		if !ok || n != float64(int64(n)) || s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum {
			return []string{fmt.Sprintf("%s: %v is no integer in range", at, v)}
		}
	case "string":
		text, ok := v.(string)
		if !ok || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text) {
			return []string{fmt.Sprintf("%s: %v does not fit %q", at, v, s.Pattern)}
		}
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339, text); err != nil || !strings.HasSuffix(text, "Z") {
				return []string{fmt.Sprintf("%s: %q is no time in UTC", at, text)}
			}
		}
	case "null":
		if v != nil {
			return []string{fmt.Sprintf("%s: %v is not null", at, v)}
		}
	}
	return nil
}

func (s schemaNode) checkObject(at string, v any, defs map[string]schemaNode) []string {
	object, ok := v.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %v is no object", at, v)}
	}
	var bad []string
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			bad = append(bad, fmt.Sprintf("%s: %q is missing", at, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		p, ok := s.Properties[name]
		if !ok && string(s.AdditionalProperties) == "false" {
			bad = append(bad, fmt.Sprintf("%s: %q is not in the schema", at, name))
		}
		bad = append(bad, p.check(at+"."+name, object[name], defs)...)
	}
	return bad
}

func readSchema(t *testing.T) schemaNode {
	t.Helper()
	data, err := os.ReadFile("../docs/contract/report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schemaNode
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSON_schema(t *testing.T) {
	s := readSchema(t)
	empty := sample(t)
	empty.Runs, empty.Probes, empty.Assets, empty.Findings, empty.Observations = nil, nil, nil, nil, nil
	empty.Certificates, empty.Checkpoint, empty.Verify = nil, nil, nil
	for name, in := range map[string]Input{"sample": sample(t), "large": large(t, 500), "empty": empty} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := JSON(&b, Build(in)); err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal(b.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
			for _, bad := range s.check("report", v, s.Defs) {
				t.Error(bad)
			}
		})
	}
}

// TestSchema_complains holds that the check of the test above can fail.
func TestSchema_complains(t *testing.T) {
	s := readSchema(t)
	for in, want := range map[string]string{
		`{"key": "zz"}`:                  `finding.key: zz does not fit`,
		`{"outcome": "good"}`:            `finding.outcome: good is none of`,
		`{"observations": [1, "x"]}`:     `finding.observations[1]: x is no integer`,
		`{"surprise": 1}`:                `finding: "surprise" is not in the schema`,
		`{"rule": "MD-CERT-002","x": 1}`: `finding: "title" is missing`,
	} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if bad := strings.Join(s.Defs["finding"].check("finding", v, s.Defs), "\n"); !strings.Contains(bad, want) {
			t.Errorf("%s: got %q, want %q", in, bad, want)
		}
	}
}

func TestJSONLines(t *testing.T) {
	d := Build(sample(t))
	var b bytes.Buffer
	if err := JSONLines(&b, d); err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(b.String()))
	if len(lines) != d.Findings.Len() {
		t.Fatalf("%d lines for %d findings", len(lines), d.Findings.Len())
	}
	s := readSchema(t)
	for _, line := range lines {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		for _, bad := range s.Defs["finding"].check("finding", v, s.Defs) {
			t.Error(bad)
		}
	}
}

func TestFormats_deterministic(t *testing.T) {
	render := func() string {
		var b bytes.Buffer
		d := Build(sample(t))
		for _, err := range []error{JSON(&b, d), JSONLines(&b, d), Table(&b, d, TableOptions{})} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	if first, second := render(), render(); first != second {
		t.Error("the same input gives different bytes")
	}
}
