package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"probity/evidence"
)

// Assets returns the assets as they were last saved, in the order of
// [evidence.Asset.Compare]. [ErrProjection] means that rows were lost or changed.
func (s *Store) Assets(ctx context.Context) ([]evidence.Asset, error) {
	l := assetLoader{s: s, at: make(map[int64]int)}
	err := l.load(ctx)
	if err == nil && s.version > 1 {
		err = l.loadLives(ctx)
	}
	if err == nil && s.version > 2 {
		err = l.check(ctx)
	}
	slices.SortFunc(l.all, evidence.Asset.Compare)
	return l.all, explain(s.path, err)
}

// assetLoader collects what belongs to an asset from its tables.
type assetLoader struct {
	s    *Store
	all  []evidence.Asset
	sums []int64       // of the rows that were read
	at   map[int64]int // index in all by row
}

func (l *assetLoader) load(ctx context.Context) error {
	err := each(ctx, l.s.r, "SELECT id, asset, addresses, first_seen_ms, last_seen_ms FROM proj_asset ORDER BY id", func(scan scanFunc) error {
		var a evidence.Asset
		var id, first, last int64
		var list string
		if err := scan(&id, &a.ID, &list, &first, &last); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(list), &a.Addresses); err != nil {
			return fmt.Errorf("asset %q: addresses: %w", a.ID, err)
		}
		a.FirstSeen, a.LastSeen = fromMS(first), fromMS(last)
		l.at[id] = len(l.all)
		l.all = append(l.all, a)
		l.sums = append(l.sums, rowSumOf(rowAsset, a.ID, list, first, last))
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, l.s.r, "SELECT asset, address, port, transport, server_name FROM proj_asset_endpoint ORDER BY id", func(scan scanFunc) error {
		var id int64
		var n nullEndpoint
		if err := scan(&id, &n.address, &n.port, &n.transport, &n.name); err != nil {
			return err
		}
		e, err := n.endpoint()
		if a := l.asset(id, rowEndpoint, address(e.Addr), int64(e.Port), string(e.Transport), e.Name); a != nil {
			a.Endpoints = append(a.Endpoints, e)
		}
		return err
	})
	if err != nil {
		return err
	}
	source := "source"
	if l.s.version < 2 {
		source = "''"
	}
	return each(ctx, l.s.r, "SELECT asset, attribute, value, confidence, layer, coalesce(observation,0), "+source+" FROM proj_claim ORDER BY id", func(scan scanFunc) error {
		var id int64
		var c evidence.Claim
		err := scan(&id, &c.Attribute, &c.Value, &c.Confidence, &c.Layer, &c.Observation, &c.Source)
		if a := l.asset(id, rowClaim, string(c.Attribute), c.Value, int64(c.Confidence), c.Layer, optional(c.Observation), c.Source); a != nil {
			a.Claims = append(a.Claims, c)
		}
		return err
	})
}

// asset returns the asset of a row, and takes the row's values into its sum.
func (l *assetLoader) asset(id int64, table int, values ...any) *evidence.Asset {
	if i, ok := l.at[id]; ok {
		l.sums[i] += rowSumOf(table, values...)
		return &l.all[i]
	}
	return nil
}

// check compares the rows that were read with those that were written.
func (l *assetLoader) check(ctx context.Context) error {
	var made, want int
	if err := l.s.r.QueryRowContext(ctx, "SELECT count(*), coalesce(max(assets),0) FROM proj_identity").Scan(&made, &want); err != nil {
		return err
	}
	if made == 0 { // saved by an older program, which kept no sums
		return nil
	}
	if want != len(l.all) {
		return fmt.Errorf("%w: %d assets of %d are there", ErrProjection, len(l.all), want)
	}
	n := 0
	err := each(ctx, l.s.r, "SELECT asset, sum FROM proj_asset_sum", func(scan scanFunc) error {
		var id, sum int64
		if err := scan(&id, &sum); err != nil {
			return err
		}
		i, ok := l.at[id]
		if ok && l.sums[i] != sum {
			return fmt.Errorf("%w: rows of asset %q were lost or changed", ErrProjection, l.all[i].ID)
		}
		n++
		return nil
	})
	if err == nil && n != want {
		err = fmt.Errorf("%w: %d sums for %d assets", ErrProjection, n, want)
	}
	return err
}

// loadLives reads what version 2 added.
func (l *assetLoader) loadLives(ctx context.Context) error {
	stays := each(ctx, l.s.r, "SELECT asset, stay, address, first_ms, last_ms, ended FROM proj_asset_stay ORDER BY id", func(scan scanFunc) error {
		var id, first, last, state int64
		var addr string
		var s evidence.Stay
		err := scan(&id, &s.ID, &addr, &first, &last, &state)
		if err != nil {
			return err
		}
		s.Ended, s.Left = state == 1, state == 2
		s.First, s.Last = fromMS(first), fromMS(last)
		s.Addr, err = netip.ParseAddr(addr)
		if a := l.asset(id, rowStay, s.ID, addr, first, last, state); a != nil {
			a.Stays = append(a.Stays, s)
		}
		return err
	})
	joins := each(ctx, l.s.r, "SELECT asset, kept, ended, reason, observations FROM proj_asset_join ORDER BY id", func(scan scanFunc) error {
		var id int64
		var list string
		var j evidence.Join
		err := scan(&id, &j.Kept, &j.Ended, &j.Reason, &list)
		if err == nil {
			err = json.Unmarshal([]byte(list), &j.Observations)
		}
		if len(j.Observations) == 0 {
			j.Observations = nil
		}
		if a := l.asset(id, rowJoin, j.Kept, j.Ended, j.Reason, list); a != nil {
			a.Joins = append(a.Joins, j)
		}
		return err
	})
	events := each(ctx, l.s.r, "SELECT asset, at_ms, event FROM proj_asset_event ORDER BY id", func(scan scanFunc) error {
		var id, at int64
		var text string
		if err := scan(&id, &at, &text); err != nil {
			return err
		}
		var e evidence.Event
		err := json.Unmarshal([]byte(text), &e)
		if a := l.asset(id, rowEvent, at, text); a != nil {
			a.Events = append(a.Events, e)
		}
		return err
	})
	facts := each(ctx, l.s.r, "SELECT asset, fact FROM proj_asset_fact ORDER BY id", func(scan scanFunc) error {
		var id int64
		var text string
		if err := scan(&id, &text); err != nil {
			return err
		}
		var f evidence.AssetFact
		err := json.Unmarshal([]byte(text), &f)
		if a := l.asset(id, rowFact, text); a != nil {
			a.Facts = append(a.Facts, f)
		}
		return err
	})
	return errors.Join(stays, joins, events, facts)
}
