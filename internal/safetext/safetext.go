// Package safetext makes untrusted text safe to show. Certificate subjects,
// banners and file names come from the network: they may hold terminal escapes,
// bidirectional overrides, spreadsheet formulas or megabytes of anything.
package safetext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxField is the longest text kept of one field, in bytes.
const MaxField = 1024

const ellipsis = "…"

// Clean returns s as one line of valid UTF-8 of at most [MaxField] bytes.
// Control, format (bidirectional, zero-width), surrogate, private-use and
// unassigned characters and invalid bytes become \x, \u or \U escapes; a longer
// text is cut and ends in an ellipsis. Clean is idempotent for text without
// backslash escapes to add and never returns a longer text than the limit.
func Clean(s string) string { return CleanN(s, MaxField) }

// CleanN is [Clean] with a limit of max bytes; max must be at least 3.
func CleanN(s string, max int) string {
	if len(s) <= max && plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		piece := s[i : i+size]
		if r == utf8.RuneError && size == 1 {
			piece = escape(rune(s[i]))
		} else if !printable(r) {
			piece = escape(r)
		}
		i += size
		if b.Len()+len(piece) > max-len(ellipsis) {
			rest := piece + s[i:]
			if b.Len()+len(rest) <= max && !needsEscape(s[i:]) {
				b.WriteString(rest)
				return b.String()
			}
			b.WriteString(ellipsis)
			return b.String()
		}
		b.WriteString(piece)
	}
	return b.String()
}

// plain reports whether s is printable ASCII, as nearly all text is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func printable(r rune) bool { return r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) }

func needsEscape(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !printable(r) {
			return true
		}
		i += size
	}
	return false
}

func escape(r rune) string {
	const hexDigits = "0123456789abcdef"
	digits, prefix := 2, `\x`
	switch {
	case r > 0xffff:
		digits, prefix = 8, `\U`
	case r > 0xff:
		digits, prefix = 4, `\u`
	}
	out := []byte(prefix)
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		out = append(out, hexDigits[(r>>shift)&0xf])
	}
	return string(out)
}
