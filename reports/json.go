package reports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

// JSON writes a report as one indented JSON document: the fields of [Document]
// in their order, in snake_case. The long lists are written one member after the other.
func JSON(w io.Writer, d Document) error {
	findings, certificates, observations := d.Findings, d.Certificates, d.Observations
	d.Findings, d.Certificates, d.Observations = Ordered{}, List[Certificate]{}, List[Observation]{}
	rest, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	out := bufio.NewWriter(w)
	rest, err = writeList(out, rest, "findings", func(yield func(Finding, error) bool) {
		for f := range findings.All() {
			if !yield(f, nil) {
				return
			}
		}
	})
	if err == nil {
		rest, err = writeList(out, rest, "certificates", certificates.All())
	}
	if err == nil {
		rest, err = writeList(out, rest, "observations", observations.All())
	}
	if err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	_, _ = out.Write(rest) // Flush returns the error
	_ = out.WriteByte('\n')
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
}

// writeList writes a document as far as the field of a list, which is empty in it, and
// the list; it returns what follows.
func writeList[T any](out *bufio.Writer, document []byte, field string, members iter.Seq2[T, error]) (after []byte, err error) {
	// A line break within a text would be escaped, so this is the field.
	begin := "\n  \"" + field + "\": ["
	before, after, _ := bytes.Cut(document, []byte(begin+"]"))
	_, _ = out.Write(before) // what fails here fails again below, or when all is flushed
	_, _ = out.WriteString(begin)
	separator, end := "\n    ", ""
	for m, err := range members {
		if err != nil {
			return nil, err
		}
		text, err := json.MarshalIndent(m, "    ", "  ")
		if err != nil {
			return nil, err
		}
		_, _ = out.WriteString(separator)
		if _, err := out.Write(text); err != nil {
			return nil, err
		}
		separator, end = ",\n    ", "\n  "
	}
	_, err = out.WriteString(end + "]")
	return after, err
}

// JSONLines writes one finding a line, in the order of the document; flushed at
// the end of each line, so that a reader can follow.
func JSONLines(w io.Writer, d Document) error {
	e := json.NewEncoder(w)
	for f := range d.Findings.All() {
		if err := e.Encode(f); err != nil {
			return fmt.Errorf("write JSON lines: %w", err)
		}
	}
	return nil
}
