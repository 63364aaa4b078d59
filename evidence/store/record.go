package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"probity/evidence"
)

// Bounds of what waits in memory before it is committed together.
const (
	batchRows  = 1_000
	batchBytes = 8 << 20
	batchTime  = time.Second
)

// Record accepts an observation of a run that is open; it is on disk after a
// second, or once a thousand rows wait, or after [Store.Flush] or
// [Store.EndRun]. An error means that observations may not be kept and
// collecting must stop; one of an earlier commit is reported by the next call.
// The store keeps o's slices until then.
func (s *Store) Record(ctx context.Context, o evidence.Observation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.takeLate(); err != nil {
		return fmt.Errorf("record observation: %w", err)
	}
	if err := s.check(o); err != nil {
		return fmt.Errorf("record observation: %w", err)
	}
	s.pending = append(s.pending, o)
	rows, bytes := weigh(o)
	s.weight += rows
	s.bytes += bytes
	if s.weight >= batchRows || s.bytes >= batchBytes {
		if err := s.flush(ctx); err != nil {
			return fmt.Errorf("record observation: %w", err)
		}
		return nil
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(batchTime, s.flushLate)
	}
	return nil
}

// RecordProbe keeps a row of the probe ledger and the observations that the
// probe led to, whole or not at all. It is on disk when RecordProbe returns. The
// store assigns the IDs and sets Probe and Run of the observations. Rows of
// several callers that wait at the same time share a transaction.
func (s *Store) RecordProbe(ctx context.Context, p evidence.ProbeRecord, obs []evidence.Observation) error {
	if p.Outcome != evidence.ProbeSent && (p.Connections != 0 || p.BytesSent != 0) {
		return fmt.Errorf("record probe of %s: %q with %d connections and %d bytes sent", p.Endpoint, p.Outcome, p.Connections, p.BytesSent)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	row := &probeRow{record: p, obs: obs}
	s.queueMu.Lock()
	first := s.queue == nil
	if first {
		s.queue = &probeQueue{full: make(chan struct{}), kept: make(chan struct{})}
	}
	q := s.queue
	q.rows = append(q.rows, row)
	if len(q.rows) == maxTogether {
		close(q.full)
		s.queue = nil // the next row begins another
	}
	s.queueMu.Unlock()
	if first {
		s.recordQueue(context.WithoutCancel(ctx), q) // rows of others, too
	} else {
		<-q.kept
	}
	if row.err != nil {
		return fmt.Errorf("record probe of %s: %w", p.Endpoint, row.err)
	}
	return nil
}

// probeRow is a row of the ledger that waits for its transaction.
type probeRow struct {
	record evidence.ProbeRecord
	obs    []evidence.Observation
	err    error // before kept is closed: of whoever brought the first row
}

// maxTogether bounds the probes of one transaction.
const maxTogether = 256

// probeQueue are the rows that share a transaction, which whoever brought the
// first of them writes for all.
type probeQueue struct {
	rows []*probeRow   // guarded by queueMu while others may add
	full chan struct{} // closed when there is no room for more
	kept chan struct{} // closed when all are kept, or failed
}

// recordQueue waits until the rows are many, at most as long as [Options] say,
// and keeps them. If they cannot be kept together, each is tried alone, so that
// one does not take the others with it.
func (s *Store) recordQueue(ctx context.Context, q *probeQueue) {
	defer close(q.kept)
	if s.gather > 0 {
		timer := time.NewTimer(s.gather)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-q.full:
		}
	}
	s.mu.Lock() // more come while another transaction is written
	defer s.mu.Unlock()
	s.queueMu.Lock()
	if s.queue == q {
		s.queue = nil
	}
	s.queueMu.Unlock()
	late := s.takeLate()
	err := late
	if err == nil {
		err = s.recordProbes(ctx, q.rows)
	}
	for _, row := range q.rows {
		if row.err = err; err != nil && late == nil && len(q.rows) > 1 {
			row.err = s.recordProbes(ctx, []*probeRow{row})
		}
	}
}

func (s *Store) recordProbes(ctx context.Context, rows []*probeRow) error {
	for _, row := range rows {
		if !s.open[row.record.Run] {
			return fmt.Errorf("run %d: %w", row.record.Run, ErrRunNotOpen)
		}
	}
	return s.commitPending(ctx, func(b *batch) error {
		var obs []evidence.Observation
		for _, row := range rows {
			p := row.record
			id := b.insert(kindProbe, p.Run, address(p.Endpoint.Addr), int64(p.Endpoint.Port), string(p.Endpoint.Transport), clean(p.Endpoint.Name),
				clean(p.Probe), p.Started.UnixMilli(), p.Ended.UnixMilli(), p.Connections, p.BytesSent, p.BytesReceived, string(p.Outcome), clean(p.Reason))
			for _, o := range row.obs {
				o.Probe, o.Run = id, p.Run
				obs = append(obs, o)
			}
		}
		return b.insertObservations(obs)
	})
}

// Flush commits what is pending.
func (s *Store) Flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush(ctx)
}

func (s *Store) flush(ctx context.Context) error {
	if len(s.pending) == 0 {
		return s.takeLate()
	}
	return s.commitPending(ctx, func(*batch) error { return nil })
}

// flushLate is the flush that nobody waits for; its error waits for the next
// call.
func (s *Store) flushLate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil || s.timer == nil {
		return // closed, or committed while this waited for the lock
	}
	s.late = s.flush(context.Background())
}

func (s *Store) takeLate() error {
	err := s.late
	s.late = nil
	return err
}

// commitPending commits the pending observations and what more adds in one
// transaction. After an error they still wait, so that Flush or EndRun can try
// again when the reason is mended.
func (s *Store) commitPending(ctx context.Context, more func(*batch) error) error {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	err := s.write(ctx, func(b *batch) error {
		if err := b.insertObservations(s.pending); err != nil {
			return err
		}
		return more(b)
	})
	if err != nil {
		return err
	}
	clear(s.pending) // lets go of the bytes, keeps the room
	s.pending, s.weight, s.bytes, s.late = s.pending[:0], 0, 0, nil
	return nil
}

// check refuses what the tables would refuse, so that one bad observation does
// not take a whole batch with it.
func (s *Store) check(o evidence.Observation) error {
	if !s.open[o.Run] {
		return fmt.Errorf("run %d: %w", o.Run, ErrRunNotOpen)
	}
	switch o.Method {
	case evidence.Active, evidence.Passive, evidence.Import:
	default:
		return fmt.Errorf("unknown method %q", o.Method)
	}
	switch o.Result {
	case evidence.ResultData, evidence.ResultRefused, evidence.ResultTimeout, evidence.ResultReset, evidence.ResultError:
	default:
		return fmt.Errorf("unknown result %q", o.Result)
	}
	switch o.Endpoint.Transport {
	case evidence.TCP, evidence.UDP, evidence.Link, evidence.File:
	default:
		return fmt.Errorf("unknown transport %q", o.Endpoint.Transport)
	}
	for _, c := range o.Certs {
		switch c.Role {
		case evidence.RoleServer, evidence.RoleClient, evidence.RoleFile:
		default:
			return fmt.Errorf("unknown role %q", c.Role)
		}
	}
	if o.Probe != 0 {
		return errors.New("an observation of a probe is recorded with its probe")
	}
	return nil
}

// weigh counts the rows an observation becomes, at most, and its bytes.
func weigh(o evidence.Observation) (rows, bytes int) {
	rows = 1 + 2*(len(o.Raw)+len(o.Certs)+len(o.Keys))
	for _, r := range o.Raw {
		bytes += len(r.Data)
	}
	for _, c := range o.Certs {
		bytes += len(c.DER)
	}
	for _, k := range o.Keys {
		bytes += len(k.Blob)
	}
	return rows, bytes
}

func (b *batch) insertObservations(obs []evidence.Observation) error {
	sums, err := b.lookUp(obs)
	if err != nil {
		return err
	}
	for _, o := range obs {
		n := len(o.Raw) + len(o.Certs) + len(o.Keys)
		b.insertObservation(o, sums[:n])
		sums = sums[n:]
	}
	return b.err
}

// insertObservation appends an observation; sums are the digests of its bytes.
func (b *batch) insertObservation(o evidence.Observation, sums []evidence.Digest) {
	facts, err := toJSON(o.Facts)
	if err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("facts: %w", err))
		return
	}
	var peer [4]any
	if o.Peer != (evidence.Endpoint{}) {
		peer = [4]any{address(o.Peer.Addr), int64(o.Peer.Port), string(o.Peer.Transport), clean(o.Peer.Name)}
	}
	id := b.insert(kindObservation, o.Run, optional(o.Probe), string(o.Method), string(o.Kind),
		address(o.Endpoint.Addr), int64(o.Endpoint.Port), string(o.Endpoint.Transport), clean(o.Endpoint.Name),
		peer[0], peer[1], peer[2], peer[3], o.At.UnixMilli(), string(o.Result), clean(o.Detail), facts)
	next := func() (sum evidence.Digest) {
		sum, sums = sums[0], sums[1:]
		return sum
	}
	for i, r := range o.Raw {
		blob := b.insertBlob(next(), r.Data)
		b.insert(kindRaw, id, int64(i), clean(r.Media), blob)
	}
	for _, c := range o.Certs {
		blob := b.insertCertificate(next(), c.DER)
		b.insert(kindPresented, id, string(c.Role), int64(c.Position), blob)
	}
	for _, k := range o.Keys {
		blob := b.insertBlob(next(), k.Blob)
		b.insert(kindHostKey, id, clean(k.Algorithm), blob)
	}
}
