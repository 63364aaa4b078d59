package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
)

// Assets returns the assets as they were last saved, in the order of
// [evidence.Asset.Compare]. [ErrProjection] means that rows were lost or changed.
func (s *Store) Assets(ctx context.Context) ([]evidence.Asset, error) {
	l := assetLoader{s: s, at: make(map[int64]int)}
	return l.loadAll(ctx)
}

// AssetsNamed is [Store.Assets] for those that have one of the names: their id, one
// that they had, or an address at which they are or were. It costs what these do.
func (s *Store) AssetsNamed(ctx context.Context, names ...string) ([]evidence.Asset, error) {
	if s.version < 2 {
		return s.Assets(ctx) // which has no stays to look the names up in
	}
	l := assetLoader{s: s, at: make(map[int64]int), part: true}
	for _, name := range names {
		addr := ""
		if a, err := netip.ParseAddr(name); err == nil {
			addr = a.Unmap().String()
		}
		err := each(ctx, s.r, "SELECT id FROM proj_asset WHERE asset=?1 UNION SELECT asset FROM proj_asset_stay WHERE stay=?1 UNION SELECT asset FROM proj_asset_stay WHERE address=?2", func(scan scanFunc) error {
			var id int64
			err := scan(&id)
			l.ids = append(l.ids, id)
			return err
		}, name, addr)
		if err != nil {
			return nil, explain(s.path, err)
		}
	}
	return l.loadAll(ctx)
}

func (l *assetLoader) loadAll(ctx context.Context) ([]evidence.Asset, error) {
	err := l.load(ctx)
	if err == nil && l.s.version > 1 {
		err = l.loadLives(ctx)
	}
	if err == nil && l.s.version > 2 {
		err = l.check(ctx)
	}
	slices.SortFunc(l.all, evidence.Asset.Compare)
	return l.all, explain(l.s.path, err)
}

// assetLoader collects what belongs to an asset from its tables.
type assetLoader struct {
	s    *Store
	all  []evidence.Asset
	sums []int64       // of the rows that were read
	at   map[int64]int // index in all by row
	part bool          // only the assets of ids
	ids  []int64
}

// rows reads rows of a table in the order in which they were written.
func (l *assetLoader) rows(ctx context.Context, columns, table, asset string, do func(scanFunc) error) error {
	return each(ctx, l.s.r, "SELECT "+columns+" FROM "+table+l.where(asset)+" ORDER BY id", do)
}

// where is the condition that a row is of one of the assets to load.
func (l *assetLoader) where(asset string) string {
	if !l.part {
		return ""
	}
	list := make([]string, len(l.ids))
	for i, id := range l.ids {
		list[i] = strconv.FormatInt(id, 10)
	}
	return " WHERE " + asset + " IN (" + strings.Join(list, ",") + ")"
}

func (l *assetLoader) load(ctx context.Context) error {
	err := l.rows(ctx, "id, asset, addresses, first_seen_ms, last_seen_ms", "proj_asset", "id", func(scan scanFunc) error {
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
	err = l.rows(ctx, "asset, address, port, transport, server_name", "proj_asset_endpoint", "asset", func(scan scanFunc) error {
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
	return l.rows(ctx, "asset, attribute, value, confidence, layer, coalesce(observation,0), "+source, "proj_claim", "asset", func(scan scanFunc) error {
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
	if l.part {
		want = len(l.all)
	} else if want != len(l.all) {
		return fmt.Errorf("%w: %d assets of %d are there", ErrProjection, len(l.all), want)
	}
	n := 0
	err := each(ctx, l.s.r, "SELECT asset, sum FROM proj_asset_sum"+l.where("asset"), func(scan scanFunc) error {
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
	stays := l.rows(ctx, "asset, stay, address, first_ms, last_ms, ended", "proj_asset_stay", "asset", func(scan scanFunc) error {
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
	joins := l.rows(ctx, "asset, kept, ended, reason, observations", "proj_asset_join", "asset", func(scan scanFunc) error {
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
	events := l.rows(ctx, "asset, at_ms, event", "proj_asset_event", "asset", func(scan scanFunc) error {
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
	facts := l.rows(ctx, "asset, fact", "proj_asset_fact", "asset", func(scan scanFunc) error {
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
