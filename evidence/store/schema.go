package store

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
)

const (
	// applicationID marks a file as ours in its header ("PRBY").
	applicationID = 0x50524259
	// schemaVersion is the user_version that this program writes. It reads all up
	// to it.
	schemaVersion = 3
)

//go:embed schema.sql
var schemaSQL string

//go:embed schema_v3.sql
var schemaV3SQL string

//go:embed views.sql
var viewsSQL string

//go:embed findings.sql
var findingsSQL string

// The schemas of earlier versions do not change any more. That of version 2 is
// the present one without what version 3 added.
//
//go:embed findings_v2.sql
var findingsV2SQL string

//go:embed schema_v1.sql
var schemaV1SQL string

//go:embed views_v1.sql
var viewsV1SQL string

// kind names a logged table.
type kind int

const (
	kindStore kind = iota
	kindSigningKey
	kindRun
	kindScope
	kindRunEnd
	kindProbe
	kindBlob
	kindObservation
	kindRaw
	kindPresented
	kindHostKey
	kindCatalogue
	kindRule
	kindClause
	kindFinding
	kindFindingEvidence
	kindCheckpoint
	kindAssetFact
	kindSubject
	kindVerdict
	numKinds
)

// table describes a logged table. Its first column is id, the row's number,
// counted from 1 in the order of the log.
type table struct {
	name    string
	columns []string // in the order of the canonical line
	// stored are columns after those, which the line leaves out because a digest
	// in the line stands for them.
	stored []string
	// since is the schema version that brought the table.
	since int64
}

// tables are the logged tables by kind. A test compares them with the schema.
func tables() [numKinds]table {
	t := func(name, columns string, stored ...string) table {
		return table{name: name, columns: strings.Fields(columns), stored: stored, since: 1}
	}
	since := func(version int64, t table) table {
		t.since = version
		return t
	}
	return [numKinds]table{
		kindStore:           t("store", "id uuid origin canon_version created_ms"),
		kindSigningKey:      t("signing_key", "id verifier created_ms"),
		kindRun:             t("run", "id uuid mode started_ms tool tool_sha256 catalogue_sha256 config_sha256 operator authority sensor note as_of_ms sqlite"),
		kindScope:           t("scope", "id run target allowed reason"),
		kindRunEnd:          t("run_end", "id run ended_ms status targets reached packets_seen packets_dropped note"),
		kindProbe:           t("probe", "id run address port transport server_name probe started_ms ended_ms connections bytes_sent bytes_received outcome reason"),
		kindBlob:            t("blob", "id sha256 size", "data"),
		kindObservation:     t("observation", "id run probe method kind address port transport server_name peer_address peer_port peer_transport peer_name at_ms result detail facts"),
		kindRaw:             t("raw", "id observation position media blob"),
		kindPresented:       t("presented", "id observation role position blob"),
		kindHostKey:         t("host_key", "id observation algorithm blob"),
		kindCatalogue:       t("catalogue", "id version sha256 saved_ms"),
		kindRule:            t("rule", "id catalogue rule area title severity rationale lint verdicts remediation false_positives"),
		kindClause:          t("clause", "id rule source edition clause title relation force verified"),
		kindFinding:         t("finding", "id run rule finding_key severity outcome address port transport server_name certificate duplicate asset title detail"),
		kindFindingEvidence: t("finding_evidence", "id finding observation"),
		kindCheckpoint:      t("checkpoint", "id size root note"),
		kindAssetFact:       since(2, t("asset_fact", "id run at_ms kind asset other address facts reason")),
		kindSubject:         since(3, t("subject", "id run address port transport server_name certificate duplicate asset observations")),
		kindVerdict:         since(3, t("verdict", "id run rule severity outcome title detail first_finding findings subjects keys")),
	}
}

// tablesOf lists the logged tables that a schema version has.
func tablesOf(version int64) []table {
	all := tables()
	return slices.DeleteFunc(all[:], func(t table) bool { return t.since > version })
}

func (t table) selectSQL() string {
	return "SELECT " + strings.Join(t.columns, ",") + " FROM " + t.name
}

// triggersSQL forbids UPDATE and DELETE on every logged table and on the log.
// INSERT OR REPLACE is a DELETE to these triggers only under recursive_triggers,
// which every connection of ours sets.
func triggersSQL(version int64) string {
	var b strings.Builder
	for _, t := range tablesOf(version) {
		b.WriteString(guardSQL(t.name))
	}
	return b.String() + guardSQL("entry")
}

func guardSQL(name string) string {
	var b strings.Builder
	for _, op := range []string{"UPDATE", "DELETE"} {
		fmt.Fprintf(&b, "CREATE TRIGGER %[1]s_no_%[2]s BEFORE %[3]s ON %[1]s BEGIN SELECT RAISE(ABORT,'append-only: %[1]s'); END;\n", name, strings.ToLower(op), op)
	}
	return b.String()
}

// schemaText declares a schema version.
func schemaText(version int64) string {
	switch version {
	case 1:
		return schemaV1SQL + triggersSQL(version) + viewsV1SQL
	case 2:
		return schemaSQL + triggersSQL(version) + viewsSQL + findingsV2SQL
	}
	return tablesSQL() + triggersSQL(version) + viewsSQL + findingsSQL
}

// tablesSQL declares the tables of the present version.
func tablesSQL() string { return schemaSQL + schemaV3SQL }

// object is one row of sqlite_schema.
type object struct{ Type, Name, Table, SQL string }

func (o object) compare(p object) int {
	return cmp.Or(cmp.Compare(o.Type, p.Type), cmp.Compare(o.Name, p.Name), cmp.Compare(o.Table, p.Table), cmp.Compare(o.SQL, p.SQL))
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaOf lists what the database declares. What SQLite declares itself
// (indexes of UNIQUE, statistics) is left out.
func schemaOf(ctx context.Context, q querier) ([]object, error) {
	rows, err := q.QueryContext(ctx, "SELECT type, name, tbl_name, coalesce(sql,'') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err is checked
	var all []object
	for rows.Next() {
		var o object
		if err := rows.Scan(&o.Type, &o.Name, &o.Table, &o.SQL); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	slices.SortFunc(all, object.compare)
	return all, rows.Err()
}

// fingerprint is one value for a schema: equal schemas have equal fingerprints.
func fingerprint(all []object) evidence.Digest {
	var b strings.Builder
	for _, o := range all {
		fmt.Fprintf(&b, "%s\x00%s\x00%s\x00%s\x00", o.Type, o.Name, o.Table, o.SQL)
	}
	return evidence.DigestOf([]byte(b.String()))
}

// declaredSchema is what a database of a version declares, asked from SQLite
// itself so that there is no second copy to keep.
func declaredSchema(ctx context.Context, version int64) (_ []object, err error) {
	db := sql.OpenDB(connector{dsn: "file::memory:", access: unguarded})
	db.SetMaxOpenConns(1)
	defer func() { err = cmp.Or(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, schemaText(version)); err != nil {
		return nil, fmt.Errorf("declare schema: %w", err)
	}
	return schemaOf(ctx, db)
}
