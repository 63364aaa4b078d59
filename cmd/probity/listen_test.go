//go:build linux && cgo

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probity/evidence"
	"probity/evidence/store"
	"probity/fixtures/peer"
	"probity/fixtures/traffic"
	"probity/scanner/passive/capture"
)

// network moves the test to a network of its own in which what is sent to a0
// comes out of b0.
func network(t *testing.T) {
	t.Helper()
	peer.Network(t,
		"link add a0 mtu 9000 type veth peer name b0 mtu 9000", "link set a0 addrgenmode none", "link set b0 addrgenmode none",
		"link set a0 arp off up", "link set b0 arp off up")
}

// replay sends the packets of a capture through an interface, as fast as it goes.
func replay(t *testing.T, path, name string) (sent int64) {
	t.Helper()
	src, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	iface, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
		for {
			err := unix.Sendto(fd, p.Data, 0, &unix.SockaddrLinklayer{Ifindex: iface.Index})
			if err == nil {
				break
			}
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				t.Fatal(err)
			}
		}
		sent++
	}
}

// startListening starts a command and waits until it listens.
func startListening(t *testing.T, cmd *exec.Cmd) (wait func() (code int, stderr string)) {
	t.Helper()
	cmd.Stderr = nil
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(pipe)
	line, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(line, "listening on") {
		_ = cmd.Wait()
		t.Fatalf("%q, %v", line, err)
	}
	return func() (int, string) {
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // the exit code says it
		return cmd.ProcessState.ExitCode(), string(rest)
	}
}

func passiveEnds(t *testing.T, db string) (ends []evidence.RunEnd) {
	t.Helper()
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	runs, err := st.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.Run.Mode == evidence.ModePassive && r.End != nil {
			ends = append(ends, *r.End)
		}
	}
	return ends
}

// TestListen_traffic listens to a replayed capture until it is interrupted: all
// of the truth is found, no packet is lost, and what was seen is kept.
func TestListen_traffic(t *testing.T) {
	network(t)
	path, truth := traffics(t, traffic.Config{Seed: 4, Bytes: 3 << 20, Late: 10, Twice: 5, Density: 4})
	db := filepath.Join(t.TempDir(), "live.db")
	cmd, _ := process(t, "listen", "-i", "b0", "--ring", "64", "--db", db, "--fail-on", "none", "--quiet")
	wait := startListening(t, cmd)
	sent := replay(t, path, "a0")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, stderr := wait(); code != exitInterrupted {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if diff := cmp.Diff(wanted(truth), sightings(t, db)); diff != "" {
		t.Errorf("-truth +probity:\n%s", diff)
	}
	ends := passiveEnds(t, db)
	if len(ends) != 1 || ends[0].Status != evidence.StatusInterrupted || ends[0].PacketsSeen != sent || ends[0].PacketsDropped != 0 {
		t.Errorf("%d packets sent, runs ended: %+v", sent, ends)
	}
}

// TestListen_loss: a ring that is too small loses packets; those that were read
// and those that were lost are together all that were sent, and the run says so.
func TestListen_loss(t *testing.T) {
	network(t)
	path, _ := traffics(t, traffic.Config{Seed: 4, Bytes: 8 << 20})
	db := filepath.Join(t.TempDir(), "loss.db")
	cmd, _ := process(t, "listen", "-i", "b0", "--ring", "1", "--for", "1500ms", "--db", db, "--fail-on", "none", "--wide")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	wait := startListening(t, cmd)
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil { // so that nobody empties the ring
		t.Fatal(err)
	}
	sent := replay(t, path, "a0")
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	code, stderr := wait()
	if code != exitQualified || !strings.Contains(stderr, "interface b0 lost ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	ends := passiveEnds(t, db)
	if len(ends) != 1 || ends[0].Status != evidence.StatusIncomplete || !strings.Contains(ends[0].Note, "interface b0 lost ") {
		t.Fatalf("runs ended: %+v", ends)
	}
	// What the holes in connections make of the packets that were read is counted
	// by connections, not packets.
	if ends[0].PacketsSeen+ends[0].PacketsDropped != sent || ends[0].PacketsDropped == 0 {
		t.Errorf("%d read + %d lost are not %d sent", ends[0].PacketsSeen, ends[0].PacketsDropped, sent)
	}
	if !strings.Contains(stdout.String(), "interface b0 lost ") {
		t.Errorf("the report does not say it: %s", stdout.String())
	}
}

// TestPeer_follow follows a file while tcpdump writes it.
func TestPeer_follow(t *testing.T) {
	tcpdump := peer.Require(t, "tcpdump")["tcpdump"]
	network(t)
	path, truth := traffics(t, traffic.Config{Seed: 5, Bytes: 1 << 20, Density: 8})
	dir := t.TempDir()
	growing, db := filepath.Join(dir, "growing.pcap"), filepath.Join(dir, "follow.db")
	writer := exec.CommandContext(t.Context(), tcpdump, "-i", "b0", "-s", "16384", "-B", "32768", "-U", "-Z", "root", "-c", fmt.Sprint(truth.Packets), "-w", growing)
	ended := startListening(t, writer)
	cmd, stderr := process(t, "read", growing, "--follow", "--db", db, "--fail-on", "none", "--quiet")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	replay(t, path, "a0")
	if code, text := ended(); code != 0 {
		t.Fatalf("tcpdump: exit code %d: %s", code, text)
	}
	info, err := os.Stat(growing)
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, cmd, stderr, func() bool { return readTo(cmd.Process.Pid, growing) >= info.Size() })
	interrupt(t, cmd, stderr)
	if diff := cmp.Diff(wanted(truth), sightings(t, db)); diff != "" {
		t.Errorf("-truth +probity:\n%s", diff)
	}
}

// TestRead_rotated follows a file that is given another name while a new one takes
// its own, and one that is overwritten: both captures become runs, and the second way
// is said to lose.
func TestRead_rotated(t *testing.T) {
	first, err := os.ReadFile("../../fixtures/data/captures/live_dicom_tls12_dcmtk_mtls.pcap")
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile("../../fixtures/data/captures/live_mqtt_tls12_mtls.pcap") // which is shorter
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"renamed": "complete interrupted", "overwritten": "incomplete interrupted"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, db := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "a.db")
			writeFile(t, path, "") // nothing in it yet
			cmd, stderr := process(t, "read", path, "--follow", "--db", db, "--fail-on", "none", "--quiet", "--record-only")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			until := func(size int) {
				t.Helper()
				waitUntil(t, cmd, stderr, func() bool { return readTo(cmd.Process.Pid, path) == int64(size) })
			}
			writeFile(t, path, string(first))
			// Before it has the database it looks into the file, but does not follow it.
			waitUntil(t, cmd, stderr, func() bool { return readTo(cmd.Process.Pid, db+".lock") > 0 })
			until(len(first))
			if name == "renamed" {
				if err := os.Rename(path, path+".1"); err != nil {
					t.Fatal(err)
				}
				writeFile(t, path, string(second))
			} else {
				writeFile(t, path, string(second)) // in its place, and shorter
			}
			until(len(second))
			waitUntil(t, cmd, stderr, func() bool { return len(passiveEnds(t, db)) > 0 }) // it looks into the file before it ends a run
			interrupt(t, cmd, stderr)
			var got []string
			for _, e := range passiveEnds(t, db) {
				got = append(got, string(e.Status))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("runs ended %q: %s", got, stderr)
			}
		})
	}
}

// waitUntil returns once a condition holds, and fails if the process ends before, or
// nothing comes for two minutes.
func waitUntil(t *testing.T, cmd *exec.Cmd, stderr fmt.Stringer, holds func() bool) {
	t.Helper()
	const patience, step = 2 * time.Minute, 10 * time.Millisecond
	for range patience / step {
		if holds() {
			return
		}
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil || bytes.Contains(state, []byte(") Z ")) { // nobody has waited for it yet
			break
		}
		time.Sleep(step)
	}
	t.Fatalf("it ended, or what was awaited does not come: %s", stderr)
}

// interrupt ends a process as an operator would, and holds it to its exit code.
func interrupt(t *testing.T, cmd *exec.Cmd, stderr fmt.Stringer) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// readTo returns how far a process has read a file that it has open.
func readTo(pid int, path string) (at int64) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	list, _ := os.ReadDir(dir + "fd") // none if it ended
	for _, e := range list {
		if to, _ := os.Readlink(dir + "fd/" + e.Name()); to == path {
			text, _ := os.ReadFile(dir + "fdinfo/" + e.Name())
			_, _ = fmt.Sscanf(string(text), "pos: %d", &at)
		}
	}
	return at
}

// TestListen_for ends regularly, in several runs.
func TestListen_for(t *testing.T) {
	network(t)
	db := filepath.Join(t.TempDir(), "for.db")
	cmd, _ := process(t, "listen", "-i", "b0", "--ring", "1", "--for", "1200ms", "--rotate", "1s", "--filter", "port 104", "--db", db, "--quiet")
	wait := startListening(t, cmd)
	if code, stderr := wait(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	ends := passiveEnds(t, db)
	if len(ends) != 2 || ends[0].Status != evidence.StatusComplete || ends[1].Status != evidence.StatusComplete {
		t.Errorf("runs ended: %+v", ends)
	}
}

// TestListen_unprivileged: the capability is enough, and without it one line says
// what to do.
func TestListen_unprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	setpriv := peer.Require(t, "setpriv")["setpriv"]
	network(t)
	dir, err := os.MkdirTemp("", "probity-listen-") //nolint:usetesting // another user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "probity")
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	as := func(caps string, args ...string) *exec.Cmd {
		options := append(strings.Fields("--reuid 65534 --regid 65534 --clear-groups "+caps+" --"), program)
		cmd := exec.CommandContext(t.Context(), setpriv, append(options, args...)...)
		cmd.Env, cmd.Dir = append(os.Environ(), asCommand+"=1"), dir
		return cmd
	}
	only := "--inh-caps -all,+net_raw --ambient-caps -all,+net_raw --bounding-set -all,+net_raw"
	wait := startListening(t, as(only, "listen", "-i", "b0", "--for", "10ms", "--quiet", "--fail-on", "none", "--db", "own.db"))
	if code, stderr := wait(); code != exitOK {
		t.Errorf("with the capability: exit code %d: %s", code, stderr)
	}
	none := "--inh-caps -all --ambient-caps -all --bounding-set -all"
	refused := as(none, "listen", "-i", "b0", "--for", "10ms", "--db", "none.db")
	out, _ := refused.CombinedOutput() // the exit code says it
	text := string(out)
	if refused.ProcessState.ExitCode() != exitCannotRun || strings.Count(text, "\n") != 1 || !strings.Contains(text, `sudo setcap cap_net_raw+ep "`+program+`"`) {
		t.Errorf("without the capability: exit code %d: %s", refused.ProcessState.ExitCode(), text)
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("a refused listen left a database")
	}
	doctor := as(none, "doctor", "--json", "--db", "own.db")
	out, _ = doctor.Output() // may qualify
	var checks []checkup
	if err := json.Unmarshal(out, &checks); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(checks, func(c checkup) bool { return strings.Contains(c.Mend, "sudo setcap ") })
	if at < 0 {
		t.Fatalf("doctor does not say how to mend it: %s", out)
	}

	// The line that doctor prints is enough, for a user without any right.
	peer.Require(t, "setcap")
	_, line, _ := strings.Cut(checks[at].Mend, "sudo ")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; "+line).CombinedOutput(); err != nil {
		t.Skipf("%s: %v: %s", line, err, out)
	}
	user := "--inh-caps -all --ambient-caps -all"
	wait = startListening(t, as(user, "listen", "-i", "b0", "--for", "10ms", "--quiet", "--fail-on", "none", "--db", "file.db"))
	if code, stderr := wait(); code != exitOK {
		t.Errorf("with the capability of the file: exit code %d: %s", code, stderr)
	}
}
