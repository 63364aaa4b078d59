//go:build cgo

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/evidence/store"
)

// process returns a command that runs probity in a process of its own.
func process(t testing.TB, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stderr = new(bytes.Buffer)
	cmd = exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = stderr
	return cmd, stderr
}

// probesIn counts the rows of the probe ledger.
func probesIn(ctx context.Context, db string) (rows int, runs []store.RunInfo, err error) {
	st, err := store.Open(ctx, db, store.Options{ReadOnly: true})
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = st.Close() }()
	if runs, err = st.Runs(ctx); err != nil {
		return 0, nil, err
	}
	for _, r := range runs {
		probes, err := st.Probes(ctx, r.Run.ID)
		if err != nil {
			return 0, nil, err
		}
		rows += len(probes)
	}
	return rows, runs, nil
}

// TestScan_killed kills a scan at several stages. The database opens, verifies,
// and holds every row that another process had already read from it.
func TestScan_killed(t *testing.T) {
	_, dir := serveLab(t, 60, 6)
	db := filepath.Join(dir, "evidence.db")
	scan := []string{
		"scan", "--targets", filepath.Join(dir, "targets.txt"), "--policy", filepath.Join(dir, "policy.yaml"),
		"--db", db, "--rate", "400", "--asset-rate", "40", "--quiet", "--fail-on", "none",
	}
	kept := 0
	for _, stage := range []int{1, 20, 45} {
		cmd, _ := process(t, scan...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		seen := kept
		for seen < kept+stage {
			select {
			case err := <-ended:
				t.Fatalf("stage %d: the scan ended before it was killed: %v", stage, err)
			default:
			}
			if n, _, err := probesIn(t.Context(), db); err == nil {
				seen = max(seen, n)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-ended
		out := probity(t, exitQualified, "verify", "--db", db)
		if strings.Contains(out, "tampered") {
			t.Errorf("stage %d: %s", stage, out)
		}
		n, _, err := probesIn(t.Context(), db)
		if err != nil || n < seen {
			t.Fatalf("stage %d: %d rows are left of %d that were written: %v", stage, n, seen, err)
		}
		kept = n
	}
	probity(t, exitOK, scan...)
	_, runs, err := probesIn(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	aborted := 0
	for _, r := range runs {
		if r.End == nil {
			t.Errorf("run %d has no end", r.Run.ID)
		} else if r.End.Status == evidence.StatusAborted {
			aborted++
		}
	}
	if aborted != 3 {
		t.Errorf("%d runs are marked as aborted, want 3", aborted)
	}
	out := probity(t, exitQualified, "verify", "--db", db)
	if !strings.Contains(out, "unanchored") {
		t.Errorf("after the last scan: %s", out)
	}
}

// TestScan_interrupted stops a scan with SIGINT: it ends at once, what was
// observed is sealed, and the exit code says so.
func TestScan_interrupted(t *testing.T) {
	_, dir := serveLab(t, 60, 7)
	db := filepath.Join(dir, "evidence.db")
	cmd, stderr := process(t, "scan", "--targets", filepath.Join(dir, "targets.txt"), "--db", db,
		"--rate", "20", "--asset-rate", "2", "--quiet")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for n := 0; n == 0; {
		n, _, _ = probesIn(t.Context(), db)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		t.Fatalf("exit code %d, want %d\n%s", got, exitInterrupted, stderr)
	}
	_, runs, err := probesIn(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 1 || runs[0].End == nil || runs[0].End.Status != evidence.StatusInterrupted {
		t.Fatalf("runs: %+v", runs)
	}
	if out := probity(t, exitQualified, "verify", "--db", db); !strings.Contains(out, "unanchored") {
		t.Errorf("verify: %s", out)
	}
}

// TestRead_locked asks for a second writer while another holds the database.
func TestRead_locked(t *testing.T) {
	db := filepath.Join(t.TempDir(), "evidence.db")
	st, err := store.Open(t.Context(), db, store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	capture := filepath.Join("..", "..", "fixtures", "data", "captures", "live_dicom_echo_dcmtk.pcap")
	cmd, stderr := process(t, "read", capture, "--db", db)
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != exitCannotRun {
		t.Errorf("exit code %d, want %d", got, exitCannotRun)
	}
	if s := stderr.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "evidence.db") {
		t.Errorf("want one line that names the database: %q", s)
	}
}
