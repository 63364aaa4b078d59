package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probity/evidence"
)

// TestSpill reads anywhere what was written, before and after it went to a file, which
// leaves nothing behind.
func TestSpill(t *testing.T) {
	dir := t.TempDir()
	s := newSpill(dir)
	defer s.close()
	random := rand.New(rand.NewPCG(1, 1))
	var all []byte
	seed := [32]byte{1}
	source := rand.NewChaCha8(seed)
	check := func() {
		t.Helper()
		w := window{of: s}
		for range 200 {
			at := random.IntN(len(all))
			n := random.IntN(min(200_000, len(all)-at)) + 1
			got := make([]byte, n)
			if _, err := s.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, all[at:at+n]) {
				t.Fatalf("%d bytes at %d: %v", n, at, err)
			}
			if got, err := w.bytes(int64(at), n); err != nil || !bytes.Equal(got, all[at:at+n]) {
				t.Fatalf("window: %d bytes at %d: %v", n, at, err)
			}
		}
	}
	for i := range 600 {
		piece := make([]byte, 1+random.IntN(150_000))
		_, _ = source.Read(piece)
		all = append(all, piece...)
		if _, err := s.Write(piece); err != nil {
			t.Fatal(err)
		}
		if i == 10 || i == 300 || i == 599 {
			check()
		}
	}
	if s.file == nil || s.size() != int64(len(all)) {
		t.Errorf("%d bytes of %d, file %v", s.size(), len(all), s.file)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestSpill_noRoom says what to do where there is no directory for the file.
func TestSpill_noRoom(t *testing.T) {
	s := newSpill(t.TempDir() + "/missing")
	_, err := s.Write(make([]byte, spillAfter))
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("--scratch")) {
		t.Errorf("got %v", err)
	}
}

// TestSpooledFindings returns every finding as it was.
func TestSpooledFindings(t *testing.T) {
	s := newSpooledFindings(t.TempDir())
	defer s.close()
	var want []evidence.Finding
	for i := range 5000 {
		shared := []int64{int64(i + 1)}
		subject := evidence.Subject{Endpoint: evidence.Endpoint{Transport: evidence.File, Name: fmt.Sprintf("%d.pem", i/3)}, Certificate: evidence.DigestOf([]byte{byte(i), byte(i >> 8)})}
		for n, rule := range []string{"MD-A-001", "MD-B-002", "MD-C-003"} {
			f := evidence.Finding{
				Rule: rule, Title: "title of " + rule, Severity: evidence.High, Outcome: evidence.Outcomes()[(i+n)%5],
				Subject: subject, Observations: shared, Detail: fmt.Sprint("said of ", i*n),
			}
			switch {
			case i%7 == 0 && n == 1:
				f.Observations = []int64{int64(i + 1), 1 << 40}
			case i%11 == 0 && n == 2:
				f.Observations = nil
			case i%100 == 0 && n == 0:
				f.Subject = evidence.Subject{Group: &evidence.Duplicate{Kind: evidence.DuplicateKey, Value: "v"}}
			}
			f.Key = evidence.FindingKey(f.Rule, f.Subject)
			want = append(want, f)
			if err := s.add(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.Len() != len(want) {
		t.Fatalf("%d findings of %d", s.Len(), len(want))
	}
	random := rand.New(rand.NewPCG(2, 2))
	for i := range 2 * len(want) {
		if i >= len(want) {
			i = random.IntN(len(want))
		}
		got := s.At(i)
		if len(got.Observations) == 0 {
			got.Observations = nil
		}
		if diff := cmp.Diff(want[i], got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || s.err != nil {
			t.Fatalf("finding %d, %v (-want +got):\n%s", i, s.err, diff)
		}
	}
}
