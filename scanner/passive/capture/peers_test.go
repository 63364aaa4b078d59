package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
	"probity/fixtures/traffic"
)

// do runs a program and returns what it printed.
func do(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, stderr.String())
	}
	return string(out)
}

// listing returns a line for each packet: its time, how much of it was captured,
// its length and its link type, as tshark numbers them.
func listing(t *testing.T, path string) []string {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kinds := map[LinkType]int{Ethernet: 1, Raw: 7, LinuxSLL: 25, LinuxSLL2: 210}
	var out []string
	for {
		p, err := f.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d.%09d\t%d\t%d\t%d", p.Time.Unix(), p.Time.Nanosecond(), len(p.Data), p.Length, kinds[p.Link]))
	}
}

// theirs is the listing of tshark.
func theirs(t *testing.T, tshark, path string) []string {
	t.Helper()
	out := do(t, tshark, "-n", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len", "-e", "frame.encap_type")
	return strings.Split(strings.TrimSpace(out), "\n")
}

// TestPeer_files reads files that Wireshark's tools wrote, in every format, and
// finds the same packets as tshark.
func TestPeer_files(t *testing.T) {
	tools := peer.Require(t, "tshark", "editcap", "mergecap", "gzip")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	base, err := os.Create(file("base.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := traffic.Write(base, traffic.Config{Seed: 11, Bytes: 300 << 10, AtOnce: 10, Density: 50, Tunnels: true}); err != nil {
		t.Fatal(err)
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	edit := func(name string, args ...string) {
		t.Helper()
		do(t, tools["editcap"], append(args, base.Name(), file(name))...)
	}
	edit("microseconds.pcap", "-F", "pcap")
	edit("nanoseconds.pcap", "-F", "nsecpcap")
	edit("blocks.pcapng", "-F", "pcapng")
	edit("comments.pcapng", "-F", "pcapng", "-a", "1:a remark", "-a", "3:another", "--capture-comment", "of the whole")
	edit("cut.pcapng", "-F", "pcapng", "-s", "96")
	edit("raw.pcap", "-F", "pcap", "-T", "rawip")
	edit("sll.pcap", "-F", "pcap", "-T", "linux-sll")
	edit("sll2.pcap", "-F", "pcap", "-T", "linux-sll2")
	do(t, tools["mergecap"], "-I", "none", "-w", file("interfaces.pcapng"), file("microseconds.pcap"), file("raw.pcap"), file("sll.pcap"), file("cut.pcapng"))
	for _, name := range []string{"microseconds.pcap", "interfaces.pcapng"} {
		do(t, tools["gzip"], "--keep", file(name))
	}
	for _, name := range []string{
		"base.pcap", "microseconds.pcap", "nanoseconds.pcap", "blocks.pcapng", "comments.pcapng", "cut.pcapng", "raw.pcap", "sll.pcap", "sll2.pcap",
		"interfaces.pcapng", "microseconds.pcap.gz", "interfaces.pcapng.gz",
	} {
		t.Run(name, func(t *testing.T) {
			want := theirs(t, tools["tshark"], file(name))
			if diff := cmp.Diff(want, listing(t, file(name))); diff != "" || len(want) < 100 {
				t.Errorf("%d packets (-tshark +probity):\n%s", len(want), diff)
			}
		})
	}
}
