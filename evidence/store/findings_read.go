package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"probity/evidence"
)

// Findings are the findings of a run by their number, from 0, ordered by rule and,
// of one rule, as they were written. They are held as the tables hold them, what
// was judged once and each answer once, and put together when they are asked for.
type Findings struct {
	judged  []judgedRow
	answers []answerRow
	n       int
}

// judgedRow is what findings are about.
type judgedRow struct {
	evidence.Subject
	asset        string
	observations []int64
}

// answerRow is what a rule says of several subjects alike.
type answerRow struct {
	before  int              // number of findings before those of this answer
	finding evidence.Finding // the first one, without its subject
	of      []int32          // indexes of judged
	keys    []byte           // of the findings, one after the other
}

// Len returns the number of findings.
func (fs *Findings) Len() int { return fs.n }

// At returns a finding. Those on one subject share its group and observations; do not
// change them.
func (fs *Findings) At(i int) evidence.Finding {
	at, exact := slices.BinarySearchFunc(fs.answers, i, func(a answerRow, i int) int { return cmp.Compare(a.before, i) })
	if !exact {
		at--
	}
	a := &fs.answers[at]
	i -= a.before
	f, j := a.finding, &fs.judged[a.of[i]]
	f.ID += int64(i)
	f.Subject, f.Asset, f.Observations = j.Subject, j.asset, j.observations
	copy(f.Key[:], a.keys[i*len(f.Key):])
	return f
}

// Findings returns the findings of a run.
func (s *Store) Findings(ctx context.Context, run int64) (*Findings, error) {
	fs := &Findings{}
	err := s.oldFindings(ctx, run, fs)
	if err == nil && s.version > 2 {
		err = s.newFindings(ctx, run, fs)
	}
	if err != nil {
		return nil, explain(s.path, err)
	}
	slices.SortStableFunc(fs.answers, func(x, y answerRow) int { return strings.Compare(x.finding.Rule, y.finding.Rule) })
	for i := range fs.answers {
		fs.answers[i].before = fs.n
		fs.n += len(fs.answers[i].of)
	}
	return fs, nil
}

// newFindings reads the tables of version 3.
func (s *Store) newFindings(ctx context.Context, run int64, fs *Findings) error {
	subjects := make(map[int64]int32)
	assets := make(map[string]string)
	err := each(ctx, s.r, `SELECT id, address, port, transport, server_name, certificate, duplicate, asset, observations FROM subject
		WHERE run=?`, func(scan scanFunc) error {
		var id int64
		var e nullEndpoint
		var certificate, observations, asset sql.RawBytes
		var group *string
		var j judgedRow
		err := scan(&id, &e.address, &e.port, &e.transport, &e.name, &certificate, &group, &asset, &observations)
		if err != nil {
			return err
		}
		known, ok := assets[string(asset)]
		if !ok {
			known = string(asset)
			assets[known] = known
		}
		j.asset = known
		if j.Subject, err = subjectOf(e, certificate, group, j.asset); err != nil {
			return fmt.Errorf("subject %d: %w", id, err)
		}
		if j.observations, err = parseNumbers(observations); err != nil {
			return fmt.Errorf("subject %d: observations: %w", id, err)
		}
		subjects[id] = int32(len(fs.judged)) //nolint:gosec // far fewer subjects fit into memory
		fs.judged = append(fs.judged, j)
		return nil
	}, run)
	if err != nil {
		return err
	}
	return each(ctx, s.r, `SELECT v.id, r.rule, v.severity, v.outcome, v.title, v.detail, v.first_finding, v.subjects, v.keys
		FROM verdict v JOIN rule r ON r.id=v.rule WHERE v.run=? ORDER BY v.id`, func(scan scanFunc) error {
		a := answerRow{finding: evidence.Finding{Run: run}}
		f := &a.finding
		var id int64
		var list sql.RawBytes
		if err := scan(&id, &f.Rule, &f.Severity, &f.Outcome, &f.Title, &f.Detail, &f.ID, &list, &a.keys); err != nil {
			return err
		}
		of, err := parseNumbers(list)
		if err != nil {
			return fmt.Errorf("verdict %d: subjects: %w", id, err)
		}
		if len(of) == 0 || len(a.keys) != len(of)*len(f.Key) {
			return fmt.Errorf("verdict %d: %d subjects and %d bytes of keys do not fit each other", id, len(of), len(a.keys))
		}
		a.of = make([]int32, len(of))
		for i, n := range of {
			j, ok := subjects[n]
			if !ok {
				return fmt.Errorf("verdict %d: subject %d is not one of run %d", id, n, run)
			}
			a.of[i] = j
		}
		if n := len(fs.answers); n > 0 { // answers of one rule follow each other
			last := &fs.answers[n-1].finding
			f.Rule, f.Severity = same(last.Rule, f.Rule), same(last.Severity, f.Severity)
			f.Outcome, f.Title, f.Detail = same(last.Outcome, f.Outcome), same(last.Title, f.Title), same(last.Detail, f.Detail)
		}
		fs.answers = append(fs.answers, a)
		return nil
	}, run)
}

// same is b in the room of a where the two are equal.
func same[T ~string](a, b T) T {
	if a == b {
		return a
	}
	return b
}

// parseNumbers reads a list that [numbers] wrote; an empty one is nil.
func parseNumbers(list []byte) ([]int64, error) {
	var out []int64
	if err := json.Unmarshal(list, &out); err != nil || len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// oldFindings reads the tables that versions up to 2 wrote.
func (s *Store) oldFindings(ctx context.Context, run int64, fs *Findings) error {
	at := make(map[int64]int)
	err := each(ctx, s.r, `SELECT f.id, f.run, f.finding_key, r.rule, f.severity, f.outcome, f.address, f.port, f.transport, f.server_name,
		f.certificate, f.duplicate, f.asset, f.title, f.detail FROM finding f JOIN rule r ON r.id=f.rule WHERE f.run=? ORDER BY f.id`, func(scan scanFunc) error {
		f, err := scanFinding(scan)
		n := len(fs.judged)
		at[f.ID] = n
		fs.judged = append(fs.judged, judgedRow{Subject: f.Subject, asset: f.Asset})
		fs.answers = append(fs.answers, answerRow{finding: f, of: []int32{int32(n)}, keys: f.Key[:]}) //nolint:gosec // far fewer fit into memory
		return err
	}, run)
	if err != nil || len(fs.judged) == 0 {
		return err
	}
	return each(ctx, s.r, `SELECT e.finding, e.observation FROM finding_evidence e JOIN finding f ON f.id=e.finding
		WHERE f.run=? ORDER BY e.finding, e.observation`, func(scan scanFunc) error {
		var f, o int64
		err := scan(&f, &o)
		if i, ok := at[f]; ok {
			fs.judged[i].observations = append(fs.judged[i].observations, o)
		}
		return err
	}, run)
}

func scanFinding(scan scanFunc) (evidence.Finding, error) {
	var f evidence.Finding
	var key, certificate []byte
	var group *string
	var e nullEndpoint
	err := scan(&f.ID, &f.Run, &key, &f.Rule, &f.Severity, &f.Outcome, &e.address, &e.port, &e.transport, &e.name,
		&certificate, &group, &f.Asset, &f.Title, &f.Detail)
	if err != nil {
		return f, err
	}
	f.Key = toDigest(key)
	if f.Subject, err = subjectOf(e, certificate, group, f.Asset); err != nil {
		return f, fmt.Errorf("finding %d: %w", f.ID, err)
	}
	return f, nil
}

// subjectOf is the subject in the columns of a row.
func subjectOf(e nullEndpoint, certificate []byte, group *string, asset string) (evidence.Subject, error) {
	s := evidence.Subject{Certificate: toDigest(certificate)}
	if !e.transport.Valid && len(certificate) == 0 && group == nil {
		s.Asset = asset // a finding about neither is about the device, if any
	}
	var err error
	if s.Endpoint, err = e.endpoint(); err != nil {
		return s, err
	}
	if group != nil {
		if err := json.Unmarshal([]byte(*group), &s.Group); err != nil {
			return s, fmt.Errorf("group: %w", err)
		}
	}
	return s, nil
}

// nullEndpoint scans the four columns of an endpoint that may be absent.
type nullEndpoint struct {
	address, transport, name sql.NullString
	port                     sql.NullInt64
}

func (n *nullEndpoint) endpoint() (evidence.Endpoint, error) {
	e := evidence.Endpoint{Transport: evidence.Transport(n.transport.String), Name: n.name.String, Port: uint16(n.port.Int64)}
	if !n.address.Valid {
		return e, nil
	}
	var err error
	if e.Addr, err = netip.ParseAddr(n.address.String); err != nil {
		return e, fmt.Errorf("address: %w", err)
	}
	return e, nil
}
