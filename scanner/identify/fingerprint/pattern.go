package fingerprint

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
)

// Bounds of a pattern. RE2 runs in time linear to value times program, so both
// are bounded.
const (
	maxPattern = 256  // bytes
	maxProgram = 2000 // instructions, about
	minLiteral = 3    // bytes of fixed text that a value must hold
)

// pattern is an RE2 pattern with texts of which every value that it matches holds
// one: they say cheaply that most values do not match. It is compiled for the
// first value that may.
type pattern struct {
	re       func() *regexp.Regexp
	groups   []string // names, by number; empty where there is none
	literals []string // lower case
	begins   bool     // every value that matches begins with one of the literals
}

func compile(text string) (pattern, error) {
	if len(text) > maxPattern {
		return pattern{}, fmt.Errorf("%d bytes: a pattern has at most %d", len(text), maxPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("not an RE2 pattern: %w", err)
	}
	p := pattern{re: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) }), groups: tree.CapNames(), begins: true}
	tree = tree.Simplify()
	if p.literals = first(tree); shortest(p.literals) < minLiteral {
		p.literals, p.begins = required(tree), false
	}
	if shortest(p.literals) < minLiteral {
		return pattern{}, fmt.Errorf("no fixed text of %d letters or more that every match holds: write one out, also in each branch of an alternative", minLiteral)
	}
	if size(tree) > maxProgram {
		return pattern{}, errors.New("it is too large: repeat less")
	}
	return p, nil
}

// group returns the number of the group with a name, or -1.
func (p pattern) group(name string) int { return slices.Index(p.groups, name) }

// size is about the number of instructions of a simplified pattern.
func size(t *syntax.Regexp) int {
	n := 1 + len(t.Rune)
	for _, sub := range t.Sub {
		n += size(sub)
	}
	return n
}

// first returns texts of which any match begins with one; none if that is not
// known.
func first(t *syntax.Regexp) []string {
	if t.Op != syntax.OpConcat || len(t.Sub) < 2 || t.Sub[0].Op != syntax.OpBeginText {
		return nil
	}
	switch next := t.Sub[1]; next.Op {
	case syntax.OpLiteral:
		return required(next)
	case syntax.OpCapture:
		if sub := next.Sub[0]; sub.Op == syntax.OpConcat && sub.Sub[0].Op == syntax.OpLiteral {
			return required(sub.Sub[0])
		}
	default:
	}
	return nil
}

// required returns texts of which any match holds at least one; none if that is
// not known.
func required(t *syntax.Regexp) []string {
	switch t.Op {
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(t.Rune))}
	case syntax.OpCapture, syntax.OpPlus:
		return required(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return required(t.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range t.Sub {
			if r := required(sub); shortest(r) > shortest(best) {
				best = r
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range t.Sub {
			r := required(sub)
			if shortest(r) < minLiteral {
				return nil
			}
			all = append(all, r...)
		}
		return all
	default:
	}
	return nil
}

// shortest returns the length of the shortest text, 0 for none.
func shortest(texts []string) int {
	n := 0
	for i, s := range texts {
		if i == 0 || len(s) < n {
			n = len(s)
		}
	}
	return n
}
