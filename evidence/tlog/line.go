package tlog

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// CanonVersion is the version of the canonical line. A log states it in its first
// row, for a reader that knows the lines but not the database.
const CanonVersion = 1

// AppendLine appends the canonical line of a row to dst: a JSON array of the
// kind and the columns in the order of the table, without white space. Columns
// are nil (null), int64 (decimal), string (JSON text, escaped as RFC 8785
// section 3.2.2.2 asks) or []byte (text of lower-case hexadecimal digits). There
// are no floating-point numbers. Text must be UTF-8 without NUL, which not every
// database can hold.
func AppendLine(dst []byte, kind string, columns []any) ([]byte, error) {
	dst = append(dst, '[')
	dst, err := appendText(dst, kind)
	if err != nil {
		return nil, fmt.Errorf("kind: %w", err)
	}
	for i, c := range columns {
		dst = append(dst, ',')
		switch c := c.(type) {
		case nil:
			dst = append(dst, "null"...)
		case int64:
			dst = strconv.AppendInt(dst, c, 10)
		case string:
			if dst, err = appendText(dst, c); err != nil {
				return nil, fmt.Errorf("%s, column %d: %w", kind, i, err)
			}
		case []byte:
			dst = append(dst, '"')
			dst = hex.AppendEncode(dst, c)
			dst = append(dst, '"')
		default:
			return nil, fmt.Errorf("%s, column %d: type %T has no canonical form", kind, i, c)
		}
	}
	return append(dst, ']'), nil
}

// appendText appends s as a JSON string: the two-character escapes where JSON
// has them, \u00xx for the other control characters, everything else as it is.
func appendText(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("text %q is not valid UTF-8", s)
	}
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0:
			return nil, fmt.Errorf("text %q holds NUL", s)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
	}
	return append(dst, '"'), nil
}
