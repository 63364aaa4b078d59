package cert

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
)

// TestAboutExtensions holds that zlint's lints about an extension do not apply to any
// of its test certificates that is without, and do apply to some that have it, or to
// all of them.
func TestAboutExtensions(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/zmap/zlint/v3").Output()
	if err != nil {
		t.Skipf("the sources of zlint are not here: %v", err)
	}
	names, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata", "*.pem"))
	if err != nil || len(names) == 0 {
		t.Skipf("the sources of zlint hold %d test certificates, %v", len(names), err)
	}
	about, every := make(map[string]string), make(map[string]bool)
	for id, lints := range aboutExtensions() {
		for _, name := range slices.Concat(lints.every, lints.some) {
			about[name] = id
			every[name] = slices.Contains(lints.every, name)
		}
	}
	applied, without := make(map[string]bool), 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		for lint, id := range about {
			l := zlint.GlobalRegistry().CertificateLints().ByName(lint)
			if l == nil {
				t.Fatalf("zlint has no lint %s", lint)
			}
			applies := l.Lint().CheckApplies(c)
			applied[lint] = applied[lint] || applies
			if _, has := c.ExtensionsMap[id]; has && every[lint] && !applies {
				t.Errorf("%s does not apply to %s, which has the extension %s", lint, filepath.Base(name), id)
			} else if !has {
				if without++; applies {
					t.Errorf("%s applies to %s, which has no extension %s", lint, filepath.Base(name), id)
				}
			}
		}
	}
	if without < 10_000 || len(applied) != len(about) {
		t.Errorf("%d times without the extension; %d lints of %d", without, len(applied), len(about))
	}
	for lint, did := range applied {
		if !did {
			t.Errorf("%s applies to none: does it exist for something else?", lint)
		}
	}
}
