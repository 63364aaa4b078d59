package cert

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zmap/zcrypto/encoding/asn1"
	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zcrypto/x509/pkix"
	zlint "github.com/zmap/zlint/v3/lint"
)

func TestWordSet(t *testing.T) {
	w := newWordSet(sampleNames()...)
	for _, tt := range []struct {
		text string
		want string
	}{
		{"pump-1", ""},
		{"", ""},
		{"s", ""},
		{"snakeoi", ""},
		{"SnakeOil", "snakeoil"},
		{"a.EXAMPLE.net", "example.net"},
		{"localhost.example.com", "localhost"},
		{"example.com localhost", "localhost"}, // the first of the set, not of the text
		{"the Internet Widgits Pty Ltd", "internet widgits pty ltd"},
	} {
		got := ""
		if at := w.find(tt.text); at >= 0 {
			got = w.words[at]
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestPersonFilters asks that no filter keeps a text from its pattern.
func TestPersonFilters(t *testing.T) {
	filtered, plain := compilePatterns(personTexts()), compilePatterns(personTexts())
	for _, text := range []string{
		"patient 12", "PAT_ID:7", "mrn=1", "MRN#0012", "DOB 1990", "birthdate 19", "Birth Date: 1",
		"x 123-45-6789 y", "DOE^JANE", "O'HARA^A-B", "pump-1", "sn 123-45-678", "a^b", "pat", "",
	} {
		for i, p := range plain {
			p.possible = nil
			if got, want := filtered[i].matches(text), p.matches(text); got != want {
				t.Errorf("pattern %d on %q: got %v, want %v", i, text, got, want)
			}
		}
	}
	for i, p := range filtered {
		if p.possible == nil || p.re == nil {
			t.Errorf("pattern %d has no filter or is none", i)
		}
	}
}

// TestZlinter_executes asks that the adapter finds what zlint's own framework
// finds, with every source, on the certificates of zlint's tests.
func TestZlinter_executes(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/zmap/zlint/v3").Output()
	if err != nil {
		t.Skipf("the sources of zlint are not here: %v", err)
	}
	names, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata", "*.pem"))
	if err != nil || len(names) < 1000 {
		t.Skipf("the sources of zlint hold %d test certificates, %v", len(names), err)
	}
	z := newZlinter(rfcSources())
	hits := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		var want []string
		for _, l := range z.lints {
			if r := l.Execute(c, z.config); r.Status == zlint.Warn || r.Status == zlint.Error {
				want = append(want, l.Name)
			}
		}
		if diff := cmp.Diff(want, z.run(c)); diff != "" {
			t.Errorf("%s (-framework +adapter)\n%s", filepath.Base(name), diff)
		}
		hits += len(want)
	}
	if hits < 100 {
		t.Errorf("only %d hits compared", hits)
	}
}

// failing is a lint of zlint that panics.
type failing struct{}

func (failing) CheckApplies(*x509.Certificate) bool         { return true }
func (failing) Execute(*x509.Certificate) *zlint.LintResult { panic("out of bounds") }

// warning is one that always warns.
type warning struct{}

func (warning) CheckApplies(*x509.Certificate) bool { return true }
func (warning) Execute(*x509.Certificate) *zlint.LintResult {
	return &zlint.LintResult{Status: zlint.Warn}
}

// TestZlinter_panic asks that the lints around one that panics are heard.
func TestZlinter_panic(t *testing.T) {
	lintOf := func(name string, l zlint.CertificateLintInterface) *zlint.CertificateLint {
		return &zlint.CertificateLint{LintMetadata: zlint.LintMetadata{Name: name}, Lint: func() zlint.CertificateLintInterface { return l }}
	}
	z := zlinter{lints: []*zlint.CertificateLint{lintOf("a", warning{}), lintOf("b", failing{}), lintOf("c", warning{}), lintOf("d", failing{})}, framed: make([]bool, 4), about: make([]uint32, 4), every: make([]bool, 4), usage: make([]bool, 4)}
	got := z.run(new(x509.Certificate))
	if diff := cmp.Diff([]string{"a", "c"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMuted asks that each muted lint is one of zlint's, and has a reason.
func TestMuted(t *testing.T) {
	lints := zlint.GlobalRegistry().CertificateLints()
	for _, list := range []map[string]string{muted(), mutedSelfSigned()} {
		for name, reason := range list {
			if lints.ByName(name) == nil || reason == "" {
				t.Errorf("%s is no lint of zlint, or has no reason", name)
			}
		}
	}
}

// TestZlinter_longKeyUsage asks that a keyUsage of any length is told wrong, without the
// lints that write out each of its bits.
func TestZlinter_longKeyUsage(t *testing.T) {
	z := newZlinter(rfcSources())
	for _, n := range []int{longKeyUsage, 200_000} {
		e := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: bytes.Repeat([]byte{3}, n)}
		c := &x509.Certificate{Version: 3, Extensions: []pkix.Extension{e}, ExtensionsMap: map[string]pkix.Extension{keyUsageID: e}}
		if got := z.run(c); !slices.Contains(got, wrongLength) || slices.Contains(got, "e_incorrect_ku_encoding") {
			t.Errorf("%d bytes: got %v, want %s", n, got, wrongLength)
		}
	}
}
