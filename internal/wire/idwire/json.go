package idwire

import (
	"bytes"
	"encoding/json"
)

// Bounds of a JSON document.
const (
	maxTokens = 1 << 18
	maxPath   = 256 // bytes; a longer path is none that is read
)

// eachString calls take with the path and the text of each string in a document,
// up to the first damage or bound, until take returns false. The path has the
// names of the members, with dots between them; arrays add nothing. The text is as
// it stands there, in its quotes. Both alias the document or a place that is
// overwritten.
//
// It is our own because the decoder of the standard library copies the document,
// which may be that of a patient, and leaves the copy to the garbage collector.
func eachString(b []byte, take func(path, quoted []byte) bool) {
	var names [maxDepth][]byte // of the members under way
	var array [maxDepth]bool
	depth, named := 0, false // named: what comes next in an object is a name
	var room [maxPath]byte
	path := room[:0]
	defer clear(room[:])
	for range maxTokens {
		b = bytes.TrimLeft(b, " \t\r\n:")
		if len(b) == 0 {
			return
		}
		size := 1
		switch c := b[0]; c {
		case ',':
			named = depth > 0 && !array[depth-1]
		case '{', '[':
			if depth == maxDepth {
				return
			}
			array[depth], names[depth], named = c == '[', nil, c == '{'
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth, named = depth-1, false
		case '"':
			if size = quotedSize(b); size == 0 {
				return
			}
			if named {
				names[depth-1], named = b[1:size-1], false
				break
			}
			if path = join(path[:0], names[:depth], array[:depth]); !take(path, b[:size]) {
				return
			}
		default: // a number or a word
			if size = bytes.IndexAny(b, ",]} \t\r\n"); size < 1 {
				return
			}
		}
		b = b[size:]
	}
}

// quotedSize returns the size of the string that b begins; 0 if it does not end.
func quotedSize(b []byte) int {
	for at := 1; at < len(b); at++ {
		switch b[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return 0
}

// join puts the names of the members of objects together in path, as far as they
// fit.
func join(path []byte, names [][]byte, array []bool) []byte {
	for i, name := range names {
		if array[i] {
			continue
		}
		if len(path)+1+len(name) > cap(path) {
			return path[:0]
		}
		if len(path) > 0 {
			path = append(path, '.')
		}
		path = append(path, name...)
	}
	return path
}

// unquote returns the text of a string that is handed on.
func unquote(quoted []byte) string {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return text([]byte(s))
}
