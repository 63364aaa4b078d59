//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"probity/evidence/store"
	"probity/scanner/passive/capture"
)

// passiveFlags are those of the commands that take evidence out of traffic.
type passiveFlags struct {
	judge      judgeFlags
	store      storeFlags
	view       viewFlags
	quiet      bool
	recordOnly bool
}

func (f *passiveFlags) register(cmd *cobra.Command) {
	f.judge.register(cmd.Flags())
	f.store.registerWriter(cmd.Flags())
	f.view.register(cmd.Flags())
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "print no report")
	cmd.Flags().BoolVar(&f.recordOnly, "record-only", false, "only record; the next command that judges takes it in")
}

// finish judges what was recorded, unless it was not asked for.
func (a *app) finish(ctx context.Context, st *store.Store, f passiveFlags, j *judgement, begun *early, incomplete bool) error {
	if f.recordOnly {
		return verdict(false, incomplete)
	}
	if err := a.conclude(ctx, st, f.store, j, begun, f.view, f.quiet); err != nil {
		return err
	}
	return verdict(j.negative, incomplete)
}

type readFlags struct {
	passiveFlags
	follow bool
}

func (a *app) readCommand() *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "read FILE...",
		Short: "Take evidence out of capture files, judge it, report",
		Long: "read takes certificates, DICOM associations, SSH banners and HL7 headers out of pcap\n" +
			"and pcapng files (also gzip), of folders with such files, or of standard input (-).\n" +
			"It keeps allow-listed fields only, never a message body. A damaged or lossy capture is\n" +
			"read as far as it goes; the run is then incomplete. --follow goes on with a file that\n" +
			"grows, and with the one that takes its name when it is rotated, until it is\n" +
			"interrupted.\n\n" +
			"Exit codes: 0 done; 1 findings at or above --fail-on; 2 unreadable; 3 incomplete;\n" +
			"130 interrupted, what was read is kept.",
		Example: "  probity read ward3.pcapng --db hospital.db\n" +
			"  ssh tap tcpdump -U -s0 -w - | probity read - --db hospital.db",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.read(cmd.Context(), f, args) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.follow, "follow", false, "go on as the one FILE grows")
	return cmd
}

func (a *app) read(ctx context.Context, f readFlags, names []string) error {
	if err := refuseCores(); err != nil {
		return err
	}
	if err := f.view.check(); err != nil {
		return err
	}
	if f.follow && (len(names) != 1 || names[0] == standardInput) {
		return errors.New("--follow needs the name of one file; standard input is followed anyway")
	}
	j, err := a.newJudgement(f.judge)
	if err != nil {
		return err
	}
	var files, skipped []string
	if f.follow {
		files, err = names, followable(names[0])
	} else {
		files, skipped, err = captureFiles(names)
	}
	if err != nil {
		return err
	}
	for _, why := range skipped {
		_, _ = fmt.Fprintf(a.stderr, "probity: %s\n", oneLine(errors.New(why)))
	}
	st, err := a.openWriter(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	var begun *early
	// Nothing is known of the end of a file that grows, or of standard input: until
	// then what is taken up early would stay in memory.
	if !f.recordOnly && !f.follow && !slices.Contains(files, standardInput) {
		begun = a.beginEarly(ctx, st)
		defer begun.stop()
	}
	incomplete := false
	for _, name := range files {
		var complete bool
		if f.follow {
			complete, err = a.followFile(ctx, st, f, j, name)
		} else {
			complete, err = a.readFile(ctx, st, f, j, begun, name)
		}
		if err != nil {
			return err
		}
		incomplete = incomplete || !complete
	}
	return a.finish(ctx, st, f.passiveFlags, j, begun, incomplete)
}

// readFile reads one capture as one run and says whether all of it was seen.
func (a *app) readFile(ctx context.Context, st *store.Store, f readFlags, j *judgement, begun *early, name string) (complete bool, err error) {
	var src *capture.File
	reading := context.WithoutCancel(ctx) // a source that ends by itself, once what it holds was read
	switch name {
	case standardInput:
		name = "standard input"
		src, err = capture.NewFile(name, capture.Interruptible(ctx, a.stdin))
	default:
		src, err = capture.Open(name)
		reading = ctx
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = src.Close() }()
	return a.recordTraffic(ctx, st, f.store, j, tap{source: src, name: name, note: "capture " + name, begun: begun, reading: reading})
}

// followFile reads a capture that grows, and those that take its name, each as one
// run.
func (a *app) followFile(ctx context.Context, st *store.Store, f readFlags, j *judgement, name string) (complete bool, err error) {
	for complete = true; ; {
		src, err := capture.Follow(ctx, name, lookAgain)
		if err != nil && ctx.Err() != nil { // it waited for the first bytes
			return complete, ctx.Err()
		}
		if err != nil {
			return complete, err
		}
		whole, err := a.recordTraffic(ctx, st, f.store, j, tap{source: src, name: name, note: "capture " + name, reading: context.WithoutCancel(ctx)})
		_ = src.Close()
		complete = complete && whole
		if err != nil || !src.Replaced() {
			return complete, err
		}
		_, _ = fmt.Fprintf(a.stderr, "probity: %s: was replaced: following the new file\n", oneLine(errors.New(name)))
	}
}
