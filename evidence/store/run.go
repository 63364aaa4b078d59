package store

import (
	"context"
	"fmt"
	"strings"

	sqlite3 "github.com/mattn/go-sqlite3"

	"probity/evidence"
	"probity/evidence/tlog"
)

// Checkpoint is the signed head of the evidence log. Size and root belong into
// every report: a copy outside of the database is what shows that the whole of it
// was not put back or written anew.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   evidence.Digest
	Note   []byte // the signed note, as [Verify] takes it
}

// BeginRun records that a run begins and what it may touch. It returns the run
// with its ID and, where it had none, a random UUID. The record is on disk when
// BeginRun returns.
func (s *Store) BeginRun(ctx context.Context, r evidence.Run, scope []evidence.ScopeEntry) (evidence.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.UUID == "" {
		id, err := newUUID()
		if err != nil {
			return r, err
		}
		r.UUID = id
	}
	err := s.write(ctx, func(b *batch) error {
		version, _, source := sqlite3.Version()
		r.ID = b.insert(kindRun, clean(r.UUID), string(r.Mode), r.Started.UnixMilli(), clean(r.Tool), digest(r.ToolHash),
			digest(r.Catalogue), digest(r.Config), clean(r.Operator), clean(r.Authority), clean(r.Sensor), clean(r.Note),
			ms(r.AsOf), version+" "+source)
		for _, e := range scope {
			b.insert(kindScope, r.ID, clean(e.Target), bit(e.Allowed), clean(e.Reason))
		}
		return b.err
	})
	if err != nil {
		return r, fmt.Errorf("begin run: %w", err)
	}
	s.open[r.ID] = true
	return r, nil
}

// EndRun records how a run ended, together with everything still pending, and
// seals the log. A run cannot be added to after its end.
func (s *Store) EndRun(ctx context.Context, e evidence.RunEnd) (Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open[e.Run] {
		return Checkpoint{}, fmt.Errorf("end run %d: %w", e.Run, ErrRunNotOpen)
	}
	err := s.commitPending(ctx, func(b *batch) error {
		b.insertEnd(e)
		return b.seal()
	})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("end run %d: %w", e.Run, err)
	}
	delete(s.open, e.Run)
	c, err := lastCheckpoint(ctx, s.w)
	return c, explain(s.path, err)
}

func (b *batch) insertEnd(e evidence.RunEnd) {
	b.insert(kindRunEnd, e.Run, e.Ended.UnixMilli(), string(e.Status), e.Targets, e.Reached, e.PacketsSeen, e.PacketsDropped, clean(e.Note))
}

// LastCheckpoint returns the newest checkpoint. Every database has one: its
// first is made when it is created.
func (s *Store) LastCheckpoint(ctx context.Context) (Checkpoint, error) {
	c, err := lastCheckpoint(ctx, s.r)
	return c, explain(s.path, err)
}

func lastCheckpoint(ctx context.Context, q querier) (Checkpoint, error) {
	var note string
	if err := q.QueryRowContext(ctx, "SELECT note FROM checkpoint ORDER BY id DESC LIMIT 1").Scan(&note); err != nil {
		return Checkpoint{}, fmt.Errorf("read the last checkpoint: %w", err)
	}
	c, err := tlog.ParseCheckpoint([]byte(note))
	if err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{Origin: c.Origin, Size: c.Size, Root: evidence.Digest(c.Root), Note: []byte(note)}, nil
}

// RunInfo is a run with how it ended and what it found.
type RunInfo struct {
	Run      evidence.Run
	End      *evidence.RunEnd         // nil: not ended, or cut off
	Findings map[evidence.Outcome]int // number of findings by outcome
}

// Runs lists all runs in the order in which they began.
func (s *Store) Runs(ctx context.Context) ([]RunInfo, error) {
	var all []RunInfo
	at := make(map[int64]int)
	err := each(ctx, s.r, "SELECT "+strings.Join(s.tables[kindRun].columns, ",")+" FROM run ORDER BY id", func(scan scanFunc) error {
		r, err := scanRun(scan)
		at[r.ID] = len(all)
		all = append(all, RunInfo{Run: r, Findings: make(map[evidence.Outcome]int)})
		return err
	})
	if err != nil {
		return nil, explain(s.path, err)
	}
	err = each(ctx, s.r, "SELECT run, ended_ms, status, targets, reached, packets_seen, packets_dropped, note FROM run_end", func(scan scanFunc) error {
		var e evidence.RunEnd
		var ended int64
		if err := scan(&e.Run, &ended, &e.Status, &e.Targets, &e.Reached, &e.PacketsSeen, &e.PacketsDropped, &e.Note); err != nil {
			return err
		}
		e.Ended = fromMS(ended)
		if i, ok := at[e.Run]; ok {
			all[i].End = &e
		}
		return nil
	})
	if err != nil {
		return nil, explain(s.path, err)
	}
	counts := "SELECT run, outcome, count(*) FROM finding GROUP BY run, outcome"
	if s.version > 2 {
		counts += " UNION ALL SELECT run, outcome, sum(findings) FROM verdict GROUP BY run, outcome"
	}
	err = each(ctx, s.r, counts, func(scan scanFunc) error {
		var run int64
		var outcome evidence.Outcome
		var n int
		if err := scan(&run, &outcome, &n); err != nil {
			return err
		}
		if i, ok := at[run]; ok {
			all[i].Findings[outcome] += n
		}
		return nil
	})
	return all, explain(s.path, err)
}

func scanRun(scan scanFunc) (evidence.Run, error) {
	var r evidence.Run
	var started int64
	var asOf *int64
	var tool, catalogue, config []byte
	var sqlite string
	err := scan(&r.ID, &r.UUID, &r.Mode, &started, &r.Tool, &tool, &catalogue, &config, &r.Operator, &r.Authority, &r.Sensor, &r.Note, &asOf, &sqlite)
	if err != nil {
		return r, err
	}
	r.Started = fromMS(started)
	if asOf != nil {
		r.AsOf = fromMS(*asOf)
	}
	r.ToolHash, r.Catalogue, r.Config = toDigest(tool), toDigest(catalogue), toDigest(config)
	return r, nil
}

// toDigest reads an optional digest; what is none reads as no digest.
func toDigest(b []byte) (d evidence.Digest) {
	if len(b) == len(d) {
		copy(d[:], b)
	}
	return d
}
