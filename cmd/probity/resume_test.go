//go:build cgo

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner"
)

// tally is a row of listeners on loopback addresses that count what reaches
// them. They answer a TLS hello with the alert that no version is acceptable.
type tally struct {
	mu    sync.Mutex
	seen  map[string]int // connections by "address:port"
	times []time.Time
}

func newTally(t *testing.T, addrs []string) *tally {
	t.Helper()
	y := &tally{seen: map[string]int{}}
	var lc net.ListenConfig
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait) // after the listeners are closed
	for _, addr := range addrs {
		l, err := lc.Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				y.mu.Lock()
				y.seen[addr]++
				y.times = append(y.times, time.Now())
				y.mu.Unlock()
				serving.Go(func() {
					defer func() { _ = c.Close() }()
					if _, err := io.ReadFull(c, make([]byte, 5)); err == nil {
						_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 70})
						_, _ = io.Copy(io.Discard, c)
					}
				})
			}
		})
	}
	return y
}

func (y *tally) total() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	n := 0
	for _, k := range y.seen {
		n += k
	}
	return n
}

// parts reads all active runs, and the rows of their ledgers.
func parts(t testing.TB, db string) (runs []store.RunInfo, rows []evidence.ProbeRecord) {
	t.Helper()
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	all, err := st.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Run.Mode != evidence.ModeActive {
			continue
		}
		runs = append(runs, r)
		probes, err := st.Probes(t.Context(), r.Run.ID)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, probes...)
	}
	return runs, rows
}

// TestScan_resumed kills a scan at several stages, interrupts it once, and goes
// on each time: over all parts every probe has one row that finished it, and the
// devices saw what the ledger says, but for what was under way at a kill.
func TestScan_resumed(t *testing.T) {
	const devices, parallel = 60, 3
	var addrs []string
	for i := range devices {
		addrs = append(addrs, fmt.Sprintf("127.77.%d.%d:2575", i%3, 1+i/3))
	}
	y := newTally(t, addrs)
	dir := t.TempDir()
	db, targets := filepath.Join(dir, "evidence.db"), filepath.Join(dir, "targets.txt")
	if err := os.WriteFile(targets, []byte(strings.Join(addrs, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	scan := []string{
		"scan", "--targets", targets, "--db", db, "--rate", "400", "--asset-rate", "60", "--parallel", fmt.Sprint(parallel),
		"--quiet", "--fail-on", "none",
	}
	cuts := 0
	for i, stage := range []int{1, 30, 70, 120, 170} {
		args := scan
		if i > 0 {
			args = append(slices.Clip(args), "--resume", "last")
		}
		cmd, stderr := process(t, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for y.total() < stage {
			select {
			case err := <-ended:
				t.Fatalf("stage %d: the scan ended before it was cut off: %v\n%s", stage, err, stderr)
			case <-time.After(time.Millisecond):
			}
		}
		if i == 2 {
			_ = cmd.Process.Signal(os.Interrupt)
		} else {
			_ = cmd.Process.Kill()
			cuts++
		}
		<-ended
		probity(t, exitQualified, "verify", "--db", db)
	}
	before := y.total()
	probity(t, exitOK, append(scan, "--resume", "last")...)
	if y.total() == before {
		t.Error("nothing was left for the last part")
	}

	runs, rows := parts(t, db)
	if len(runs) != 6 || runs[5].End.Status != evidence.StatusComplete {
		t.Fatalf("runs: %+v", runs)
	}
	finished, counted := map[string]int{}, map[string]int{}
	for _, r := range rows {
		at := r.Endpoint.HostPort()
		counted[at] += int(r.Connections)
		if r.Outcome == evidence.ProbeSent && !strings.Contains(r.Reason, "interrupted") {
			finished[at]++
		}
	}
	surplus := 0
	for _, addr := range addrs {
		if finished[addr] != 1 {
			t.Errorf("%s: %d rows that finish the probe", addr, finished[addr])
		}
		switch n := y.seen[addr] - counted[addr]; {
		case n < 0:
			t.Errorf("%s: %d connections in the ledger, %d seen", addr, counted[addr], y.seen[addr])
		case n > 0:
			surplus++
		}
	}
	if surplus > cuts*parallel {
		t.Errorf("%d devices saw connections without a row; at most %d probes were under way at the kills", surplus, cuts*parallel)
	}
	probity(t, exitQualified, "verify", "--db", db)

	// What is done is not done again.
	before = y.total()
	if out := failing(t, append(scan, "--resume", "last")...); !strings.Contains(out, "complete") {
		t.Errorf("resuming a complete run: %s", out)
	}
	if out := failing(t, append(scan, "--resume", "1")...); !strings.Contains(out, "run 2 went on with run 1") {
		t.Errorf("resuming a run twice: %s", out)
	}
	if out := failing(t, append(scan, "--resume", "last", "--exclude", addrs[0])...); !strings.Contains(out, "another plan") {
		t.Errorf("resuming another plan: %s", out)
	}
	if n := y.total(); n != before {
		t.Errorf("%d connections by scans that were refused", n-before)
	}
}

// failing runs a command that cannot run, and returns its standard error.
func failing(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, now: time.Now}
	if got := a.run(t.Context(), args); got != exitCannotRun {
		t.Fatalf("probity %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, exitCannotRun, &stderr)
	}
	return stderr.String()
}

// TestWaitOpen waits through a night with a change of the clock.
func TestWaitOpen(t *testing.T) {
	ws, err := scanner.ParseWindows([]string{"Sun 02:30-04:00 Europe/Vienna"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began, from := time.Now(), time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC)
		now := func() time.Time { return from.Add(time.Since(began)) }
		if err := waitOpen(t.Context(), ws, now); err != nil {
			t.Fatal(err)
		}
		// 02:30 comes twice that night; the window opens the second time.
		if want := time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC); !now().Equal(want) {
			t.Errorf("opened at %v, want %v", now(), want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		from = from.Add(24 * time.Hour)
		if err := waitOpen(ctx, ws, now); err == nil {
			t.Error("an interrupted wait reports an open window")
		}
	})
}

// TestScan_outsideWindow shows that nothing is sent when the window is closed.
func TestScan_outsideWindow(t *testing.T) {
	y := newTally(t, []string{"127.77.9.1:2575"})
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	db := filepath.Join(t.TempDir(), "evidence.db")
	run := func(window string) (int, string) {
		var stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, now: func() time.Time { return at.Add(time.Duration(y.total())) }}
		code := a.run(t.Context(), []string{"scan", "127.77.9.1:2575", "--db", db, "--window", window, "--quiet", "--fail-on", "none"})
		return code, stderr.String()
	}
	if code, out := run("Mon 22:00-05:00 Europe/Vienna"); code != exitRefused || !strings.Contains(out, "opens at 2026-11-23T22:00:00+01:00") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(db); y.total() != 0 || err == nil {
		t.Errorf("%d connections, database %v", y.total(), err)
	}
	if code, out := run("Mon 12:00-13:30 Europe/Vienna"); code != exitOK || y.total() == 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestScan_fromPassive hands what a capture showed over to a scan.
func TestScan_fromPassive(t *testing.T) {
	db := filepath.Join(t.TempDir(), "evidence.db")
	st, err := store.Open(t.Context(), db, store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	run, err := st.BeginRun(t.Context(), evidence.Run{Mode: evidence.ModePassive, Started: time.Now()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for addr, facts := range map[string]evidence.Facts{
		"10.9.0.1:8443":     {TLS: &evidence.TLSFacts{Version: 0x0304}},
		"10.9.0.2:104":      {DICOM: &evidence.DICOMFacts{PDU: "ac"}},
		"[fd00::9]:22":      {SSH: &evidence.SSHFacts{Version: "SSH-2.0-x"}},
		"10.9.0.3:2575":     {HL7: &evidence.HL7Facts{}},
		"93.184.215.14:443": {TLS: &evidence.TLSFacts{Version: 0x0304}},
	} {
		ap := netip.MustParseAddrPort(addr)
		o := evidence.Observation{
			Run: run.ID, Method: evidence.Passive, Result: evidence.ResultData, At: time.Now(), Facts: facts,
			Endpoint: evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.TCP},
		}
		switch {
		case facts.TLS != nil:
			o.Kind = evidence.KindTLS
		case facts.DICOM != nil:
			o.Kind = evidence.KindDICOM
		case facts.SSH != nil:
			o.Kind = evidence.KindSSH
		default:
			o.Kind = evidence.KindHL7
		}
		if err := st.Record(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.EndRun(t.Context(), evidence.RunEnd{Run: run.ID, Ended: time.Now(), Status: evidence.StatusComplete}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"plan", "--db", db, "--from-passive", "last"}, {"scan", "--dry-run", "--db", db, "--from-passive", "1"}} {
		out := probity(t, exitOK, args...)
		for _, want := range []string{"tcp/10.9.0.1:8443", "tcp/10.9.0.2:104", "tcp/[fd00::9]:22", "excluded: tcp/93.184.215.14:443", "a public address"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is missing:\n%s", args, want, out)
			}
		}
		if strings.Contains(out, "2575") {
			t.Errorf("%v: a port that spoke HL7 became a target", args)
		}
	}
	for _, args := range [][]string{{"plan", "--db", db, "--from-passive", "2"}, {"plan", "--db", db, "--from-passive", "first"}} {
		failing(t, args...)
	}
}
