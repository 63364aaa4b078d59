package fingerprint

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of a pattern. RE2 runs in time linear to value times program, so both
// are bounded.
const (
	maxPattern = 256  // bytes
	maxProgram = 2000 // instructions
	minLiteral = 3    // bytes of fixed text that a value must hold
)

// pattern is an RE2 pattern with texts of which every value that it matches holds
// one: they say cheaply that most values do not match.
type pattern struct {
	re       *regexp.Regexp
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
	literals, begins := first(tree.Simplify()), true
	if shortest(literals) < minLiteral {
		literals, begins = required(tree.Simplify()), false
	}
	if shortest(literals) < minLiteral {
		return pattern{}, fmt.Errorf("no fixed text of %d letters or more that every match holds: write one out, also in each branch of an alternative", minLiteral)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return pattern{}, err
	}
	if len(prog.Inst) > maxProgram {
		return pattern{}, errors.New("it is too large: repeat less")
	}
	re, err := regexp.Compile(text)
	return pattern{re, literals, begins}, err
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
