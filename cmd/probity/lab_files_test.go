//go:build cgo

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/lab"
)

// TestLab_files judges the certificates of labs as files and compares every fail and
// warn with the truth, in both directions: the flaws of certificates and keys must be
// found without a device to ask.
func TestLab_files(t *testing.T) {
	for _, seed := range []uint64{2, 6} {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			l, err := lab.New(lab.Config{Devices: 60, Seed: seed, At: labAt})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := l.WriteFiles(dir); err != nil {
				t.Fatal(err)
			}
			out := probity(t, exitNegative, "lint", filepath.Join(dir, "certificates.pem"), "--policy", filepath.Join(dir, "policy.yaml"),
				"--at", labAt.Format(time.RFC3339), "--format", "json", "--max", "0")
			want := expectedInFiles(l.Truth())
			if len(want) < 12 {
				t.Fatalf("the truth lists only %d findings", len(want))
			}
			if diff := cmp.Diff(want, negativesInFiles(t, out)); diff != "" {
				t.Errorf("fails and warns (-truth +found):\n%s", diff)
			}
		})
	}
}

// expectedInFiles is what of the truth certificates show by themselves.
func expectedInFiles(truth lab.Truth) []string {
	leaf := make(map[string]string) // of each endpoint
	var out []string
	for _, d := range truth.Devices {
		for _, e := range d.Endpoints {
			if e.TLS != nil {
				leaf[e.Endpoint] = e.TLS.Leaf
			}
		}
		for _, f := range d.Findings {
			area := strings.Split(f.Rule, "-")[1]
			switch {
			case area != "CERT" && area != "KEY" && area != "CHAIN":
			case f.Rule == "MD-CHAIN-001" && f.Outcome == "warn": // the file holds the CA that the device does not send
			case f.Rule == "MD-CERT-008": // no file shows that a device presents the CA as its own
			default:
				out = append(out, fmt.Sprint(f.Rule, " ", f.Outcome, " ", []string{leaf[f.Endpoint]}))
			}
		}
	}
	for _, f := range truth.Fleet {
		outcome := f.Outcome
		switch f.Kind {
		case "", "certificate": // chains that devices send, and two devices with one certificate
			continue
		case "key":
			outcome = "warn" // a file proves no device
		}
		var certificates []string
		for _, e := range f.Endpoints {
			certificates = append(certificates, leaf[e])
		}
		slices.Sort(certificates)
		out = append(out, fmt.Sprint(f.Rule, " ", outcome, " ", certificates))
	}
	slices.Sort(out)
	return slices.Compact(out) // a device with two addresses has one certificate
}

// negativesInFiles are the fail and warn findings of a report in the form of
// expectedInFiles.
func negativesInFiles(t *testing.T, report string) []string {
	t.Helper()
	var doc struct {
		Findings []struct {
			Key, Rule, Outcome, Certificate string
		}
		Duplicates []struct {
			Finding      string
			Certificates []string
		}
	}
	if err := json.Unmarshal([]byte(report), &doc); err != nil {
		t.Fatal(err)
	}
	members := make(map[string][]string)
	for _, d := range doc.Duplicates {
		members[d.Finding] = d.Certificates
	}
	var out []string
	for _, f := range doc.Findings {
		if f.Outcome != "fail" && f.Outcome != "warn" {
			continue
		}
		certificates := members[f.Key]
		if f.Certificate != "" {
			certificates = []string{f.Certificate}
		}
		slices.Sort(certificates)
		out = append(out, fmt.Sprint(f.Rule, " ", f.Outcome, " ", certificates))
	}
	slices.Sort(out)
	return out
}
