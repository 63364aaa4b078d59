// Package strictyaml decodes YAML that people write and that decides verdicts:
// the rule catalogue and site policies. A key that nobody reads is an error, so
// that a misspelt threshold cannot be ignored in silence; so are duplicate keys,
// tags, anchors, aliases and a second document. Every error names file, line and
// column.
//
// The package knows no schema of its own and does no I/O.
package strictyaml

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxBytes is the largest document that [Decode] reads.
const MaxBytes = 1 << 20

// Pos is a place in a document; lines and columns count from 1.
type Pos struct{ Line, Column int }

// Error is a mistake at a place in a file.
type Error struct {
	File string
	Pos
	Msg string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Errorf returns an [Error] at a place in a file.
func Errorf(file string, at Pos, format string, args ...any) error {
	return &Error{File: file, Pos: at, Msg: fmt.Sprintf(format, args...)}
}

// Value is a decoded value that remembers where it stood.
type Value[T any] struct {
	V T
	Pos
}

// UnmarshalYAML implements [yaml.NodeUnmarshaler].
func (v *Value[T]) UnmarshalYAML(n ast.Node) error {
	v.Pos = position(n.GetToken())
	return yaml.NodeToValue(n, &v.V, yaml.Strict())
}

// Decode reads one YAML document into out, a pointer to a struct with yaml tags.
// name stands for the document in errors, which are of type [*Error].
func Decode(name string, data []byte, out any) (err error) {
	// The YAML library panics on some malformed documents that its parser lets
	// through; a policy file is input and must not end the program.
	defer func() {
		if r := recover(); r != nil {
			err = &Error{File: name, Msg: fmt.Sprintf("not readable as YAML (%v)", r)}
		}
	}()
	if len(data) > MaxBytes {
		return &Error{File: name, Msg: fmt.Sprintf("%d bytes of YAML: at most %d are read", len(data), MaxBytes)}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return describe(name, err, out)
	}
	var docs []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	switch len(docs) {
	case 0:
		return &Error{File: name, Msg: "the document is empty"}
	case 1:
	default:
		return Errorf(name, position(docs[1].GetToken()), "a second document begins here: want one")
	}
	var refs references
	ast.Walk(&refs, docs[0])
	if refs.found != nil {
		return Errorf(name, position(refs.found), "tags, anchors, aliases and merge keys are not read: write the value out")
	}
	if err := yaml.NodeToValue(docs[0], out, yaml.Strict()); err != nil {
		return describe(name, err, out)
	}
	return nil
}

// references finds the first tag, anchor, alias or merge key: they let a small
// file expand without bound or change the type of what is written.
type references struct{ found *token.Token }

// Visit implements [ast.Visitor].
func (r *references) Visit(n ast.Node) ast.Visitor {
	if r.found != nil {
		return nil
	}
	switch n.Type() {
	case ast.TagType, ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		r.found = n.GetToken()
		return nil
	default:
		return r
	}
}

func describe(name string, err error, out any) error {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return &Error{File: name, Msg: err.Error()}
	}
	msg := strings.ReplaceAll(ye.GetMessage(), "character '\t' that cannot start any token", "a tab where only blanks indent")
	var unknown *yaml.UnknownFieldError
	var mismatch *yaml.TypeError
	switch {
	case errors.As(err, &unknown):
		key := unknown.Token.Value
		msg = fmt.Sprintf("unknown key %q", key)
		if near := Nearest(key, keys(reflect.TypeOf(out), nil)); near != "" {
			msg += fmt.Sprintf(": did you mean %q?", near)
		}
	case errors.As(err, &mismatch):
		msg = fmt.Sprintf("a %s stands where a %s is expected", kindName(mismatch.SrcType), kindName(mismatch.DstType))
	}
	return Errorf(name, position(ye.GetToken()), "%s", msg)
}

func kindName(t reflect.Type) string {
	if t == nil {
		return "null"
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return "list"
	case reflect.Map, reflect.Struct:
		return "mapping"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "decimal number"
	default:
		return "number"
	}
}

// keys collects the yaml names of a type and of all that it holds.
func keys(t reflect.Type, seen []reflect.Type) []string {
	if slices.Contains(seen, t) {
		return nil
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Array:
		return keys(t.Elem(), seen)
	case reflect.Struct:
		var names []string
		for f := range t.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
				names = append(names, name)
			}
			names = append(names, keys(f.Type, seen)...)
		}
		return names
	default:
		return nil
	}
}

func position(t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{}
	}
	return Pos{Line: t.Position.Line, Column: t.Position.Column}
}

// Nearest returns the candidate that differs from a mistyped word by the fewest
// edits, or "" when none is close. Letter case does not count; of equally close
// candidates the first wins.
func Nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, fewest := "", max(2, len(word)/4)+1
	for _, c := range candidates {
		if d := edits(word, strings.ToLower(c)); d < fewest {
			best, fewest = c, d
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
