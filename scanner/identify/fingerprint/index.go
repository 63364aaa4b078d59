package fingerprint

import (
	"slices"
	"strings"

	"probity/evidence"
)

// maxValue is how many bytes of a value are looked at.
const maxValue = 1 << 10

// fieldIndex finds the entries of one field that a value may match, without a
// look at each.
type fieldIndex struct {
	kind     kind
	exact    map[string][]*Entry
	prefix   map[string][]*Entry
	lengths  []int // of the prefixes, rising
	oid      map[string][]*Entry
	begins   map[[minLiteral]byte][]candidate // patterns by the first letters of what a value begins with
	holds    map[[minLiteral]byte][]candidate // patterns by the first letters of what a value holds
	starts   [256]bool                        // first letters in holds
	patterns int
}

type candidate struct {
	literal string
	entry   *Entry
}

func newFieldIndex(k kind) *fieldIndex {
	return &fieldIndex{
		kind: k, exact: map[string][]*Entry{}, prefix: map[string][]*Entry{}, oid: map[string][]*Entry{},
		begins: map[[minLiteral]byte][]candidate{}, holds: map[[minLiteral]byte][]candidate{},
	}
}

func (x *fieldIndex) add(e *Entry) {
	switch m := e.match; {
	case m.exact != "":
		key := x.folded(m.exact)
		x.exact[key] = append(x.exact[key], e)
	case m.prefix != "":
		key := x.folded(m.prefix)
		x.prefix[key] = append(x.prefix[key], e)
		if i, found := slices.BinarySearch(x.lengths, len(key)); !found {
			x.lengths = slices.Insert(x.lengths, i, len(key))
		}
	case m.oid != "":
		x.oid[m.oid] = append(x.oid[m.oid], e)
	default:
		for _, l := range m.pattern.literals {
			start := [minLiteral]byte([]byte(l[:minLiteral]))
			if m.pattern.begins {
				x.begins[start] = append(x.begins[start], candidate{l, e})
				continue
			}
			x.holds[start] = append(x.holds[start], candidate{l, e})
			x.starts[l[0]] = true
		}
		x.patterns++
	}
}

func (x *fieldIndex) folded(s string) string {
	if x.kind.fold {
		return strings.ToLower(s)
	}
	return s
}

// find calls hit for the entries that match value: those of the whole value, of
// its longest prefix, and the patterns in their order. groups are the texts that a
// pattern captured.
func (x *fieldIndex) find(value string, hit func(e *Entry, groups []string)) {
	if x.kind.oid {
		for _, e := range longest(x.oid, value) {
			hit(e, nil)
		}
		return
	}
	key := x.folded(value)
	for _, e := range x.exact[key] {
		hit(e, nil)
	}
	for _, n := range slices.Backward(x.lengths) {
		if n > len(key) || x.prefix[key[:n]] == nil {
			continue
		}
		for _, e := range x.prefix[key[:n]] {
			hit(e, nil)
		}
		break
	}
	if x.patterns > 0 {
		x.findPatterns(value, strings.ToLower(key), hit)
	}
}

func (x *fieldIndex) findPatterns(value, lower string, hit func(e *Entry, groups []string)) {
	var tried []*Entry
	try := func(list []candidate, rest string) {
		for _, c := range list {
			if strings.HasPrefix(rest, c.literal) && !slices.Contains(tried, c.entry) {
				tried = append(tried, c.entry)
			}
		}
	}
	for i := 0; i+minLiteral <= len(lower); i++ {
		if i > 0 && !x.starts[lower[i]] {
			continue
		}
		start := [minLiteral]byte([]byte(lower[i : i+minLiteral]))
		if i == 0 {
			try(x.begins[start], lower)
		}
		try(x.holds[start], lower[i:])
	}
	slices.SortFunc(tried, func(a, b *Entry) int { return a.order - b.order })
	for _, e := range tried {
		if groups := e.match.pattern.re().FindStringSubmatch(value); groups != nil {
			hit(e, groups)
		}
	}
}

// longest returns what stands at the longest prefix of an object identifier by
// whole components.
func longest[V any](table map[string]V, oid string) (found V) {
	for oid != "" {
		if v, ok := table[oid]; ok {
			return v
		}
		i := strings.LastIndexByte(oid, '.')
		if i < 0 {
			break
		}
		oid = oid[:i]
	}
	return found
}

// Claims returns what a signal shows: what the matching entries claim, and what
// the tables hold where no entry knows the number. Two claims differ in attribute
// or value; of equal ones the highest confidence counts.
func (s *Set) Claims(sig Signal) []evidence.Claim {
	if sig.Value == "" {
		return nil
	}
	if len(sig.Value) > maxValue {
		sig.Value = sig.Value[:maxValue]
	}
	var out []evidence.Claim
	add := func(c evidence.Claim) {
		if sig.Limit > 0 {
			c.Confidence = min(c.Confidence, sig.Limit)
		}
		c.Layer = sig.Layer
		for i := range out {
			if out[i].Attribute == c.Attribute && out[i].Value == c.Value {
				if out[i].Confidence < c.Confidence {
					out[i] = c
				}
				return
			}
		}
		out = append(out, c)
	}
	x := s.fields[sig.Field]
	if x == nil {
		return nil
	}
	x.find(sig.Value, func(e *Entry, groups []string) {
		for _, c := range e.claims {
			if v := c.expand(e, groups); v != "" {
				add(evidence.Claim{Attribute: c.attribute, Value: v, Confidence: e.Confidence, Source: e.ID})
			}
		}
	})
	s.tables.claims(sig, len(out) > 0, s.makers, add)
	return out
}
