package fingerprint

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"probity/internal/strictyaml"
)

// Count says what a check looked at.
type Count struct{ Entries, Examples int }

// Check runs the examples of every entry of the set. Each failure says where it
// stands, what was claimed and what to change.
func (s *Set) Check() (n Count, failures []error) {
	for _, e := range s.entries {
		n.Entries++
		n.Examples += len(e.Examples)
		for _, x := range e.Examples {
			if msg := e.try(x); msg != "" {
				failures = append(failures, strictyaml.Errorf(e.file, strictyaml.Pos{Line: x.line, Column: x.column}, "%s: example %q: %s", e.ID, x.Value, msg))
			}
		}
	}
	return n, failures
}

// CheckFile reads one file as a contributor writes it, with the manufacturers of
// the built-in set, and runs its examples.
func CheckFile(name string, data []byte) (n Count, failures []error, err error) {
	base, err := Builtin()
	if err != nil {
		return Count{}, nil, err
	}
	l := &loader{set: empty(), ids: map[string]bool{}}
	l.set.makers = base.makers.clone()
	family := strings.TrimSuffix(filepath.Base(name), ".yaml")
	for _, e := range base.entries {
		if e.Family != family { // an edited copy of a built-in file is no clash
			l.ids[e.ID] = true
		}
	}
	if y, ok := l.decodeFamily(name, data); ok {
		if base.titles[family] != "" {
			l.again = map[string]bool{}
			for _, v := range y.Makers {
				l.again[v.V.Name] = true
			}
		}
		l.makers(name, y.Makers)
		l.family(name, y)
	}
	if err := errors.Join(l.errs...); err != nil {
		return Count{}, nil, err
	}
	n, failures = l.set.Check()
	return n, failures, nil
}

// try returns what is wrong with an example, or "".
func (e *Entry) try(x Example) string {
	kinds := fields()
	for _, f := range e.Fields {
		index := newFieldIndex(kinds[f])
		index.add(e)
		var got map[string]string
		index.find(x.Value, func(_ *Entry, groups []string) {
			got = map[string]string{}
			for _, c := range e.claims {
				if v := c.expand(e, groups); v != "" {
					got[string(c.attribute)] = v
				}
			}
		})
		switch {
		case x.Claims == nil && got != nil:
			return "it must not match, and does: make the match narrower"
		case x.Claims != nil && got == nil:
			return "it must match, and does not: make the match wider, or correct the value"
		case x.Claims != nil:
			if msg := differ(x.Claims, got); msg != "" {
				return msg
			}
		}
	}
	return ""
}

func differ(want, got map[string]string) string {
	var out []string
	for _, a := range attributeNames(want) {
		switch v, ok := got[a]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s is not claimed: the entry or a group of its pattern lacks it", a))
		case v != want[a]:
			out = append(out, fmt.Sprintf("%s is %q, want %q", a, v, want[a]))
		}
	}
	for _, a := range attributeNames(got) {
		if _, ok := want[a]; !ok {
			out = append(out, fmt.Sprintf("%s %q is claimed, which the example does not list", a, got[a]))
		}
	}
	return strings.Join(out, "; ")
}
