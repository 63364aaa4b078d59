//go:build cgo

package main

import (
	"context"

	"github.com/spf13/pflag"

	"probity/evidence"
)

// lintStore lets lint keep what it read.
type lintStore struct {
	storeFlags
	fs *pflag.FlagSet
}

func (f *lintStore) register(fs *pflag.FlagSet) {
	f.fs = fs
	f.registerWriter(fs)
}

// used reports whether a database was asked for: lint keeps nothing by default.
func (f *lintStore) used() bool { return f.fs.Changed("db") }

// lintIntoStore records the artefacts as an import run and judges all that the
// database holds, so that a repeat of an earlier batch shows.
func (a *app) lintIntoStore(ctx context.Context, f lintFlags, j *judgement, obs []evidence.Observation) error {
	st, err := a.openWriter(ctx, f.store.storeFlags)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	run, err := st.BeginRun(ctx, a.newRun(evidence.ModeImport, f.store.storeFlags, j), nil)
	if err != nil {
		return err
	}
	for _, o := range obs {
		o.ID, o.Run, o.At = 0, run.ID, run.Started
		if err := st.Record(ctx, o); err != nil {
			return err
		}
	}
	_, err = st.EndRun(ctx, evidence.RunEnd{
		Run: run.ID, Ended: a.now(), Status: evidence.StatusComplete,
		Targets: int64(len(obs)), Reached: int64(len(obs)),
	})
	if err != nil {
		return err
	}
	if err := a.conclude(ctx, st, f.store.storeFlags, j, nil, f.view, false); err != nil {
		return err
	}
	return verdict(j.negative, false)
}
