package store

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// contract lists the views and their columns, as DESIGN section 5 fixes them.
func contract() []string {
	return []string{
		"v_run(run, mode, started, ended, status, targets, reached, packets_seen, packets_dropped, note)",
		"v_asset(asset, addresses, macs, manufacturer, model, version, serial, class, confidence, first_seen, last_seen)",
		"v_endpoint(asset, address, port, transport, protocol, server_name, tls_versions, tls_ciphers, client_auth, first_seen, last_seen)",
		"v_certificate(sha256, spki_sha256, subject, issuer, serial, not_before, not_after, key_algorithm, key_bits, signature_algorithm, is_ca, sightings, first_seen, last_seen)",
		"v_sighting(certificate, address, port, role, position, method, run, first_seen, last_seen, count)",
		"v_finding(finding, run, rule, severity, outcome, asset, address, port, certificate, title, detail, finding_key, waived)",
		"v_finding_evidence(finding, observation)",
		"v_duplicate(kind, value, certificates, assets, confidence)",
		"v_probe(run, address, port, probe, started, connections, bytes_sent, bytes_received, outcome, reason)",
		"v_clause(source, edition, clause, title, rule, relation, force, verified)",
		"v_claim(asset, attribute, value, confidence, layer, observation, source)",
		"v_asset_stay(asset, stay, address, first_seen, last_seen, ended)",
		"v_asset_join(asset, kept, ended, reason, observations)",
		"v_asset_event(asset, at, kind, subject, before, after, detail, observations, fact)",
		"v_asset_fact(fact, run, at, kind, asset, other, address, facts, reason, operator)",
	}
}

func TestViews_contract(t *testing.T) {
	s := openT(t, filepath.Join(t.TempDir(), "e.db"))
	doc, err := os.ReadFile("../../docs/contract/views.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range contract() {
		name, _, _ := strings.Cut(want, "(")
		var cols []string
		err := each(t.Context(), s.r, "SELECT name FROM pragma_table_info('"+name+"') ORDER BY cid", func(scan scanFunc) error {
			var col string
			err := scan(&col)
			cols = append(cols, col)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := name + "(" + strings.Join(cols, ", ") + ")"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		_, section, ok := strings.Cut(string(doc), "## "+name+"\n")
		if !ok {
			t.Errorf("views.md has no section %s", name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		var documented []string
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(section, -1) {
			documented = append(documented, m[1])
		}
		if diff := cmp.Diff(cols, documented); diff != "" {
			t.Errorf("columns of %s in views.md (-view +doc):\n%s", name, diff)
		}
	}
}

// TestViews_golden prints every view of one database.
func TestViews_golden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.db")
	s := openT(t, path)
	fill(t, s)
	var out bytes.Buffer
	for _, view := range contract() {
		name, _, _ := strings.Cut(view, "(")
		fmt.Fprintf(&out, "%s\n", view)
		row, ptrs := scanRow(strings.Count(view, ",") + 1)
		err := each(t.Context(), s.r, "SELECT * FROM "+name, func(scan scanFunc) error {
			err := scan(ptrs...)
			for i, v := range row {
				if i > 0 {
					out.WriteString(" | ")
				}
				if v == nil {
					v = "NULL"
				}
				fmt.Fprint(&out, v)
			}
			out.WriteString("\n")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	var sum, spki, key []byte
	if err := s.r.QueryRowContext(t.Context(), "SELECT substr(keys,1,32) FROM verdict WHERE id=1").Scan(&key); err != nil {
		t.Fatal(err)
	}
	if err := s.r.QueryRowContext(t.Context(), "SELECT b.sha256, c.spki_sha256 FROM proj_certificate c JOIN blob b ON b.id=c.blob WHERE subject IS NOT NULL").Scan(&sum, &spki); err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(toDigest(sum).String(), "<sha256>", toDigest(spki).String(), "<spki>", toDigest(key).String(), "<key>").Replace(out.String())
	const golden = "testdata/views.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestViews_shell reads the views with the sqlite3 of the distribution, as an
// auditor would.
func TestViews_shell(t *testing.T) {
	shell := peer.Require(t, "sqlite3")["sqlite3"]
	path, _ := filled(t)
	for _, view := range contract() {
		name, _, _ := strings.Cut(view, "(")
		out, err := osexec.CommandContext(t.Context(), shell, "-readonly", "-json", path, "SELECT * FROM "+name).CombinedOutput()
		if err != nil || len(out) == 0 {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// TestProjection_rebuilt deletes a projection; the next writable Open writes it
// again.
func TestProjection_rebuilt(t *testing.T) {
	path, o := filled(t)
	count := func(s *Store) (n int) {
		if err := s.r.QueryRowContext(t.Context(), "SELECT count(*) FROM v_certificate WHERE subject IS NOT NULL").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := openT(t, path)
	want := count(s)
	if _, err := s.w.ExecContext(t.Context(), "DELETE FROM proj_certificate"); err != nil {
		t.Fatal(err)
	}
	if n := count(s); n != 0 || want == 0 {
		t.Fatalf("%d certificates after deleting %d", n, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(openT(t, path)); n != want {
		t.Errorf("%d certificates are listed after reopening, want %d", n, want)
	}
	if r := verifyT(t, path, o); r.Status != StatusOK {
		t.Errorf("%s %v", r.Status, r.Problems)
	}
}
