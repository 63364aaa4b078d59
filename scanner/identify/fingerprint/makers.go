package fingerprint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"probity/internal/strictyaml"
)

// makersFile lists the manufacturers.
const makersFile = "manufacturers.yaml"

type (
	makersYAML struct {
		Manufacturers []strictyaml.Value[makerYAML] `yaml:"manufacturers"`
	}
	makerYAML struct {
		Name string `yaml:"name"`
		// PartOf names the company that it belongs to by now: claims of either name
		// agree.
		PartOf string   `yaml:"part_of"`
		Names  []string `yaml:"names"`  // whole names
		Begins []string `yaml:"begins"` // first words of names
		Told   []string `yaml:"told"`   // whole names that are clear in a clinical protocol only
		Source string   `yaml:"source"`
	}
)

// makers maps names as they are written to the one name of a manufacturer.
type makers struct {
	names  map[string]string
	begins map[string]string
	told   map[string]string
	groups map[string]string
	list   []makerYAML
}

// find looks a name up. Letter case, punctuation and legal forms do not count.
func (m *makers) find(text string, told bool) (string, bool) {
	words := words(text)
	whole := strings.Join(words, " ")
	if name, ok := m.names[whole]; ok {
		return name, true
	}
	if name, ok := m.told[whole]; ok && told {
		return name, true
	}
	for n := len(words); n > 0; n-- {
		if name, ok := m.begins[strings.Join(words[:n], " ")]; ok {
			return name, true
		}
	}
	return "", false
}

// maxWords bounds the words of a name that are looked at.
const maxWords = 12

// words splits a name; the legal forms at its end are dropped.
func words(text string) []string {
	out := strings.FieldsFunc(strings.ToLower(text[:min(len(text), maxValue)]), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	out = out[:min(len(out), maxWords)]
	for len(out) > 1 && slices.Contains(legalForms(), out[len(out)-1]) {
		out = out[:len(out)-1]
	}
	return out
}

func legalForms() []string {
	return []string{
		"ab", "ag", "as", "a", "b", "bv", "co", "company", "corp", "corporation", "gmbh", "inc", "incorporated", "k", "kg", "kgaa", "kk",
		"limited", "llc", "ltd", "n", "nv", "oy", "oyj", "p", "plc", "s", "sa", "sas", "se", "spa", "srl", "v",
	}
}

// decodeMakers reads the list of manufacturers.
func (l *loader) decodeMakers(file string, data []byte) {
	var y makersYAML
	if err := strictyaml.Decode(file, data, &y); err != nil {
		l.errs = append(l.errs, err)
		return
	}
	l.makers(file, y.Manufacturers)
}

// makers takes manufacturers of a file, each part of one that is known by then or of
// the same file.
func (l *loader) makers(file string, list []strictyaml.Value[makerYAML]) {
	m := l.set.makers
	known := map[string]bool{}
	for _, k := range m.list {
		known[k.Name] = true
	}
	for _, v := range list {
		if known[v.V.Name] && !l.again[v.V.Name] {
			l.failf(file, v.Pos, "manufacturer %q is listed already: leave one, with all names", v.V.Name)
		}
		known[v.V.Name] = true
	}
	for _, v := range list {
		k := v.V
		l.text(file, v.Pos, "manufacturer", "name", k.Name)
		l.text(file, v.Pos, "manufacturer "+k.Name, "source", k.Source)
		if k.PartOf != "" {
			if !known[k.PartOf] {
				l.failf(file, v.Pos, "manufacturer %q: part_of %q is no manufacturer of %s or this file", k.Name, k.PartOf, makersFile)
			}
			m.groups[k.Name] = k.PartOf
		}
		l.alias(file, v.Pos, m.names, k.Name, append(slices.Clone(k.Names), k.Name))
		for _, text := range k.Begins {
			if w := words(text); len(w) > 0 && !strings.HasSuffix(strings.ToLower(strings.TrimRight(text, ". ")), w[len(w)-1]) {
				l.failf(file, v.Pos, "manufacturer %q: the legal form in %q does not count, so that it begins more names than it says: make it one of names", k.Name, text)
			}
		}
		l.alias(file, v.Pos, m.begins, k.Name, k.Begins)
		l.alias(file, v.Pos, m.told, k.Name, k.Told)
		m.list = append(m.list, k)
	}
}

func (l *loader) alias(file string, at strictyaml.Pos, table map[string]string, name string, texts []string) {
	for _, text := range texts {
		key := strings.Join(words(text), " ")
		if other, taken := table[key]; taken && other != name {
			l.failf(file, at, "%q is a name of %q and of %q: leave it to one", text, other, name)
		}
		if key == "" {
			l.failf(file, at, "manufacturer %q: the name %q has no letters", name, text)
		}
		table[key] = name
	}
}

// clone is a copy to which manufacturers can be added.
func (m *makers) clone() *makers {
	return &makers{maps.Clone(m.names), maps.Clone(m.begins), maps.Clone(m.told), maps.Clone(m.groups), slices.Clone(m.list)}
}

// canonical checks that an entry claims a manufacturer by its one name.
func (m *makers) canonical(name string) error {
	if slices.ContainsFunc(m.list, func(k makerYAML) bool { return k.Name == name }) {
		return nil
	}
	var names []string
	for _, k := range m.list {
		names = append(names, k.Name)
	}
	if near := strictyaml.Nearest(name, names); near != "" {
		return fmt.Errorf("manufacturer %q is not in %s: did you mean %q?", name, makersFile, near)
	}
	return fmt.Errorf("manufacturer %q is not in %s: add it there, or under \"manufacturers:\" of this file", name, makersFile)
}
