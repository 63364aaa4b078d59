package fingerprint

import (
	"regexp"
	"strings"

	"probity/evidence"
)

// Entry is one fingerprint: what it matches and what that shows.
type Entry struct {
	ID         string // "<family>/<name>", unique
	Family     string // name of the file without .yaml
	Fields     []Field
	Confidence int
	Source     string // where the knowledge is from: a document, a public file, a measurement
	Examples   []Example

	match  matcher
	claims []template
	order  int // among all entries
	file   string
	line   int
	column int
}

// Example is one value and what it shows: a test of its entry.
type Example struct {
	Value  string
	Claims map[string]string // by attribute; nil: the entry must not match
	line   int
	column int
}

// matcher holds exactly one way to match.
type matcher struct {
	exact, prefix, oid string
	pattern            pattern
}

// template is a claim whose value may name groups of the pattern: "${version}".
type template struct {
	attribute evidence.Attribute
	value     string
}

// groupName finds the groups that a template names.
var groupName = regexp.MustCompile(`\$\{([a-z_]+)\}`)

// expand fills in what the pattern captured. A value whose groups captured nothing
// is no claim.
func (t template) expand(e *Entry, groups []string) string {
	if !strings.Contains(t.value, "${") {
		return t.value
	}
	missing := false
	value := groupName.ReplaceAllStringFunc(t.value, func(ref string) string {
		i := e.match.pattern.group(ref[2 : len(ref)-1])
		if i < 0 || i >= len(groups) || groups[i] == "" {
			missing = true
			return ""
		}
		return groups[i]
	})
	if missing {
		return ""
	}
	return value
}

// Set is all that is known: entries, makers and tables.
type Set struct {
	entries []*Entry
	titles  map[string]string // of the families
	fields  map[Field]*fieldIndex
	makers  *makers
	tables  *tables
	digest  evidence.Digest
}

// Digest is the SHA-256 of the data files, concatenated in the order of their
// names: what `cat data/* | sha256sum` prints.
func (s *Set) Digest() evidence.Digest { return s.digest }

// Manufacturer returns the one name under which a maker is known here for a name
// as it stands in a certificate or registry.
func (s *Set) Manufacturer(text string) (name string, known bool) { return s.makers.find(text, false) }

// Told is [Set.Manufacturer] for what a device says of itself in a clinical
// protocol, where a short name is enough; an unknown name is returned as it is.
func (s *Set) Told(text string) string {
	if name, known := s.makers.find(text, true); known {
		return name
	}
	return text
}

// Group returns the company that a maker belongs to, or its own name.
func (s *Set) Group(name string) string {
	if g, ok := s.makers.groups[name]; ok {
		return g
	}
	return name
}
