package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"probity/evidence"
)

// Findings returns the findings of a run, ordered by rule and, of one rule, as
// they were written. Those on one subject may share its group and observations;
// do not change them.
func (s *Store) Findings(ctx context.Context, run int64) ([]evidence.Finding, error) {
	all, err := s.oldFindings(ctx, run)
	if err == nil && s.version > 2 {
		var more []evidence.Finding
		more, err = s.newFindings(ctx, run)
		all = append(all, more...)
	}
	if err != nil {
		return nil, explain(s.path, err)
	}
	slices.SortStableFunc(all, func(x, y evidence.Finding) int { return strings.Compare(x.Rule, y.Rule) })
	return all, nil
}

// newFindings reads the tables of version 3.
func (s *Store) newFindings(ctx context.Context, run int64) ([]evidence.Finding, error) {
	type judged struct {
		evidence.Subject
		asset        string
		observations []int64
	}
	subjects := make(map[int64]judged)
	err := each(ctx, s.r, `SELECT id, address, port, transport, server_name, certificate, duplicate, asset, observations FROM subject
		WHERE run=?`, func(scan scanFunc) error {
		var id int64
		var e nullEndpoint
		var certificate, observations []byte
		var group *string
		var j judged
		err := scan(&id, &e.address, &e.port, &e.transport, &e.name, &certificate, &group, &j.asset, &observations)
		if err != nil {
			return err
		}
		if j.Subject, err = subjectOf(e, certificate, group, j.asset); err != nil {
			return fmt.Errorf("subject %d: %w", id, err)
		}
		if err := json.Unmarshal(observations, &j.observations); err != nil {
			return fmt.Errorf("subject %d: observations: %w", id, err)
		}
		if len(j.observations) == 0 {
			j.observations = nil
		}
		subjects[id] = j
		return nil
	}, run)
	if err != nil {
		return nil, err
	}
	var all []evidence.Finding
	err = each(ctx, s.r, `SELECT v.id, r.rule, v.severity, v.outcome, v.title, v.detail, v.first_finding, v.subjects, v.keys
		FROM verdict v JOIN rule r ON r.id=v.rule WHERE v.run=? ORDER BY v.id`, func(scan scanFunc) error {
		f := evidence.Finding{Run: run}
		var id int64
		var list []byte
		var keys sql.RawBytes
		if err := scan(&id, &f.Rule, &f.Severity, &f.Outcome, &f.Title, &f.Detail, &f.ID, &list, &keys); err != nil {
			return err
		}
		var of []int64
		if err := json.Unmarshal(list, &of); err != nil {
			return fmt.Errorf("verdict %d: subjects: %w", id, err)
		}
		if len(keys) != len(of)*len(f.Key) {
			return fmt.Errorf("verdict %d: %d subjects and %d bytes of keys do not fit each other", id, len(of), len(keys))
		}
		all = slices.Grow(all, len(of))
		for i, n := range of {
			j, ok := subjects[n]
			if !ok {
				return fmt.Errorf("verdict %d: subject %d is not one of run %d", id, n, run)
			}
			f.Subject, f.Asset, f.Observations = j.Subject, j.asset, j.observations
			copy(f.Key[:], keys[i*len(f.Key):])
			all = append(all, f)
			f.ID++
		}
		return nil
	}, run)
	return all, err
}

// oldFindings reads the tables that versions up to 2 wrote.
func (s *Store) oldFindings(ctx context.Context, run int64) ([]evidence.Finding, error) {
	var all []evidence.Finding
	at := make(map[int64]int)
	err := each(ctx, s.r, `SELECT f.id, f.run, f.finding_key, r.rule, f.severity, f.outcome, f.address, f.port, f.transport, f.server_name,
		f.certificate, f.duplicate, f.asset, f.title, f.detail FROM finding f JOIN rule r ON r.id=f.rule WHERE f.run=? ORDER BY f.id`, func(scan scanFunc) error {
		f, err := scanFinding(scan)
		at[f.ID] = len(all)
		all = append(all, f)
		return err
	}, run)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	err = each(ctx, s.r, `SELECT e.finding, e.observation FROM finding_evidence e JOIN finding f ON f.id=e.finding
		WHERE f.run=? ORDER BY e.finding, e.observation`, func(scan scanFunc) error {
		var f, o int64
		err := scan(&f, &o)
		if i, ok := at[f]; ok {
			all[i].Observations = append(all[i].Observations, o)
		}
		return err
	}, run)
	return all, err
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
