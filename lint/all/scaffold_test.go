package all_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"probity/lint/all"
)

// leftOver is what scripts/new-lint.sh writes where something is to be filled in.
const leftOver = "FILL IN"

// leftOvers lists the files below lint and rules in root that still say so.
func leftOvers(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"lint/*/*.go", "lint/*/testdata/*/*.txtar", "rules/catalogue/data/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(file) != "scaffold_test.go" && bytes.Contains(data, []byte(leftOver)) {
				out = append(out, file)
			}
		}
	}
	return out
}

func TestLints_leftOvers(t *testing.T) {
	for _, file := range leftOvers(t, filepath.Join("..", "..")) {
		t.Errorf("%s says %q", file, leftOver)
	}
}

// TestLints_files asks that each check has a file of its own, with its name in it,
// and a folder of cases.
func TestLints_files(t *testing.T) {
	check := regexp.MustCompile(`lint\.Check\{\s*\n\s*Name:\s+`)
	for _, c := range all.Checks() {
		file := filepath.Join("..", filepath.FromSlash(c.Name)+".go")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if !bytes.Contains(data, []byte(`"`+c.Name+`"`)) || len(check.FindAll(data, -1)) > 1 {
			t.Errorf("%s does not hold the check of its name alone", file)
		}
		folder, property := filepath.Split(strings.TrimSuffix(file, ".go"))
		if cases, err := filepath.Glob(filepath.Join(folder, "testdata", property, "*.txtar")); err != nil || len(cases) == 0 {
			t.Errorf("%s has %d cases, %v", c.Name, len(cases), err)
		}
	}
}

// TestNewLint begins a check of each package in a copy of the tree: what is written
// compiles, and what is left to fill in is found.
func TestNewLint(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("..", "..", "scripts", "new-lint.sh"))
	if err != nil {
		t.Fatal(err)
	}
	top := filepath.Dir(filepath.Dir(script))
	root := t.TempDir()
	for _, dir := range []string{"lint", "rules/catalogue/data"} {
		if err := os.CopyFS(filepath.Join(root, dir), os.DirFS(filepath.Join(top, dir))); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string) (string, error) {
		cmd := exec.CommandContext(t.Context(), script, name)
		cmd.Env = append(os.Environ(), "ROOT="+root)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	replace := make(map[string]string)
	for _, pkg := range []string{"cert", "key", "chain", "endpoint", "asset", "fleet"} {
		out, err := run(pkg + "/no_such_2_thing")
		if err != nil {
			t.Fatalf("%s: %v\n%s", pkg, err, out)
		}
		added := regexp.MustCompile(`added  (MD-[A-Z]+-\d{3}) to (rules/catalogue/data/[a-z]+\.yaml)\n`).FindStringSubmatch(out)
		if added == nil {
			t.Fatalf("%s: no entry for the catalogue:\n%s", pkg, out)
		}
		entries, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(added[2])))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(entries, []byte("  - id: "+added[1]+"\n")); n != 1 || !bytes.Contains(entries, []byte("lint: "+pkg+"/no_such_2_thing\n")) {
			t.Errorf("%s: %d entries %s in %s:\n%s", pkg, n, added[1], added[2], out)
		}
		for _, file := range []string{pkg + "/no_such_2_thing.go", pkg + "/" + pkg + ".go"} {
			replace[filepath.Join(top, "lint", file)] = filepath.Join(root, "lint", file)
		}
		if out, err := run(pkg + "/no_such_2_thing"); err == nil {
			t.Errorf("%s: begun twice:\n%s", pkg, out)
		}
	}
	for _, name := range []string{"", "cert", "cert/NoMD5", "other/thing", "cert/../x"} {
		if out, err := run(name); err == nil || !strings.Contains(out, "want PACKAGE/PROPERTY") {
			t.Errorf("%q: %v\n%s", name, err, out)
		}
	}
	if got := len(leftOvers(t, root)); got < 6*2 {
		t.Errorf("%d files with something to fill in, want one and its cases for each package", got)
	}
	overlay := filepath.Join(root, "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "vet", "-overlay", overlay, "./lint/cert", "./lint/key", "./lint/chain", "./lint/endpoint", "./lint/asset", "./lint/fleet")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("what is written does not compile: %v\n%s", err, out)
	}
	format := exec.CommandContext(t.Context(), "gofmt", "-l", filepath.Join(root, "lint"))
	if out, err := format.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("what is written is not formatted: %v\n%s", err, out)
	}
}
