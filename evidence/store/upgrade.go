package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Version 2 gave the projection of claims a column. All else that versions add is
// tables and views, and no logged table is changed, so the log stays as it is.
const (
	keepClaimsSQL = `CREATE TEMP TABLE claims AS SELECT id, asset, attribute, value, confidence, layer, observation, '' AS source FROM proj_claim;
DROP TABLE proj_claim;
`
	restoreClaimsSQL = `INSERT INTO proj_claim SELECT id, asset, attribute, value, confidence, layer, observation, source FROM claims;
DROP TABLE claims;
`
)

// upgrade brings an older database to the version of this program, in one
// transaction: another program sees the old one or the new one.
func (s *Store) upgrade(ctx context.Context) error {
	if s.version == schemaVersion {
		return nil
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		text, err := upgradeText(ctx, s.version)
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

// upgradeText drops what the present version declares otherwise than an older one
// and declares what that does not have.
func upgradeText(ctx context.Context, version int64) (string, error) {
	old, err := declaredSchema(ctx, version)
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
		} else if version > 1 || o.Table != "proj_claim" {
			have[o] = true
		}
	}
	if version == 1 {
		b.WriteString(keepClaimsSQL)
	}
	for _, kind := range []string{"table", "index", "trigger", "view"} {
		for _, o := range all {
			if o.Type == kind && !have[o] {
				b.WriteString(o.SQL + ";\n")
			}
		}
	}
	if version == 1 {
		b.WriteString(restoreClaimsSQL)
	}
	fmt.Fprintf(&b, "PRAGMA user_version=%d;\n", schemaVersion)
	return b.String(), nil
}
