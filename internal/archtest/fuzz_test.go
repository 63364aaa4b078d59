package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// parsersIn lists the functions of a package that read bytes of others: exported
// ones with a []byte among their parameters and a result besides bytes, and in
// scanner/passive the constructors of dissectors.
func parsersIn(f sourceFile) []string {
	var out []string
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Type.Results == nil {
			continue
		}
		name := fn.Name.Name
		if f.pkg == "scanner/passive" {
			if fn.Recv == nil && strings.HasPrefix(name, "new") && strings.HasSuffix(name, "Session") {
				out = append(out, name)
			}
			continue
		}
		if token.IsExported(name) && slices.ContainsFunc(fn.Type.Params.List, takesBytes) && !onlyBytes(fn.Type.Results.List) {
			out = append(out, name)
		}
	}
	return out
}

func takesBytes(p *ast.Field) bool {
	if s, ok := p.Type.(*ast.SelectorExpr); ok {
		return s.Sel.Name == "Reader"
	}
	return isBytes(p.Type)
}

func isBytes(e ast.Expr) bool {
	a, ok := e.(*ast.ArrayType)
	if !ok || a.Len != nil {
		return false
	}
	id, ok := a.Elt.(*ast.Ident)
	return ok && id.Name == "byte"
}

func onlyBytes(results []*ast.Field) bool { return len(results) == 1 && isBytes(results[0].Type) }

// calls maps the functions of a package's tests, and of the package itself, to
// every name in their bodies.
func calls(files []sourceFile) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, f := range files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			names := out[fn.Name.Name]
			if names == nil {
				names = map[string]bool{}
				out[fn.Name.Name] = names
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					names[id.Name] = true
				}
				return true
			})
		}
		for _, d := range f.ast.Decls { // tables of functions
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				names := map[string]bool{}
				ast.Inspect(v, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok {
						names[id.Name] = true
					}
					return true
				})
				for _, n := range v.Names {
					out[n.Name] = names
				}
			}
		}
	}
	return out
}

// TestParsersAreFuzzed: every function that reads what comes from the network is
// reached by a fuzz target of its package.
func TestParsersAreFuzzed(t *testing.T) {
	packages := map[string][]sourceFile{}
	for _, f := range sources(t) {
		if strings.HasPrefix(f.pkg, "internal/wire/") || f.pkg == "scanner/passive" {
			packages[f.pkg] = append(packages[f.pkg], f)
		}
	}
	total := 0
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		called := calls(packages[pkg])
		reached := map[string]bool{}
		var visit func(name string)
		visit = func(name string) {
			if reached[name] {
				return
			}
			reached[name] = true
			for next := range called[name] {
				visit(next)
			}
		}
		for name := range called {
			if strings.HasPrefix(name, "Fuzz") {
				visit(name)
			}
		}
		for _, f := range packages[pkg] {
			if f.test || strings.HasSuffix(f.path, "/build.go") { // which writes messages and reads none
				continue
			}
			for _, parser := range parsersIn(f) {
				if total++; !reached[parser] {
					t.Errorf("%s: no fuzz target reaches %s", pkg, parser)
				}
			}
		}
	}
	if total < 50 {
		t.Errorf("only %d parsers were found", total)
	}
	t.Logf("%d parsers", total)
}
