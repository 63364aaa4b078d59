package batchgcd

import (
	"errors"
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
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
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
		out = append(out, s.All())
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
	if diff := cmp.Diff([]Places{{Given: []string{"copy of b"}, Remembered: []string{"b"}}}, second.Equal); diff != "" {
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
				return cmp.Equal([]string{"1029", "2147", "3"}, s.All())
			}
		}
		return false
	}
	if !has(whole) || !has(last) {
		t.Errorf("the planted prime: in one go %v, in steps %v, want both", has(whole), has(last))
	}
}

// fileOf returns the path of the only file of moduli in a set.
func fileOf(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil || len(names) != 1 {
		t.Fatalf("got %v, %v, want one file", names, err)
	}
	return names[0]
}

// compareDamaged returns what a comparison with a set says that something is wrong
// with.
func compareDamaged(t *testing.T, dir string, n *big.Int) error {
	t.Helper()
	s, err := OpenSet(dir)
	if err != nil {
		return err
	}
	_, err = s.Compare(t.Context(), []Key{{Label: "b", N: n}}, Options{})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return err
}

// TestSet_damage changes, cuts and removes each file of a set.
func TestSet_damage(t *testing.T) {
	p := primes(4)
	dir := t.TempDir()
	compare(t, dir, Key{Label: "a", N: new(big.Int).Mul(p[0], p[1])})
	for _, name := range []string{fileOf(t, dir), filepath.Join(dir, indexName)} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write := func(b []byte) {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		wrong := func(what string) {
			t.Helper()
			if err := compareDamaged(t, dir, p[2]); err == nil || !strings.Contains(err.Error(), filepath.Base(name)) || !strings.Contains(err.Error(), "backup") {
				t.Fatalf("%s: got %v, want an error that names %s and the mend", what, err, name)
			}
		}
		for at := 0; at < len(data); at += 3 {
			bad := append([]byte(nil), data...)
			bad[at] ^= 1
			write(bad)
			wrong(fmt.Sprintf("byte %d changed", at))
			write(data[:at])
			wrong(fmt.Sprintf("cut at byte %d", at))
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		wrong("removed")
		write(data)
	}
	if err := compareDamaged(t, dir, p[2]); err != nil {
		t.Errorf("whole again: %v", err)
	}
}

// TestSet_version refuses what a later version wrote, and says so.
func TestSet_version(t *testing.T) {
	p := primes(4)
	dir := t.TempDir()
	compare(t, dir, Key{Label: "a", N: new(big.Int).Mul(p[0], p[1])})
	name := filepath.Join(dir, indexName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(data), "format 2", "format 3", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compareDamaged(t, dir, p[2]); err == nil || !strings.Contains(err.Error(), `format "3"`) {
		t.Errorf("got %v, want an error that names the format", err)
	}
}

// TestSet_crash leaves what an update leaves that ends before its index is written,
// with a file that would replace the last one.
func TestSet_crash(t *testing.T) {
	p := primes(6)
	key := func(label string, a, b int) Key { return Key{Label: label, N: new(big.Int).Mul(p[a], p[b])} }
	dir := t.TempDir()
	compare(t, dir, key("a", 0, 1))
	index := filepath.Join(dir, indexName)
	before, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(fileOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	firstName := fileOf(t, dir)
	compare(t, dir, key("b", 2, 3))
	for name, data := range map[string][]byte{index: before, firstName: first, filepath.Join(dir, "new-123"): []byte("half")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := compare(t, dir, key("c", 2, 4))
	if r.Moduli != 2 || r.Added != 1 || len(r.Shared) != 0 {
		t.Errorf("got %+v, want what the first index knows", r)
	}
	fileOf(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "new-123")); !os.IsNotExist(err) {
		t.Errorf("the half-written file: %v, want that it is gone", err)
	}
	if r := compare(t, dir, key("d", 0, 5)); r.Moduli != 3 || len(r.Shared) != 1 {
		t.Errorf("got %+v, want the prime of a", r)
	}
}

func TestSet_locked(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSet(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSet(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a second opening: got %v, want that it is locked", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = OpenSet(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSet_bounds(t *testing.T) {
	for name, n := range map[string]*big.Int{"zero": new(big.Int), "one": big.NewInt(1), "negative": big.NewInt(-15), "huge": power(MaxBits)} {
		var s *Set
		if _, err := s.Compare(t.Context(), []Key{{Label: "x.pem:2", N: n}}, Options{}); err == nil || !strings.Contains(err.Error(), "x.pem:2") {
			t.Errorf("%s: got %v, want an error that names the key", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	if _, err := writeFile(dir, 0, []Key{{Label: "a", N: big.NewInt(15)}}, big.NewInt(15)); err != nil {
		f.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil || len(names) != 1 {
		f.Fatal(names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, _, err := parse(data); err == nil && (len(got.keys) == 0 || len(got.keys) > perFile) {
			t.Errorf("got %d keys", len(got.keys))
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add("probity moduli, format 2\n00000000-01020304.moduli 1 00\n")
	f.Fuzz(func(t *testing.T, text string) {
		files, err := parseIndex(text)
		for _, x := range files {
			if err == nil && (x.keys < 1 || x.keys > perFile || filepath.Base(x.name) != x.name) {
				t.Errorf("took %+v", x)
			}
		}
	})
}

// TestSet_earlier asks that earlier keys are compared where the set lacks them, and
// found in the set where it has them.
func TestSet_earlier(t *testing.T) {
	dir := t.TempDir()
	p := primes(8)
	key := func(label string, a, b int, earlier bool) Key {
		return Key{Label: label, N: new(big.Int).Mul(p[a], p[b]), Earlier: earlier}
	}
	compare(t, dir, key("a", 0, 1, false), key("b", 2, 3, false))
	got := compare(t, dir, key("a (run 1)", 0, 1, true), key("b (run 1)", 2, 3, true), key("c (run 1)", 4, 5, true),
		key("d", 0, 6, false), key("e", 4, 7, false), key("f", 2, 3, false))
	want := []Places{{Given: []string{"c (run 1)", "e"}}, {Given: []string{"d"}, Remembered: []string{"a"}}}
	var shared []Places
	for _, s := range got.Shared {
		shared = append(shared, s.Places)
	}
	if diff := cmp.Diff(want, shared); diff != "" {
		t.Errorf("shared (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Places{{Given: []string{"b (run 1)", "f"}, Remembered: []string{"b"}}}, got.Equal); diff != "" {
		t.Errorf("equal (-want +got):\n%s", diff)
	}
	if got.Moduli != 5 || got.Added != 3 {
		t.Errorf("%d moduli, %d added, want 5 and 3", got.Moduli, got.Added)
	}
}
