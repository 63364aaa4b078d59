package fingerprint

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"probity/evidence"
	"probity/internal/strictyaml"
)

//go:embed data/*.yaml data/*.tsv
var embedded embed.FS

// The shapes of the YAML files.
type (
	fileYAML struct {
		Family  strictyaml.Value[string]      `yaml:"family"`
		Title   string                        `yaml:"title"`
		Makers  []strictyaml.Value[makerYAML] `yaml:"manufacturers"`
		Entries []strictyaml.Value[entryYAML] `yaml:"entries"`
	}
	entryYAML struct {
		ID         strictyaml.Value[string]        `yaml:"id"`
		Field      strictyaml.Value[string]        `yaml:"field"`
		Fields     []strictyaml.Value[string]      `yaml:"fields"`
		Match      strictyaml.Value[matchYAML]     `yaml:"match"`
		Claims     map[string]string               `yaml:"claims"`
		Confidence strictyaml.Value[int]           `yaml:"confidence"`
		Source     string                          `yaml:"source"`
		Examples   []strictyaml.Value[exampleYAML] `yaml:"examples"`
	}
	matchYAML struct {
		Exact  string `yaml:"exact"`
		Prefix string `yaml:"prefix"`
		OID    string `yaml:"oid"`
		Re     string `yaml:"re"`
	}
	exampleYAML struct {
		Value  string            `yaml:"value"`
		Claims map[string]string `yaml:"claims"`
		None   bool              `yaml:"none"`
	}
)

// builtin holds the embedded set, which never changes.
var builtin = sync.OnceValues(func() (*Set, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return empty(), err
	}
	return load(data)
})

// Builtin returns the set that the program carries. Its error is a mistake in the
// data, which a test excludes; the set is then empty, and claims nothing.
func Builtin() (*Set, error) { return builtin() }

func empty() *Set {
	return &Set{
		titles: map[string]string{},
		fields: map[Field]*fieldIndex{},
		makers: &makers{names: map[string]string{}, begins: map[string]string{}, told: map[string]string{}, groups: map[string]string{}},
		tables: &tables{},
	}
}

// load reads every file of a folder.
func load(dir fs.FS) (*Set, error) {
	l := &loader{set: empty(), ids: map[string]bool{}}
	names, err := fs.Glob(dir, "*")
	if err != nil {
		return empty(), fmt.Errorf("fingerprints: %w", err)
	}
	slices.Sort(names)
	var all []byte
	contents := map[string][]byte{}
	for _, name := range names {
		if contents[name], err = fs.ReadFile(dir, name); err != nil {
			return empty(), fmt.Errorf("fingerprints: %w", err)
		}
		all = append(all, contents[name]...)
	}
	l.decodeMakers(makersFile, contents[makersFile])
	families := map[string]fileYAML{}
	for _, name := range names {
		if name == makersFile || !strings.HasSuffix(name, ".yaml") {
			continue
		}
		if y, ok := l.decodeFamily(name, contents[name]); ok {
			families[name] = y
			l.makers(name, y.Makers)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tsv") {
			l.decodeTable(name, contents[name])
		} else if y, ok := families[name]; ok {
			l.family(name, y)
		}
	}
	l.set.digest = evidence.DigestOf(all)
	if err := errors.Join(l.errs...); err != nil {
		return empty(), fmt.Errorf("fingerprints: %w", err)
	}
	l.index()
	return l.set, nil
}

// loader collects a set and all that is wrong with it.
type loader struct {
	set   *Set
	ids   map[string]bool
	again map[string]bool // manufacturers that may be listed again: a file is checked beside its built-in copy
	errs  []error
}

func (l *loader) failf(file string, at strictyaml.Pos, format string, args ...any) {
	l.errs = append(l.errs, strictyaml.Errorf(file, at, format, args...))
}

func (l *loader) text(file string, at strictyaml.Pos, what, key, value string) {
	if strings.TrimSpace(value) == "" {
		l.failf(file, at, "%s: %q is missing or empty", what, key)
	}
}

func (l *loader) index() {
	kinds := fields()
	for f, k := range kinds {
		l.set.fields[f] = newFieldIndex(k)
	}
	for _, e := range l.set.entries {
		for _, f := range e.Fields {
			l.set.fields[f].add(e)
		}
	}
}

func (l *loader) decodeFamily(file string, data []byte) (y fileYAML, ok bool) {
	if err := strictyaml.Decode(file, data, &y); err != nil {
		l.errs = append(l.errs, err)
		return y, false
	}
	return y, true
}

// family takes the entries of a file, whose manufacturers are known by then.
func (l *loader) family(file string, y fileYAML) {
	if want := strings.TrimSuffix(path.Base(file), ".yaml"); y.Family.V != want {
		l.failf(file, y.Family.Pos, "family %q: want %q, the name of the file", y.Family.V, want)
	}
	l.text(file, y.Family.Pos, "family "+y.Family.V, "title", y.Title)
	l.set.titles[y.Family.V] = y.Title
	for _, v := range y.Entries {
		l.entry(file, v.Pos, y.Family.V, v.V)
	}
}

func (l *loader) entry(file string, at strictyaml.Pos, family string, y entryYAML) {
	id := y.ID.V
	e := &Entry{
		ID: id, Family: family, Confidence: y.Confidence.V, Source: y.Source,
		order: len(l.set.entries), file: file, line: at.Line, column: at.Column,
	}
	if rest, ok := strings.CutPrefix(id, family+"/"); !ok || rest == "" || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		l.failf(file, y.ID.Pos, "id %q: want %q and a name in lower case with hyphens", id, family+"/")
	}
	if l.ids[id] {
		l.failf(file, y.ID.Pos, "id %q is given twice", id)
	}
	l.ids[id] = true
	l.text(file, at, id, "source", y.Source)
	l.entryFields(file, at, e, y)
	whole := l.entryMatch(file, y.Match.Pos, e, y.Match.V)
	l.entryClaims(file, at, e, y.Claims, whole)
	l.entryExamples(file, at, e, y.Examples)
	l.set.entries = append(l.set.entries, e)
}

// entryFields reads fields and the confidence that they bear.
func (l *loader) entryFields(file string, at strictyaml.Pos, e *Entry, y entryYAML) {
	names := y.Fields
	if y.Field.V != "" {
		names = append(names, y.Field)
	}
	if len(names) == 0 {
		l.failf(file, at, "%s: want a field, or fields", e.ID)
	}
	kinds := fields()
	for _, v := range names {
		k, ok := kinds[Field(v.V)]
		switch {
		case !ok:
			near := ""
			if n := strictyaml.Nearest(v.V, fieldNames()); n != "" {
				near = fmt.Sprintf(": did you mean %q?", n)
			}
			l.failf(file, v.Pos, "%s: no field %q%s", e.ID, v.V, near)
		case y.Confidence.V < 1 || y.Confidence.V > k.limit:
			l.failf(file, y.Confidence.Pos, "%s: confidence %d: want 1 to %d, which is the most that %s bears", e.ID, y.Confidence.V, k.limit, v.V)
		case k.oid != (y.Match.V.OID != ""):
			l.failf(file, y.Match.Pos, "%s: %s is matched by oid, and nothing else is", e.ID, v.V)
		}
		e.Fields = append(e.Fields, Field(v.V))
	}
}

// entryMatch reads what is matched and reports whether it could be read.
func (l *loader) entryMatch(file string, at strictyaml.Pos, e *Entry, y matchYAML) bool {
	given := 0
	for _, s := range []string{y.Exact, y.Prefix, y.OID, y.Re} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		l.failf(file, at, "%s: want exactly one of exact, prefix, oid and re", e.ID)
		return false
	}
	e.match = matcher{exact: y.Exact, prefix: y.Prefix, oid: y.OID}
	if y.OID != "" && !isOID(y.OID) {
		l.failf(file, at, "%s: %q is no object identifier: want numbers with dots", e.ID, y.OID)
	}
	if y.Re == "" {
		return true
	}
	p, err := compile(y.Re)
	if err != nil {
		l.failf(file, at, "%s: pattern %q: %v", e.ID, y.Re, err)
		return false
	}
	e.match.pattern = p
	return true
}

func isOID(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) > 1 && len(s) <= 128 && !slices.ContainsFunc(parts, func(p string) bool {
		return p == "" || strings.Trim(p, "0123456789") != "" || len(p) > 1 && p[0] == '0'
	})
}

// entryClaims reads claims. Which groups they name is checked against a pattern that
// could be read.
func (l *loader) entryClaims(file string, at strictyaml.Pos, e *Entry, y map[string]string, matched bool) {
	if len(y) == 0 {
		l.failf(file, at, "%s: want at least one claim", e.ID)
	}
	for _, name := range attributeNames(y) {
		a, value := evidence.Attribute(name), y[name]
		switch {
		case !slices.Contains(claimable(), a):
			l.failf(file, at, "%s: an entry does not claim %q: want one of %v", e.ID, name, claimable())
		case value == "":
			l.failf(file, at, "%s: the claim %q is empty", e.ID, name)
		case a == evidence.AttrClass && !slices.Contains(Classes(), value):
			l.failf(file, at, "%s: class %q: want one of %s", e.ID, value, strings.Join(Classes(), ", "))
		case a == evidence.AttrManufacturer:
			if err := l.set.makers.canonical(value); err != nil {
				l.failf(file, at, "%s: %v", e.ID, err)
			}
		}
		for _, ref := range groupName.FindAllStringSubmatch(value, -1) {
			if matched && e.match.pattern.group(ref[1]) < 0 {
				l.failf(file, at, "%s: the claim %q names a group that the pattern does not have: write (?P<%s>...)", e.ID, name, ref[1])
			}
		}
		e.claims = append(e.claims, template{a, value})
	}
}

// entryExamples wants one example that matches and, for a match by more than one
// text, one that does not.
func (l *loader) entryExamples(file string, at strictyaml.Pos, e *Entry, y []strictyaml.Value[exampleYAML]) {
	var matches, others int
	for _, v := range y {
		x := Example{Value: v.V.Value, Claims: v.V.Claims, line: v.Line, column: v.Column}
		switch {
		case x.Value == "":
			l.failf(file, v.Pos, "%s: an example has no value", e.ID)
		case v.V.None == (len(x.Claims) > 0):
			l.failf(file, v.Pos, "%s: an example has claims, or none: true", e.ID)
		case v.V.None:
			others++
		default:
			matches++
		}
		e.Examples = append(e.Examples, x)
	}
	if matches == 0 {
		l.failf(file, at, "%s: want an example that matches", e.ID)
	}
	if others == 0 && e.match.exact == "" {
		l.failf(file, at, "%s: want an example that must not match (none: true): a near miss", e.ID)
	}
}
