//go:build cgo

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner"
	"probity/scanner/active"
)

// noteResumes ends the note of a run that goes on with an earlier one.
const noteResumes = "; resumes run "

// resumed returns the run that r goes on with.
func resumed(r evidence.Run) (int64, bool) {
	_, text, ok := strings.Cut(r.Note, noteResumes)
	id, err := strconv.ParseInt(text, 10, 64)
	return id, ok && err == nil
}

// resumable returns the run that text names, first, and those it went on with. It
// refuses a run of another plan: what is finished would not be what is asked for.
func resumable(ctx context.Context, st *store.Store, text string, plan *scanner.Plan) (parts []int64, err error) {
	run, runs, err := findRun(ctx, st, text, evidence.ModeActive)
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	byID := map[int64]store.RunInfo{}
	for _, r := range runs {
		byID[r.Run.ID] = r
		if of, ok := resumed(r.Run); ok && of == run.ID {
			return nil, fmt.Errorf("--resume: run %d went on with run %d; resume that one", r.Run.ID, run.ID)
		}
	}
	if run.Config != plan.Digest() {
		return nil, fmt.Errorf("--resume: run %d had another plan (SHA-256 %s, now %s); give the targets, exclusions, ports, probes and rates of that run, "+
			"or begin a new scan", run.ID, run.Config, plan.Digest())
	}
	if end := byID[run.ID].End; end != nil && end.Status == evidence.StatusComplete {
		return nil, fmt.Errorf("--resume: run %d is complete; begin a new scan", run.ID)
	}
	parts = []int64{run.ID}
	for r := run; ; {
		of, ok := resumed(r)
		if !ok || of >= r.ID {
			return parts, nil
		}
		parts = append(parts, of)
		r = byID[of].Run
	}
}

// past collects what the run that text names, and those it went on with, have
// done of plan.
func past(ctx context.Context, st *store.Store, text string, plan *scanner.Plan) (*active.Past, int64, error) {
	parts, err := resumable(ctx, st, text, plan)
	if err != nil {
		return nil, 0, err
	}
	p, err := collect(ctx, st, parts)
	return p, parts[0], err
}

// collect reads ledger and observations of the parts of a scan, newest first.
func collect(ctx context.Context, st *store.Store, parts []int64) (*active.Past, error) {
	p := active.NewPast()
	for _, id := range slices.Backward(parts) {
		rows, err := st.Probes(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			p.AddProbe(r)
		}
	}
	for o, err := range st.Observations(ctx) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(parts, o.Run) {
			p.AddObservation(o)
		}
	}
	return p, nil
}

// waitStep bounds how long a wait relies on one timer: a machine may sleep, and
// clocks are set.
const waitStep = time.Minute

// waitOpen returns when one of the windows is open.
func waitOpen(ctx context.Context, windows scanner.Windows, now func() time.Time) error {
	for {
		at := now()
		if _, open := windows.Open(at); open || len(windows) == 0 {
			return nil
		}
		next, ok := windows.Next(at)
		if !ok {
			return fmt.Errorf("the scan window never opens: %w", scanner.ErrRefused)
		}
		timer := time.NewTimer(min(next.Sub(at), waitStep))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
