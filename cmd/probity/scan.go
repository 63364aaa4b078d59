//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

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
	plan    planFlags
	breaker int
	quiet   bool
	dryRun  bool
	wait    bool
	resume  string
	owner   bool
}

func (a *app) scanCommand() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan TARGET...",
		Short: "Probe devices within the plan, record the evidence, judge it, report",
		Long: "scan sends what plan prints, and nothing else: one connection at a time to each\n" +
			"device, within the rates, none of them idle. A device that stops answering is left\n" +
			"alone, and so is a pump, ventilator, monitor, dialysis or anaesthesia machine once it is\n" +
			"known as one. Ctrl-C stops sending at once; what was observed is kept and sealed, and\n" +
			"--resume goes on: what is finished is not sent again, also after a crash.\n\n" +
			"Exit codes: 0 done; 1 findings at or above --fail-on; 2 could not run; 3 done, but a\n" +
			"device was left alone or a probe was not sent; 4 refused by policy; 130 interrupted.",
		Example: "  probity scan 192.0.2.0/28 --exclude-file do-not-touch.txt --authority 'change 4711'\n" +
			"  probity scan 192.0.2.5:2762 --db bench.db --policy site.yaml --json\n" +
			"  probity scan 192.0.2.0/28 --window 'Mon-Fri 22:00-05:00 Europe/Vienna' --wait\n" +
			"  probity scan 192.0.2.0/28 --resume last",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.scan(cmd.Context(), f, args) },
	}
	f.targets.register(cmd.Flags())
	f.judge.register(cmd.Flags())
	f.store.registerWriter(cmd.Flags())
	f.view.register(cmd.Flags())
	cmd.Flags().IntVar(&f.breaker, "breaker", active.DefaultBreakerAfter, "leave a device alone after this many failures in a row")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "print no report, only record")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the plan and send nothing, as plan does")
	cmd.Flags().StringVar(&f.resume, "resume", "", "go on with `RUN`, or last, of the same plan; what it finished is not sent again")
	cmd.Flags().BoolVar(&f.owner, "i-own-this-device", false, "the devices are yours, or their owner agreed: needed for --probes exhaustive")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the --window opens, instead of refusing")
	f.plan.register(cmd.Flags())
	return cmd
}

func (a *app) scan(ctx context.Context, f scanFlags, args []string) error {
	if err := f.view.check(); err != nil {
		return err
	}
	f.targets.policy = f.judge.policy
	plan, err := f.targets.plan(ctx, a.stdin, f.store.db, args)
	if err != nil {
		return err
	}
	a.tell(f.targets.notes)
	if f.dryRun {
		if f.view.format != "table" && f.view.format != "json" {
			return fmt.Errorf("--format %s: --dry-run prints a table, or json", f.view.format)
		}
		f.plan.json, f.plan.output = f.view.format == "json", f.view.output
		return a.showPlan(plan, f.targets, f.plan)
	}
	if plan.Level == scanner.Exhaustive && !f.owner {
		return &statusError{exitRefused, errors.New("--probes exhaustive belongs on a bench: say that the devices are yours, or that their owner agreed, with --i-own-this-device, or look with --dry-run")}
	}
	j, err := a.newJudgement(f.judge)
	if err != nil {
		return err
	}
	if err := a.mayResume(ctx, f, plan); err != nil {
		return err
	}
	if err := a.inWindow(ctx, f); err != nil {
		return err
	}
	f.store.gather = plan.Rates.Gather()
	st, err := a.openWriter(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	summary, err := a.probe(ctx, st, &f, plan, j, args)
	if errors.Is(err, scanner.ErrRefused) {
		return &statusError{exitRefused, err}
	}
	if err != nil {
		return err
	}
	if summary.Interrupted {
		return &statusError{exitInterrupted, errors.New("interrupted; what was observed is recorded and sealed")}
	}
	if err := a.conclude(ctx, st, f.store, j, nil, f.view, f.quiet); err != nil {
		return err
	}
	return verdict(j.negative, summary.Skipped+len(summary.Tripped)+len(summary.Vetoed) > 0)
}

// mayResume says what is wrong with --resume before a database is made for it, and
// before a window is waited for.
func (a *app) mayResume(ctx context.Context, f scanFlags, plan *scanner.Plan) error {
	if f.resume == "" {
		return nil
	}
	st, err := a.openReader(ctx, f.store)
	if err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	_, err = resumable(ctx, st, f.resume, plan)
	return errors.Join(err, st.Close())
}

// inWindow returns once anything may be sent, or refuses.
func (a *app) inWindow(ctx context.Context, f scanFlags) error {
	windows, err := f.targets.parsedWindows()
	if err != nil || len(windows) == 0 {
		return err
	}
	if _, open := windows.Open(a.now()); open {
		return nil
	}
	next, ok := windows.Next(a.now())
	if !ok || !f.wait {
		return &statusError{exitRefused, fmt.Errorf("outside of the scan window, which opens at %s; come back then, or give --wait", next.Format(time.RFC3339))}
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: waiting until %s, when the scan window opens\n", next.Format(time.RFC3339))
	return waitOpen(ctx, windows, a.now)
}

// probe runs the plan as one run of the store. The run is ended and sealed
// whatever happens to ctx.
func (a *app) probe(ctx context.Context, st *store.Store, f *scanFlags, plan *scanner.Plan, j *judgement, args []string) (active.Summary, error) {
	all, err := f.targets.probers()
	if err != nil {
		return active.Summary{}, err
	}
	find, err := f.targets.openFinder()
	if err != nil {
		return active.Summary{}, err
	}
	defer func() { _ = find.close() }() // it sends nothing any more
	opts := active.Options{Probers: all, Now: a.now, BreakerAfter: f.breaker}
	run := a.newRun(evidence.ModeActive, f.store, j)
	run.Config = plan.Digest()
	run.Note = "plan SHA-256 " + plan.Digest().String()
	if texts := f.targets.windows; len(texts) > 0 {
		run.Note += "; window " + strings.Join(texts, ", ")
	}
	if f.owner {
		run.Note += "; by the owner of the devices"
	}
	run.Note += find.note()
	if f.resume != "" {
		var of int64
		if opts.Past, of, err = past(ctx, st, f.resume, plan); err != nil {
			return active.Summary{}, err
		}
		run.Note += noteResumes + strconv.FormatInt(of, 10)
	}
	if opts.Windows, err = f.targets.parsedWindows(); err != nil {
		return active.Summary{}, err
	}
	run, err = st.BeginRun(ctx, run, scopeOf(plan, f.targets, args))
	if err != nil {
		return active.Summary{}, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(active.GCPercent))
	progress := newProgress(a.stderr, a.now)
	opts.Ledger = &runLedger{st, run.ID}
	opts.Progress = func(p active.Progress) { progress.line(p.Done, p.Planned, p.Connections) }
	summary, err := probeFound(ctx, st, f, plan, find, opts)
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
	before := ""
	if summary.Earlier > 0 {
		before = fmt.Sprintf("%d probes were finished before; ", summary.Earlier)
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: %s%d of %s answered; %s, %d bytes sent; run %d sealed at entry %d\n",
		before, summary.Reached, count(summary.Endpoints, "endpoint"), count(summary.Connections, "connection"), summary.BytesSent, run.ID, ckpt.Size)
	if left := scanLeft(summary); summary.Skipped > 0 || left != "" {
		_, _ = fmt.Fprintf(a.stderr, "probity: %s not sent or cut short%s; v_probe has the reasons\n", count(summary.Skipped, "probe"), left)
	}
	return summary, a.giveOut(ckpt, f.store)
}

// probeFound discovers who is there, if that was asked for, and then runs the plan:
// what was found may tell of devices that are not to be probed.
func probeFound(ctx context.Context, st *store.Store, f *scanFlags, plan *scanner.Plan, find *finder, opts active.Options) (active.Summary, error) {
	if err := find.run(ctx, plan, &opts); err != nil {
		return active.Summary{}, err
	}
	assets, err := st.Assets(context.WithoutCancel(ctx))
	if err != nil {
		return active.Summary{}, err
	}
	opts.SameAsset = sameAsset(assets, f.targets.sameAsset)
	if !f.targets.lab {
		opts.Protected = newProtection(assets, f.targets.classes).why
	}
	return active.Run(ctx, plan, opts)
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
	if s.Earlier > 0 {
		note += fmt.Sprintf("; %d probes were finished by earlier parts", s.Earlier)
	}
	return note + scanLeft(s)
}

// scanLeft says what ended a scan early, or what it left alone; nothing if nothing did.
func scanLeft(s active.Summary) string {
	left := ""
	if s.WindowClosed {
		left = "; the scan window closed"
	}
	return left + addresses("; left alone by the breaker: ", s.Tripped) + addresses("; left alone for their class: ", s.Vetoed)
}

// addresses lists addresses behind a text, or returns nothing.
func addresses(text string, addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return ""
	}
	const most = 20
	var names []string
	for _, a := range addrs[:min(most, len(addrs))] {
		names = append(names, a.String())
	}
	if n := len(addrs); n > most {
		names = append(names, fmt.Sprintf("and %d more", n-most))
	}
	return text + strings.Join(names, ", ")
}

// scopeOf is the declared scope: targets as given, and every exclusion with its
// reason.
func scopeOf(plan *scanner.Plan, f targetFlags, args []string) []evidence.ScopeEntry {
	var scope []evidence.ScopeEntry
	if f.targetFile != "" {
		args = append(slices.Clip(args), "@"+f.targetFile)
	}
	if f.passive.used() {
		args = append(slices.Clip(args), "--from-passive "+f.passive.run)
	}
	for _, t := range slices.Concat(args, f.fhir, f.sdc) {
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

// conclude judges what the store holds, of which some may have been taken up early,
// and prints the report.
func (a *app) conclude(ctx context.Context, st *store.Store, f storeFlags, j *judgement, begun *early, view viewFlags, quiet bool) error {
	// What is judged stays in memory to the end: let the rest be little beside it.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	if err := a.assess(ctx, st, f, j, begun); err != nil {
		return err
	}
	if quiet {
		return nil
	}
	doc, err := a.document(ctx, st, f.db, j.catalogue, view.lists())
	if err != nil {
		return err
	}
	return a.show(doc, view)
}
