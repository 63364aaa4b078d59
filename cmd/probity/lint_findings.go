package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"probity/evidence"
)

// spooledFindings are findings that are kept outside of memory, of which there may be
// fifty for each of a million certificates. What many say alike is kept once. It
// implements [reports.Findings].
type spooledFindings struct {
	rules    []spooledRule
	byRule   map[string]uint16
	subjects []spooledSubject
	groups   []evidence.Finding // those on groups, whole
	rows     *spill             // of rowBytes each
	texts    *spill
	known    map[string]int64 // places of texts
	row      window
	text     window
	err      error // of the first that could not be read again
}

type spooledRule struct {
	id, title string
	severity  evidence.Severity
}

// spooledSubject is a subject with the observations that most findings on it rest on.
type spooledSubject struct {
	endpoint     evidence.Endpoint
	certificate  evidence.Digest
	observations []int64
}

const (
	rowBytes = 16
	// mostTexts is how many texts are kept in mind, so that each of them is kept once.
	mostTexts = 1 << 16
	// wholeRow is in the place of the rule where a finding is kept whole.
	wholeRow = 1<<16 - 1
)

func newSpooledFindings(dir string) *spooledFindings {
	s := &spooledFindings{
		byRule: make(map[string]uint16), known: make(map[string]int64), rows: newSpill(dir), texts: newSpill(dir),
	}
	s.row.of, s.text.of = s.rows, s.texts
	return s
}

func (s *spooledFindings) close() {
	s.rows.close()
	s.texts.close()
}

// add takes a finding. Those on one subject share the list of its observations.
func (s *spooledFindings) add(f evidence.Finding) error {
	var row [rowBytes]byte
	if f.Subject.Group != nil || f.Asset != "" || f.Subject.Asset != "" {
		binary.LittleEndian.PutUint16(row[:], wholeRow)
		binary.LittleEndian.PutUint32(row[4:], uint32(len(s.groups))) //nolint:gosec // they are in memory
		s.groups = append(s.groups, f)
		_, err := s.rows.Write(row[:])
		return err
	}
	subject := spooledSubject{f.Subject.Endpoint, f.Subject.Certificate, f.Observations}
	last := len(s.subjects) - 1
	if last < 0 || s.subjects[last].endpoint != subject.endpoint || s.subjects[last].certificate != subject.certificate {
		s.subjects = append(s.subjects, subject)
		last++
	}
	var text []byte
	if own := s.subjects[last].observations; !same(own, f.Observations) {
		text = binary.AppendUvarint(text, uint64(len(f.Observations))+1)
		for _, id := range f.Observations {
			text = binary.AppendVarint(text, id)
		}
	} else {
		text = append(text, 0)
	}
	text = append(text, f.Detail...)
	at, err := s.keep(text)
	if err != nil {
		return err
	}
	outcome := -1
	for i, o := range evidence.Outcomes() {
		if o == f.Outcome {
			outcome = i
		}
	}
	if outcome < 0 {
		return fmt.Errorf("a finding of rule %s has no outcome", f.Rule)
	}
	binary.LittleEndian.PutUint16(row[:], s.rule(f))
	row[2] = byte(outcome)
	binary.LittleEndian.PutUint32(row[4:], uint32(last)) //nolint:gosec // a stream takes no more
	binary.LittleEndian.PutUint64(row[8:], uint64(at))   //nolint:gosec // not negative
	_, err = s.rows.Write(row[:])
	return err
}

// same reports whether two lists are one.
func same(a, b []int64) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func (s *spooledFindings) rule(f evidence.Finding) uint16 {
	n, known := s.byRule[f.Rule]
	if !known {
		n = uint16(len(s.rules)) //nolint:gosec // there are some hundred
		s.byRule[f.Rule] = n
		s.rules = append(s.rules, spooledRule{f.Rule, f.Title, f.Severity})
	}
	return n
}

// keep writes a text with its length, unless it is there already.
func (s *spooledFindings) keep(text []byte) (int64, error) {
	if at, known := s.known[string(text)]; known {
		return at, nil
	}
	at := s.texts.size()
	if len(s.known) < mostTexts {
		s.known[string(text)] = at
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(text))) //nolint:gosec // a sentence
	if _, err := s.texts.Write(length); err != nil {
		return 0, err
	}
	_, err := s.texts.Write(text)
	return at, err
}

// Len implements [reports.Findings].
func (s *spooledFindings) Len() int { return int(s.rows.size() / rowBytes) }

// At implements [reports.Findings]. What cannot be read again is an empty finding, and
// an error that Err returns.
func (s *spooledFindings) At(i int) evidence.Finding {
	f, err := s.at(i)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("read finding %d again: %w", i, err)
	}
	return f
}

var errCutOff = errors.New("it is cut off")

func (s *spooledFindings) at(i int) (evidence.Finding, error) {
	var f evidence.Finding
	row, err := s.row.bytes(int64(i)*rowBytes, rowBytes)
	if err != nil || len(row) < rowBytes {
		return f, errors.Join(err, errCutOff)
	}
	n := int(binary.LittleEndian.Uint32(row[4:]))
	number := binary.LittleEndian.Uint16(row)
	if number == wholeRow {
		return s.groups[n], nil
	}
	rule, subject := s.rules[number], s.subjects[n]
	f = evidence.Finding{
		Rule: rule.id, Title: rule.title, Severity: rule.severity, Outcome: evidence.Outcomes()[row[2]],
		Subject: evidence.Subject{Endpoint: subject.endpoint, Certificate: subject.certificate}, Observations: subject.observations,
	}
	f.Key = evidence.FindingKey(f.Rule, f.Subject)
	at := int64(binary.LittleEndian.Uint64(row[8:])) //nolint:gosec // as written
	length, err := s.text.bytes(at, 4)
	if err != nil || len(length) < 4 {
		return f, errors.Join(err, errCutOff)
	}
	size := int(binary.LittleEndian.Uint32(length))
	text, err := s.text.bytes(at+4, size)
	if err != nil || len(text) < size {
		return f, errors.Join(err, errCutOff)
	}
	ids, used := binary.Uvarint(text)
	text = text[used:]
	if ids > 0 {
		f.Observations = make([]int64, ids-1)
		for i := range f.Observations {
			f.Observations[i], used = binary.Varint(text)
			text = text[used:]
		}
	}
	f.Detail = string(text)
	return f, nil
}
