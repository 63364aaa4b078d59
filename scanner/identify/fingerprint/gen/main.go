// Command gen writes the tables of package fingerprint: object identifiers,
// enterprise numbers, hardware addresses and ports, out of the research tables of
// the project and, if given, newer registries. It keeps the source of every row
// and drops rows that rest on memory. The output depends on the inputs only.
//
// Run it with go generate, or with registries, which needs no research tables:
//
//	go run ./gen -ieee /usr/share/ieee-data -npm index.json
//
// -ieee takes the folder of Debian's package ieee-data (oui.csv, mam.csv,
// oui36.csv), -npm the file index.json of the npm package oui-data. Of both, an
// assignment to a manufacturer that the package knows is added, and one whose
// organisation changed is reported and replaced.
package main

import (
	"errors"
	"flag" //nolint:depguard // a tool of the developers, not a command of the program
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	data := flag.String("data", "", "folder of the research tables; without it the table of hardware addresses is joined as it stands")
	ieee := flag.String("ieee", "", "folder of Debian's ieee-data")
	npm := flag.String("npm", "", "index.json of the npm package oui-data")
	out := flag.String("out", "data", "folder to write to")
	flag.Parse()
	report, err := run(*data, *ieee, *npm, *out)
	for _, line := range report {
		_, _ = fmt.Fprintln(os.Stderr, line)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// run writes all tables and returns what an editor should look at.
func run(data, ieee, npm, out string) (report []string, err error) {
	if data == "" {
		data = out
	}
	files, report, err := generate(data, ieee, npm)
	if err != nil {
		return report, err
	}
	var errs []error
	for _, f := range files {
		errs = append(errs, os.WriteFile(filepath.Join(out, f.name), f.data, 0o644))
	}
	return report, errors.Join(errs...)
}
