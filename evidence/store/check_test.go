package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestDeclared_known names the CHECK constraints that the writer does not
// evaluate: the code that writes those rows cannot break them. A projection must
// have none.
func TestDeclared_known(t *testing.T) {
	checks, others := declared(tablesSQL())
	want := []string{"probe: outcome='sent' OR (connections=0 AND bytes_sent=0)", "blob: length(data)=size"}
	if diff := gocmp.Diff(want, others); diff != "" {
		t.Errorf("constraints of no known form (-want +got):\n%s", diff)
	}
	n := len(others)
	for table, list := range checks {
		n += len(list)
		if strings.HasPrefix(table, "proj_") {
			t.Errorf("%s: nothing evaluates %q", table, list[0].text)
		}
	}
	if all := strings.Count(tablesSQL(), "CHECK("); n != all {
		t.Errorf("%d constraints are known, the schema has %d", n, all)
	}
}

// TestDeclared_meaning asks SQLite and the writer for their opinion on values of
// every column with a constraint.
func TestDeclared_meaning(t *testing.T) {
	db := sql.OpenDB(connector{dsn: "file::memory:", access: unguarded})
	defer db.Close()
	checks, _ := declared(tablesSQL())
	values := []any{nil, int64(-1), int64(0), int64(1), int64(2), int64(65535), int64(65536), "", "x", "pass", "sent", "tcp", "{}", "{", make([]byte, 31), make([]byte, 32)}
	asked := 0
	for table, list := range checks {
		for _, c := range list {
			column, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c.text, "length("), "json_valid("), ")")
			column = strings.FieldsFunc(column, func(r rune) bool { return r == ' ' || r == '>' || r == '=' || r == '<' })[0]
			for _, v := range values {
				want := sqliteType(v) == "" || sqliteType(v) == declaredType(t, table, column)
				if !want {
					continue // STRICT refuses it
				}
				var sat bool
				err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT coalesce((%s),1) FROM (SELECT ? AS %s)", c.text, column), v).Scan(&sat)
				if err != nil {
					t.Fatalf("%s: %s: %v", table, c.text, err)
				}
				if got := c.ok(v); got != sat {
					t.Errorf("%s: %s with %v: SQLite says %v, the writer %v", table, c.text, v, sat, got)
				}
				asked++
			}
		}
	}
	if asked == 0 {
		t.Error("nothing was asked")
	}
}

func sqliteType(v any) string {
	switch v.(type) {
	case int64:
		return "INTEGER"
	case string:
		return "TEXT"
	case []byte:
		return "BLOB"
	}
	return ""
}

// declaredType is the type of a column in the text of the schema.
func declaredType(t *testing.T, table, column string) string {
	t.Helper()
	_, rest, _ := strings.Cut(tablesSQL(), "CREATE TABLE "+table+"(")
	_, rest, found := strings.Cut(rest, "\n  "+column+" ")
	if !found {
		t.Fatalf("%s has no column %s", table, column)
	}
	return strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == ',' || r == ')' })[0]
}
