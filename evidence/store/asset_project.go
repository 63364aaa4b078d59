package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"probity/evidence"
)

// assetWriter writes assets with statements that are compiled once.
type assetWriter struct {
	asset, endpoint, claim, stay, join, event, fact *sql.Stmt
}

func newAssetWriter(ctx context.Context, b *batch) (*assetWriter, error) {
	w := &assetWriter{}
	for _, p := range []struct {
		stmt **sql.Stmt
		sql  string
	}{
		{&w.asset, "INSERT INTO proj_asset(id,asset,addresses,first_seen_ms,last_seen_ms) VALUES(?,?,?,?,?)"},
		{&w.endpoint, "INSERT INTO proj_asset_endpoint(asset,address,port,transport,server_name) VALUES(?,?,?,?,?)"},
		{&w.claim, "INSERT INTO proj_claim(asset,attribute,value,confidence,layer,observation,source) VALUES(?,?,?,?,?,?,?)"},
		{&w.stay, "INSERT INTO proj_asset_stay(asset,stay,address,first_ms,last_ms,ended) VALUES(?,?,?,?,?,?)"},
		{&w.join, "INSERT INTO proj_asset_join(asset,kept,ended,reason,observations) VALUES(?,?,?,?,?)"},
		{&w.event, "INSERT INTO proj_asset_event(asset,at_ms,event) VALUES(?,?,?)"},
		{&w.fact, "INSERT INTO proj_asset_fact(asset,fact) VALUES(?,?)"},
	} {
		var err error
		if *p.stmt, err = b.tx.PrepareContext(ctx, p.sql); err != nil { //nolint:sqlclosecheck // close closes them
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *assetWriter) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{w.asset, w.endpoint, w.claim, w.stay, w.join, w.event, w.fact} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

func (w *assetWriter) write(id int64, a evidence.Asset) error {
	addresses := a.Addresses
	if addresses == nil {
		addresses = []netip.Addr{}
	}
	var err error
	text := func(v any) (s string) {
		if err == nil {
			s, err = toJSON(v)
		}
		return s
	}
	exec := func(stmt *sql.Stmt, args ...any) {
		if err == nil {
			_, err = stmt.ExecContext(context.Background(), args...)
		}
	}
	exec(w.asset, id, clean(a.ID), text(addresses), a.FirstSeen.UnixMilli(), a.LastSeen.UnixMilli())
	for _, e := range a.Endpoints {
		exec(w.endpoint, id, address(e.Addr), int64(e.Port), string(e.Transport), clean(e.Name))
	}
	for _, c := range a.Claims {
		exec(w.claim, id, string(c.Attribute), clean(c.Value), int64(c.Confidence), clean(c.Layer), optional(c.Observation), clean(c.Source))
	}
	for _, s := range a.Stays {
		exec(w.stay, id, clean(s.ID), address(s.Addr), s.First.UnixMilli(), s.Last.UnixMilli(), stayState(s))
	}
	for _, j := range a.Joins {
		exec(w.join, id, clean(j.Kept), clean(j.Ended), clean(j.Reason), text(append([]int64{}, j.Observations...)))
	}
	for _, e := range a.Events {
		exec(w.event, id, e.At.UnixMilli(), text(e))
	}
	for _, f := range a.Facts {
		exec(w.fact, id, text(f))
	}
	return err
}

// stayState is the form of how a stay ended: 0 not, 1 another device has the
// address, 2 the device left it.
func stayState(s evidence.Stay) int64 {
	if s.Left {
		return 2
	}
	return bit(s.Ended)
}

// Assets returns the assets as they were last saved.
func (s *Store) Assets(ctx context.Context) ([]evidence.Asset, error) {
	l := assetLoader{s: s, at: make(map[int64]int)}
	err := l.load(ctx)
	if err == nil && s.version > 1 {
		err = l.loadLives(ctx)
	}
	return l.all, explain(s.path, err)
}

// assetLoader collects what belongs to an asset from its tables.
type assetLoader struct {
	s   *Store
	all []evidence.Asset
	at  map[int64]int // index in all by row
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
		if a := l.asset(id); a != nil {
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
		if a := l.asset(id); a != nil {
			a.Claims = append(a.Claims, c)
		}
		return err
	})
}

func (l *assetLoader) asset(id int64) *evidence.Asset {
	if i, ok := l.at[id]; ok {
		return &l.all[i]
	}
	return nil
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
		if a := l.asset(id); a != nil {
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
		if a := l.asset(id); a != nil {
			a.Joins = append(a.Joins, j)
		}
		return err
	})
	return errors.Join(stays, joins,
		l.documents(ctx, "SELECT asset, event FROM proj_asset_event ORDER BY id", func(a *evidence.Asset, text []byte) error {
			var e evidence.Event
			err := json.Unmarshal(text, &e)
			a.Events = append(a.Events, e)
			return err
		}),
		l.documents(ctx, "SELECT asset, fact FROM proj_asset_fact ORDER BY id", func(a *evidence.Asset, text []byte) error {
			var f evidence.AssetFact
			err := json.Unmarshal(text, &f)
			a.Facts = append(a.Facts, f)
			return err
		}))
}

// documents reads a table of JSON values.
func (l *assetLoader) documents(ctx context.Context, query string, add func(*evidence.Asset, []byte) error) error {
	return each(ctx, l.s.r, query, func(scan scanFunc) error {
		var id int64
		var text []byte
		if err := scan(&id, &text); err != nil {
			return err
		}
		a := l.asset(id)
		if a == nil {
			return nil
		}
		if err := add(a, text); err != nil {
			return fmt.Errorf("asset %q: %w", a.ID, err)
		}
		return nil
	})
}
