//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner"
	"probity/scanner/active"
)

// scanFlags are everything that scan takes.
type scanFlags struct {
	targets targetFlags
	judge   judgeFlags
	store   storeFlags
	view    viewFlags
	breaker int
	quiet   bool
}

func (a *app) scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan TARGET...",
		Short: "Probe devices within the plan, record the evidence, judge it, report",
		Long: "scan sends what plan prints, and nothing else: one connection at a time to each\n" +
			"device, within the rates, none of them idle. A device that stops answering is left\n" +
			"alone. Ctrl-C stops sending at once; what was observed is kept and sealed.\n\n" +
			"Exit codes: 0 done; 1 findings at or above --fail-on; 2 could not run; 3 done, but a\n" +
			"device was left alone or a probe was not sent; 4 refused by policy; 130 interrupted.",
		Example: "  probity scan 192.0.2.0/28 --exclude-file do-not-touch.txt --authority 'change 4711'\n" +
			"  probity scan 192.0.2.5:2762 --db bench.db --policy site.yaml --json",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.scan(cmd.Context(), f, args) },
	}
	f.targets.register(cmd.Flags())
	f.judge.register(cmd.Flags())
	f.store.registerWriter(cmd.Flags())
	f.view.register(cmd.Flags())
	cmd.Flags().IntVar(&f.breaker, "breaker", active.DefaultBreakerAfter, "leave a device alone after this many failures in a row")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "print no report, only record")
	return cmd
}

func (a *app) scan(ctx context.Context, f scanFlags, args []string) error {
	if err := f.view.check(); err != nil {
		return err
	}
	plan, err := f.targets.plan(ctx, args)
	if err != nil {
		return err
	}
	j, err := a.newJudgement(f.judge)
	if err != nil {
		return err
	}
	st, err := a.openWriter(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	summary, err := a.probe(ctx, st, f, plan, j, args)
	if err != nil {
		return err
	}
	if summary.Interrupted {
		return &statusError{exitInterrupted, errors.New("interrupted; what was observed is recorded and sealed")}
	}
	if err := a.conclude(ctx, st, f.store, j, f.view, f.quiet); err != nil {
		return err
	}
	return verdict(j.negative(), summary.Skipped > 0)
}

// probe runs the plan as one run of the store. The run is ended and sealed
// whatever happens to ctx.
func (a *app) probe(ctx context.Context, st *store.Store, f scanFlags, plan *scanner.Plan, j *judgement, args []string) (active.Summary, error) {
	run := a.newRun(evidence.ModeActive, f.store, j)
	digest, err := plan.Digest()
	if err != nil {
		return active.Summary{}, err
	}
	run.Config = digest
	run.Note = "plan SHA-256 " + digest.String()
	run, err = st.BeginRun(ctx, run, scopeOf(plan, f.targets, args))
	if err != nil {
		return active.Summary{}, err
	}
	progress := newProgress(a.stderr, a.now)
	summary, err := active.Run(ctx, plan, active.Options{
		Probers: probers(), Ledger: &runLedger{st, run.ID}, Now: a.now, BreakerAfter: f.breaker,
		Progress: func(p active.Progress) { progress.line(p.Done, p.Planned, p.Connections) },
	})
	progress.end()
	end := evidence.RunEnd{
		Run: run.ID, Ended: a.now(), Targets: int64(summary.Endpoints), Reached: int64(summary.Reached),
		Status: scanStatus(summary, err),
		Note:   scanNote(summary),
	}
	ckpt, endErr := st.EndRun(context.WithoutCancel(ctx), end)
	if err := errors.Join(err, endErr); err != nil {
		return summary, err
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: %d of %d endpoints answered; %d connections, %d bytes sent; run %d sealed at entry %d\n",
		summary.Reached, summary.Endpoints, summary.Connections, summary.BytesSent, run.ID, ckpt.Size)
	return summary, a.giveOut(ckpt, f.store)
}

func scanStatus(s active.Summary, err error) evidence.Status {
	switch {
	case err != nil:
		return evidence.StatusFailed
	case s.Interrupted:
		return evidence.StatusInterrupted
	case s.Skipped > 0:
		return evidence.StatusIncomplete
	default:
		return evidence.StatusComplete
	}
}

func scanNote(s active.Summary) string {
	note := fmt.Sprintf("%d probes sent, %d skipped, %d not needed; %d connections, %d bytes sent, %d received",
		s.Sent, s.Skipped, s.NotNeeded, s.Connections, s.BytesSent, s.BytesReceived)
	if len(s.Tripped) == 0 {
		return note
	}
	names := make([]string, len(s.Tripped))
	for i, addr := range s.Tripped {
		names[i] = addr.String()
	}
	const most = 20
	if n := len(names); n > most {
		names = append(names[:most], fmt.Sprintf("and %d more", n-most))
	}
	return note + "; left alone by the breaker: " + strings.Join(names, ", ")
}

// scopeOf is the declared scope: targets as given, and every exclusion with its
// reason.
func scopeOf(plan *scanner.Plan, f targetFlags, args []string) []evidence.ScopeEntry {
	var scope []evidence.ScopeEntry
	if f.targetFile != "" {
		args = append(slices.Clip(args), "@"+f.targetFile)
	}
	for _, t := range args {
		scope = append(scope, evidence.ScopeEntry{Target: t, Allowed: true})
	}
	for _, e := range plan.Exclusions {
		scope = append(scope, evidence.ScopeEntry{Target: e.Target, Reason: e.Reason})
	}
	return scope
}

// runLedger writes the rows of one run.
type runLedger struct {
	store *store.Store
	run   int64
}

// RecordProbe implements [active.Ledger].
func (l *runLedger) RecordProbe(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	rec.Run = l.run
	for i := range obs {
		obs[i].Run = l.run
	}
	return l.store.RecordProbe(ctx, rec, obs)
}

// conclude judges what the store holds and prints the report.
func (a *app) conclude(ctx context.Context, st *store.Store, f storeFlags, j *judgement, view viewFlags, quiet bool) error {
	if err := a.assess(ctx, st, f, j); err != nil {
		return err
	}
	if quiet {
		return nil
	}
	doc, err := a.document(ctx, st, f.db)
	if err != nil {
		return err
	}
	return a.show(doc, view)
}
