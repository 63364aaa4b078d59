//go:build cgo

package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/evidence/store"
	"probity/fixtures/traffic"
)

// traffics writes a capture to a file of the test and returns its truth.
func traffics(t testing.TB, c traffic.Config) (path string, truth traffic.Truth) {
	t.Helper()
	path = filepath.Join(t.TempDir(), fmt.Sprintf("seed%d.pcap", c.Seed))
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	truth, err = traffic.Write(f, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, truth
}

// sighted is what a database holds of the traffic in a capture.
type sighted struct {
	Certificates, ServerNames []string
	TLS, DICOM, HL7           int
}

func sightings(t testing.TB, db string) sighted {
	t.Helper()
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	obs, err := observations(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	var s sighted
	for _, o := range obs {
		for _, c := range o.Certs {
			s.Certificates = append(s.Certificates, evidence.DigestOf(c.DER).String())
		}
		switch {
		case o.Facts.TLS != nil:
			s.TLS++
			if name := o.Facts.TLS.ServerName; name != "" {
				s.ServerNames = append(s.ServerNames, name)
			}
		case o.Facts.DICOM != nil && o.Facts.DICOM.PDU == "rq":
			s.DICOM++
		case o.Facts.HL7 != nil && o.Facts.HL7.Sender == evidence.RoleClient:
			s.HL7++
		}
	}
	for _, list := range []*[]string{&s.Certificates, &s.ServerNames} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return s
}

func wanted(truth traffic.Truth) sighted {
	return sighted{truth.Certificates, truth.ServerNames, len(truth.TLS), len(truth.DICOM), len(truth.HL7)}
}

// TestRead_traffic: everything in the truth of a capture is found, also when the
// network disturbs the order, and nothing of a payload.
func TestRead_traffic(t *testing.T) {
	for _, c := range []traffic.Config{
		{Seed: 1, Bytes: 6 << 20, Density: 4},
		{Seed: 2, Bytes: 5 << 20, Late: 60, Twice: 40, Density: 8},
		{Seed: 5, Bytes: 5 << 20, Late: 10, Twice: 10, Density: 4, Tunnels: true},
		{Seed: 6, Bytes: 4 << 20, Late: 20, Twice: 20, Density: 6, Tunnels: true, Pieces: true},
	} {
		t.Run(fmt.Sprintf("seed%d", c.Seed), func(t *testing.T) {
			path, truth := traffics(t, c)
			db := filepath.Join(t.TempDir(), "a.db")
			probity(t, exitOK, "read", path, "--db", db, "--fail-on", "none", "--quiet")
			if diff := cmp.Diff(wanted(truth), sightings(t, db)); diff != "" {
				t.Errorf("-truth +probity:\n%s", diff)
			}
			b, err := os.ReadFile(db)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(traffic.Marker)) {
				t.Error("a payload is in the database")
			}
		})
	}
}

// TestRead_twice: what was read before gives sightings, no certificates.
func TestRead_twice(t *testing.T) {
	path, truth := traffics(t, traffic.Config{Seed: 3, Bytes: 2 << 20, Density: 8})
	db := filepath.Join(t.TempDir(), "a.db")
	rows := func() (certificates, sightings int) {
		conn, err := sql.Open("sqlite3", db)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.QueryRow("SELECT count(*), sum(sightings) FROM v_certificate").Scan(&certificates, &sightings); err != nil {
			t.Fatal(err)
		}
		return certificates, sightings
	}
	probity(t, exitOK, "read", path, "--db", db, "--fail-on", "none", "--quiet")
	certificates, presented := rows()
	if certificates != len(truth.Certificates) {
		t.Errorf("%d certificates, want %d", certificates, len(truth.Certificates))
	}
	probity(t, exitOK, "read", path, "--db", db, "--fail-on", "none", "--quiet")
	again, twice := rows()
	if again != certificates || twice != 2*presented {
		t.Errorf("read twice: %d certificates with %d sightings, want %d with %d", again, twice, certificates, 2*presented)
	}
}
