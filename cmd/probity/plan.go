package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/scanner"
)

func (a *app) planCommand() *cobra.Command {
	var targets targetFlags
	var asJSON bool
	var output string
	cmd := &cobra.Command{
		Use:   "plan TARGET...",
		Short: "Print every connection that a scan would make; send nothing",
		Long: "plan takes the targets and limits of scan and prints what would be sent, where, why\n" +
			"and at most how much. It sends nothing (but the lookups that --resolve asks for).\n\n" +
			"Targets: 192.0.2.1, 192.0.2.0/24, 192.0.2.10-20, 192.0.2.1:443, [2001:db8::1]:443,\n" +
			"udp/192.0.2.1:161, @FILE.",
		Example: "  probity plan 192.0.2.0/28 --ports clinical\n  probity plan @ward3.txt --exclude-file do-not-touch.txt --json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := targets.plan(cmd.Context(), args)
			if err != nil {
				return err
			}
			return a.writeOutput(output, func(w io.Writer) error {
				if asJSON {
					return writePlanJSON(w, plan)
				}
				return writePlan(w, plan)
			})
		},
	}
	targets.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().StringVar(&output, "output", "", "write to `FILE` instead of standard output")
	return cmd
}

func writePlanJSON(w io.Writer, plan *scanner.Plan) error {
	digest, err := plan.Digest()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Digest evidence.Digest `json:"digest"`
		Totals scanner.Totals  `json:"totals"`
		*scanner.Plan
	}{digest, plan.Totals(), plan})
}

func writePlan(w io.Writer, plan *scanner.Plan) error {
	t := tablewriter.NewWriter(w)
	t.Header("endpoint", "probe", "connections", "bytes sent", "why", "when")
	for _, p := range plan.Probes {
		var bytes int64
		for _, x := range plan.Exchanges[p.Prober] {
			bytes += x.MaxBytes
		}
		when := p.When
		if when == "" {
			when = "always"
		}
		err := t.Append(p.Endpoint.String(), p.Prober, "at most "+strconv.Itoa(len(plan.Exchanges[p.Prober])),
			"at most "+strconv.FormatInt(bytes, 10), p.Why, when)
		if err != nil {
			return fmt.Errorf("print the plan: %w", err)
		}
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	if err := writeExchanges(w, plan); err != nil {
		return err
	}
	for _, e := range plan.Exclusions {
		if _, err := fmt.Fprintf(w, "excluded: %s: %s\n", e.Target, e.Reason); err != nil {
			return err
		}
	}
	digest, err := plan.Digest()
	if err != nil {
		return err
	}
	s := plan.Totals()
	_, err = fmt.Fprintf(w, "\n%d devices, %d endpoints; %d to %d connections, at most %d bytes sent; %s to %s at %g/s, %g/s per device\nplan SHA-256 %s\nnothing was sent\n",
		s.Assets, s.Endpoints, s.MinConnections, s.MaxConnections, s.MaxBytes,
		s.MinDuration.Round(time.Second), s.MaxDuration.Round(time.Second), plan.Rates.Global, plan.Rates.Asset, digest)
	return err
}

// writeExchanges prints, for each prober in use, the connections behind one
// line of the plan.
func writeExchanges(w io.Writer, plan *scanner.Plan) error {
	used := map[string]bool{}
	for _, p := range plan.Probes {
		used[p.Prober] = true
		for _, f := range p.Follows {
			used[f] = true
		}
	}
	t := tablewriter.NewWriter(w)
	t.Header("probe", "connection", "bytes sent", "why", "when")
	for _, pr := range probers() {
		if !used[pr.Name()] {
			continue
		}
		for _, x := range plan.Exchanges[pr.Name()] {
			when := x.When
			if when == "" {
				when = "always"
			}
			if err := t.Append(pr.Name(), x.What, "at most "+strconv.FormatInt(x.MaxBytes, 10), x.Why, when); err != nil {
				return fmt.Errorf("print the plan: %w", err)
			}
		}
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	return nil
}
