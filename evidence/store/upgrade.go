package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// upgradeV1SQL brings a database of version 1 to version 2. Logged tables are
// added and none is changed, so the log stays as it is. The projection of claims
// gets a column, and the views are declared anew.
const upgradeV1SQL = `CREATE TEMP TABLE claims AS SELECT id, asset, attribute, value, confidence, layer, observation, '' AS source FROM proj_claim;
DROP TABLE proj_claim;
`

// upgrade brings an older database to the version of this program, in one
// transaction: another program sees the old one or the new one.
func (s *Store) upgrade(ctx context.Context) error {
	if s.version == schemaVersion {
		return nil
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		text, err := upgradeText(ctx)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("bring the schema from version %d to %d: %w", s.version, schemaVersion, err)
	}
	s.version = schemaVersion
	return nil
}

// upgradeText drops what version 2 declares otherwise and declares what version
// 1 does not have.
func upgradeText(ctx context.Context) (string, error) {
	old, err := declaredSchema(ctx, 1)
	if err != nil {
		return "", err
	}
	all, err := declaredSchema(ctx, schemaVersion)
	if err != nil {
		return "", err
	}
	have := make(map[object]bool, len(old))
	var b strings.Builder
	for _, o := range old {
		if o.Type == "view" {
			fmt.Fprintf(&b, "DROP VIEW %s;\n", o.Name)
		} else if o.Table != "proj_claim" {
			have[o] = true
		}
	}
	b.WriteString(upgradeV1SQL)
	for _, kind := range []string{"table", "index", "trigger", "view"} {
		for _, o := range all {
			if o.Type == kind && !have[o] {
				b.WriteString(o.SQL + ";\n")
			}
		}
	}
	fmt.Fprintf(&b, "INSERT INTO proj_claim SELECT id, asset, attribute, value, confidence, layer, observation, source FROM claims;\nDROP TABLE claims;\nPRAGMA user_version=%d;\n", schemaVersion)
	return b.String(), nil
}
