package reports

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"probity/evidence"
)

// alike are many findings that are one.
type alike struct {
	n  int
	of evidence.Finding
}

func (a alike) Len() int                { return a.n }
func (a alike) At(int) evidence.Finding { return a.of }

// TestHTML_bounded asks that a page of more findings than a browser can show says what
// it lacks.
func TestHTML_bounded(t *testing.T) {
	in := sample(t)
	in.Findings = alike{embeddedFindings + 1, in.Findings.At(0)}
	var b bytes.Buffer
	if err := HTML(&b, Build(in)); err != nil {
		t.Fatal(err)
	}
	if page := b.String(); !strings.Contains(page, "the "+thousands(embeddedFindings)+" most urgent; <strong>it does not hold the others</strong>") {
		i := max(0, strings.Index(page, "With JavaScript"))
		t.Errorf("the page does not say what it lacks: %.300s", page[i:])
	}
}

// TestLists_damaged asks that a report ends with the error of what it is made of.
func TestLists_damaged(t *testing.T) {
	damaged := errors.New("cut off")
	for name, lists := range map[string]Lists{
		"observations": {Observations: failing[evidence.Observation](damaged), Certificates: nothing[Certificate]()},
		"certificates": {Observations: nothing[evidence.Observation](), Certificates: failing[Certificate](damaged)},
	} {
		in := sample(t)
		in.Lists = &lists
		d := Build(in)
		if err := JSON(io.Discard, d); !errors.Is(err, damaged) {
			t.Errorf("%s: JSON: got %v, want %v", name, err, damaged)
		}
		if err := HTML(io.Discard, d); !errors.Is(err, damaged) {
			t.Errorf("%s: HTML: got %v, want %v", name, err, damaged)
		}
	}
}

func failing[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

func nothing[T any]() iter.Seq2[T, error] { return func(func(T, error) bool) {} }
