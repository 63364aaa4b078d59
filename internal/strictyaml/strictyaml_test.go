package strictyaml

import (
	"strings"
	"testing"
)

type inner struct {
	WarnDays int      `yaml:"warn_days"`
	Names    []string `yaml:"names"`
}

type document struct {
	Version Value[int]       `yaml:"version"`
	Rules   map[string]inner `yaml:"rules"`
	List    []Value[inner]   `yaml:"list"`
}

func TestDecode(t *testing.T) {
	var d document
	err := Decode("x.yaml", []byte("# a comment\nversion: 7\nrules:\n  a: {warn_days: 3, names: [b]}\nlist:\n  - warn_days: 4\n"), &d)
	if err != nil {
		t.Fatal(err)
	}
	if d.Version.V != 7 || d.Version.Line != 2 || d.Version.Column != 10 {
		t.Errorf("version = %+v", d.Version)
	}
	if d.Rules["a"].WarnDays != 3 || len(d.List) != 1 || d.List[0].V.WarnDays != 4 || d.List[0].Line != 6 {
		t.Errorf("got %+v", d)
	}
}

func TestDecode_errors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"unknown key", "version: 1\nverzion: 2\n", `x.yaml:2:1: unknown key "verzion": did you mean "version"?`},
		{"unknown key below", "rules:\n  a:\n    wrn_days: 3\n", `x.yaml:3:5: unknown key "wrn_days": did you mean "warn_days"?`},
		{"unknown key in a located value", "list:\n  - warndays: 3\n", `x.yaml:2:5: unknown key "warndays": did you mean "warn_days"?`},
		{"nothing near", "zzzzzz: 1\n", `x.yaml:1:1: unknown key "zzzzzz"`},
		{"twice", "version: 1\nversion: 2\n", `x.yaml:2:1: mapping key "version" already defined at [1:1]`},
		{"type", "rules: [1]\n", `x.yaml:1:8: sequence was used where mapping is expected`},
		{"number", "version: abc\n", `x.yaml:1:10: a text stands where a number is expected`},
		{"alias", "list: &a [{warn_days: 1}]\nrules: *a\n", `x.yaml:1:7: tags, anchors, aliases and merge keys are not read: write the value out`},
		{"tag", "version: !!int 1\n", `x.yaml:1:10: tags, anchors, aliases and merge keys are not read: write the value out`},
		{"empty tag", "rules: !00 ", `x.yaml:1:8: tags, anchors, aliases and merge keys are not read: write the value out`},
		{"two documents", "version: 1\n---\nversion: 2\n", `x.yaml:3:8: a second document begins here: want one`},
		{"empty", "# nothing\n", `x.yaml: the document is empty`},
		{"no YAML", "a: [1\n", `x.yaml:1:4: `},
		{"too large", strings.Repeat("#", MaxBytes+1), `x.yaml: 1048577 bytes of YAML: at most 1048576 are read`},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			var d document
			err := Decode("x.yaml", []byte(tt.in), &d)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"MD-CRT-002", "MD-CERT-002"}, {"md-cert-003", "MD-CERT-003"}, {"nonsense", ""},
	} {
		if got := Nearest(tt.word, []string{"MD-CERT-002", "MD-CERT-003"}); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("version: 1\nrules: {a: {warn_days: 3}}\nlist: [{names: [x]}]\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, s string) {
		var d document
		if err := Decode("x", []byte(s), &d); err != nil && !strings.HasPrefix(err.Error(), "x:") {
			t.Fatalf("error without a place: %v", err)
		}
	})
}
