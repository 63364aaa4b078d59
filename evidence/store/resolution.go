package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"probity/evidence"
	"probity/evidence/tlog"
)

// ErrProjection means that what was worked out of the evidence is missing, of
// another program, or damaged. It is worked out anew; the evidence is not
// concerned.
var ErrProjection = errors.New("the assets have to be resolved anew")

// Resolution is what a resolution of assets worked out. Each sequence is read
// once.
type Resolution struct {
	// Maker names the program and the data that made it. What one maker left, no
	// other goes on with.
	Maker string
	// Observation and Fact are the last ones that it rests on.
	Observation, Fact int64
	// Whole says that it replaces all that was saved; else it replaces the assets
	// in Gone and adds the rest.
	Whole  bool
	Gone   []string
	Assets iter.Seq2[evidence.Asset, []string] // with the names by which an inventory may mean them
	Places iter.Seq2[netip.Addr, []byte]       // a record for each address
	Held   iter.Seq2[[16]byte, netip.Addr]     // identifiers and where they were seen
	Former map[string]netip.Addr               // ids of stays that are no more, and where they were
}

// identityTables are those of resolution beside those of the assets.
func identityTables() []string {
	return []string{"proj_identity", "proj_identity_place", "proj_identity_held", "proj_identity_former"}
}

// SaveResolution keeps what a resolution worked out, whole or not at all. It is
// derived from observations and from what people said, and not part of the log.
func (s *Store) SaveResolution(ctx context.Context, r Resolution) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write(ctx, func(b *batch) error {
		w := resolutionWriter{b: b, assets: newAssetWriter()}
		w.places = newAppender("proj_identity_place", []string{"address", "record"})
		w.held = newAppender("proj_identity_held", []string{"identifier", "address"})
		err := w.save(ctx, r)
		return errors.Join(err, w.close())
	})
	if err != nil {
		return fmt.Errorf("save assets: %w", err)
	}
	return nil
}

// resolutionWriter writes a resolution in a transaction.
type resolutionWriter struct {
	b            *batch
	assets       *assetWriter
	places, held *appender
}

func (w *resolutionWriter) save(ctx context.Context, r Resolution) error {
	if err := w.drop(ctx, r); err != nil {
		return err
	}
	var id int64
	if err := w.b.tx.QueryRowContext(ctx, "SELECT coalesce(max(id),0) FROM proj_asset").Scan(&id); err != nil {
		return err
	}
	for a, names := range r.Assets {
		id++
		if err := w.assets.write(id, a, names); err != nil {
			return fmt.Errorf("asset %q: %w", a.ID, err)
		}
		if w.assets.full() {
			if err := w.flush(w.assets.flush); err != nil {
				return err
			}
		}
	}
	if err := w.flush(w.assets.flush); err != nil {
		return err
	}
	if err := w.savePlaces(ctx, r); err != nil {
		return err
	}
	for stay, addr := range r.Former {
		if _, err := w.b.tx.ExecContext(ctx, "INSERT OR REPLACE INTO proj_identity_former(stay,address) VALUES(?,?)", clean(stay), addr.String()); err != nil {
			return err
		}
	}
	return w.mark(ctx, r)
}

// drop deletes what the resolution replaces.
func (w *resolutionWriter) drop(ctx context.Context, r Resolution) error {
	if !r.Whole {
		return deleteAssets(ctx, w.b, r.Gone)
	}
	names := identityTables()
	for _, t := range assetColumns() {
		names = append(names, t.table)
	}
	slices.Reverse(names) // those that point to others first
	for _, t := range names {
		if _, err := w.b.tx.ExecContext(ctx, "DELETE FROM "+t); err != nil {
			return err
		}
	}
	return nil
}

func (w *resolutionWriter) savePlaces(ctx context.Context, r Resolution) error {
	for addr, record := range r.Places {
		if !r.Whole {
			if _, err := w.b.tx.ExecContext(ctx, "DELETE FROM proj_identity_place WHERE address=?", addr.String()); err != nil {
				return err
			}
		}
		w.places.add([]any{addr.String(), record})
		if w.places.full() {
			if err := w.flush(w.places.flush); err != nil {
				return err
			}
		}
	}
	type pair struct {
		key  [16]byte
		addr string
	}
	var all []pair // in the order of the table, so that each page is written once
	var last netip.Addr
	var text string // those of one address come together
	for key, addr := range r.Held {
		if addr != last {
			last, text = addr, addr.String()
		}
		all = append(all, pair{key, text})
	}
	slices.SortFunc(all, func(x, y pair) int { return bytes.Compare(x.key[:], y.key[:]) })
	for i := range all {
		w.held.add([]any{all[i].key[:], all[i].addr})
		if w.held.full() {
			if err := w.flush(w.held.flush); err != nil {
				return err
			}
		}
	}
	return errors.Join(w.flush(w.places.flush), w.flush(w.held.flush))
}

// mark says what the projection rests on.
func (w *resolutionWriter) mark(ctx context.Context, r Resolution) error {
	size, leaf, err := lastLeaf(ctx, w.b.tx)
	if err != nil {
		return err
	}
	_, err = w.b.tx.ExecContext(ctx, `INSERT OR REPLACE INTO proj_identity(id,maker,observation,fact,entries,leaf,assets,places,identifiers)
		SELECT 1,?,?,?,?,?,(SELECT count(*) FROM proj_asset),(SELECT count(*) FROM proj_identity_place),(SELECT count(*) FROM proj_identity_held)`,
		clean(r.Maker), r.Observation, r.Fact, size, leaf)
	return err
}

// lastLeaf is the size of the log and its last leaf.
func lastLeaf(ctx context.Context, q querier) (size int64, leaf []byte, err error) {
	leaf = make([]byte, 0, len(tlog.Hash{}))
	err = q.QueryRowContext(ctx, "SELECT seq+1, leaf FROM entry ORDER BY seq DESC LIMIT 1").Scan(&size, &leaf)
	return size, leaf, err
}

func (w *resolutionWriter) flush(do func(driver.ConnPrepareContext) error) error {
	return w.b.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", driverConn)
		}
		return do(conn)
	})
}

func (w *resolutionWriter) close() error {
	return w.b.conn.Raw(func(any) error {
		return errors.Join(w.assets.close(), w.places.close(), w.held.close())
	})
}

// Resolved reads what the last resolution left, as of one moment. Close it.
type Resolved struct {
	tx                                                     *sql.Tx
	place, holders, stay, former, placesOf, named, namesOf *sql.Stmt
	observation, fact                                      int64
}

// Resolved returns what the last resolution left for one that goes on with it.
// [ErrProjection] says why there is nothing to go on with.
func (s *Store) Resolved(ctx context.Context, maker string) (_ *Resolved, err error) {
	if s.version < 3 {
		return nil, fmt.Errorf("%w: the database is of an older program", ErrProjection)
	}
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, explain(s.path, err)
	}
	r := &Resolved{tx: tx}
	defer func() {
		if err != nil {
			err = errors.Join(explain(s.path, err), r.Close())
		}
	}()
	if err := r.check(ctx, maker); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		sql  string
	}{
		{&r.place, "SELECT record FROM proj_identity_place WHERE address=?"},
		{&r.holders, "SELECT address FROM proj_identity_held WHERE identifier=?"},
		{&r.stay, "SELECT address FROM proj_asset_stay WHERE stay=?"},
		{&r.former, "SELECT address FROM proj_identity_former WHERE stay=?"},
		{&r.placesOf, "SELECT DISTINCT s.address FROM proj_asset a JOIN proj_asset_stay s ON s.asset=a.id WHERE a.asset=?"},
		{&r.named, "SELECT a.asset FROM proj_asset_name n JOIN proj_asset a ON a.id=n.asset WHERE n.name=?"},
		{&r.namesOf, "SELECT n.name FROM proj_asset a JOIN proj_asset_name n ON n.asset=a.id WHERE a.asset=?"},
	} {
		if *p.stmt, err = tx.PrepareContext(ctx, p.sql); err != nil { //nolint:sqlclosecheck // Close closes them
			return nil, err
		}
	}
	return r, nil
}

// check asks whether the projection is of this maker, of this log, and complete.
func (r *Resolved) check(ctx context.Context, maker string) error {
	var made string
	var entries, assets, places, held int64
	var leaf []byte
	err := r.tx.QueryRowContext(ctx, "SELECT maker, observation, fact, entries, leaf, assets, places, identifiers FROM proj_identity").
		Scan(&made, &r.observation, &r.fact, &entries, &leaf, &assets, &places, &held)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w: nothing was resolved yet", ErrProjection)
	case err != nil:
		return err
	case made != maker:
		return fmt.Errorf("%w: another version of the program or of its fingerprints made them", ErrProjection)
	}
	var now []byte
	if err := r.tx.QueryRowContext(ctx, "SELECT leaf FROM entry WHERE seq=?", entries-1).Scan(&now); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if !bytes.Equal(now, leaf) {
		return fmt.Errorf("%w: they were made from another log", ErrProjection)
	}
	for _, t := range []struct {
		table string
		want  int64
	}{{"proj_asset", assets}, {"proj_asset_sum", assets}, {"proj_identity_place", places}, {"proj_identity_held", held}} {
		var n int64
		if err := r.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+t.table).Scan(&n); err != nil {
			return err
		}
		if n != t.want {
			return fmt.Errorf("%w: %s has %d rows of %d", ErrProjection, t.table, n, t.want)
		}
	}
	return nil
}

// Close ends reading.
func (r *Resolved) Close() error {
	var errs []error
	for _, s := range []*sql.Stmt{r.place, r.holders, r.stay, r.former, r.placesOf, r.named, r.namesOf} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, r.tx.Rollback())...)
}

// Observation is the last one that the resolution rests on.
func (r *Resolved) Observation() int64 { return r.observation }

// Stated is the last statement that the resolution rests on.
func (r *Resolved) Stated() int64 { return r.fact }

// Place returns the record of an address; nil for none.
func (r *Resolved) Place(addr netip.Addr) ([]byte, error) {
	var b []byte
	err := r.place.QueryRowContext(context.Background(), addr.String()).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return b, err
}

// Places lists the addresses that have a record.
func (r *Resolved) Places() ([]netip.Addr, error) {
	rows, err := r.tx.QueryContext(context.Background(), "SELECT address FROM proj_identity_place")
	return addresses(rows, err)
}

// Holders lists the addresses at which an identifier was seen.
func (r *Resolved) Holders(key [16]byte) ([]netip.Addr, error) {
	rows, err := r.holders.QueryContext(context.Background(), key[:])
	return addresses(rows, err)
}

// PlacesOf lists the addresses of the stays of an asset.
func (r *Resolved) PlacesOf(asset string) ([]netip.Addr, error) {
	rows, err := r.placesOf.QueryContext(context.Background(), asset)
	return addresses(rows, err)
}

// StayAt returns the address of a stay that is or was; the zero address for none.
func (r *Resolved) StayAt(id string) (netip.Addr, error) {
	for _, stmt := range []*sql.Stmt{r.stay, r.former} {
		rows, err := stmt.QueryContext(context.Background(), id)
		if all, err := addresses(rows, err); err != nil || len(all) > 0 {
			return append(all, netip.Addr{})[0], err
		}
	}
	return netip.Addr{}, nil
}

// Named lists the assets that an inventory may mean by a name.
func (r *Resolved) Named(name string) ([]string, error) { return texts(r.named, name) }

// NamesOf lists the names by which an inventory may mean an asset.
func (r *Resolved) NamesOf(asset string) ([]string, error) { return texts(r.namesOf, asset) }

func texts(stmt *sql.Stmt, arg string) (all []string, err error) {
	rows, err := stmt.QueryContext(context.Background(), arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err is checked
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func addresses(rows *sql.Rows, err error) (all []netip.Addr, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err is checked
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%w: address %q", ErrProjection, s)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// Unresolved counts the observations and statements that the assets do not rest
// on yet.
func (s *Store) Unresolved(ctx context.Context) (n int64, err error) {
	if s.version < 3 {
		return 0, nil // not known
	}
	err = s.r.QueryRowContext(ctx, `SELECT coalesce((SELECT max(id) FROM observation),0)+coalesce((SELECT max(id) FROM asset_fact),0)
		-coalesce((SELECT observation+fact FROM proj_identity),0)`).Scan(&n)
	return n, explain(s.path, err)
}
