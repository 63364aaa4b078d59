//go:build cgo

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
	"probity/reports"
	"probity/scanner"
)

// benchResult is what a bench test says about one endpoint.
type benchResult struct {
	Endpoint evidence.Endpoint `json:"endpoint"`
	Versions []benchVersion    `json:"versions"`
}

// benchVersion is one version of TLS that was tried.
type benchVersion struct {
	Version string                `json:"version"`
	Spoken  bool                  `json:"spoken"`
	Asked   bool                  `json:"asked"`         // for a client certificate
	Why     string                `json:"why,omitempty"` // it is not spoken
	Cells   []lint.ClientCertCell `json:"cells"`
}

func newBenchResult(obs []evidence.Observation) benchResult {
	r := benchResult{Endpoint: obs[0].Endpoint}
	var trials []*evidence.Observation
	for i := range obs {
		if obs[i].Facts.MTLS != nil {
			trials = append(trials, &obs[i])
		}
	}
	cells := lint.ClientCertCells(trials)
	for _, o := range trials {
		f := o.Facts.MTLS
		name := tlswire.VersionName(f.Version)
		i := slices.IndexFunc(r.Versions, func(v benchVersion) bool { return v.Version == name })
		if i < 0 {
			i = len(r.Versions)
			v := benchVersion{Version: name, Cells: []lint.ClientCertCell{}}
			for _, c := range cells {
				if c.Version == f.Version {
					v.Cells = append(v.Cells, c)
				}
			}
			r.Versions = append(r.Versions, v)
		}
		v := &r.Versions[i]
		if v.Spoken = v.Spoken || f.Handshake != evidence.StageNone; v.Spoken {
			v.Why = ""
		} else {
			v.Why = cmp.Or(v.Why, o.Detail)
		}
		v.Asked = v.Asked || f.Requested
	}
	return r
}

func (r benchResult) has(e lint.Enforcement) bool {
	return slices.ContainsFunc(r.Versions, func(v benchVersion) bool {
		return slices.ContainsFunc(v.Cells, func(c lint.ClientCertCell) bool { return c.Enforcement == e })
	})
}

// qualified reports whether something stayed open.
func (r benchResult) qualified() bool {
	spoken := slices.ContainsFunc(r.Versions, func(v benchVersion) bool { return v.Spoken })
	return !spoken || r.has(lint.EnforcementUnknown)
}

func (r benchResult) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r benchResult) write(w io.Writer, width int) error {
	var rows [][]string
	for _, v := range r.Versions {
		if !v.Spoken {
			rows = append(rows, []string{v.Version, "", "", "not spoken", v.Why})
		}
		for _, c := range v.Cells {
			by := "probity"
			switch {
			case c.Certificate == evidence.ClientCertNone:
				by = ""
			case c.Supplied:
				by = "operator"
			}
			rows = append(rows, []string{v.Version, string(c.Certificate), by, string(c.Enforcement), c.Why})
		}
		if v.Spoken && !v.Asked {
			rows = append(rows, []string{v.Version, "all others", "", "not tried", "the server does not ask for a certificate"})
		}
	}
	if err := reports.Grid(w, []string{"VERSION", "CLIENT CERTIFICATE", "MADE BY", "RESULT", "SEEN"}, rows, width); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// writeBenchPlan prints every connection that a bench test may make.
func writeBenchPlan(w io.Writer, target string, plan *scanner.Plan, width int) error {
	var rows [][]string
	for _, x := range plan.Exchanges[scanner.BenchProbe] {
		when := x.When
		if when == "" {
			when = "always"
		}
		rows = append(rows, []string{x.What, strconv.FormatInt(x.MaxBytes, 10), x.Why, when})
	}
	if err := reports.Grid(w, []string{"CONNECTION", "BYTES ≤", "WHY", "WHEN"}, rows, width); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	_, err := fmt.Fprintf(w, "\n%s: at most %d connections, one at a time, %g/s\nplan SHA-256 %s\nnothing was sent\n",
		target, len(plan.Exchanges[scanner.BenchProbe]), plan.Rates.Asset, plan.Digest())
	return err
}
