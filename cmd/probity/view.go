package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"probity/reports"
)

// viewFlags say how a report is shown.
type viewFlags struct {
	format string
	json   bool
	jsonl  bool
	output string
	wide   bool
	max    int
}

func (f *viewFlags) register(fs *pflag.FlagSet) {
	fs.StringVarP(&f.format, "format", "o", "table", "table, json, jsonl or html")
	fs.BoolVar(&f.json, "json", false, "the same as --format json")
	fs.BoolVar(&f.jsonl, "jsonl", false, "the same as --format jsonl: one finding a line")
	fs.StringVar(&f.output, "output", "", "write to `FILE`, which is replaced in one step")
	fs.BoolVar(&f.wide, "wide", false, "table: all columns, nothing shortened")
	fs.IntVar(&f.max, "max", 100, "table: show at most this many findings; 0: all")
}

// check settles the format.
func (f *viewFlags) check() error {
	switch {
	case f.json && f.jsonl:
		return fmt.Errorf("--json and --jsonl exclude each other; give one")
	case f.json:
		f.format = "json"
	case f.jsonl:
		f.format = "jsonl"
	}
	formats := []string{"table", "json", "jsonl", "html"}
	if f.format = strings.ToLower(f.format); !slices.Contains(formats, f.format) {
		return fmt.Errorf("--format %q: want %s", f.format, strings.Join(formats, ", "))
	}
	return nil
}

// lists reports whether the format lists certificates and raw bytes.
func (f *viewFlags) lists() bool { return f.format == "json" || f.format == "html" }

// show writes the document in the format asked for.
func (a *app) show(doc reports.Document, f viewFlags) error {
	return a.writeOutput(f.output, func(w io.Writer) error {
		switch f.format {
		case "json":
			return reports.JSON(w, doc)
		case "jsonl":
			return reports.JSONLines(w, doc)
		case "html":
			return reports.HTML(w, doc)
		default:
			return reports.Table(w, doc, reports.TableOptions{Wide: f.wide, Width: a.width(), Max: f.max})
		}
	})
}
