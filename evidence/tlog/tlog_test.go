package tlog

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
)

func TestAppendLine(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		cols       []any
		want       string
	}{
		{"all types", "run", []any{int64(-7), "a", []byte{0xAB, 0}, nil}, `["run",-7,"a","ab00",null]`},
		{"escapes", "x", []any{"\"\\\b\t\n\f\r\x01\x1f\x7f</é\u2028"}, `["x","\"\\\b\t\n\f\r\u0001\u001f` + "\x7f</é\u2028" + `"]`},
		{"empty", "x", []any{"", []byte{}}, `["x","",""]`},
		{"no columns", "x", nil, `["x"]`},
		{"extremes", "x", []any{int64(-1 << 63), int64(1<<63 - 1)}, `["x",-9223372036854775808,9223372036854775807]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendLine(nil, tt.kind, tt.cols)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAppendLine_refuses(t *testing.T) {
	for name, c := range map[string]any{"float": 1.5, "int": 1, "bool": true, "nul": "a\x00b", "bad utf-8": "a\xff"} {
		if got, err := AppendLine(nil, "x", []any{c}); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

// TestTree compares the compact range with the recursive definition of RFC 6962
// section 2.1, written out here.
func TestTree(t *testing.T) {
	var tree Tree
	var leaves []Hash
	for n := range 130 {
		if got, want := tree.Root(), definition(leaves); got != want {
			t.Fatalf("root of %d leaves: got %x, want %x", n, got, want)
		}
		leaf := LeafHash(fmt.Appendf(nil, "leaf %d", n))
		leaves = append(leaves, leaf)
		before := tree.Clone()
		tree.Append(leaf)
		if before.Size() != int64(n) || before.Root() != definition(leaves[:n]) {
			t.Fatalf("a clone of %d leaves changed with its origin", n)
		}
	}
}

func definition(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		var h Hash
		b, _ := hex.DecodeString("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
		copy(h[:], b)
		return h
	case 1:
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(definition(leaves[:k]), definition(leaves[k:]))
}

// TestLeafHash_vectors holds the two best known values of RFC 6962 logs.
func TestLeafHash_vectors(t *testing.T) {
	empty := LeafHash(nil)
	if got, want := hex.EncodeToString(empty[:]), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"; got != want {
		t.Errorf("leaf of no bytes: got %s, want %s", got, want)
	}
}

func TestAudit(t *testing.T) {
	var tree Tree
	var leaves []Hash
	var old []Checkpoint
	for n := range 20 {
		old = append(old, Checkpoint{Origin: "x", Size: int64(n), Root: tree.Root()})
		leaves = append(leaves, LeafHash([]byte{byte(n)}))
		tree.Append(leaves[n])
	}
	run := func(cs []Checkpoint, leaves []Hash) []error {
		a := NewAudit(cs)
		for _, l := range leaves {
			a.Append(l)
		}
		_, errs := a.Finish()
		return errs
	}
	if errs := run(old, leaves); errs != nil {
		t.Errorf("unchanged log: %v", errs)
	}
	short := run(old, leaves[:15])
	if len(short) != 4 {
		t.Errorf("cut log: %d errors, want 4: %v", len(short), short)
	}
	changed := append([]Hash(nil), leaves...)
	changed[9][0] ^= 1
	errs := run(old, changed)
	if len(errs) != 10 {
		t.Fatalf("changed log: %d errors, want 10", len(errs))
	}
	if e, ok := errors.AsType[*InconsistentError](errs[0]); !ok || e.Checkpoint.Size != 10 || !strings.Contains(e.Error(), "at 10 entries: root is") {
		t.Errorf("first inconsistency: %v", errs[0])
	}
	wrongEmpty := []Checkpoint{{Origin: "x", Size: 0, Root: leaves[0]}}
	if errs := run(wrongEmpty, nil); len(errs) != 1 {
		t.Errorf("wrong empty root: %v", errs)
	}
}

func newKeyT(t testing.TB, name string) (*Key, *Verifier, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.key")
	k, err := CreateKey(path, name)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseVerifier(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k, v, path
}

func TestCheckpoint_roundTrip(t *testing.T) {
	k, v, _ := newKeyT(t, "probity/a")
	c := Checkpoint{Origin: "probity/a", Size: 12, Root: LeafHash([]byte("x"))}
	msg, err := c.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (Checkpoint, error){
		"open":  func() (Checkpoint, error) { return OpenCheckpoint(msg, v) },
		"parse": func() (Checkpoint, error) { return ParseCheckpoint(msg) },
	} {
		got, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, other, _ := newKeyT(t, "probity/a")
	if _, err := OpenCheckpoint(msg, other); err == nil {
		t.Error("opened under the key of another log")
	}
	for i := range msg {
		bad := append([]byte(nil), msg...)
		bad[i] ^= 1
		if got, err := OpenCheckpoint(bad, v); err == nil {
			t.Errorf("byte %d changed: opened as %v", i, got)
		}
	}
}

func TestCheckpoint_malformed(t *testing.T) {
	root := strings.TrimSpace(strings.Split(Checkpoint{Origin: "o"}.Text(), "\n")[2])
	for name, text := range map[string]string{
		"two lines":      "o\n1\n",
		"extension":      "o\n1\n" + root + "\nmore\n",
		"no origin":      "\n1\n" + root + "\n",
		"leading zero":   "o\n01\n" + root + "\n",
		"plus":           "o\n+1\n" + root + "\n",
		"negative":       "o\n-1\n" + root + "\n",
		"short root":     "o\n1\nAAAA\n",
		"unpadded root":  "o\n1\n" + strings.TrimRight(root, "=") + "\n",
		"no newline":     "o\n1\n" + root,
		"loose last bit": "o\n1\n" + strings.Replace(root, "A=", "B=", 1) + "\n",
	} {
		if c, err := parseText(text); err == nil {
			t.Errorf("%s: parsed as %v", name, c)
		}
	}
	if _, err := ParseCheckpoint(make([]byte, maxNote+1)); err == nil {
		t.Error("a note over the limit was parsed")
	}
	k, _, _ := newKeyT(t, "o")
	if msg, err := (Checkpoint{Origin: "a\nb", Size: 1}).Sign(k); err == nil {
		t.Errorf("an origin of two lines was signed: %q", msg)
	}
}

func TestKeyFile(t *testing.T) {
	k, _, path := newKeyT(t, "probity/a")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	loaded, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := os.ReadFile(PublicFile(path))
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Public() != k.Public() || string(pub) != k.Public()+"\n" {
		t.Errorf("public key: created %q, loaded %q, file %q", k.Public(), loaded.Public(), pub)
	}
	if _, err := CreateKey(path, "probity/a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over an existing key: %v", err)
	}
	if again, err := LoadKey(path); err != nil || again.Public() != k.Public() {
		t.Errorf("the key changed: %v", err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKey(path); !errors.Is(err, ErrKeyMode) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing key: %v", err)
	}
	if _, err := CreateKey(path, "probity/a"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create beside a left-over public key: %v", err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a refused creation left a private key")
	}
	if _, err := LoadKey(t.TempDir()); err == nil {
		t.Error("a directory was loaded as a key")
	}
	if _, err := CreateKey(filepath.Join(t.TempDir(), "k"), "a b"); err == nil {
		t.Error("a key with a blank in its name was created")
	}
}

// TestParseKey_plus covers keys whose base64 holds plus signs, which are also
// the separator of the text form.
func TestParseKey_plus(t *testing.T) {
	for range 64 {
		_, _, path := newKeyT(t, "n")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "+") > 4 {
			if _, err := ParseKey(text); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no key with a plus sign in 64 tries")
}

func FuzzAppendLine(f *testing.F) {
	f.Add("run", int64(1), "a\"\n", []byte{1})
	f.Add("é", int64(-1), "\x00", []byte(nil))
	f.Fuzz(func(t *testing.T, kind string, i int64, s string, b []byte) {
		line, err := AppendLine(nil, kind, []any{i, s, b, nil})
		ok := func(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
		if (err == nil) != (ok(kind) && ok(s)) {
			t.Fatalf("kind %q, text %q: error %v", kind, s, err)
		}
		if err != nil {
			return
		}
		var got []any
		dec := json.NewDecoder(strings.NewReader(string(line)))
		dec.UseNumber()
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		want := []any{kind, json.Number(fmt.Sprint(i)), s, hex.EncodeToString(b), nil}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	k, _, _ := newKeyT(f, "probity/a")
	msg, err := Checkpoint{Origin: "probity/a", Size: 12}.Sign(k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add([]byte("o\n1\nAAAA\n\n— o AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		c, err := ParseCheckpoint(msg)
		if err == nil && !strings.HasPrefix(string(msg), c.Text()+"\n") {
			t.Fatalf("%q parsed as %v, which has the text %q", msg, c, c.Text())
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("PRIVATE+KEY+a+00000000+AAAA")
	f.Add("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
	f.Add("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey([]byte(text)); err == nil {
			if _, err := ParseVerifier(k.Public()); err != nil {
				t.Fatalf("public half of %q: %v", text, err)
			}
		}
		_, _ = ParseVerifier(text)
	})
}
