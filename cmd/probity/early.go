//go:build cgo

package main

import (
	"context"
	"iter"
	"sync"

	"probity/evidence"
	"probity/evidence/store"
	"probity/lint"
)

// early takes up what is recorded while more is: it reads observations back as soon
// as they are committed and resolves them into assets, which judging begins with.
// What comes of it is the same as without.
type early struct {
	st       *store.Store
	recorded int           // since there was something to take up
	more     chan struct{} // something may be there to take up
	last     chan struct{} // closed when nothing more will be recorded
	read     *lint.Library // of what is taken up
	cancel   context.CancelFunc
	workers  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	grown *sync.Cond
	obs   []evidence.Observation // only added to
	done  bool                   // nothing more is added
	err   error

	resolution error // once the workers have ended
}

// earlyEvery is how many observations are recorded between two looks at what was
// committed.
const earlyEvery = 256

// beginEarly begins to take up what st holds and will hold. Call stop in any case.
func (a *app) beginEarly(ctx context.Context, st *store.Store) *early {
	ctx, cancel := context.WithCancel(ctx)
	e := &early{st: st, more: make(chan struct{}, 1), last: make(chan struct{}), read: lint.NewLibrary(), cancel: cancel}
	e.grown = sync.NewCond(&e.mu)
	e.workers.Go(func() { e.load(ctx) })
	e.workers.Go(func() { e.resolution = a.resolve(ctx, st, source{e.after, e.read.Read}, false) })
	return e
}

// note is told of every observation that was recorded.
func (e *early) note() {
	if e.recorded++; e.recorded%earlyEvery != 0 {
		return
	}
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// load reads what was committed until all is.
func (e *early) load(ctx context.Context) {
	f := e.st.Follow()
	for last := false; !last; {
		err := error(nil)
		select {
		case <-ctx.Done():
			err, last = ctx.Err(), true
		case <-e.last:
			last = true
		case <-e.more:
		}
		if err == nil {
			err = e.take(f.More(ctx))
		}
		e.mu.Lock()
		last = last || err != nil
		e.done, e.err = last, err
		e.mu.Unlock()
		e.grown.Broadcast()
	}
}

func (e *early) take(obs iter.Seq2[evidence.Observation, error]) error {
	for o, err := range obs {
		if err != nil {
			return err
		}
		e.mu.Lock()
		e.obs = append(e.obs, o)
		e.mu.Unlock()
	}
	return nil
}

// after yields as a [source] does, and waits for what is still to come.
func (e *early) after(_ context.Context, id int64) iter.Seq2[evidence.Observation, error] {
	return func(yield func(evidence.Observation, error) bool) {
		for at := 0; ; {
			e.mu.Lock()
			for at == len(e.obs) && !e.done {
				e.grown.Wait()
			}
			some, done, err := e.obs[at:], e.done, e.err
			e.mu.Unlock()
			for _, o := range some {
				if at++; o.ID > id && !yield(o, nil) {
					return
				}
			}
			if len(some) > 0 || !done {
				continue
			}
			if err != nil {
				yield(evidence.Observation{}, err)
			}
			return
		}
	}
}

// loaded is called once, when all is committed. It returns all observations.
func (e *early) loaded() ([]evidence.Observation, error) {
	close(e.last)
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.done {
		e.grown.Wait()
	}
	return e.obs, e.err
}

// resolved waits until all observations are resolved, and lets go of them.
func (e *early) resolved() error {
	e.workers.Wait()
	e.obs, e.read = nil, nil
	return e.resolution
}

// stop ends what nobody waits for any more.
func (e *early) stop() {
	e.cancel()
	e.workers.Wait()
}
