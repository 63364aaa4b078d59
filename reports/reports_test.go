package reports

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestTable_golden(t *testing.T) {
	d := Build(sample(t))
	d.Catalogue.Decided, d.Catalogue.Planned = 100, 50 // a new rule changes no golden file
	for name, o := range map[string]TableOptions{
		"table_80.txt":   {Width: 80},
		"table_wide.txt": {Width: 160, Wide: true},
		"table_max.txt":  {Width: 100, Max: 1},
	} {
		var b bytes.Buffer
		if err := Table(&b, d, o); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

// TestTable_safe holds that nothing of the network reaches the terminal but
// printable characters, and that no line is wider than asked for.
func TestTable_safe(t *testing.T) {
	d := Build(sample(t))
	for _, width := range []int{60, 80, 120, 200} {
		var b bytes.Buffer
		if err := Table(&b, d, TableOptions{Width: width, Wide: width > 100}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("width %d: unprintable character in %q", width, line)
			}
			if n := twwidth.Width(line); n > width {
				t.Errorf("width %d: %d cells in %q", width, n, line)
			}
		}
	}
}

func TestExplainRule_golden(t *testing.T) {
	cat := loadCatalogue(t)
	for id, x := range map[string]Explanation{
		"MD-CERT-004": {CheckSource: "site practice", Params: []ParamText{{Name: "warn_days", Value: "60", Doc: "days before notAfter from which to warn"}}},
		"MD-DCM-001":  {},
	} {
		r, err := cat.Rule(id)
		if err != nil {
			t.Fatal(err)
		}
		x.Sources, x.Width = cat.Sources(), 90
		var b bytes.Buffer
		if err := ExplainRule(&b, r, x); err != nil {
			t.Fatal(err)
		}
		golden(t, "explain_"+strings.ToLower(id)+".txt", b.Bytes())
	}
}

func TestRulesTable(t *testing.T) {
	cat := loadCatalogue(t)
	var b bytes.Buffer
	if err := RulesTable(&b, cat.Rules(), 120); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"MD-CERT-002", "cert/not_expired", "MD-FW-001", "planned", fmt.Sprintf("%d rules; a check or command decides", len(cat.Rules()))} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the table of rules", want)
		}
	}
}

// TestBuild_groupCountsForMembers holds that a finding about a group counts for
// every asset of it: each member is a device that has the fail.
func TestBuild_groupCountsForMembers(t *testing.T) {
	d := Build(sample(t))
	fails := map[string]int{}
	for _, a := range d.Assets {
		fails[a.ID] = a.Outcomes.Fail
	}
	if diff := cmp.Diff(map[string]int{"asset-1": 2, "asset-2": 1, "asset-3": 0}, fails); diff != "" {
		t.Errorf("fails by asset (-want +got):\n%s", diff)
	}
	if d.Summary.AssetsWithFail != 2 {
		t.Errorf("%d assets with a fail, want 2", d.Summary.AssetsWithFail)
	}
}
