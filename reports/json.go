package reports

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes a report as one indented JSON document: the fields of [Document]
// in their order, in snake_case.
func JSON(w io.Writer, d Document) error {
	buffered := bufio.NewWriter(w)
	e := json.NewEncoder(buffered)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
}

// JSONLines writes one finding a line, in the order of the document; flushed at
// the end of each line, so that a reader can follow.
func JSONLines(w io.Writer, d Document) error {
	e := json.NewEncoder(w)
	for _, f := range d.Findings {
		if err := e.Encode(f); err != nil {
			return fmt.Errorf("write JSON lines: %w", err)
		}
	}
	return nil
}
