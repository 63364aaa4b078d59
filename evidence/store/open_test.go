package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"probity/evidence"
	"probity/evidence/tlog"
)

// TestMain runs the helpers of the tests below in processes of their own.
func TestMain(m *testing.M) {
	switch os.Getenv("PROBITY_STORE_HELPER") {
	case "writer":
		helperWriter(os.Getenv("PROBITY_STORE_DB"))
	case "full":
		helperFull(os.Getenv("PROBITY_STORE_DB"))
	default:
		os.Exit(m.Run())
	}
}

func TestOpen_errors(t *testing.T) {
	write := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "e.db")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	edit := func(t *testing.T, query string) string {
		path, _ := filled(t)
		db := sql.OpenDB(connector{dsn: "file:" + path + "?mode=rw", access: unguarded})
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const writable, readable, verify = 1, 2, 4
	for _, tt := range []struct {
		name string
		want error
		text string // in the message, beside the path
		by   int
		make func(t *testing.T) string
	}{
		{"not a database", ErrNotDatabase, "not a database", writable | readable | verify, func(t *testing.T) string { return write(t, strings.Repeat("PK\x03\x04", 1000)) }},
		{"short file", ErrNotDatabase, "not a database", writable | readable | verify, func(t *testing.T) string { return write(t, "hello") }},
		{"empty file", ErrForeign, "not one of probity", readable | verify, func(t *testing.T) string { return write(t, "") }},
		{"directory", ErrNotDatabase, "not a file", writable | readable | verify, func(t *testing.T) string { return t.TempDir() }},
		{"missing", fs.ErrNotExist, "no such file", readable | verify, func(t *testing.T) string { return filepath.Join(t.TempDir(), "e.db") }},
		{"missing directory", fs.ErrNotExist, "directory does not exist", writable, func(t *testing.T) string { return filepath.Join(t.TempDir(), "no", "e.db") }},
		{"other program", ErrForeign, "not one of probity", writable | readable | verify, func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "e.db")
			db := sql.OpenDB(connector{dsn: "file:" + path, access: unguarded})
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE x(a)"); err != nil {
				t.Fatal(err)
			}
			return path
		}},
		{"newer", ErrNewer, "version 9", writable | readable | verify, func(t *testing.T) string { return edit(t, "PRAGMA user_version=9") }},
		{"no version", ErrCorrupt, "version is 0", writable | readable | verify, func(t *testing.T) string { return edit(t, "PRAGMA user_version=0") }},
		{"key missing", ErrKeyMissing, "put it back", writable, func(t *testing.T) string {
			path, _ := filled(t)
			if err := os.Remove(path + ".key"); err != nil {
				t.Fatal(err)
			}
			return path
		}},
		{"key readable by others", tlog.ErrKeyMode, "chmod 600", writable, func(t *testing.T) string {
			path, _ := filled(t)
			if err := os.Chmod(path+".key", 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}},
		{"key of another log", ErrKeyForeign, "not the key that signs", writable, func(t *testing.T) string {
			path, _ := filled(t)
			other, _ := filled(t)
			if err := os.Rename(other+".key", path+".key"); err != nil {
				t.Fatal(err)
			}
			return path
		}},
		{"log cut", ErrInconsistent, "run probity verify", writable, func(t *testing.T) string {
			path, _ := filled(t)
			attack(t, path, func(_ context.Context, c *sql.Conn) {
				exec(t, c, "DELETE FROM entry WHERE seq>30")
			})
			return path
		}},
	} {
		for _, mode := range []struct {
			bit  int
			name string
			do   func(path string) error
		}{
			{writable, "write", func(path string) error { return openClose(t, path, Options{Now: clock()}) }},
			{readable, "read", func(path string) error { return openClose(t, path, Options{ReadOnly: true}) }},
			{verify, "verify", func(path string) error {
				_, err := Verify(t.Context(), path, VerifyOptions{})
				return err
			}},
		} {
			if tt.by&mode.bit == 0 {
				continue
			}
			t.Run(tt.name+"/"+mode.name, func(t *testing.T) {
				path := tt.make(t)
				// A file of ours may have been opened and closed again: then what
				// counts is what it holds.
				state := func() string {
					if errors.Is(tt.want, ErrKeyMissing) || errors.Is(tt.want, tlog.ErrKeyMode) || errors.Is(tt.want, ErrKeyForeign) || errors.Is(tt.want, ErrInconsistent) {
						return dump(t, path)
					}
					b, _ := os.ReadFile(path)
					return string(b)
				}
				before := state()
				err := mode.do(path)
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), filepath.Dir(path)) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if state() != before {
					t.Error("the file was changed")
				}
				if _, err := os.Stat(path + ".lock"); err == nil {
					t.Error("a lock file was left")
				}
			})
		}
	}
}

func openClose(t *testing.T, path string, o Options) error {
	s, err := Open(t.Context(), path, o)
	if err != nil {
		return err
	}
	return s.Close()
}

func TestOpen_needsClock(t *testing.T) {
	if err := openClose(t, filepath.Join(t.TempDir(), "e.db"), Options{}); err == nil {
		t.Error("opened for writing without a clock")
	}
}

// TestOpen_corruptPage overwrites the pages behind the header.
func TestOpen_corruptPage(t *testing.T) {
	path, o := filled(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(b); i += 4096 {
		copy(b[i:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openClose(t, path, Options{Now: clock()}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("open: %v", err)
	}
	r, err := Verify(t.Context(), path, o)
	if err == nil && r.Status != StatusTampered || err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("verify: %s %v", r.Status, err)
	}
}

func TestOpen_secondWriter(t *testing.T) {
	path, _ := filled(t)
	first := openT(t, path)
	err := openClose(t, path, Options{Now: clock()})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("second writer: %v", err)
	}
	if _, err := reader(t, path).Runs(t.Context()); err != nil {
		t.Errorf("reader beside a writer: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openClose(t, path, Options{Now: clock()}); err != nil {
		t.Errorf("after the first is closed: %v", err)
	}
}

// TestStore_locked has another program hold SQLite's own write lock.
func TestStore_locked(t *testing.T) {
	path, _ := filled(t)
	s := openT(t, path)
	if _, err := s.w.ExecContext(t.Context(), "PRAGMA busy_timeout=1"); err != nil {
		t.Fatal(err)
	}
	other := sql.OpenDB(connector{dsn: "file:" + path + "?mode=rw", access: unguarded})
	defer other.Close()
	c := mustConn(t, other)
	exec(t, c, "BEGIN IMMEDIATE")
	_, err := s.BeginRun(t.Context(), testRun(evidence.ModeImport), nil)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("begin run: %v", err)
	}
	exec(t, c, "ROLLBACK")
	if _, err := s.BeginRun(t.Context(), testRun(evidence.ModeImport), nil); err != nil {
		t.Errorf("begin run after the lock is gone: %v", err)
	}
}

func mustConn(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOpen_readOnlyMedium(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a read-only file system")
	}
	path, o := filled(t)
	out := helper(t, "full", path, "PROBITY_STORE_MODE=ro", "PROBITY_STORE_PUBLIC="+o.PublicKey)
	want := "read: <nil>\nverify: unanchored <nil>\n"
	if !strings.HasPrefix(out, want) || !strings.Contains(out, "write: "+strconv.Quote(path)) || !strings.Contains(out, ErrReadOnly.Error()) {
		t.Errorf("got:\n%s", out)
	}
}

// TestStore_diskFull runs a writer on a file system of one megabyte until it is
// full. What was acknowledged before must be there, and nothing by half.
func TestStore_diskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	out := helper(t, "full", filepath.Join(t.TempDir(), "mnt", "e.db"), "PROBITY_STORE_MODE=full")
	if !strings.Contains(out, "error kind: disk full") || !strings.Contains(out, "free space") {
		t.Errorf("the error does not say that the disk is full:\n%s", out)
	}
	if !strings.Contains(out, "missing: 0\n") || !strings.Contains(out, "verify: unanchored <nil>\n") || !strings.Contains(out, "after space: <nil>\n") {
		t.Errorf("after the disk was full:\n%s", out)
	}
}

// TestStore_full is the same with SQLite's own limit, without root.
func TestStore_full(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.db")
	s := openT(t, path)
	run, err := s.BeginRun(t.Context(), testRun(evidence.ModePassive), nil)
	if err != nil {
		t.Fatal(err)
	}
	limit := func(query string) {
		if _, err := s.w.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	limit("PRAGMA max_page_count=1") // SQLite takes the present size instead
	o := passiveObservation(run.ID, make([]byte, 50_000))
	if err := s.Record(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); !errors.Is(err, ErrDiskFull) || strings.Contains(err.Error(), "\n") {
		t.Errorf("flush: %v", err)
	}
	if err := s.RecordProbe(t.Context(), evidence.ProbeRecord{Run: run.ID, Endpoint: web, Outcome: evidence.ProbeSkipped}, []evidence.Observation{o}); !errors.Is(err, ErrDiskFull) {
		t.Errorf("record probe: %v", err)
	}
	if ps, err := s.Probes(t.Context(), run.ID); err != nil || len(ps) != 0 {
		t.Errorf("half a probe was kept: %v %v", ps, err)
	}
	limit("PRAGMA max_page_count=100000")
	if err := s.Flush(t.Context()); err != nil {
		t.Errorf("flush with space again: %v", err)
	}
	n := 0
	for _, err := range s.Observations(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d observations, want the one that waited", n)
	}
}

// helper runs a mode of TestMain in a mount namespace of its own.
func helper(t *testing.T, mode, db string, env ...string) string {
	t.Helper()
	cmd := helperCommand(t, mode, db, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "mount: operation not permitted") {
		t.Skipf("cannot mount in a namespace of its own: %v %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func helperCommand(t *testing.T, mode, db string, env ...string) *osexec.Cmd {
	t.Helper()
	cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "PROBITY_STORE_HELPER="+mode, "PROBITY_STORE_DB="+db)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func helperFull(path string) {
	ctx := context.Background()
	check := func(what string, err error) {
		if err != nil {
			fmt.Printf("%s: %v\n", what, err)
			os.Exit(1)
		}
	}
	check("mount", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	dir := filepath.Dir(path)
	if os.Getenv("PROBITY_STORE_MODE") == "ro" {
		check("mount", unix.Mount(dir, dir, "", unix.MS_BIND, ""))
		check("mount", unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		s, err := Open(ctx, path, Options{ReadOnly: true})
		if err == nil {
			_, err = s.Runs(ctx)
			err = errors.Join(err, s.Close())
		}
		fmt.Println("read:", err)
		r, err := Verify(ctx, path, VerifyOptions{PublicKey: os.Getenv("PROBITY_STORE_PUBLIC")})
		fmt.Println("verify:", r.Status, err)
		_, err = Open(ctx, path, Options{Now: clock()})
		fmt.Println("write:", err, errors.Is(err, ErrReadOnly), ErrReadOnly)
		os.Exit(0)
	}
	check("mkdir", os.MkdirAll(dir, 0o700))
	check("mount", unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"))
	s, err := Open(ctx, path, Options{Now: clock()})
	check("open", err)
	run, err := s.BeginRun(ctx, testRun(evidence.ModePassive), nil)
	check("begin", err)
	kept := 0
	for ; err == nil && kept < 10_000; kept++ {
		der := []byte(strings.Repeat(strconv.Itoa(kept), 2000))
		if err = s.Record(ctx, passiveObservation(run.ID, der)); err == nil {
			err = s.Flush(ctx)
		}
	}
	kept--
	fmt.Println("write:", err)
	if errors.Is(err, ErrDiskFull) {
		fmt.Println("error kind:", ErrDiskFull)
	}
	n := 0
	for _, err := range s.Observations(ctx) {
		check("read", err)
		n++
	}
	fmt.Println("missing:", kept-n)
	check("remount", unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=8m"))
	_, err = s.EndRun(ctx, evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusFailed})
	fmt.Println("after space:", err)
	check("close", s.Close())
	r, err := Verify(ctx, path, VerifyOptions{})
	fmt.Println("verify:", r.Status, err)
	os.Exit(0)
}

// helperWriter writes until it is killed and says on stdout what it was told is
// kept.
func helperWriter(path string) {
	ctx := context.Background()
	s, err := Open(ctx, path, Options{Now: clock()})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	n := 0
	for {
		r := testRun(evidence.ModePassive)
		r.UUID = ""
		run, err := s.BeginRun(ctx, r, nil)
		for i := 0; i < 20 && err == nil; i++ {
			o := passiveObservation(run.ID, []byte(strconv.Itoa(n)))
			o.Detail = strconv.Itoa(n)
			switch i % 3 {
			case 0:
				err = s.RecordProbe(ctx, evidence.ProbeRecord{Run: run.ID, Endpoint: web, Outcome: evidence.ProbeSent}, []evidence.Observation{o})
			case 1:
				if err = s.Record(ctx, o); err == nil {
					err = s.Flush(ctx)
				}
			default:
				if err = s.Record(ctx, o); err == nil && i == 17 {
					_, err = s.EndRun(ctx, evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusComplete})
					i = 20
				}
			}
			n++
			if i%3 != 2 || i == 20 {
				fmt.Println("kept", n)
			}
		}
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
}

// TestStore_killed kills a writer in the middle, again and again, on one
// database: it opens, verifies, and holds every row that was acknowledged.
func TestStore_killed(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	path := filepath.Join(t.TempDir(), "e.db")
	total := 0
	for round := range rounds {
		kept := killWriter(t, path, 5+round*3)
		r := verifyT(t, path, VerifyOptions{PublicKey: publicKey(t, path)})
		if r.Status != StatusUnsealed && r.Status != StatusUnanchored {
			t.Fatalf("round %d: %s %v", round, r.Status, r.Problems)
		}
		s, err := Open(t.Context(), path, Options{Now: clock()})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		n := 0
		for o, err := range s.Observations(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if n >= total && o.Detail != strconv.Itoa(n-total) {
				t.Fatalf("round %d: observation %d is %q, want %d", round, n, o.Detail, n-total)
			}
			n++
		}
		if n-total < kept {
			t.Errorf("round %d: %d observations, %d were acknowledged", round, n-total, kept)
		}
		total = n
		runs, err := s.Runs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		aborted := 0
		for _, r := range runs {
			switch {
			case r.End == nil:
				t.Errorf("round %d: run %d has no end", round, r.Run.ID)
			case r.End.Status == evidence.StatusAborted:
				aborted++
			}
		}
		if aborted > round+1 {
			t.Errorf("round %d: %d runs are aborted, at most one is cut off at a time", round, aborted)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if r := verifyT(t, path, VerifyOptions{PublicKey: publicKey(t, path)}); r.Status != StatusUnanchored || r.Unsealed != 0 {
			t.Errorf("round %d, after reopening: %s %v", round, r.Status, r.Problems)
		}
	}
}

// killWriter starts a writer, kills it after it has acknowledged the given number
// of lines, and returns how many observations it said are kept.
func killWriter(t *testing.T, path string, lines int) (kept int) {
	t.Helper()
	cmd := helperCommand(t, "writer", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(out)
	for seen := 0; sc.Scan(); seen++ {
		number, ok := strings.CutPrefix(sc.Text(), "kept ")
		if !ok {
			t.Errorf("writer: %s", sc.Text())
			break
		}
		if kept, err = strconv.Atoi(number); err != nil {
			t.Fatal(err)
		}
		if seen == lines {
			if err := cmd.Process.Kill(); err != nil { // it goes on writing until the signal arrives
				t.Fatal(err)
			}
		}
	}
	cmd.Wait() // was killed
	return kept
}

// TestStore_concurrent has several writers and readers at work on one store.
func TestStore_concurrent(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "e.db")
	s := openT(t, path)
	run, err := s.BeginRun(ctx, testRun(evidence.ModePassive), nil)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 100
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				o := passiveObservation(run.ID, []byte(fmt.Sprint(w, i)))
				var err error
				if i%10 == 0 {
					err = s.RecordProbe(ctx, evidence.ProbeRecord{Run: run.ID, Endpoint: web, Outcome: evidence.ProbeSent}, []evidence.Observation{o})
				} else {
					err = s.Record(ctx, o)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	for range 3 {
		reading.Go(func() {
			for {
				last := int64(0)
				for o, err := range s.Observations(ctx) {
					if err != nil || o.ID != last+1 || len(o.Certs) != 1 {
						t.Errorf("observation %d after %d: %v", o.ID, last, err)
						return
					}
					last = o.ID
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	if _, err := s.EndRun(ctx, evidence.RunEnd{Run: run.ID, Ended: testTime, Status: evidence.StatusComplete}); err != nil {
		t.Error(err)
	}
	close(done)
	reading.Wait()
	n := 0
	for range s.Observations(ctx) {
		n++
	}
	if n != writers*each {
		t.Errorf("%d observations, want %d", n, writers*each)
	}
	if r := verifyT(t, path, VerifyOptions{}); r.Status != StatusUnanchored {
		t.Errorf("%s %v", r.Status, r.Problems)
	}
}

// TestOpen_tail checks that a seal is not put on an unsealed tail whose rows were
// changed.
func TestOpen_tail(t *testing.T) {
	var path string
	for tries := 0; ; tries++ { // a writer may be killed right behind a seal
		path = filepath.Join(t.TempDir(), "e.db")
		killWriter(t, path, 8)
		r := verifyT(t, path, VerifyOptions{})
		if r.Status == StatusUnsealed {
			break
		}
		if tries == 10 {
			t.Fatalf("no writer left an unsealed tail: %s", r.Status)
		}
	}
	attack(t, path, func(_ context.Context, c *sql.Conn) {
		exec(t, c, "UPDATE observation SET detail='x' WHERE id=(SELECT max(id) FROM observation)")
	})
	if err := openClose(t, path, Options{Now: clock()}); !errors.Is(err, ErrInconsistent) || !strings.Contains(err.Error(), "observation") {
		t.Errorf("open: %v", err)
	}
}
