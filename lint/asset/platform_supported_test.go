package asset

import (
	"strings"
	"testing"
)

func TestPlatforms_table(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(platformsTSV, "\n"), "\n")
	if got, want := len(platforms()), len(lines)-2; got != want {
		t.Errorf("%d rows are usable, want %d", got, want)
	}
	if !strings.HasPrefix(lines[0], "# version 20") {
		t.Errorf("the table begins with %q, want its version", lines[0])
	}
	seen := map[string]bool{}
	for i, line := range lines[2:] {
		f := strings.Split(line, "\t")
		if len(f) != 4 || f[3] == "" || seen[f[0]] {
			t.Errorf("line %d: want platform, day, kind and a source, each platform once: %q", i+3, line)
		}
		seen[f[0]] = true
	}
}

func TestLookupPlatform(t *testing.T) {
	for text, want := range map[string]string{
		"Windows 7":                    "windows 7",
		"Windows 7 Professional":       "windows 7",
		"windows 6.1.7601":             "windows 6.1",
		"Windows Server 2012 R2":       "windows server 2012 r2",
		"Windows 10":                   "",
		"Windows 6.3":                  "", // newer systems say so, too
		"Windows":                      "",
		"Debian 1":                     "",
		"Debian 12.11":                 "debian 12",
		"My Debian 12":                 "",
		strings.Repeat("Debian", 1000): "",
	} {
		if got, _ := lookupPlatform(text); got.name != want {
			t.Errorf("%.40q is %q, want %q", text, got.name, want)
		}
	}
}
