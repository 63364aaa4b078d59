package store

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check is a CHECK constraint on one column. The connection of the writer does
// not evaluate those (see [pragmas]): for a list of words SQLite builds, fills and
// drops a table of its own with every row. They are read from the schema, so that
// there is no second copy of them, and hold before a row is hashed.
type check struct {
	column int              // of the table's columns and those stored beside them
	text   string           // as the schema has it
	ok     func(v any) bool // whether a value satisfies it
}

// declared are the CHECK constraints of the schema by table: those that [check]
// knows, and the text of the others.
func declared(schema string) (checks map[string][]check, others []string) {
	checks = make(map[string][]check)
	tables := regexp.MustCompile(`(?s)CREATE TABLE (\w+)\(\n(.*?)\) STRICT;`)
	column := regexp.MustCompile(`^  (\w+) (?:INTEGER|TEXT|BLOB)`)
	for _, t := range tables.FindAllStringSubmatch(schema, -1) {
		index := -1
		for line := range strings.Lines(t[2]) {
			isColumn := column.MatchString(line)
			if isColumn {
				index++
			}
			for _, text := range checksIn(line) {
				name := ""
				if isColumn {
					name = column.FindStringSubmatch(line)[1]
				}
				if ok := meaning(name, text); ok != nil {
					checks[t[1]] = append(checks[t[1]], check{index, text, ok})
				} else {
					others = append(others, t[1]+": "+text)
				}
			}
		}
	}
	return checks, others
}

// checksIn returns the expressions of the CHECK constraints in a line.
func checksIn(line string) []string {
	var out []string
	for {
		_, rest, found := strings.Cut(line, "CHECK(")
		if !found {
			return out
		}
		depth := 1
		end := strings.IndexFunc(rest, func(r rune) bool {
			switch r {
			case '(':
				depth++
			case ')':
				depth--
			}
			return depth == 0
		})
		if end < 0 {
			return out
		}
		out = append(out, rest[:end])
		line = rest[end:]
	}
}

// meaning returns the function of a constraint on a column, or nil if it is of a
// form that is not known. NULL passes any, as in SQL.
func meaning(column, text string) func(v any) bool {
	if words, ok := strings.CutPrefix(text, column+" IN("); ok {
		var list []string
		for word := range strings.SplitSeq(strings.TrimSuffix(words, ")"), ",") {
			list = append(list, strings.Trim(word, "'"))
		}
		return func(v any) bool {
			switch v := v.(type) {
			case string:
				return slices.Contains(list, v)
			case int64:
				return slices.Contains(list, strconv.FormatInt(v, 10))
			}
			return v == nil
		}
	}
	var low, high int64
	between := func(v any) bool {
		n, ok := v.(int64)
		return v == nil || ok && n >= low && n <= high
	}
	switch {
	case text == "json_valid("+column+")":
		return func(v any) bool {
			s, ok := v.(string)
			return v == nil || ok && json.Valid([]byte(s))
		}
	case scan(text, "length("+column+")=%d", &low):
		return func(v any) bool {
			b, ok := v.([]byte)
			return v == nil || ok && int64(len(b)) == low
		}
	case scan(text, column+" BETWEEN %d AND %d", &low, &high):
		return between
	case scan(text, column+">=%d", &low):
		high = 1<<63 - 1
		return between
	case scan(text, column+">%d", &low):
		low, high = low+1, 1<<63-1
		return between
	case scan(text, column+"=%d", &low):
		high = low
		return between
	}
	return nil
}

// scan reads the numbers of a text that is otherwise exactly format.
func scan(text, format string, numbers ...*int64) bool {
	args, values := make([]any, len(numbers)), make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	if n, err := fmt.Sscanf(text, format, args...); err != nil || n != len(numbers) {
		return false
	}
	for i, n := range numbers {
		values[i] = *n
	}
	return fmt.Sprintf(format, values...) == text
}
