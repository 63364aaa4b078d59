package batchgcd

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sortSlices[T any](less func(a, b T) bool) cmp.Option { return cmpopts.SortSlices(less) }

func compare(t *testing.T, dir string, keys ...Key) Report {
	t.Helper()
	var s *Set
	if dir != "" {
		var err error
		if s, err = OpenSet(dir); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.Compare(t.Context(), keys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func labels(r Report) [][]string {
	var out [][]string
	for _, s := range r.Shared {
		out = append(out, s.Labels)
	}
	return out
}

// TestSet_growing compares batch after batch with what went before, and expects what
// one comparison of all would say of the new ones.
func TestSet_growing(t *testing.T) {
	dir := t.TempDir()
	p := primes(12)
	key := func(label string, a, b int) Key { return Key{Label: label, N: new(big.Int).Mul(p[a], p[b])} }
	first := compare(t, dir, key("a", 0, 1), key("b", 2, 3), key("c", 4, 5))
	if diff := cmp.Diff(Report{Moduli: 3, Added: 3}, first); diff != "" {
		t.Errorf("first batch (-want +got):\n%s", diff)
	}
	second := compare(t, dir, key("d", 0, 6), key("e", 7, 8), key("f", 2, 4), key("copy of b", 2, 3))
	if diff := cmp.Diff([][]string{{"a", "d"}, {"b", "copy of b", "f"}, {"c", "f"}}, labels(second), sortSlices(func(a, b []string) bool { return slices.Compare(a, b) < 0 })); diff != "" {
		t.Errorf("second batch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"b", "copy of b"}}, second.Equal); diff != "" {
		t.Errorf("equal moduli (-want +got):\n%s", diff)
	}
	if second.Moduli != 6 || second.Added != 3 {
		t.Errorf("got %d moduli, %d added, want 6 and 3", second.Moduli, second.Added)
	}
	repeated := compare(t, dir, key("d", 0, 6), key("e", 7, 8), key("f", 2, 4), key("copy of b", 2, 3))
	if diff := cmp.Diff(labels(second)[0], labels(repeated)[0]); diff != "" || len(repeated.Shared) != 3 || repeated.Added != 0 {
		t.Errorf("second batch repeated: got %v", repeated)
	}
	again := compare(t, dir, key("e", 7, 8), key("g", 9, 10))
	if diff := cmp.Diff(Report{Moduli: 7, Added: 1}, again); diff != "" {
		t.Errorf("a key seen before and a new one (-want +got):\n%s", diff)
	}
}

// TestSet_files goes over the bounds of a file, in several steps and in one.
func TestSet_files(t *testing.T) {
	r := rand.NewChaCha8([32]byte{5})
	var keys []Key
	for i := range 2*perFile + 100 {
		keys = append(keys, Key{Label: fmt.Sprint(i), N: randomOdd(r, 64)})
	}
	p := prime(r, 64)
	for _, i := range []int{3, perFile + 5, 2*perFile + 99} {
		keys[i].N = new(big.Int).Mul(p, prime(r, 64))
	}
	dir := t.TempDir()
	whole := compare(t, t.TempDir(), keys...)
	compare(t, dir, keys[:10]...)
	compare(t, dir, keys[10:2*perFile-1]...)
	last := compare(t, dir, keys[2*perFile-1:]...)
	if whole.Moduli != len(keys) || last.Moduli != len(keys) {
		t.Errorf("got %d and %d moduli, want %d", whole.Moduli, last.Moduli, len(keys))
	}
	has := func(r Report) bool {
		for _, s := range r.Shared {
			if s.Value.Cmp(p) == 0 {
				return cmp.Equal([]string{"1029", "2147", "3"}, s.Labels)
			}
		}
		return false
	}
	if !has(whole) || !has(last) {
		t.Errorf("the planted prime: in one go %v, in steps %v, want both", has(whole), has(last))
	}
}

func TestSet_damage(t *testing.T) {
	p := primes(4)
	dir := t.TempDir()
	compare(t, dir, Key{Label: "a", N: new(big.Int).Mul(p[0], p[1])})
	name := filepath.Join(dir, fileName(0))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := range data {
		if at%7 != 0 && at > len(setMagic) {
			continue
		}
		bad := append([]byte(nil), data...)
		bad[at] ^= 1
		for _, b := range [][]byte{bad, data[:at]} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := OpenSet(dir)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Compare(t.Context(), []Key{{Label: "b", N: p[2]}}, Options{})
			if err == nil || !strings.Contains(err.Error(), fileName(0)) {
				t.Fatalf("damage at byte %d: got %v, want an error that names the file", at, err)
			}
		}
	}
	if err := os.Rename(name, filepath.Join(dir, fileName(1))); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSet(dir); err == nil || !strings.Contains(err.Error(), fileName(0)) {
		t.Errorf("a missing file: got %v, want an error that names it", err)
	}
}

func TestSet_bounds(t *testing.T) {
	for name, n := range map[string]*big.Int{"zero": new(big.Int), "negative": big.NewInt(-15), "huge": power(MaxBits)} {
		var s *Set
		if _, err := s.Compare(t.Context(), []Key{{Label: "x.pem:2", N: n}}, Options{}); err == nil || !strings.Contains(err.Error(), "x.pem:2") {
			t.Errorf("%s: got %v, want an error that names the key", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	s := &Set{dir: f.TempDir()}
	if err := s.write(0, &file{keys: []Key{{Label: "a", N: big.NewInt(15)}}, product: big.NewInt(15)}); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, fileName(0)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := parse(data); err == nil && (len(got.keys) == 0 || len(got.keys) > perFile) {
			t.Errorf("got %d keys", len(got.keys))
		}
	})
}
