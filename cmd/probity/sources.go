//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner/passive"
	"probity/scanner/passive/capture"
)

// standardInput is the name that stands for it.
const standardInput = "-"

// captureFiles replaces each folder by the captures in it, in the order of their
// names. Every file is opened, so that a wrong name leaves no trace in the
// evidence. skipped says what of a folder is not read, and why.
func captureFiles(names []string) (files, skipped []string, err error) {
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case name == standardInput && slices.Contains(files, name):
			return nil, nil, errors.New("standard input (-) can be read once only")
		case name == standardInput:
			files = append(files, name)
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("open capture: %w", err)
		case !info.IsDir():
			if err := openable(name); err != nil {
				return nil, nil, err
			}
			files = append(files, name)
			continue
		}
		found, others, err := capturesIn(name)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			return nil, nil, fmt.Errorf("folder %q holds no capture file: %w", name, capture.ErrNotCapture)
		}
		files, skipped = append(files, found...), append(skipped, others...)
	}
	return files, skipped, nil
}

// followable says whether a file can be followed: it holds a capture, or nothing
// yet.
func followable(name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return fmt.Errorf("open capture: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("--follow %q: not a file", name)
	case info.Size() == 0:
		return nil
	}
	return openable(name)
}

// capturesIn lists the captures in a folder and says of what else is there why it is
// skipped; names that begin with a dot are not looked at.
func capturesIn(dir string) (found, skipped []string, err error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, nil, fmt.Errorf("open folder of captures: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			switch {
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				return nil, nil, fmt.Errorf("open capture: %w", err)
			case err == nil && info.IsDir() && !strings.HasPrefix(e.Name(), "."):
				skipped = append(skipped, path+": skipped: a folder within the folder; name it too")
			}
			continue
		}
		switch err := openable(path); {
		case errors.Is(err, capture.ErrNotCapture):
			skipped = append(skipped, path+": skipped: not a capture file")
		case err != nil:
			return nil, nil, err
		default:
			found = append(found, path)
		}
	}
	return found, skipped, nil
}

func openable(name string) error {
	src, err := capture.Open(name)
	if err != nil {
		return err
	}
	return src.Close()
}

// tap is a source of packets that becomes one run.
type tap struct {
	source  capture.Source
	name    string
	note    string
	dropped func() []capture.Loss // what was lost before it could be read; nil: nothing
	begun   *early                // is told of what is recorded; nil: nobody
	// reading is the context of the reading itself. A live source ends by itself
	// when the command is interrupted, once what it holds was read.
	reading context.Context //nolint:containedctx // differs from that of the run
}

// recordTraffic reads a source as one run and says whether all of it was seen.
func (a *app) recordTraffic(ctx context.Context, st *store.Store, f storeFlags, j *judgement, t tap) (complete bool, err error) {
	run := a.newRun(evidence.ModePassive, f, j)
	run.Note = t.note
	if run, err = st.BeginRun(context.WithoutCancel(ctx), run, []evidence.ScopeEntry{{Target: t.name, Allowed: true}}); err != nil {
		return false, err
	}
	stats, err := passive.Read(t.reading, t.source, &runSink{st, run.ID, t.begun}, passive.Options{})
	end := evidence.RunEnd{
		Run: run.ID, Ended: a.now(), Status: evidence.StatusComplete,
		PacketsSeen: int64(stats.Packets), PacketsDropped: int64(stats.Lost()),
	}
	reasons := stats.Incomplete()
	if t.dropped != nil {
		for _, loss := range t.dropped() {
			end.PacketsDropped += int64(loss.Ring + loss.Card)
			reasons = append(reasons, fmt.Sprintf("interface %s lost %d packets in its ring and %d in the network card: give a larger --ring or a --filter", loss.Interface, loss.Ring, loss.Card))
		}
	}
	switch {
	case ctx.Err() != nil:
		end.Status = evidence.StatusInterrupted
	case err != nil && !errors.Is(err, capture.ErrTruncated):
		end.Status = evidence.StatusFailed
	case err != nil || len(reasons) > 0:
		end.Status = evidence.StatusIncomplete
	}
	if err != nil && ctx.Err() == nil {
		reasons = append(reasons, err.Error())
	}
	end.Note = strings.Join(slices.Concat(reasons, stats.Remarks()), "; ")
	ckpt, endErr := st.EndRun(context.WithoutCancel(ctx), end)
	if endErr != nil {
		return false, errors.Join(err, endErr)
	}
	if end.Status == evidence.StatusFailed {
		return false, err
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: %s: %d packets; run %d sealed at entry %d\n", t.name, stats.Packets, run.ID, ckpt.Size)
	for _, why := range reasons {
		_, _ = fmt.Fprintf(a.stderr, "probity: %s: incomplete: %s\n", t.name, oneLine(errors.New(why)))
	}
	if err := a.giveOut(ckpt, f); err != nil {
		return false, err
	}
	return len(reasons) == 0, ctx.Err()
}

// runSink writes the observations of one run.
type runSink struct {
	store *store.Store
	run   int64
	begun *early // may be nil
}

// Record implements the sink of the scanners.
func (s *runSink) Record(ctx context.Context, o evidence.Observation) error {
	o.Run = s.run
	if err := s.store.Record(ctx, o); err != nil {
		return err
	}
	if s.begun != nil {
		s.begun.note()
	}
	return nil
}

// lookAgain waits before the end of a growing file is looked at again.
func lookAgain(ctx context.Context) error {
	timer := time.NewTimer(250 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
