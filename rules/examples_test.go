package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"probity/evidence"
	"probity/rules/catalogue"
)

// caseOutcomes returns the outcomes that a case of lint/<package>/testdata has for
// the check it is about: the lines "outcome: subject: detail" that end its want.
func caseOutcomes(t *testing.T, file string) map[evidence.Outcome]bool {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[evidence.Outcome]bool{}
	for _, f := range archive.Files {
		if f.Name != "want" {
			continue
		}
		_, details, _ := strings.Cut(string(f.Data), "\n\n")
		for line := range strings.Lines(details) {
			outcome, _, _ := strings.Cut(line, ":")
			out[evidence.Outcome(outcome)] = true
		}
	}
	return out
}

func caseFolder(r catalogue.Rule) string {
	pkg, check, _ := strings.Cut(r.Lint, "/")
	return filepath.Join("..", "lint", pkg, "testdata", check)
}

// TestExamples holds that the examples of a rule are cases of its check with the
// outcome that the catalogue says, and that each rule shows two outcomes.
func TestExamples(t *testing.T) {
	for _, r := range mustLoad(t).Rules() {
		if r.Lint == "" {
			continue
		}
		seen := map[evidence.Outcome]bool{}
		for _, e := range r.Examples {
			seen[e.Want] = true
			file := filepath.Join(caseFolder(r), e.Case+".txtar")
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: example %q: %v", r.ID, e.Case, err)
				continue
			}
			if !caseOutcomes(t, file)[e.Want] {
				t.Errorf("%s: example %q does not give %s", r.ID, e.Case, e.Want)
			}
		}
		// A public web certificate cannot be made here, so its rule has one example.
		if least := 2; len(seen) < least && r.Lint != "cert/public_web_validity" || len(seen) == 0 {
			t.Errorf("%s: examples of %d outcomes, want at least %d", r.ID, len(seen), least)
		}
	}
}

// TestVerdicts holds that the catalogue describes every outcome that the cases of
// a check have.
func TestVerdicts(t *testing.T) {
	for _, r := range mustLoad(t).Rules() {
		if r.Lint == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(caseFolder(r), "*.txtar"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no cases in %s (%v)", r.ID, caseFolder(r), err)
		}
		for _, file := range files {
			for o := range caseOutcomes(t, file) {
				if r.Verdicts[o] == "" {
					t.Errorf("%s: %s gives %s, which the rule does not describe", r.ID, file, o)
				}
			}
		}
	}
}
