package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"

	"probity/evidence"
)

// The tables of an asset, those that others point to first.
const (
	rowAsset = iota
	rowEndpoint
	rowClaim
	rowStay
	rowJoin
	rowEvent
	rowFact
	rowName
	rowSum
	assetTables
)

// assetColumns are the columns of each table that an asset has rows in.
func assetColumns() [assetTables]struct {
	table   string
	columns []string
} {
	type t = struct {
		table   string
		columns []string
	}
	return [assetTables]t{
		rowAsset:    {"proj_asset", []string{"id", "asset", "addresses", "first_seen_ms", "last_seen_ms"}},
		rowEndpoint: {"proj_asset_endpoint", []string{"asset", "address", "port", "transport", "server_name"}},
		rowClaim:    {"proj_claim", []string{"asset", "attribute", "value", "confidence", "layer", "observation", "source"}},
		rowStay:     {"proj_asset_stay", []string{"asset", "stay", "address", "first_ms", "last_ms", "ended"}},
		rowJoin:     {"proj_asset_join", []string{"asset", "kept", "ended", "reason", "observations"}},
		rowEvent:    {"proj_asset_event", []string{"asset", "at_ms", "event"}},
		rowFact:     {"proj_asset_fact", []string{"asset", "fact"}},
		rowName:     {"proj_asset_name", []string{"name", "asset"}},
		rowSum:      {"proj_asset_sum", []string{"asset", "sum"}},
	}
}

// assetWriter writes assets, many rows with one statement.
type assetWriter struct {
	tables [assetTables]*appender
	sum    int64
	err    error
}

func newAssetWriter() *assetWriter {
	w := &assetWriter{}
	for i, t := range assetColumns() {
		w.tables[i] = newAppender(t.table, t.columns)
	}
	return w
}

// add takes a row. Rows of the asset's own value come after its id.
func (w *assetWriter) add(table int, id int64, values ...any) {
	w.sum += rowSumOf(table, values...)
	w.tables[table].add(append([]any{id}, values...))
}

// write takes an asset with the names by which an inventory may mean it.
func (w *assetWriter) write(id int64, a evidence.Asset, names []string) error {
	w.sum = 0
	addresses := a.Addresses
	if addresses == nil {
		addresses = []netip.Addr{}
	}
	w.add(rowAsset, id, clean(a.ID), w.text(addresses), a.FirstSeen.UnixMilli(), a.LastSeen.UnixMilli())
	for _, e := range a.Endpoints {
		w.add(rowEndpoint, id, address(e.Addr), int64(e.Port), string(e.Transport), clean(e.Name))
	}
	for _, c := range a.Claims {
		w.add(rowClaim, id, string(c.Attribute), clean(c.Value), int64(c.Confidence), clean(c.Layer), optional(c.Observation), clean(c.Source))
	}
	for _, s := range a.Stays {
		w.add(rowStay, id, clean(s.ID), address(s.Addr), s.First.UnixMilli(), s.Last.UnixMilli(), stayState(s))
	}
	for _, j := range a.Joins {
		w.add(rowJoin, id, clean(j.Kept), clean(j.Ended), clean(j.Reason), w.text(append([]int64{}, j.Observations...)))
	}
	for _, e := range a.Events {
		w.add(rowEvent, id, e.At.UnixMilli(), w.text(e))
	}
	for _, f := range a.Facts {
		w.add(rowFact, id, w.text(f))
	}
	for _, n := range names {
		w.tables[rowName].add([]any{clean(n), id})
	}
	w.tables[rowSum].add([]any{id, w.sum})
	return w.err
}

func (w *assetWriter) text(v any) string {
	s, err := toJSON(v)
	if w.err == nil {
		w.err = err
	}
	return s
}

func (w *assetWriter) full() bool {
	for _, t := range w.tables {
		if t.full() {
			return true
		}
	}
	return false
}

func (w *assetWriter) flush(conn driver.ConnPrepareContext) error {
	for _, t := range w.tables {
		if err := t.flush(conn); err != nil {
			return err
		}
	}
	return nil
}

func (w *assetWriter) close() error {
	var errs []error
	for _, t := range w.tables {
		errs = append(errs, t.close())
	}
	return errors.Join(errs...)
}

// rowSumOf is what a row adds to the sum of its asset. It tells accidents, not
// attacks: who can write the file can write the sum.
func rowSumOf(table int, values ...any) int64 {
	h := fnv.New64a()
	var b []byte
	b = append(b, byte(table))
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			b = binary.AppendVarint(append(b, 1), v)
		case string:
			b = append(binary.AppendUvarint(append(b, 2), uint64(len(v))), v...)
		default:
			b = append(b, 0)
		}
	}
	_, _ = h.Write(b) // never fails
	return int64(h.Sum64())
}

// stayState is the form of how a stay ended: 0 not, 1 another device has the
// address, 2 the device left it.
func stayState(s evidence.Stay) int64 {
	if s.Left {
		return 2
	}
	return bit(s.Ended)
}

// deleteAssets drops assets by their ids.
func deleteAssets(ctx context.Context, b *batch, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var stmts []func(int64) error
	tables := assetColumns()
	for i := len(tables) - 1; i >= 0; i-- {
		column := "asset"
		if i == rowAsset {
			column = "id"
		}
		stmt, err := b.tx.PrepareContext(ctx, "DELETE FROM "+tables[i].table+" WHERE "+column+"=?") //nolint:sqlclosecheck // closed below
		if err != nil {
			return err
		}
		defer stmt.Close() //nolint:errcheck // the transaction's end reports what matters
		stmts = append(stmts, func(id int64) error {
			_, err := stmt.ExecContext(ctx, id)
			return err
		})
	}
	find, err := b.tx.PrepareContext(ctx, "SELECT id FROM proj_asset WHERE asset=?")
	if err != nil {
		return err
	}
	defer find.Close() //nolint:errcheck // only read
	for _, name := range ids {
		var id int64
		if err := find.QueryRowContext(ctx, clean(name)).Scan(&id); err != nil {
			return fmt.Errorf("asset %q: %w", name, err)
		}
		for _, del := range stmts {
			if err := del(id); err != nil {
				return fmt.Errorf("asset %q: %w", name, err)
			}
		}
	}
	return nil
}
