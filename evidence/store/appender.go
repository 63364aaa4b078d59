package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// rowsAtOnce are the numbers of rows that one statement appends. A statement has
// a price of its own, which is several times that of a row.
func rowsAtOnce() [sizes]int { return [sizes]int{256, 32, 4, 1} }

const (
	sizes = 4

	// waitingRows is how many rows of a table wait at most.
	waitingRows = 512
	// waitingBytes is how much the texts and blobs of a table that wait hold, and
	// how much a statement takes with others: the driver keeps room for the
	// largest that it saw.
	waitingBytes = 128 << 10
)

// appender gathers the rows of one table that a transaction appends, and appends
// many of them with one statement. It is used by one transaction at a time.
type appender struct {
	table   string
	columns []string
	values  []driver.Value // of the rows that wait, row by row
	bytes   int
	stmts   [sizes]driver.StmtQueryContext
	args    []driver.NamedValue
}

func newAppender(table string, columns []string) *appender {
	return &appender{table: table, columns: columns}
}

// add takes a row: nil, int64, string or []byte for each column. What it points to
// must not change until the rows are flushed.
func (a *appender) add(row []any) {
	for _, v := range row {
		switch v := v.(type) {
		case string:
			a.bytes += len(v)
		case []byte:
			a.bytes += len(v)
		}
		a.values = append(a.values, v)
	}
}

// full reports whether enough rows wait.
func (a *appender) full() bool {
	return len(a.values) >= waitingRows*len(a.columns) || a.bytes >= waitingBytes
}

// reset forgets the rows that wait, and lets go of what they point to.
func (a *appender) reset() {
	clear(a.values)
	clear(a.args)
	a.values, a.bytes = a.values[:0], 0
}

// flush appends the rows that wait, in their order.
func (a *appender) flush(conn driver.ConnPrepareContext) error {
	defer a.reset()
	mean := 0
	if n := len(a.values) / len(a.columns); n > 0 {
		mean = a.bytes / n
	}
	values := a.values
	for i, rows := range rowsAtOnce() {
		if rows > 1 && rows*mean > waitingBytes {
			continue
		}
		for n := rows * len(a.columns); len(values) >= n; values = values[n:] {
			if err := a.insert(conn, i, rows, values[:n]); err != nil {
				return fmt.Errorf("append to %s: %w", a.table, err)
			}
		}
	}
	return nil
}

// insert runs the statement for a number of rows. The driver binds all arguments
// of a query in one call into C, and those of an Exec one by one.
func (a *appender) insert(conn driver.ConnPrepareContext, size, rows int, values []driver.Value) error {
	if a.stmts[size] == nil {
		stmt, err := prepareRaw(conn, a.insertSQL(rows))
		if err != nil {
			return err
		}
		a.stmts[size] = stmt
	}
	for len(a.args) < len(values) {
		a.args = append(a.args, driver.NamedValue{Ordinal: len(a.args) + 1})
	}
	for i, v := range values {
		a.args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	done, err := a.stmts[size].QueryContext(context.Background(), a.args[:len(values)])
	if err != nil {
		return err
	}
	return done.Close()
}

func (a *appender) insertSQL(rows int) string {
	row := "(?" + strings.Repeat(",?", len(a.columns)-1) + ")"
	return "INSERT INTO " + a.table + "(" + strings.Join(a.columns, ",") + ") VALUES" + row + strings.Repeat(","+row, rows-1)
}

// close releases the statements, which belong to one connection.
func (a *appender) close() error {
	var errs []error
	for i, stmt := range a.stmts {
		if stmt != nil {
			errs = append(errs, closeRaw(stmt))
			a.stmts[i] = nil
		}
	}
	return errors.Join(errs...)
}

// prepareRaw compiles a statement of a connection of the driver.
func prepareRaw(conn driver.ConnPrepareContext, query string) (driver.StmtQueryContext, error) {
	stmt, err := conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	raw, ok := stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver prepared a %T", stmt), stmt.Close())
	}
	return raw, nil
}

func closeRaw(stmt driver.StmtQueryContext) error {
	if s, ok := stmt.(driver.Stmt); ok {
		return s.Close()
	}
	return nil
}
