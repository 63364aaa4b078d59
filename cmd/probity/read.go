//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner/passive"
	"probity/scanner/passive/capture"
)

type readFlags struct {
	judge judgeFlags
	store storeFlags
	view  viewFlags
	quiet bool
}

func (a *app) readCommand() *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "read FILE...",
		Short: "Take evidence out of capture files, judge it, report",
		Long: "read takes certificates, DICOM associations, SSH banners and HL7 headers out of pcap\n" +
			"and pcapng files (also gzip). It keeps allow-listed fields only, never a message body.\n" +
			"A damaged or lossy capture is read as far as it goes; the run is then incomplete.\n\n" +
			"Exit codes: 0 done; 1 findings at or above --fail-on; 2 unreadable; 3 incomplete.",
		Example: "  probity read ward3.pcapng --db hospital.db",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.read(cmd.Context(), f, args) },
	}
	f.judge.register(cmd.Flags())
	f.store.registerWriter(cmd.Flags())
	f.view.register(cmd.Flags())
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "print no report, only record")
	return cmd
}

func (a *app) read(ctx context.Context, f readFlags, files []string) error {
	if err := f.view.check(); err != nil {
		return err
	}
	j, err := a.newJudgement(f.judge)
	if err != nil {
		return err
	}
	// Every file is opened before the first run begins, so that a wrong name
	// leaves no trace in the evidence.
	for _, name := range files {
		src, err := capture.Open(name)
		if err != nil {
			return err
		}
		if err := src.Close(); err != nil {
			return err
		}
	}
	st, err := a.openWriter(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	incomplete := false
	for _, name := range files {
		complete, err := a.readFile(ctx, st, f, j, name)
		if err != nil {
			return err
		}
		incomplete = incomplete || !complete
	}
	if err := a.conclude(ctx, st, f.store, j, f.view, f.quiet); err != nil {
		return err
	}
	return verdict(j.negative(), incomplete)
}

// readFile reads one capture as one run and says whether all of it was seen.
func (a *app) readFile(ctx context.Context, st *store.Store, f readFlags, j *judgement, name string) (complete bool, err error) {
	src, err := capture.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = src.Close() }()
	run := a.newRun(evidence.ModePassive, f.store, j)
	run.Note = "capture " + name
	if run, err = st.BeginRun(ctx, run, []evidence.ScopeEntry{{Target: name, Allowed: true}}); err != nil {
		return false, err
	}
	stats, err := passive.Read(ctx, src, &runSink{st, run.ID}, passive.Options{})
	end := evidence.RunEnd{
		Run: run.ID, Ended: a.now(), Status: evidence.StatusComplete,
		PacketsSeen: int64(stats.Packets), PacketsDropped: int64(stats.Lost()),
	}
	reasons := stats.Incomplete()
	switch {
	case ctx.Err() != nil:
		end.Status = evidence.StatusInterrupted
	case err != nil && !errors.Is(err, capture.ErrTruncated):
		end.Status = evidence.StatusFailed
	case err != nil || len(reasons) > 0:
		end.Status = evidence.StatusIncomplete
	}
	if err != nil {
		reasons = append(reasons, err.Error())
	}
	end.Note = strings.Join(reasons, "; ")
	ckpt, endErr := st.EndRun(context.WithoutCancel(ctx), end)
	if endErr != nil {
		return false, errors.Join(err, endErr)
	}
	if end.Status == evidence.StatusFailed || end.Status == evidence.StatusInterrupted {
		return false, err
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: %s: %d packets; run %d sealed at entry %d\n", name, stats.Packets, run.ID, ckpt.Size)
	for _, why := range reasons {
		_, _ = fmt.Fprintf(a.stderr, "probity: %s: incomplete: %s\n", name, oneLine(errors.New(why)))
	}
	return len(reasons) == 0, a.giveOut(ckpt, f.store)
}

// runSink writes the observations of one run.
type runSink struct {
	store *store.Store
	run   int64
}

// Record implements the sink of the scanners.
func (s *runSink) Record(ctx context.Context, o evidence.Observation) error {
	o.Run = s.run
	return s.store.Record(ctx, o)
}
