package catalogue

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

func TestLoad(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	rules := c.Rules()
	if len(rules) < 150 || len(c.Areas()) < 19 || len(c.Sources()) < 50 {
		t.Errorf("%d rules in %d areas from %d sources", len(rules), len(c.Areas()), len(c.Sources()))
	}
	links := 0
	for _, r := range rules {
		links += len(r.Clauses)
		for _, cl := range r.Clauses {
			if cl.Edition == "" || cl.Force == "" {
				t.Errorf("%s: clause %s %s has no edition or force", r.ID, cl.Source, cl.Clause)
			}
		}
	}
	if links < 900 {
		t.Errorf("%d clause links", links)
	}
	if l := c.Limits(); len(l.Method) == 0 || len(l.Standards) == 0 {
		t.Error("no limits")
	}
}

// TestDigest holds the promise of the documentation: the digest is that of the
// files as a shell concatenates them.
func TestDigest(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(embedded, "data/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var all bytes.Buffer
	for _, n := range names {
		data, err := embedded.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	if got, want := c.Digest(), evidence.DigestOf(all.Bytes()); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// TestWording keeps words out of the catalogue that would turn an observation
// into a judgement that no scan can make.
func TestWording(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	barred := []string{"compliant", "certified", "approved", "conforms to"}
	see := func(where string, texts ...string) {
		for _, s := range texts {
			for _, w := range barred {
				if strings.Contains(strings.ToLower(s), w) {
					t.Errorf("%s says %q: %s", where, w, s)
				}
			}
		}
	}
	for _, r := range c.Rules() {
		see(r.ID, r.Title, r.Rationale, r.Remediation, r.FalsePositives, r.Observed)
		for _, v := range r.Verdicts {
			see(r.ID, v)
		}
		for _, cl := range r.Clauses {
			see(r.ID, cl.Title)
		}
	}
	for _, l := range c.Limits().Standards {
		see(l.Name, l.Shows, l.Never)
	}
}

func TestRule(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Rule(" md-cert-002 ")
	if err != nil || r.ID != "MD-CERT-002" || r.Lint != "cert/not_expired" || r.Params["clock_skew_s"] != 300 {
		t.Errorf("got %+v, %v", r, err)
	}
	for id, want := range map[string]string{
		"MD-CRT-002": `no rule "MD-CRT-002": did you mean MD-CERT-002?`,
		"expiry":     "no rule \"expiry\": `probity rules list` shows all ids",
	} {
		if _, err := c.Rule(id); err == nil || err.Error() != want {
			t.Errorf("Rule(%q): %v, want %s", id, err, want)
		}
	}
}

const (
	goodSources = `version: 1.0.0
date: 2026-01-31
sources:
  - id: RFC5280
    title: profile
    edition: 2008-05
    publisher: IETF
    citation: RFC 5280
    force: technical specification
    verified: verified
    checked: read
`
	goodLimits = `method: [time of scan only]
standards:
  - {name: PKIX, sources: [RFC5280], shows: fields, never: intent}
`
	goodRules = `area: CERT
title: Certificates
rules:
  - id: MD-CERT-001
    title: Certificate is not expired
    severity: high
    rationale: connections fail
    lint: cert/not_expired
    status: stable
    since: 1.0.0
    observed: notAfter
    method: offline
    applies_to: [server]
    params:
      days: 3
      names: [a, b]
      by_role: {server: 825}
    verdicts:
      pass: not expired
      warn: nearly
    remediation: renew
    false_positives: wrong clock
    examples:
      - {case: not_expired/expired, want: fail}
    clauses:
      - {source: RFC5280, clause: "4.1.2.5", relation: tests, verified: verified, title: "validity"}
`
)

func TestLoad_small(t *testing.T) {
	c, err := load(files(goodSources, goodLimits, goodRules))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Rule("MD-CERT-001")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"days": 3, "names": []string{"a", "b"}, "by_role": map[string]int{"server": 825}}
	if diff := cmp.Diff(want, r.Params); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	clause := evidence.Clause{
		Source: "RFC5280", Edition: "2008-05", Clause: "4.1.2.5", Title: "validity",
		Relation: evidence.RelationTests, Force: "technical specification", Verified: "verified",
	}
	if diff := cmp.Diff([]evidence.Clause{clause}, r.Clauses); diff != "" {
		t.Errorf("clauses (-want +got):\n%s", diff)
	}
}

func TestLoad_errors(t *testing.T) {
	second := strings.Replace(goodRules[strings.Index(goodRules, "  - id:"):], "title: \"validity\"", "title: \"other\"", 1)
	for _, tt := range []struct{ name, old, new, want string }{
		{"unknown_key", "severity: high", "severitty: high", `cert.yaml:6:5: unknown key "severitty": did you mean "severity"?`},
		{"id", "id: MD-CERT-001", "id: MD-KEY-001", `cert.yaml:4:7: rule id "MD-KEY-001": want MD-CERT- and three digits`},
		{"id_digits", "id: MD-CERT-001", "id: MD-CERT-1", `rule id "MD-CERT-1": want MD-CERT- and three digits`},
		{"twice", goodRules, goodRules + second, `rule MD-CERT-001 is given twice`},
		{"clause_title", goodRules, goodRules + strings.Replace(second, "MD-CERT-001", "MD-CERT-002", 1), `clause RFC5280 4.1.2.5 differs from its other rows: "other" (verified) and "validity" (verified)`},
		{"severity", "severity: high", "severity: huge", `MD-CERT-001: severity "huge": want one of [info low medium high critical]`},
		{"relation", "relation: tests", "relation: proves", `cert.yaml:26:9: relation "proves": want one of [tests supports input context]`},
		{"verified_state", "relation: tests, verified: verified", "relation: tests, verified: yes-please", `verified "yes-please": want one of [verified second-hand recalled]`},
		{"source", "source: RFC5280", "source: RFC5820", `source "RFC5820" is not in sources.yaml: did you mean "RFC5280"?`},
		{"empty_verdict", "warn: nearly", `warn: ""`, `the verdict text of "warn" is empty`},
		{"verdict", "warn: nearly", "maybe: nearly", `verdict "maybe": want one of`},
		{"no_negative", "      warn: nearly\n", "", `want verdict texts for pass and for fail or warn`},
		{"strict", "since: 1.0.0\n", "since: 1.0.0\n    strict: true\n", ``},
		{"no_lint", "    lint: cert/not_expired\n", "", `MD-CERT-001: a stable rule needs a lint`},
		{"planned", "status: stable", "status: planned", `MD-CERT-001: a planned rule has no lint and no examples`},
		{"status", "status: stable", "status: good", `status "good": want stable, planned or deprecated`},
		{"since", "since: 1.0.0", "since: now", `since "now": want three numbers`},
		{"param", "days: 3", "days: 3.5", `parameter "days": 3.5: want a whole number`},
		{"param_list", "names: [a, b]", "names: [a, 1]", `parameter "names": entry 2 is 1: want text`},
		{"example", "want: fail}", "want: bad}", `an example needs a case and an outcome`},
		{"remediation", "remediation: renew", `remediation: " "`, `MD-CERT-001: "remediation" is missing or empty`},
		{"area", "area: CERT", "area: KEY", `cert.yaml:1:7: area "KEY": want "CERT", the name of the file`},
		{"no_clause", goodRules[strings.Index(goodRules, "    clauses:"):], "    clauses: []\n", `want at least one entry in applies_to and in clauses`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(goodRules, tt.old, tt.new, 1)
			if changed == goodRules {
				t.Fatal("nothing replaced")
			}
			_, err := load(files(goodSources, goodLimits, changed))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestLoad_sourceErrors(t *testing.T) {
	for _, tt := range []struct{ name, sources, limits, want string }{
		{"version", strings.Replace(goodSources, "1.0.0", "one", 1), goodLimits, `sources.yaml:1:1: version "one": want three numbers`},
		{"twice", goodSources + goodSources[strings.Index(goodSources, "  - id"):], goodLimits, `source "RFC5280" is given twice`},
		{"force", strings.Replace(goodSources, "force: technical specification", `force: ""`, 1), goodLimits, `source RFC5280: "force" is missing or empty`},
		{"missing", "", goodLimits, `sources.yaml: the document is empty`},
		{"limit_source", goodSources, strings.Replace(goodLimits, "RFC5280", "RFC1", 1), `source "RFC1" is not in sources.yaml`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(files(tt.sources, tt.limits, goodRules))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func files(sources, limits, rules string) fs.FS {
	dir := fstest.MapFS{
		"limits.yaml": {Data: []byte(limits)},
		"cert.yaml":   {Data: []byte(rules)},
	}
	if sources != "" {
		dir["sources.yaml"] = &fstest.MapFile{Data: []byte(sources)}
	}
	return dir
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load(); err != nil {
			b.Fatal(err)
		}
	}
}
