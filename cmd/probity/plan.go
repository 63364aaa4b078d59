package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/reports"
	"probity/scanner"
)

// planFlags say how a plan is printed.
type planFlags struct {
	json   bool
	output string
	most   int
}

// defaultPlanned is how many probes a plan prints; the totals count all.
const defaultPlanned = 10_000

func (f *planFlags) register(fs *pflag.FlagSet) {
	fs.IntVar(&f.most, "max-probes", defaultPlanned, "print at most this many probes and exclusions of the plan; 0: all")
}

func (a *app) planCommand() *cobra.Command {
	var targets targetFlags
	var view planFlags
	var db string
	cmd := &cobra.Command{
		Use:   "plan TARGET...",
		Short: "Print every connection that a scan would make; send nothing",
		Long: "plan takes the targets and limits of scan and prints what would be sent, where, why\n" +
			"and at most how much. It sends nothing (but the lookups that --resolve asks for).\n\n" +
			"Targets: 192.0.2.1, 192.0.2.0/24, 192.0.2.10-20, 192.0.2.1:443, [2001:db8::1]:443,\n" +
			"[fe80::1%eth0]:443, udp/192.0.2.1:161, @FILE, - (standard input). A file has one target a\n" +
			"line, or is a table (CSV) with a column address and any of port, transport, name,\n" +
			"reason, class, exclude.",
		Example: "  probity plan 192.0.2.0/28 --ports clinical\n  probity plan @ward3.csv --exclude-file do-not-touch.txt --json\n" +
			"  probity plan 192.0.2.0/28 --window 'Mon-Fri 22:00-05:00 Europe/Vienna'",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, err := targets.plan(cmd.Context(), a.stdin, db, args)
			if err != nil {
				return err
			}
			a.tell(targets.notes)
			return a.showPlan(plan, targets, view)
		},
	}
	targets.register(cmd.Flags())
	targets.passive.registerDB(cmd.Flags(), &db)
	view.register(cmd.Flags())
	cmd.Flags().StringVar(&targets.policy, "policy", "", "site `FILE` of which the classes of devices count here (YAML)")
	cmd.Flags().BoolVar(&view.json, "json", false, "print one JSON document")
	cmd.Flags().StringVar(&view.output, "output", "", "write to `FILE` instead of standard output")
	return cmd
}

// showPlan prints a plan. Nothing is sent.
func (a *app) showPlan(plan *scanner.Plan, f targetFlags, view planFlags) error {
	if view.most < 0 {
		return fmt.Errorf("--max-probes %d: must be 0, for all, or more", view.most)
	}
	windows, err := f.parsedWindows()
	if err != nil {
		return err
	}
	d, err := f.discovery()
	if err != nil {
		return err
	}
	first := d.shown(plan, view.most)
	return a.writeOutput(view.output, func(w io.Writer) error {
		if view.json {
			return writePlanJSON(w, plan, first, windows, view.most)
		}
		if err := first.write(w, a.tableWidth()); err != nil {
			return err
		}
		return a.writePlan(w, plan, windows, view.most)
	})
}

// firstProbes returns the probes that are printed.
func firstProbes(plan *scanner.Plan, most int) []scanner.PlannedProbe {
	out := []scanner.PlannedProbe{}
	for p := range plan.Probes() {
		if most > 0 && len(out) == most {
			break
		}
		out = append(out, p)
	}
	return out
}

func firstExclusions(plan *scanner.Plan, most int) []scanner.Exclusion {
	if most > 0 && len(plan.Exclusions) > most {
		return plan.Exclusions[:most]
	}
	return plan.Exclusions
}

func writePlanJSON(w io.Writer, plan *scanner.Plan, first *shownQuestions, windows scanner.Windows, most int) error {
	// shown says how much of a list is in the document.
	type shown struct {
		Shown int `json:"shown"`
		Total int `json:"total"`
	}
	probes, exclusions := firstProbes(plan, most), firstExclusions(plan, most)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Digest          evidence.Digest               `json:"digest"`
		Totals          scanner.Totals                `json:"totals"`
		Level           scanner.Level                 `json:"level"`
		Rates           scanner.Rates                 `json:"rates"`
		Windows         []string                      `json:"windows"`
		Discovery       *shownQuestions               `json:"discovery,omitempty"`
		Exchanges       map[string][]scanner.Exchange `json:"exchanges"`
		Probes          []scanner.PlannedProbe        `json:"probes"`
		ProbesShown     shown                         `json:"probes_shown"`
		Exclusions      []scanner.Exclusion           `json:"exclusions"`
		ExclusionsShown shown                         `json:"exclusions_shown"`
	}{
		plan.Digest(), plan.Totals(), plan.Level, plan.Rates, windows.Texts(), first, plan.Exchanges,
		probes,
		shown{len(probes), plan.Totals().Probes},
		exclusions,
		shown{len(exclusions), len(plan.Exclusions)},
	})
}

func (a *app) writePlan(w io.Writer, plan *scanner.Plan, windows scanner.Windows, most int) error {
	var rows [][]string
	probes := firstProbes(plan, most)
	for _, p := range probes {
		connections, bytes := plan.Cost(p)
		when := p.When
		if when == "" {
			when = "always"
		}
		rows = append(rows, []string{
			p.Endpoint.String(), p.Prober, strconv.FormatInt(connections, 10),
			strconv.FormatInt(bytes, 10), p.Why, when,
		})
	}
	if err := reports.Grid(w, []string{"ENDPOINT", "PROBE", "CONNS ≤", "BYTES ≤", "WHY", "WHEN"}, rows, a.tableWidth()); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	if n := plan.Totals().Probes; n > len(probes) {
		if _, err := fmt.Fprintf(w, "the first %d of %d probes; --max-probes 0 prints all\n", len(probes), n); err != nil {
			return err
		}
	}
	if err := a.writeExchanges(w, plan, probes); err != nil {
		return err
	}
	exclusions := firstExclusions(plan, most)
	for _, e := range exclusions {
		if _, err := fmt.Fprintf(w, "excluded: %s: %s\n", e.Target, e.Reason); err != nil {
			return err
		}
	}
	if n := len(plan.Exclusions); n > len(exclusions) {
		if _, err := fmt.Fprintf(w, "excluded: the first %d of %d; --max-probes 0 prints all\n", len(exclusions), n); err != nil {
			return err
		}
	}
	for _, text := range windows.Texts() {
		if _, err := fmt.Fprintf(w, "only in the window %s\n", text); err != nil {
			return err
		}
	}
	s := plan.Totals()
	_, err := fmt.Fprintf(w, "\n%s, %s; %s, at most %d bytes sent; %s at %g/s, %g/s per device\nplan SHA-256 %s\nnothing was sent\n",
		count(s.Assets, "device"), count(s.Endpoints, "endpoint"),
		span(strconv.FormatInt(s.MinConnections, 10), count(s.MaxConnections, "connection")), s.MaxBytes,
		span(s.MinDuration.Round(time.Second).String(), s.MaxDuration.Round(time.Second).String()), plan.Rates.Global, plan.Rates.Asset, plan.Digest())
	return err
}

// count is a number of things, in words.
func count[N int | int64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// span is a least and a most, or the most alone if it is the least and its unit.
func span(least, most string) string {
	if n, _, _ := strings.Cut(most, " "); n == least {
		return most
	}
	return least + " to " + most
}

// writeExchanges prints, for each prober of the printed probes, the connections
// behind one line of the plan.
func (a *app) writeExchanges(w io.Writer, plan *scanner.Plan, probes []scanner.PlannedProbe) error {
	used, asked := map[string]bool{}, map[string]bool{}
	for i, p := range probes {
		used[p.Prober], asked[p.Prober] = true, true
		for _, f := range p.Follows {
			used[f] = true
		}
		if i > 0 && p.Endpoint.Addr == probes[i-1].Endpoint.Addr {
			used[scanner.AliveProbe], asked[scanner.AliveProbe] = true, true
		}
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(plan.Exchanges)) {
		if !used[name] {
			continue
		}
		exchanges := plan.Exchanges[name]
		for i := 0; i < len(exchanges); {
			x, first := exchanges[i], i
			for i < len(exchanges) && exchanges[i] == x {
				i++
			}
			when := x.When
			switch {
			case when == "" && !asked[name]:
				when = scanner.WhenSpoke
			case when == "":
				when = "always"
			}
			if again := i - first; again > 1 {
				when += ", at most " + strconv.Itoa(again) + " times"
			}
			rows = append(rows, []string{name, x.What, strconv.FormatInt(x.MaxBytes, 10), x.Why, when})
		}
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := reports.Grid(w, []string{"PROBE", "CONNECTION", "BYTES ≤", "WHY", "WHEN"}, rows, a.tableWidth()); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	return nil
}
