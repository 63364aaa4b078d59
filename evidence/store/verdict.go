package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"probity/evidence"
)

const (
	// maxTogetherFindings bounds the findings of one row of verdict: SQLite reads all
	// keys of a row for the key of one.
	maxTogetherFindings = 256
	// maxAnswers bounds the answers of one rule that wait for more subjects.
	maxAnswers = 4096
)

// findingWriter writes findings as subjects and verdicts: what was judged once,
// and each answer of a rule once for all that it was given for.
type findingWriter struct {
	b     *batch
	run   int64
	rules map[string]int64 // rows by rule id
	next  int64            // number of the next finding

	subjects map[evidence.Digest]*judgedSubject // by the key of a finding without rule
	last     *judgedSubject                     // of the rule; nil before the first
	numbers  map[string]int                     // of the rules that came, by id

	rule    string // of the answers that wait
	ruleRow int64
	number  int
	answers map[answer]*answered
	order   []*answered
}

// judgedSubject is a subject with its rows: most rules rest on the same
// observations of it.
type judgedSubject struct {
	subject evidence.Subject
	judged  ruleSet
	rows    []subjectRow
	next    *judgedSubject // the one that followed it when it came last
}

type subjectRow struct {
	id           int64
	group        string // JSON
	asset        string
	observations []int64
}

// ruleSet is a set of small numbers.
type ruleSet []uint64

// add reports whether n is new.
func (s *ruleSet) add(n int) bool {
	for len(*s) <= n/64 {
		*s = append(*s, 0)
	}
	word, bit := &(*s)[n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// answer is what a rule says of all its subjects alike.
type answer struct {
	severity      evidence.Severity
	outcome       evidence.Outcome
	title, detail string
}

type answered struct {
	answer
	subjects []int64
	keys     []byte
	many     bool // a row was filled
}

func (b *batch) newFindingWriter(run int64, rules map[string]int64) (*findingWriter, error) {
	w := &findingWriter{b: b, run: run, rules: rules, subjects: make(map[evidence.Digest]*judgedSubject), numbers: make(map[string]int), answers: make(map[answer]*answered)}
	var twice bool
	err := b.tx.QueryRowContext(context.Background(), `SELECT EXISTS(SELECT 1 FROM verdict WHERE run=?), 1+max(
		coalesce((SELECT max(id) FROM finding),0),
		coalesce((SELECT first_finding+findings-1 FROM verdict ORDER BY first_finding DESC LIMIT 1),0))`, run).Scan(&twice, &w.next)
	if twice {
		err = errors.New("the run has its findings already")
	}
	return w, err
}

// add takes a finding.
func (w *findingWriter) add(f *evidence.Finding) error {
	if f.Rule != w.rule || len(w.order) >= maxAnswers {
		if err := w.flush(); err != nil {
			return err
		}
		row, ok := w.rules[f.Rule]
		if !ok {
			return errors.New("the rule is not in the catalogue of the run")
		}
		number, known := w.numbers[f.Rule]
		if !known {
			number = len(w.numbers)
			w.numbers[f.Rule] = number
		}
		w.rule, w.ruleRow, w.number, w.last = f.Rule, row, number, nil
	}
	if f.Outcome == evidence.Fail && len(f.Observations) == 0 {
		return errors.New("it fails without an observation to show for it")
	}
	subject, err := w.subject(f)
	if err != nil {
		return err
	}
	said := answer{f.Severity, f.Outcome, f.Title, f.Detail}
	a := w.answers[said]
	if a == nil {
		a = &answered{answer: said}
		w.answers[said] = a
		w.order = append(w.order, a)
	}
	if a.keys == nil && a.many {
		a.keys = make([]byte, 0, maxTogetherFindings*len(f.Key))
	}
	a.subjects = append(a.subjects, subject)
	a.keys = append(a.keys, f.Key[:]...)
	if len(a.subjects) == maxTogetherFindings {
		a.many = true
		w.insert(a)
	}
	return w.b.err
}

// subject returns the row of what a finding is about, which is written when it is
// new.
func (w *findingWriter) subject(f *evidence.Finding) (int64, error) {
	group := ""
	if g := f.Subject.Group; g != nil {
		var err error
		if group, err = toJSON(g); err != nil {
			return 0, err
		}
	}
	s := w.judgedSubject(&f.Subject)
	if !s.judged.add(w.number) {
		return 0, errors.New("a second finding has the same key")
	}
	for _, row := range s.rows {
		if row.group == group && row.asset == f.Asset && slices.Equal(row.observations, f.Observations) {
			return row.id, nil
		}
	}
	id, err := w.insertSubject(f, group)
	s.rows = append(s.rows, subjectRow{id, group, f.Asset, f.Observations})
	return id, err
}

// judgedSubject finds a subject. Rules of one kind come to the same subjects in the
// same order, so it is mostly the one that came next with an earlier rule.
func (w *findingWriter) judgedSubject(of *evidence.Subject) *judgedSubject {
	var s *judgedSubject
	if w.last != nil {
		if s = w.last.next; s != nil && (of.Group != nil || s.subject != *of) {
			s = nil
		}
	}
	if s == nil {
		key := evidence.FindingKey("", *of)
		if s = w.subjects[key]; s == nil {
			s = &judgedSubject{subject: *of}
			w.subjects[key] = s
		}
	}
	if w.last != nil {
		w.last.next = s
	}
	w.last = s
	return s
}

func (w *findingWriter) insertSubject(f *evidence.Finding, group string) (int64, error) {
	var place [4]any
	if e := f.Subject.Endpoint; e != (evidence.Endpoint{}) {
		place = [4]any{address(e.Addr), int64(e.Port), string(e.Transport), clean(e.Name)}
	}
	var duplicate any
	if group != "" {
		duplicate = group
	}
	for _, o := range f.Observations {
		if o < 1 || o > w.b.head.last[kindObservation] {
			return 0, fmt.Errorf("it rests on observation %d, which is not recorded", o)
		}
	}
	id := w.b.insert(kindSubject, w.run, place[0], place[1], place[2], place[3], digest(f.Subject.Certificate), duplicate, clean(f.Asset), numbers(f.Observations))
	return id, w.b.err
}

// insert writes an answer with the subjects that it has.
func (w *findingWriter) insert(a *answered) {
	n := int64(len(a.subjects))
	if n == 0 {
		return
	}
	w.b.insert(kindVerdict, w.run, w.ruleRow, string(a.severity), string(a.outcome), clean(a.title), clean(a.detail), w.next, n, numbers(a.subjects), a.keys)
	w.next += n
	a.subjects, a.keys = a.subjects[:0], nil // the keys wait for their batch
}

// flush writes the answers that wait, in the order in which they came up.
func (w *findingWriter) flush() error {
	for _, a := range w.order {
		w.insert(a)
	}
	clear(w.answers)
	clear(w.order)
	w.order = w.order[:0]
	return w.b.err
}

// numbers is a list as JSON.
func numbers(list []int64) string {
	b := make([]byte, 0, 2+8*len(list))
	b = append(b, '[')
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}
