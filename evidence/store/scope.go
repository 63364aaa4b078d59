package store

import (
	"context"

	"probity/evidence"
)

// Scope returns what a run was, and was not, allowed to touch, in the order in
// which it was declared.
func (s *Store) Scope(ctx context.Context, run int64) ([]evidence.ScopeEntry, error) {
	var all []evidence.ScopeEntry
	err := each(ctx, s.r, "SELECT target, allowed, reason FROM scope WHERE run=? ORDER BY id", func(scan scanFunc) error {
		var e evidence.ScopeEntry
		err := scan(&e.Target, &e.Allowed, &e.Reason)
		all = append(all, e)
		return err
	}, run)
	return all, explain(s.path, err)
}
