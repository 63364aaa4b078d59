package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"probity/evidence"
)

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
