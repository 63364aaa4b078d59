package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"

	"probity/evidence"
)

// Observations yields every observation in the order in which it was recorded,
// with certificates, keys and facts, and of the raw bytes ([Store.Raw]) only what
// is judged as a whole: revocation lists and OCSP responses, stapled ones too. It
// sees one state of the database, whatever is written meanwhile. Equal
// certificates share one slice; do not change it. After an error it stops.
func (s *Store) Observations(ctx context.Context) iter.Seq2[evidence.Observation, error] {
	return s.observations(ctx, 0, newBlobs(math.MaxInt))
}

// ObservationsAfter yields the observations that were recorded after the one with
// the given id, as Observations does, for who keeps none of them: of the
// certificates and keys few are shared.
func (s *Store) ObservationsAfter(ctx context.Context, id int64) iter.Seq2[evidence.Observation, error] {
	const shared = 8 << 20
	return s.observations(ctx, id, newBlobs(shared))
}

// Follower yields observations while they are recorded.
type Follower struct {
	s     *Store
	last  int64
	known *blobs
}

// Follow returns a follower that begins with the first observation. It is used by one
// goroutine at a time.
func (s *Store) Follow() *Follower { return &Follower{s: s, known: newBlobs(math.MaxInt)} }

// More yields what was committed since the last call, as [Store.Observations] does.
func (f *Follower) More(ctx context.Context) iter.Seq2[evidence.Observation, error] {
	return func(yield func(evidence.Observation, error) bool) {
		for o, err := range f.s.observations(ctx, f.last, f.known) {
			if err == nil {
				f.last = o.ID
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// blobs are bytes that observations share, up to a number of them.
type blobs struct {
	byID       map[int64][]byte
	held, most int
}

func newBlobs(most int) *blobs { return &blobs{byID: make(map[int64][]byte), most: most} }

func (k *blobs) keep(id int64, b []byte) {
	if k.held += len(b); k.held > k.most {
		clear(k.byID)
		k.held = len(b)
	}
	k.byID[id] = b
}

func (s *Store) observations(ctx context.Context, id int64, known *blobs) iter.Seq2[evidence.Observation, error] {
	return func(yield func(evidence.Observation, error) bool) {
		stopped := false
		err := s.scanObservations(ctx, id, known, func(o evidence.Observation) bool {
			stopped = !yield(o, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(evidence.Observation{}, explain(s.path, fmt.Errorf("read observations: %w", err)))
		}
	}
}

func (s *Store) scanObservations(ctx context.Context, after int64, known *blobs, yield func(evidence.Observation) bool) (err error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()                                                    //nolint:errcheck // only read
	get, err := tx.PrepareContext(ctx, "SELECT data FROM blob WHERE id=?") //nolint:sqlclosecheck // closed below
	if err != nil {
		return err
	}
	defer get.Close() //nolint:errcheck // only read
	certs, err := newAttached(ctx, tx, "SELECT observation, blob, role, position FROM presented WHERE observation>? ORDER BY observation, id", after)
	if err != nil {
		return err
	}
	defer certs.rows.Close() //nolint:errcheck // Err is checked
	keys, err := newAttached(ctx, tx, "SELECT observation, blob, algorithm, 0 FROM host_key WHERE observation>? ORDER BY observation, id", after)
	if err != nil {
		return err
	}
	defer keys.rows.Close() //nolint:errcheck // Err is checked
	status, err := newAttached(ctx, tx, `SELECT observation, blob, media, position FROM raw
		WHERE media IN ('application/ocsp-response', 'application/pkix-crl') AND observation>? ORDER BY observation, id`, after)
	if err != nil {
		return err
	}
	defer status.rows.Close() //nolint:errcheck // Err is checked

	data := func(id int64) ([]byte, error) {
		if b, ok := known.byID[id]; ok {
			return b, nil
		}
		var b []byte
		if err := get.QueryRowContext(ctx, id).Scan(&b); err != nil {
			return nil, fmt.Errorf("blob %d: %w", id, err)
		}
		known.keep(id, b)
		return b, nil
	}
	row := newObservationRow()
	return each(ctx, tx, `SELECT id, run, coalesce(probe,0), method, kind, address, port, transport, server_name,
		peer_address, peer_port, peer_transport, peer_name, at_ms, result, detail, facts FROM observation WHERE id>? ORDER BY id`, func(scan scanFunc) error {
		if err := row.scan(scan); err != nil {
			return err
		}
		o := &row.o
		err := errors.Join(
			certs.of(o.ID, func(a attachment) error {
				der, err := data(a.blob)
				o.Certs = append(o.Certs, evidence.Presented{Role: evidence.Role(a.label), Position: a.position, DER: der})
				return err
			}),
			keys.of(o.ID, func(a attachment) error {
				b, err := data(a.blob)
				o.Keys = append(o.Keys, evidence.HostKey{Algorithm: a.label, Blob: b})
				return err
			}),
			status.of(o.ID, func(a attachment) error {
				b, err := data(a.blob)
				o.Raw = append(o.Raw, evidence.Blob{Media: a.label, Data: b})
				return err
			}))
		if err != nil {
			return fmt.Errorf("observation %d: %w", o.ID, err)
		}
		if !yield(*o) {
			return errStop
		}
		return nil
	}, after)
}

// errStop ends an iteration that its consumer has ended.
var errStop = errors.New("stopped")

// attachment is a row that belongs to an observation.
type attachment struct {
	observation, blob int64
	label             string
	position          int
}

// attached walks such rows beside their observations; both are in the order of
// the observation.
type attached struct {
	rows *sql.Rows
	next attachment
	ok   bool
}

func newAttached(ctx context.Context, tx *sql.Tx, query string, after int64) (*attached, error) {
	rows, err := tx.QueryContext(ctx, query, after) //nolint:rowserrcheck // advance checks it
	if err != nil {
		return nil, err
	}
	a := &attached{rows: rows}
	return a, a.advance()
}

func (a *attached) advance() error {
	if a.ok = a.rows.Next(); !a.ok {
		return a.rows.Err()
	}
	return a.rows.Scan(&a.next.observation, &a.next.blob, &a.next.label, &a.next.position)
}

func (a *attached) of(observation int64, do func(attachment) error) error {
	for a.ok && a.next.observation <= observation {
		if a.next.observation == observation {
			if err := do(a.next); err != nil {
				return err
			}
		}
		if err := a.advance(); err != nil {
			return err
		}
	}
	return nil
}

// observationRow reads one row after the other into the same place.
type observationRow struct {
	o           evidence.Observation
	place, peer nullEndpoint
	at          int64
	facts       sql.RawBytes
	dest        []any
}

func newObservationRow() *observationRow {
	r := &observationRow{}
	o, place, peer := &r.o, &r.place, &r.peer
	r.dest = []any{
		&o.ID, &o.Run, &o.Probe, &o.Method, &o.Kind, &place.address, &place.port, &place.transport, &place.name,
		&peer.address, &peer.port, &peer.transport, &peer.name, &r.at, &o.Result, &o.Detail, &r.facts,
	}
	return r
}

func (r *observationRow) scan(scan scanFunc) error {
	o := &r.o
	*o = evidence.Observation{}
	if err := scan(r.dest...); err != nil {
		return err
	}
	o.At = fromMS(r.at)
	var errs [3]error
	o.Endpoint, errs[0] = r.place.endpoint()
	o.Peer, errs[1] = r.peer.endpoint()
	errs[2] = json.Unmarshal(r.facts, &o.Facts)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("observation %d: %w", o.ID, err)
	}
	return nil
}

// Raw returns the raw bytes of an observation in their order.
func (s *Store) Raw(ctx context.Context, observation int64) ([]evidence.Blob, error) {
	var all []evidence.Blob
	err := each(ctx, s.r, "SELECT r.media, b.data FROM raw r JOIN blob b ON b.id=r.blob WHERE r.observation=? ORDER BY r.id", func(scan scanFunc) error {
		var b evidence.Blob
		err := scan(&b.Media, &b.Data)
		all = append(all, b)
		return err
	}, observation)
	return all, explain(s.path, err)
}

// RawDigests returns what [Store.Raw] has, as SHA-256, of every observation.
func (s *Store) RawDigests(ctx context.Context) (map[int64][]evidence.Digest, error) {
	all := make(map[int64][]evidence.Digest)
	err := each(ctx, s.r, "SELECT r.observation, b.sha256 FROM raw r JOIN blob b ON b.id=r.blob ORDER BY r.id", func(scan scanFunc) error {
		var observation int64
		var sum sql.RawBytes
		if err := scan(&observation, &sum); err != nil {
			return err
		}
		if len(sum) != len(evidence.Digest{}) {
			return fmt.Errorf("observation %d: a SHA-256 of %d bytes", observation, len(sum))
		}
		all[observation] = append(all[observation], evidence.Digest(sum))
		return nil
	})
	return all, explain(s.path, err)
}

// Probes returns the probe ledger of a run in the order in which it was written.
func (s *Store) Probes(ctx context.Context, run int64) ([]evidence.ProbeRecord, error) {
	var all []evidence.ProbeRecord
	err := each(ctx, s.r, `SELECT id, run, address, port, transport, server_name, probe, started_ms, ended_ms,
		connections, bytes_sent, bytes_received, outcome, reason FROM probe WHERE run=? ORDER BY id`, func(scan scanFunc) error {
		var p evidence.ProbeRecord
		var n nullEndpoint
		var started, ended int64
		err := scan(&p.ID, &p.Run, &n.address, &n.port, &n.transport, &n.name, &p.Probe, &started, &ended,
			&p.Connections, &p.BytesSent, &p.BytesReceived, &p.Outcome, &p.Reason)
		if err != nil {
			return err
		}
		p.Started, p.Ended = fromMS(started), fromMS(ended)
		p.Endpoint, err = n.endpoint()
		all = append(all, p)
		return err
	}, run)
	return all, explain(s.path, err)
}
