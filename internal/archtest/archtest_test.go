// Package archtest holds the rules of this repository as tests: which package
// may import which, what judging code may reach, that every package says what it
// is for. The tests read the source files themselves, because a test that asks
// the go command is cached and stays green after a forbidden import.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "probity"

// allowed maps each part of the tree (a folder and all below it; the longest
// match counts) to the parts it may import besides the standard library and
// other modules. A package outside the table fails the test.
var allowed = map[string][]string{
	"evidence":            {},
	"evidence/tlog":       {},
	"evidence/store":      {"evidence", "evidence/tlog", "internal/safetext"},
	"internal/safetext":   {},
	"internal/strictyaml": {},
	"internal/archtest":   {},
	"internal/ntt":        {},
	"internal/inorder":    {},
	"internal/batchgcd":   {"internal/ntt"},
	"internal/wire":       {"evidence", "internal/wire", "internal/safetext"},
	"scanner":             {"evidence", "internal/safetext"},
	"scanner/probe":       {"evidence", "scanner", "scanner/probe", "internal/wire", "internal/safetext"},
	"scanner/active":      {"evidence", "scanner", "scanner/probe", "internal/safetext"},
	"scanner/passive":     {"evidence", "scanner", "scanner/passive", "internal/wire", "internal/safetext"},
	"scanner/discover":    {"evidence", "scanner", "internal/wire", "internal/safetext"},
	"scanner/artefact":    {"evidence", "internal/safetext"},
	"scanner/identify":    {"evidence", "internal/safetext", "scanner/identify/fingerprint"},
	"scanner/inventory":   {"evidence", "internal/safetext"},

	"scanner/identify/fingerprint": {"evidence", "internal/strictyaml"},

	"lint":            {"evidence", "lint", "internal/batchgcd", "internal/inorder", "internal/safetext", "internal/wire"},
	"rules/catalogue": {"evidence", "internal/safetext", "internal/strictyaml"},
	"rules":           {"evidence", "lint", "rules", "rules/catalogue", "internal/safetext", "internal/strictyaml"},
	"reports":         {"evidence", "reports", "rules/catalogue", "internal/safetext"},
	"fixtures":        {"fixtures"},
	"cmd/probity":     {"*"},
}

// barred lists imports that a part must not make itself: judging code does no
// I/O, collecting code does not judge, and only the store speaks SQL.
var barred = map[string][]string{
	"lint":    {"net", "net/http", "os", "os/exec", "database/sql"},
	"rules":   {"net", "net/http", "os", "os/exec", "database/sql"},
	"reports": {"net", "net/http", "os", "os/exec", "database/sql"},
	"scanner": {"database/sql", "os/exec"},
	"evidence": {
		"net", "net/http", "os/exec",
	},
}

// stdOnly are the parts that import the standard library and nothing else.
var stdOnly = []string{"evidence", "internal/safetext"}

// everywhere are imports that no package makes, with the reason.
var everywhere = map[string]string{
	"github.com/google/gopacket/tcpassembly": "its connection map is unbounded and it registers global flags",
	"github.com/google/gopacket/reassembly":  "its connection map is unbounded and it registers global flags",
	"github.com/google/gopacket/pcap":        "the binary must build and run without libpcap",
}

// sourceFile is one parsed Go file of the tree.
type sourceFile struct {
	path string // slash-separated, from the root
	pkg  string // folder, from the root
	test bool
	ast  *ast.File
}

func sources(t *testing.T) []sourceFile {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []sourceFile
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "bin" || name == "demo" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		files = append(files, sourceFile{rel, path.Dir(rel), strings.HasSuffix(name, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found: the test looks in the wrong place")
	}
	return files
}

// part returns the longest key of the table that holds pkg.
func part(pkg string) (string, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := allowed[p]; ok {
			return p, true
		}
	}
	return "", false
}

func imports(f *ast.File) []string {
	var out []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			out = append(out, p)
		}
	}
	return out
}

// withLibpcap reports whether a file is built only where the tag pcap asks for
// libpcap.
func withLibpcap(f *ast.File) bool {
	return len(f.Comments) > 0 && f.Comments[0].Pos() < f.Package && strings.HasPrefix(f.Comments[0].List[0].Text, "//go:build pcap &&")
}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		from, ok := part(f.pkg)
		if !ok {
			t.Errorf("%s: package %s is not in the table of allowed imports", f.path, f.pkg)
			continue
		}
		for _, imp := range imports(f.ast) {
			if why, bad := everywhere[imp]; bad && !withLibpcap(f.ast) {
				t.Errorf("%s: imports %s: %s", f.path, imp, why)
			}
			if f.test {
				continue
			}
			checkImport(t, f, from, imp)
		}
	}
}

func checkImport(t *testing.T, f sourceFile, from, imp string) {
	t.Helper()
	rel, ours := strings.CutPrefix(imp, module+"/")
	if ours {
		to, ok := part(rel)
		if !ok || to != from && !slices.Contains(allowed[from], to) && !slices.Contains(allowed[from], "*") {
			t.Errorf("%s: %s must not import %s (allowed: %s)", f.path, from, rel, strings.Join(allowed[from], ", "))
		}
		return
	}
	if slices.Contains(stdOnly, from) && strings.Contains(strings.Split(imp, "/")[0], ".") {
		t.Errorf("%s: %s imports the standard library only, not %s", f.path, from, imp)
	}
	for _, p := range slices.Sorted(maps.Keys(barred)) {
		if (from == p || strings.HasPrefix(from, p+"/")) && slices.Contains(barred[p], imp) {
			if imp == "database/sql" && from == "evidence/store" {
				continue
			}
			t.Errorf("%s: %s must not import %s", f.path, from, imp)
		}
	}
}

func TestTableHasNoDeadRows(t *testing.T) {
	used := map[string]bool{}
	for _, f := range sources(t) {
		if p, ok := part(f.pkg); ok {
			used[p] = true
		}
	}
	for p := range allowed {
		if !used[p] {
			t.Errorf("the table names %s, which does not exist", p)
		}
	}
}

func TestPackageComments(t *testing.T) {
	docs := map[string]int{}
	for _, f := range sources(t) {
		if f.test && f.pkg != "internal/archtest" {
			continue
		}
		if _, seen := docs[f.pkg]; !seen {
			docs[f.pkg] = 0
		}
		if f.ast.Doc != nil {
			docs[f.pkg]++
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(docs)) {
		if docs[pkg] != 1 {
			t.Errorf("package %s has %d package comments, want one", pkg, docs[pkg])
		}
	}
}

func TestWireParsersAreFuzzed(t *testing.T) {
	fuzzed := map[string]bool{}
	for _, f := range sources(t) {
		if !strings.HasPrefix(f.pkg, "internal/wire/") {
			continue
		}
		fuzzed[f.pkg] = fuzzed[f.pkg] || hasFuzz(f)
	}
	if len(fuzzed) == 0 {
		t.Fatal("no wire packages found")
	}
	for pkg, ok := range fuzzed {
		if !ok {
			t.Errorf("%s has no fuzz target", pkg)
		}
	}
}

func hasFuzz(f sourceFile) bool {
	return f.test && slices.ContainsFunc(f.ast.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz")
	})
}

func TestModuleFile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"\nreplace ", "\ntoolchain "} {
		if strings.Contains(string(b), word) {
			t.Errorf("go.mod has a %s line: users of `go install` would not get it", strings.TrimSpace(word))
		}
	}
}
