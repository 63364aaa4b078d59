package reports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes a report as one indented JSON document: the fields of [Document]
// in their order, in snake_case.
func JSON(w io.Writer, d Document) error {
	findings := d.Findings
	d.Findings = Ordered{}
	rest, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	// A line break within a text would be escaped, so this is the field.
	const field = "\n  \"findings\": ["
	before, after, _ := bytes.Cut(rest, []byte(field+"]"))
	out := bufio.NewWriter(w)
	_, _ = out.Write(before) // Flush returns the error
	_, _ = out.WriteString(field)
	separator, end := "\n    ", ""
	for f := range findings.All() {
		text, err := json.MarshalIndent(f, "    ", "  ")
		if err != nil {
			return fmt.Errorf("write JSON report: %w", err)
		}
		_, _ = out.WriteString(separator)
		if _, err := out.Write(text); err != nil {
			return fmt.Errorf("write JSON report: %w", err)
		}
		separator, end = ",\n    ", "\n  "
	}
	_, _ = out.WriteString(end + "]")
	_, _ = out.Write(after)
	_ = out.WriteByte('\n')
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
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
