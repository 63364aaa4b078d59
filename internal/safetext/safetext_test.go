package safetext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "CN=pump 12, O=Müller", "CN=pump 12, O=Müller"},
		{"terminal escape", "a\x1b[31mb", `a\x1b[31mb`},
		{"newline", "a\r\nb", `a\x0d\x0ab`},
		{"bidi override", "a\u202eb", `a\u202eb`},
		{"zero width", "a\u200bb", `a\u200bb`},
		{"invalid byte", "a\xffb", `a\xffb`},
		{"tag character", "a\U000e0041b", `a\U000e0041b`},
		{"no-break space", "a\u00a0b", `a\xa0b`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Clean(tt.in); got != tt.want {
				t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestCleanN_limit(t *testing.T) {
	if got := CleanN("abcdef", 6); got != "abcdef" {
		t.Errorf("exact fit: got %q", got)
	}
	if got := CleanN("abcdefg", 6); got != "abc…" {
		t.Errorf("cut: got %q", got)
	}
	if got := CleanN("abcde\x1b", 8); len(got) > 8 {
		t.Errorf("escape at the limit: got %q, %d bytes", got, len(got))
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\u202e")
	f.Add(strings.Repeat("\xff", 2000))
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if len(got) > MaxField || !utf8.ValidString(got) {
			t.Fatalf("Clean(%q): %d bytes, valid %v", s, len(got), utf8.ValidString(got))
		}
		for _, r := range got {
			if !printable(r) {
				t.Fatalf("Clean(%q) holds %U", s, r)
			}
		}
	})
}
