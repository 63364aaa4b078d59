package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"probity/evidence"
)

// SaveAssets replaces the projection of assets and their claims. It is derived
// from observations and not part of the log.
func (s *Store) SaveAssets(ctx context.Context, assets []evidence.Asset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write(ctx, func(b *batch) error {
		for _, t := range []string{"proj_claim", "proj_asset_endpoint", "proj_asset"} {
			if _, err := b.tx.ExecContext(ctx, "DELETE FROM "+t); err != nil {
				return err
			}
		}
		for i, a := range assets {
			if err := b.projectAsset(int64(i)+1, a); err != nil {
				return fmt.Errorf("asset %q: %w", a.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save assets: %w", err)
	}
	return nil
}

func (b *batch) projectAsset(id int64, a evidence.Asset) error {
	addresses := a.Addresses
	if addresses == nil {
		addresses = []netip.Addr{}
	}
	list, err := toJSON(addresses)
	if err != nil {
		return err
	}
	exec := func(query string, args ...any) {
		if err == nil {
			_, err = b.tx.ExecContext(context.Background(), query, args...)
		}
	}
	exec("INSERT INTO proj_asset(id,asset,addresses,first_seen_ms,last_seen_ms) VALUES(?,?,?,?,?)",
		id, clean(a.ID), list, a.FirstSeen.UnixMilli(), a.LastSeen.UnixMilli())
	for _, e := range a.Endpoints {
		exec("INSERT INTO proj_asset_endpoint(asset,address,port,transport,server_name) VALUES(?,?,?,?,?)",
			id, address(e.Addr), int64(e.Port), string(e.Transport), clean(e.Name))
	}
	for _, c := range a.Claims {
		exec("INSERT INTO proj_claim(asset,attribute,value,confidence,layer,observation) VALUES(?,?,?,?,?,?)",
			id, string(c.Attribute), clean(c.Value), int64(c.Confidence), clean(c.Layer), optional(c.Observation))
	}
	return err
}

// Assets returns the assets as they were last saved.
func (s *Store) Assets(ctx context.Context) ([]evidence.Asset, error) {
	var all []evidence.Asset
	at := make(map[int64]int)
	err := each(ctx, s.r, "SELECT id, asset, addresses, first_seen_ms, last_seen_ms FROM proj_asset ORDER BY id", func(scan scanFunc) error {
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
		at[id] = len(all)
		all = append(all, a)
		return nil
	})
	endpoints := each(ctx, s.r, "SELECT asset, address, port, transport, server_name FROM proj_asset_endpoint ORDER BY id", func(scan scanFunc) error {
		var id int64
		var n nullEndpoint
		if err := scan(&id, &n.address, &n.port, &n.transport, &n.name); err != nil {
			return err
		}
		e, err := n.endpoint()
		if i, ok := at[id]; ok {
			all[i].Endpoints = append(all[i].Endpoints, e)
		}
		return err
	})
	claims := each(ctx, s.r, "SELECT asset, attribute, value, confidence, layer, coalesce(observation,0) FROM proj_claim ORDER BY id", func(scan scanFunc) error {
		var id int64
		var c evidence.Claim
		err := scan(&id, &c.Attribute, &c.Value, &c.Confidence, &c.Layer, &c.Observation)
		if i, ok := at[id]; ok {
			all[i].Claims = append(all[i].Claims, c)
		}
		return err
	})
	return all, explain(s.path, errors.Join(err, endpoints, claims))
}
