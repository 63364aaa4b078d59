package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

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

// SaveFindings keeps the findings of a run that is open, once, all or none, and
// assigns their IDs; those in fs, and their runs, do not matter. It takes them as they
// come and holds what they are about, not them; an error that fs yields undoes all
// and is returned. The run must name its catalogue, and that must have been saved.
// A finding that fails without an observation to show for it is refused, and so is
// a second one of the same rule on the same subject. fs must not use the store.
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
		w, err := b.newFindingWriter(run, rules)
		if err != nil {
			return err
		}
		for f, err := range fs {
			if err != nil {
				return err
			}
			if err := w.add(&f); err != nil {
				return fmt.Errorf("rule %q on %q: %w", f.Rule, f.Subject.Locus(), err)
			}
		}
		return w.flush()
	})
	if err != nil {
		return fmt.Errorf("save findings of run %d: %w", run, err)
	}
	return nil
}

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
