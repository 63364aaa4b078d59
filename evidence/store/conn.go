package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// access is how a connection uses a file.
type access int

const (
	readWrite access = iota
	readOnly
	immutable // read only, and nobody writes: no lock, no side files
	unguarded // in memory: nothing to guard
)

// pragma is one setting of a connection: how the DSN spells it, what PRAGMA
// answers when it is in force.
type pragma struct{ param, value, name, want string }

// pragmas returns the settings of a connection. All are in the data source
// name, because a PRAGMA statement reaches one connection of a pool only; SQLite
// has no DSN parameter for the settings of [connector.Connect].
func pragmas(a access) []pragma {
	all := []pragma{
		{"_busy_timeout", "5000", "busy_timeout", "5000"},        // a reader's short lock is waited for, a writer's is reported
		{"_foreign_keys", "on", "foreign_keys", "1"},             // off by default: no row may point to nothing
		{"_recursive_triggers", "on", "recursive_triggers", "1"}, // else INSERT OR REPLACE deletes past the triggers
		{"_secure_delete", "on", "secure_delete", "1"},           // what a projection drops must not stay in the file
		{"_cell_size_check", "", "cell_size_check", "1"},         // find a malformed page early
		{"_trusted_schema", "", "trusted_schema", "0"},           // a stranger's schema runs no function with side effects
	}
	if a == readWrite {
		return append(all,
			pragma{"_journal_mode", "WAL", "journal_mode", "wal"},                      // readers go on while one writes
			pragma{"_synchronous", "FULL", "synchronous", "2"},                         // the driver's WAL default may lose the last commits on power loss
			pragma{"_cache_size", "-16384", "cache_size", "-16384"},                    // KiB; less, and the indexes of a fleet's findings do not fit
			pragma{"", "", "wal_autocheckpoint", "8192"},                               // pages; small commits rewrite the same pages of the indexes
			pragma{"", "", "temp_store", "2"},                                          // statement journals stay in memory; evidence in no temporary file
			pragma{"_ignore_check_constraints", "on", "ignore_check_constraints", "1"}, // see check: evaluated before a row is hashed
		)
	}
	return append(all, pragma{"_query_only", "on", "query_only", "1"}) // belt and braces to mode=ro
}

// connector opens connections with one set of pragmas and asserts them on each.
// It needs no registered driver.
type connector struct {
	dsn    string
	access access
}

func newConnector(path string, a access) (connector, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return connector{}, err
	}
	v := url.Values{}
	switch a {
	case unguarded:
	case readWrite:
		v.Set("mode", "rw")           // creating is ours, with mode 0600
		v.Set("_txlock", "immediate") // take the write lock at BEGIN, not in the middle
	case immutable:
		v.Set("immutable", "1")
		fallthrough
	case readOnly:
		v.Set("mode", "ro")
	}
	for _, p := range pragmas(a) {
		if p.value != "" {
			v.Set(p.param, p.value)
		}
	}
	return connector{dsn: "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + v.Encode(), access: a}, nil
}

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	sc, ok := conn.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, fmt.Errorf("driver opened a %T", conn)
	}
	if err := c.setUp(ctx, sc); err != nil {
		sc.Close() //nolint:errcheck// the first error is the one that matters
		return nil, err
	}
	return sc, nil
}

// Driver implements [driver.Connector].
func (connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (c connector) setUp(ctx context.Context, conn *sqlite3.SQLiteConn) error {
	for _, p := range pragmas(c.access) {
		if p.value != "" {
			continue // set by the DSN
		}
		if _, err := conn.ExecContext(ctx, "PRAGMA "+p.name+"="+p.want, nil); err != nil {
			return err
		}
	}
	if c.access == unguarded {
		return nil
	}
	for _, p := range pragmas(c.access) {
		got, err := askPragma(ctx, conn, p.name)
		if err != nil {
			return err
		}
		if got != p.want {
			return fmt.Errorf("connection has %s=%s, want %s", p.name, got, p.want)
		}
	}
	return nil
}

func askPragma(ctx context.Context, conn *sqlite3.SQLiteConn, name string) (string, error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return "", err
	}
	defer rows.Close() //nolint:errcheck // only read
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return fmt.Sprint(row[0]), nil
}

// openPool opens a pool of at most n connections.
func openPool(path string, a access, n int) (*sql.DB, error) {
	c, err := newConnector(path, a)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}
