package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/scanner/identify/fingerprint"
)

// TestDocs_fingerprints: the list for users is what the program carries.
func TestDocs_fingerprints(t *testing.T) {
	set, err := fingerprint.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("..", "..", "docs", "fingerprints.md")
	want := "# Fingerprints\n\nWhat devices are known by, each with its source. `docs/new-fingerprint.md` says how to add one. This file is written by\n`make golden` from `scanner/identify/fingerprint/data`.\n\n" + set.Markdown()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("docs/fingerprints.md is not up to date; run make golden (-program +file):\n%s", diff)
	}
	if !strings.Contains(want, "manufacturers,") {
		t.Error("the list has no summary")
	}
}

// TestDocs_newFingerprint: the entry that contributors are shown passes as it stands.
func TestDocs_newFingerprint(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "new-fingerprint.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	entry, _, ok := strings.Cut(rest, "```")
	n, failures, err := fingerprint.CheckFile("acme.yaml", []byte(entry))
	if !ok || err != nil || len(failures) > 0 || n.Entries == 0 {
		t.Errorf("%+v checked: %v %v", n, err, failures)
	}
	_, _, err = fingerprint.CheckFile("acme.yaml", []byte(strings.Replace(entry, "- name: Acme", "- name: Somebody Else", 1)))
	if err == nil || !strings.Contains(err.Error(), `add it there, or under "manufacturers:" of this file`) {
		t.Errorf("an unknown manufacturer: %v", err)
	}
}
