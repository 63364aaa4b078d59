//go:build cgo && linux

package main

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRead_leak plants more than 500 markers over all protocols and looks for
// them in everything that a reading leaves: the database and its write-ahead log
// while they are in use and afterwards, what is printed, and every report.
func TestRead_leak(t *testing.T) {
	var p planter
	for h := byte(1); h <= 8; h++ {
		p.host(h)
	}
	if got := bytes.Count(p.pcap, []byte("Zq")); p.markers < 500 || got < 500 {
		t.Fatalf("%d markers, %d of them in whole in the capture", p.markers, got)
	}
	db := filepath.Join(t.TempDir(), "db", "a.db")
	if err := os.Mkdir(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd, stderr := process(t, "read", "-", "--db", db, "--fail-on", "none")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(p.pcap); err != nil {
		t.Fatal(err)
	}
	held := map[string][]byte{}
	for range 800 { // until what was read is in the log of the open database
		for name, b := range filesOf(t, filepath.Dir(db)) {
			held["open "+name] = b
		}
		if bytes.Contains(held["open a.db-wal"], []byte("ORU^R01")) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !bytes.Contains(held["open a.db-wal"], []byte("ORU^R01")) {
		t.Error("the write-ahead log was not seen in use")
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitQualified { // it has holes
		t.Fatalf("%v: %s", err, stderr)
	}
	held["output"], held["messages"] = stdout.Bytes(), stderr.Bytes()
	for _, format := range []string{"table", "json", "jsonl", "html"} {
		held[format] = []byte(probity(t, exitOK, "report", "--db", db, "--format", format))
	}
	maps.Copy(held, filesOf(t, filepath.Dir(db)))
	marker := regexp.MustCompile(`(?i)zq0[0-9]{3}`) // also one that was cut, or folded to lower case
	for name, b := range unpacked(held) {
		if at := marker.FindIndex(b); at != nil {
			t.Errorf("%s: a marker at byte %d: %q", name, at[0], b[max(0, at[0]-100):min(len(b), at[0]+100)])
		}
	}
	if got := protocolsOf(t, db); slices.Contains(got, "unknown") || !slices.Contains(got, "intellivue") || !slices.Contains(got, "telnet") || !slices.Contains(got, "http") {
		t.Errorf("v_endpoint names the protocols %q", got)
	}
	for _, want := range []string{"poct1", "ORU^R01", "intellivue", "ge-unity", "telnet", "mqtt", "modbus", "lis2", "ws-discovery"} {
		if !bytes.Contains(held["a.db"], []byte(want)) {
			t.Errorf("%s was not read: it is not in the database", want)
		}
	}
}

// unpacked adds what is packed in files: what stands in base64, as raw bytes do in
// JSON, and what is compressed in that, as the findings of a page are.
func unpacked(files map[string][]byte) map[string][]byte {
	out := maps.Clone(files)
	packed := regexp.MustCompile(`[A-Za-z0-9+/]{16,}={0,2}`)
	for name, b := range files {
		for i, text := range packed.FindAll(b, -1) {
			for shift := range min(4, len(text)) { // what stands before it may be of the same letters
				plain, err := base64.StdEncoding.AppendDecode(nil, text[shift:len(text)-(len(text)-shift)%4])
				if err != nil {
					continue
				}
				out[fmt.Sprintf("%s, text %d.%d", name, i, shift)] = plain
				z, err := gzip.NewReader(bytes.NewReader(plain))
				if err != nil {
					continue
				}
				if plain, err = io.ReadAll(z); err == nil {
					out[fmt.Sprintf("%s, text %d.%d, unpacked", name, i, shift)] = plain
				}
			}
		}
	}
	return out
}

// protocolsOf returns the protocols that the view of endpoints names.
func protocolsOf(t *testing.T, db string) (list []string) {
	t.Helper()
	conn, err := sql.Open("sqlite3", db)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query("SELECT DISTINCT protocol FROM v_endpoint ORDER BY protocol")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// filesOf returns the content of all files of a folder.
func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // of a database in use they come and go
		}
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = b
	}
	return out
}

// TestRead_core: a reading that is made to crash leaves no core file, and what the
// runtime prints holds nothing of the traffic.
func TestRead_core(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || bytes.ContainsAny(pattern, "|/") {
		t.Skipf("core files do not go into the folder of the process: %q, %v", pattern, err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	cores := func(cmd *exec.Cmd, path string, args ...string) (dir string) {
		dir = t.TempDir()
		cmd.Path, cmd.Args, cmd.Dir = sh, append([]string{"sh", "-c", `ulimit -c unlimited; exec "$0" "$@"`, path}, args...), dir
		return dir
	}
	left := func(dir string) []string {
		list, err := filepath.Glob(filepath.Join(dir, "core*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	control, _ := process(t)
	dir := cores(control, sh, "-c", "kill -ABRT $$")
	if _ = control.Run(); len(left(dir)) == 0 {
		t.Skip("this system writes no core files")
	}

	args := []string{"read", "-", "--db", filepath.Join(t.TempDir(), "a.db")}
	cmd, out := process(t, args...)
	dir = cores(cmd, cmd.Path, args...)
	cmd.Env = append(cmd.Env, "GOTRACEBACK=crash")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var p planter
	p.host(1)
	if _, err := stdin.Write(p.pcap); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // until it reads
		if len(filesOf(t, filepath.Dir(args[3]))) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	stderr := out.String()
	if len(left(dir)) > 0 || !strings.Contains(stderr, "SIGABRT") {
		t.Errorf("cores %q; %.300s", left(dir), stderr)
	}
	if strings.Contains(strings.ToLower(stderr), "zq0") {
		t.Error("the trace holds a marker")
	}
}
