//go:build cgo && linux

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memoryOf calls take with all memory of a process, part by part. It reads what a
// core of the process would hold.
func memoryOf(t *testing.T, pid int, take func(b []byte)) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		from, to, _ := strings.Cut(fields[0], "-")
		lo, err := strconv.ParseUint(from, 16, 63)
		hi, err2 := strconv.ParseUint(to, 16, 63)
		if err != nil || err2 != nil || fields[1][0] != 'r' {
			continue // such as the page of system calls, which is no memory
		}
		b := make([]byte, hi-lo)
		n, _ := mem.ReadAt(b, int64(lo)) // as far as it is there
		take(b[:n])
	}
}

// inMemory is a marker in memory: its number, and some bytes around it.
type inMemory struct {
	number int
	around string
}

// inSignalFrame tells whether b[at] is in vector registers as the kernel saved them
// when a signal came to a thread: no program can keep it from doing so, nor clear what
// it saved. The place is that of struct _fpstate_64 of the Linux UAPI header
// asm/sigcontext.h: a magic number after 464 bytes, then the size of all of it, at whose
// end is another.
func inSignalFrame(b []byte, at int) bool {
	const (
		magicAt, most  = 464, 16 << 10
		magic1, magic2 = 0x46505853, 0x46505845
	)
	first := max(0, at-most) &^ 3
	near := b[first:min(len(b), at+magicAt+8)]
	for i := 0; i+8 <= len(near); i += 4 {
		if binary.LittleEndian.Uint32(near[i:]) != magic1 {
			continue
		}
		begin := first + i - magicAt
		end := begin + int(binary.LittleEndian.Uint32(near[i+4:]))
		if begin >= 0 && begin <= at && at < end && end <= begin+most && end <= len(b) &&
			binary.LittleEndian.Uint32(b[end-4:]) == magic2 {
			return true
		}
	}
	return false
}

// markersOf returns the markers in the memory of a process, also those in lower
// case or cut to four digits, whose number is then unknown, except those in the frame of
// a signal. It fails if not even what is recorded is found.
func markersOf(t *testing.T, pid int) (list []inMemory) {
	t.Helper()
	recorded := false
	memoryOf(t, pid, func(b []byte) {
		recorded = recorded || bytes.Contains(b, []byte("ORU^R01"))
		for _, begin := range []string{"Zq", "zq"} {
			for at := 0; ; {
				n := bytes.Index(b[at:], []byte(begin))
				if n < 0 {
					break
				}
				at += n + len(begin)
				digits := b[at:min(len(b), at+5)]
				for len(digits) > 0 && (digits[len(digits)-1] < '0' || digits[len(digits)-1] > '9') {
					digits = digits[:len(digits)-1]
				}
				if number, err := strconv.Atoi(string(digits)); err == nil && len(digits) >= 4 && !inSignalFrame(b, at) {
					if len(digits) == 4 {
						number = 0
					}
					list = append(list, inMemory{number, string(b[max(0, at-60):min(len(b), at+60)])})
				}
			}
		}
	})
	if !recorded {
		t.Error("not even what is recorded was found in memory")
	}
	return list
}

// noMarkers fails if a marker is in the memory of a process.
func noMarkers(t *testing.T, pid int) {
	t.Helper()
	if left := markersOf(t, pid); len(left) > 0 {
		t.Errorf("%d markers are left, such as %+v", len(left), left[:min(len(left), 5)])
	}
}

// paused starts a command that prints a report which nobody reads, so that it
// stops in the middle of it, when all was read, recorded and judged.
//
// Go does not interrupt its goroutines there: where it does, it saves their vector
// registers to a place that nothing can tell from other memory.
func paused(t *testing.T, cmd *exec.Cmd, begin func(*exec.Cmd)) {
	t.Helper()
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	const room = 4096
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, room); err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	begin(cmd)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 1200 {
		if n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ); err == nil && n == room {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no report came")
}

// plantedPcap is a capture of every protocol on 40 hosts, with thousands of markers.
func plantedPcap(t *testing.T) []byte {
	t.Helper()
	var p planter
	for h := byte(1); h <= 40; h++ {
		p.host(h)
	}
	if p.markers < 3000 {
		t.Fatalf("%d markers", p.markers)
	}
	return p.pcap
}

// needsRoot: the memory of a process that refuses cores is for root alone.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("looking into the memory of another process needs root")
	}
}

// TestRead_memory: after a capture was read and judged, nothing of what must not
// be recorded is in the memory of the process, from wherever the capture came.
func TestRead_memory(t *testing.T) {
	needsRoot(t)
	planted := plantedPcap(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(planted); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"file": planted, "gzip": packed.Bytes(), "standard input": planted} {
		t.Run(name, func(t *testing.T) {
			source := writeFile(t, filepath.Join(t.TempDir(), "planted"), string(content))
			var stdin io.Reader
			if name == "standard input" {
				f, err := os.Open(source)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				source, stdin = "-", f
			}
			cmd, _ := process(t, "read", source, "--db", filepath.Join(t.TempDir(), "a.db"), "--fail-on", "none", "--json")
			paused(t, cmd, func(cmd *exec.Cmd) {
				cmd.Stdin = stdin
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
			})
			noMarkers(t, cmd.Process.Pid)
		})
	}
}

// TestRead_memoryInUse: while a capture is read, no more of it is in memory than
// its buffers have room for, of which docs/passive.md tells.
func TestRead_memoryInUse(t *testing.T) {
	needsRoot(t)
	const buffers = (256 + 64 + 512) << 10
	var p planter
	for p.client = 40000; len(p.pcap) < 4*buffers; p.client++ {
		for h := range byte(250) {
			p.host(h + 1)
		}
	}
	db := filepath.Join(t.TempDir(), "a.db")
	cmd, stderr := process(t, "read", "-", "--db", db, "--fail-on", "none", "--quiet")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(p.pcap); err != nil {
		t.Fatal(err)
	}
	var list []inMemory
	for range 100 { // until the last of it was read
		list = markersOf(t, cmd.Process.Pid)
		if slices.ContainsFunc(list, func(f inMemory) bool { return f.number == p.markers }) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	most := p.markers * buffers / len(p.pcap)
	if n := len(list); n == 0 || n > most+most/5 {
		t.Errorf("%d markers in memory, of %d in the capture; the buffers have room for about %d", n, p.markers, most)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitQualified { // it has holes
		t.Fatalf("%v: %s", err, stderr)
	}
}

// TestListen_memory: nothing of what was heard is in memory once it was taken in,
// neither while probity goes on to listen nor while it reports.
func TestListen_memory(t *testing.T) {
	network(t)
	path := writeFile(t, filepath.Join(t.TempDir(), "planted.pcap"), string(plantedPcap(t)))
	cmd, _ := process(t, "listen", "-i", "b0", "--for", "3s", "--db", filepath.Join(t.TempDir(), "a.db"), "--fail-on", "none", "--json")
	paused(t, cmd, func(cmd *exec.Cmd) {
		startListening(t, cmd)
		replay(t, path, "a0")
		var left []inMemory
		for range 10 { // until it took all in
			if left = markersOf(t, cmd.Process.Pid); len(left) == 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(left) > 0 {
			t.Errorf("while it listens, %d markers are left, such as %+v", len(left), left[:min(len(left), 5)])
		}
	})
	noMarkers(t, cmd.Process.Pid)
}
