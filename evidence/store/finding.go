package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"probity/evidence"
)

// SaveCatalogue keeps the rules in force, once for each digest of the catalogue.
// A changed catalogue is kept beside the older ones: a finding points to the rule
// as it was.
func (s *Store) SaveCatalogue(ctx context.Context, version string, sum evidence.Digest, rules []evidence.Rule) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.write(ctx, func(b *batch) error {
		_, err := b.catalogue(sum)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		id := b.insert(kindCatalogue, clean(version), sum[:], s.now().UnixMilli())
		for _, r := range rules {
			if err := b.insertRule(id, r); err != nil {
				return fmt.Errorf("rule %q: %w", r.ID, err)
			}
		}
		return b.err
	})
	if err != nil {
		return fmt.Errorf("save catalogue: %w", err)
	}
	return nil
}

func (b *batch) catalogue(sum evidence.Digest) (id int64, err error) {
	err = b.tx.QueryRowContext(context.Background(), "SELECT id FROM catalogue WHERE sha256=?", sum[:]).Scan(&id)
	return id, err
}

func (b *batch) insertRule(catalogue int64, r evidence.Rule) error {
	verdicts, err := toJSON(r.Verdicts)
	if err != nil {
		return err
	}
	id := b.insert(kindRule, catalogue, clean(r.ID), clean(r.Area), clean(r.Title), string(r.Severity), clean(r.Rationale),
		clean(r.Lint), verdicts, clean(r.Remediation), clean(r.FalsePositives))
	for _, c := range r.Clauses {
		b.insert(kindClause, id, clean(c.Source), clean(c.Edition), clean(c.Clause), clean(c.Title), string(c.Relation), clean(c.Force), clean(c.Verified))
	}
	return b.err
}

// findingsAtOnce is how many findings are ordered by key before they are written.
// A key is a digest, so in any other order each of them would land on another page
// of the index over keys.
const findingsAtOnce = 1 << 14

// SaveFindings keeps the findings of a run that is open, all or none, and assigns
// their IDs; those in fs, and their runs, do not matter. It takes them as they
// come and holds a bounded number of them; an error that fs yields undoes all and
// is returned. The run must name its catalogue, and that must have been saved. A
// finding that fails without an observation to show for it is refused, and so is
// a second one with the same key. fs must not use the store.
func (s *Store) SaveFindings(ctx context.Context, run int64, fs iter.Seq2[evidence.Finding, error]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open[run] {
		return fmt.Errorf("save findings of run %d: %w", run, ErrRunNotOpen)
	}
	err := s.commitPending(ctx, func(b *batch) error {
		rules, err := b.rulesOf(run)
		if err != nil {
			return err
		}
		var some []evidence.Finding
		for f, err := range fs {
			if err != nil {
				return err
			}
			if some = append(some, f); len(some) < findingsAtOnce {
				continue
			}
			if err := b.insertFindings(run, rules, some); err != nil {
				return err
			}
			clear(some)
			some = some[:0]
		}
		return b.insertFindings(run, rules, some)
	})
	if err != nil {
		return fmt.Errorf("save findings of run %d: %w", run, err)
	}
	return nil
}

// insertFindings appends findings in the order of their keys.
func (b *batch) insertFindings(run int64, rules map[string]int64, fs []evidence.Finding) error {
	order := make([]*evidence.Finding, len(fs))
	for i := range fs {
		order[i] = &fs[i]
	}
	slices.SortStableFunc(order, func(x, y *evidence.Finding) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	evidenced := make([]foundOn, 0, len(fs))
	for i, f := range order {
		rule, ok := rules[f.Rule]
		switch {
		case !ok:
			return fmt.Errorf("rule %q is not in the catalogue of the run", f.Rule)
		case f.Outcome == evidence.Fail && len(f.Observations) == 0:
			return fmt.Errorf("rule %q fails on %q without an observation to show for it", f.Rule, f.Subject.Locus())
		case i > 0 && order[i-1].Key == f.Key: // of others the table's constraint speaks
			return fmt.Errorf("two findings of rule %q on %q have the same key", f.Rule, f.Subject.Locus())
		}
		id, err := b.insertFinding(run, rule, f)
		if err != nil {
			return fmt.Errorf("rule %q on %q: %w", f.Rule, f.Subject.Locus(), err)
		}
		for _, o := range f.Observations {
			evidenced = append(evidenced, foundOn{o, id})
		}
	}
	slices.SortFunc(evidenced, func(x, y foundOn) int {
		return cmp.Or(cmp.Compare(x.observation, y.observation), cmp.Compare(x.finding, y.finding))
	})
	for _, e := range slices.Compact(evidenced) {
		b.insert(kindFindingEvidence, e.finding, e.observation)
	}
	return b.flush(numKinds - 1)
}

// foundOn is an observation that a finding rests on. They are written in the order
// of the observations, again for the sake of an index.
type foundOn struct{ observation, finding int64 }

// rulesOf returns the rows of the rules of a run's catalogue by rule id.
func (b *batch) rulesOf(run int64) (map[string]int64, error) {
	var sum []byte
	if err := b.tx.QueryRowContext(context.Background(), "SELECT catalogue_sha256 FROM run WHERE id=?", run).Scan(&sum); err != nil {
		return nil, err
	}
	id, err := b.catalogue(toDigest(sum))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("catalogue %x of the run was not saved", sum)
	}
	if err != nil {
		return nil, err
	}
	rules := make(map[string]int64)
	err = each(context.Background(), b.tx, "SELECT rule, id FROM rule WHERE catalogue=?", func(scan scanFunc) error {
		var name string
		var row int64
		err := scan(&name, &row)
		rules[name] = row
		return err
	}, id)
	return rules, err
}

func (b *batch) insertFinding(run, rule int64, f *evidence.Finding) (id int64, err error) {
	var place [4]any
	if e := f.Subject.Endpoint; e != (evidence.Endpoint{}) {
		place = [4]any{address(e.Addr), int64(e.Port), string(e.Transport), clean(e.Name)}
	}
	var group any
	if f.Subject.Group != nil {
		text, err := toJSON(f.Subject.Group)
		if err != nil {
			return 0, err
		}
		group = text
	}
	id = b.insert(kindFinding, run, rule, f.Key[:], string(f.Severity), string(f.Outcome), place[0], place[1], place[2], place[3],
		digest(f.Subject.Certificate), group, clean(f.Asset), clean(f.Title), clean(f.Detail))
	return id, b.err
}

// Findings returns the findings of a run, ordered by rule and, of one rule, as
// they were written.
func (s *Store) Findings(ctx context.Context, run int64) ([]evidence.Finding, error) {
	var all []evidence.Finding
	at := make(map[int64]int)
	err := each(ctx, s.r, `SELECT f.id, f.run, f.finding_key, r.rule, f.severity, f.outcome, f.address, f.port, f.transport, f.server_name,
		f.certificate, f.duplicate, f.asset, f.title, f.detail FROM finding f JOIN rule r ON r.id=f.rule WHERE f.run=? ORDER BY r.rule, f.id`, func(scan scanFunc) error {
		f, err := scanFinding(scan)
		at[f.ID] = len(all)
		all = append(all, f)
		return err
	}, run)
	if err != nil {
		return nil, explain(s.path, err)
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
	return all, explain(s.path, err)
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
	f.Key, f.Subject.Certificate = toDigest(key), toDigest(certificate)
	if !e.transport.Valid && len(certificate) == 0 && group == nil {
		f.Subject.Asset = f.Asset // a finding about neither is about the device, if any
	}
	if f.Subject.Endpoint, err = e.endpoint(); err != nil {
		return f, fmt.Errorf("finding %d: %w", f.ID, err)
	}
	if group != nil {
		if err := json.Unmarshal([]byte(*group), &f.Subject.Group); err != nil {
			return f, fmt.Errorf("finding %d: group: %w", f.ID, err)
		}
	}
	return f, nil
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
