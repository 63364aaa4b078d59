//go:build cgo

package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner/identify"
	"probity/scanner/identify/fingerprint"
)

// source is where observations come from that are resolved.
type source struct {
	// after yields those after the one with an id.
	after func(ctx context.Context, id int64) iter.Seq2[evidence.Observation, error]
	// decode decodes their certificates; nil: nobody else wants to know of them.
	decode identify.Decoder
}

// read is a source of observations that were read before, all of them.
func read(obs []evidence.Observation) source {
	return source{after: func(_ context.Context, id int64) iter.Seq2[evidence.Observation, error] {
		return func(yield func(evidence.Observation, error) bool) {
			first, _ := slices.BinarySearchFunc(obs, id+1, func(o evidence.Observation, id int64) int { return cmp.Compare(o.ID, id) })
			for _, o := range obs[first:] {
				if !yield(o, nil) {
					return
				}
			}
		}
	}}
}

// resolve brings the assets up to date with the evidence. It goes on from what
// the last resolution left, if the same program made that and it is whole; else,
// or when anew is set, all of the evidence is taken up.
func (a *app) resolve(ctx context.Context, st *store.Store, from source, anew bool) error {
	facts, err := st.AssetFacts(ctx)
	if err != nil {
		return err
	}
	maker, err := resolutionMaker()
	if err != nil {
		return err
	}
	if !anew {
		err := a.resolveOn(ctx, st, from, maker, facts)
		if !errors.Is(err, store.ErrProjection) && !errors.Is(err, identify.ErrBase) {
			return err
		}
	}
	return a.resolveFrom(ctx, st, from, nil, store.Resolution{Maker: maker, Whole: true}, facts)
}

// resolveOn goes on from what the last resolution left.
func (a *app) resolveOn(ctx context.Context, st *store.Store, from source, maker string, facts []evidence.AssetFact) error {
	last, err := st.Resolved(ctx, maker)
	if err != nil {
		return err
	}
	err = a.resolveFrom(ctx, st, from, last, store.Resolution{Maker: maker, Observation: last.Observation(), Fact: last.Stated()}, facts)
	return errors.Join(err, last.Close())
}

func (a *app) resolveFrom(ctx context.Context, st *store.Store, from source, last *store.Resolved, to store.Resolution, facts []evidence.AssetFact) error {
	var base identify.Base
	if last != nil {
		base = last
	}
	r := identify.New(base)
	if from.decode != nil {
		r.DecodeWith(from.decode)
	}
	fresh := false
	for o, err := range ahead(from.after(ctx, to.Observation)) {
		if err != nil {
			return err
		}
		to.Observation, fresh = o.ID, true
		r.Add(&o)
	}
	if n := len(facts); n > 0 && facts[n-1].ID > to.Fact {
		to.Fact, fresh = facts[n-1].ID, true
	}
	if !fresh && !to.Whole {
		return nil
	}
	u, err := r.Resolve(facts)
	if err != nil {
		return err
	}
	to.Gone, to.Assets, to.Places, to.Held, to.Former = u.Gone, ahead(u.Assets), ahead(u.Places), u.Held, u.Former
	if err := st.SaveResolution(ctx, to); err != nil {
		return err
	}
	return r.Err()
}

// ahead yields what a sequence does, which runs beside the consumer and a little
// ahead of it.
func ahead[K, V any](seq iter.Seq2[K, V]) iter.Seq2[K, V] {
	type pair struct {
		k K
		v V
	}
	const together = 64
	return func(yield func(K, V) bool) {
		const waiting = 4
		batches, stop := make(chan []pair, waiting), make(chan struct{})
		used := make(chan []pair, waiting+2) // batches that are filled again
		next := func() []pair {
			select {
			case batch := <-used:
				return batch
			default:
				return make([]pair, 0, together)
			}
		}
		go func() {
			defer close(batches)
			batch := next()
			for k, v := range seq {
				if batch = append(batch, pair{k, v}); len(batch) < together {
					continue
				}
				select {
				case batches <- batch:
					batch = next()
				case <-stop:
					return
				}
			}
			select {
			case batches <- batch:
			case <-stop:
			}
		}()
		defer func() {
			close(stop)
			for range batches { // until the other has ended
			}
		}()
		for batch := range batches {
			for _, p := range batch {
				if !yield(p.k, p.v) {
					return
				}
			}
			clear(batch) // lets go of what it points to
			used <- batch[:0]
		}
	}
}

// resolveMemory is what resolving alone may take before it collects garbage more
// often: 100,000 devices fit, and more are slower at worst.
const resolveMemory = 768 << 20

// resolutionMaker names what makes resolutions: another program, or other
// fingerprints, may come to other results.
func resolutionMaker() (string, error) {
	set, err := fingerprint.Builtin()
	if err != nil {
		return "", err
	}
	return "program " + toolHash().String() + ", fingerprints " + set.Digest().String(), nil
}

// assets returns the assets, which were brought up to date. Should rows be damaged,
// they are worked out anew.
func (a *app) assets(ctx context.Context, st *store.Store, from source) ([]evidence.Asset, error) {
	return a.whole(ctx, st, from, func() ([]evidence.Asset, error) { return st.Assets(ctx) })
}

// whole loads assets. Should rows be damaged, they are worked out anew.
func (a *app) whole(ctx context.Context, st *store.Store, from source, load func() ([]evidence.Asset, error)) ([]evidence.Asset, error) {
	assets, err := load()
	if errors.Is(err, store.ErrProjection) {
		if err = a.resolve(ctx, st, from, true); err == nil {
			assets, err = load()
		}
	}
	return assets, err
}

func (a *app) assetResolveCommand() *cobra.Command {
	var f storeFlags
	var anew bool
	cmd := &cobra.Command{
		Use:   "resolve",
		Short: "Bring the list of devices up to date with the evidence",
		Long: "resolve works out which devices the observations amount to, as scan, read and lint do\n" +
			"when they judge. It goes on from the last time, so that it costs what was added; with\n" +
			"--anew it starts from the evidence. The result is the same. What it writes is no part\n" +
			"of the evidence and can be made again at any time.",
		Example: "  probity asset resolve --db hospital.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(resolveMemory))
			if err := fileExists(f.db); err != nil {
				return err
			}
			st, err := a.openWriter(cmd.Context(), f)
			if err != nil {
				return err
			}
			defer func() {
				if cerr := st.Close(); err == nil {
					err = cerr
				}
			}()
			return a.resolve(cmd.Context(), st, source{after: st.ObservationsAfter}, anew)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&f.key, "key", "", "signing key `FILE` (default: the database's name with .key)")
	cmd.Flags().BoolVar(&anew, "anew", false, "do not go on from the last time")
	return cmd
}
