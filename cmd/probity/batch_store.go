//go:build cgo

package main

import (
	"context"
	"errors"
	"strconv"

	"probity/evidence"
	"probity/evidence/store"
	"probity/rules/batch"
)

// batchStore keeps a batch beside earlier ones. Without a store it keeps nothing.
type batchStore struct {
	a   *app
	st  *store.Store
	run evidence.Run
}

func (a *app) openBatchStore(ctx context.Context, f lintFlags, profile evidence.Digest) (*batchStore, error) {
	if !f.store.used() {
		return &batchStore{}, nil
	}
	st, err := a.openWriter(ctx, f.store.storeFlags)
	if err != nil {
		return nil, err
	}
	run := a.newRun(evidence.ModeImport, f.store.storeFlags, nil)
	run.Config, run.Note = profile, "manufacturing batch"
	if run, err = st.BeginRun(ctx, run, nil); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &batchStore{a: a, st: st, run: run}, nil
}

// earlier adds the certificates that runs before this one read from files.
func (s *batchStore) earlier(ctx context.Context, b *batch.Batch) (*batchKeys, error) {
	keys := &batchKeys{}
	if s.st == nil {
		return keys, nil
	}
	for o, err := range s.st.Observations(ctx) {
		if err != nil {
			return nil, err
		}
		if o.Run == s.run.ID || o.Facts.Artefact == nil {
			continue
		}
		for _, c := range o.Certs {
			j := b.Profile.Judge(batch.Place{Run: o.Run, File: o.Endpoint.Name, Number: o.Facts.Artefact.Index + 1}, c.DER)
			b.AddEarlier(j)
			keys.take(j, true)
		}
	}
	return keys, nil
}

func (s *batchStore) record(ctx context.Context, obs []evidence.Observation) error {
	if s.st == nil {
		return nil
	}
	for _, o := range obs {
		o.Run, o.At = s.run.ID, s.run.Started
		if err := s.st.Record(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *batchStore) end(ctx context.Context, files, read int) error {
	if s.st == nil {
		return nil
	}
	e := evidence.RunEnd{Run: s.run.ID, Ended: s.a.now(), Status: evidence.StatusComplete, Targets: int64(files), Reached: int64(read)}
	if read < files {
		e.Status, e.Note = evidence.StatusIncomplete, strconv.Itoa(files-read)+" files could not be read"
	}
	_, err := s.st.EndRun(ctx, e)
	return err
}

func (s *batchStore) close() {
	if s.st != nil {
		_ = s.st.Close()
	}
}
