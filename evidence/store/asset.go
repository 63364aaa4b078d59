package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"probity/evidence"
)

// projections of assets, those that point to others first.
func assetProjections() []string {
	return []string{
		"proj_claim", "proj_asset_endpoint", "proj_asset_stay", "proj_asset_join", "proj_asset_event", "proj_asset_fact", "proj_asset",
	}
}

// SaveAssets replaces the projection of assets, their claims and their lives. It
// is derived from observations and from what people said, and not part of the
// log.
func (s *Store) SaveAssets(ctx context.Context, assets []evidence.Asset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write(ctx, func(b *batch) error {
		for _, t := range assetProjections() {
			if _, err := b.tx.ExecContext(ctx, "DELETE FROM "+t); err != nil {
				return err
			}
		}
		w, err := newAssetWriter(ctx, b)
		if err != nil {
			return err
		}
		for i, a := range assets {
			if err := w.write(int64(i)+1, a); err != nil {
				return errors.Join(fmt.Errorf("asset %q: %w", a.ID, err), w.close())
			}
		}
		return w.close()
	})
	if err != nil {
		return fmt.Errorf("save assets: %w", err)
	}
	return nil
}

// RecordAssetFacts records what people said of assets in a run that is open, all
// or nothing. The IDs and runs of the facts are assigned.
func (s *Store) RecordAssetFacts(ctx context.Context, run int64, facts []evidence.AssetFact) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open[run] {
		return fmt.Errorf("record facts of run %d: %w", run, ErrRunNotOpen)
	}
	err := s.commitPending(ctx, func(b *batch) error {
		for i := range facts {
			f := &facts[i]
			values := f.Values
			if values == nil {
				values = map[string]string{}
			}
			text, err := toJSON(values)
			if err != nil {
				return err
			}
			f.Run = run
			f.ID = b.insert(kindAssetFact, run, f.At.UnixMilli(), string(f.Kind), clean(f.Asset), clean(f.Other), address(f.Address), text, clean(f.Reason))
		}
		return b.err
	})
	if err != nil {
		return fmt.Errorf("record facts of run %d: %w", run, err)
	}
	return nil
}

// AssetFacts returns what people said of assets, in the order in which it was
// recorded. A database from before there were such statements has none.
func (s *Store) AssetFacts(ctx context.Context) ([]evidence.AssetFact, error) {
	if s.version < s.tables[kindAssetFact].since {
		return nil, nil
	}
	var all []evidence.AssetFact
	err := each(ctx, s.r, `SELECT f.id, f.run, f.at_ms, f.kind, f.asset, f.other, coalesce(f.address,''), f.facts, f.reason, r.operator
		FROM asset_fact f JOIN run r ON r.id=f.run ORDER BY f.id`, func(scan scanFunc) error {
		var f evidence.AssetFact
		var at int64
		var addr, values string
		if err := scan(&f.ID, &f.Run, &at, &f.Kind, &f.Asset, &f.Other, &addr, &values, &f.Reason, &f.By); err != nil {
			return err
		}
		f.At = fromMS(at)
		err := json.Unmarshal([]byte(values), &f.Values)
		if addr != "" && err == nil {
			f.Address, err = netip.ParseAddr(addr)
		}
		if err != nil {
			return fmt.Errorf("statement %d: %w", f.ID, err)
		}
		all = append(all, f)
		return nil
	})
	return all, explain(s.path, err)
}
