package fingerprint

import (
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
)

// Markdown describes the set: product families, fingerprints and manufacturers,
// each with its source.
func (s *Set) Markdown() string {
	var b strings.Builder
	families := s.families()
	fmt.Fprintf(&b, "%d manufacturers, %d product families, %d fingerprints with %d examples; tables of %d DICOM roots, %d enterprise numbers and %d hardware address blocks.\n",
		len(s.makers.list), len(families), len(s.entries), s.examples(), len(s.tables.uid), len(s.tables.pen), len(s.tables.oui))
	b.WriteString("\n## Product families\n\n| family | manufacturer | class | fingerprints |\n|---|---|---|---|\n")
	for _, f := range families {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(f.name), cell(f.maker), f.class, strings.Join(f.ids, ", "))
	}
	for _, name := range attributeNames(s.titles) {
		fmt.Fprintf(&b, "\n## %s\n\n| id | looks at | claims | confidence | source |\n|---|---|---|---|---|\n", s.titles[name])
		for _, e := range s.entries {
			if e.Family == name {
				fmt.Fprintf(&b, "| %s | %s | %s | %d | %s |\n", e.ID, fieldsText(e.Fields), cell(claimsText(e)), e.Confidence, cell(e.Source))
			}
		}
	}
	b.WriteString("\n## Manufacturers\n\n| manufacturer | part of | source of its names |\n|---|---|---|\n")
	for _, m := range s.makers.list {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell(m.Name), cell(m.PartOf), cell(m.Source))
	}
	return b.String()
}

// family is a product family with the fingerprints that tell of it.
type family struct {
	name, maker, class string
	ids                []string
}

func (s *Set) families() []family {
	byName := map[string]*family{}
	for _, e := range s.entries {
		name := e.claimed(evidence.AttrFamily)
		if name == "" {
			continue
		}
		maker := e.claimed(evidence.AttrManufacturer)
		for _, m := range s.makers.list { // a product is matched behind the name of its maker
			if maker == "" && slices.Contains(e.Fields, Product) && strings.HasPrefix(e.Examples[0].Value, m.Name+" ") {
				maker = m.Name
			}
		}
		f := byName[name]
		if f == nil {
			f = &family{name: name}
			byName[name] = f
		}
		if f.maker == "" {
			f.maker = maker
		}
		if f.class == "" {
			f.class = e.claimed(evidence.AttrClass)
		}
		f.ids = append(f.ids, e.ID)
	}
	var out []family
	for _, name := range attributeNames(byName) {
		out = append(out, *byName[name])
	}
	return out
}

func (s *Set) examples() int {
	n := 0
	for _, e := range s.entries {
		n += len(e.Examples)
	}
	return n
}

// claimed returns what an entry claims of an attribute, as the file writes it.
func (e *Entry) claimed(a evidence.Attribute) string {
	for _, c := range e.claims {
		if c.attribute == a {
			return c.value
		}
	}
	return ""
}

func claimsText(e *Entry) string {
	var out []string
	for _, c := range e.claims {
		out = append(out, string(c.attribute)+" "+groupName.ReplaceAllString(c.value, "<$1>"))
	}
	return strings.Join(out, ", ")
}

func fieldsText(fields []Field) string {
	var out []string
	for _, f := range fields {
		out = append(out, string(f))
	}
	return strings.Join(out, ", ")
}

// cell makes text safe for a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "\\<", "\n", " ").Replace(s)
}
