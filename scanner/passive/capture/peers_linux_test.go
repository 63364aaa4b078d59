//go:build linux && cgo

package capture

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"probity/fixtures/peer"
)

// capturing starts a program that captures a number of packets to a file. It
// returns when it does so, with a function that waits for its end.
func capturing(t *testing.T, ready, program string, args ...string) (wait func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%s ended before it captured: %v", program, err)
		}
		if strings.Contains(line, ready) {
			break
		}
	}
	return func() {
		t.Helper()
		_, _ = lines.WriteTo(&bytes.Buffer{}) // until it ends
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s: %v", program, err)
		}
	}
}

// TestPeer_tcpdump reads what tcpdump writes of all interfaces at once, in both
// forms of Linux.
func TestPeer_tcpdump(t *testing.T) {
	tools := peer.Require(t, "tcpdump", "tshark")
	for name, link := range map[string]LinkType{"LINUX_SLL": LinuxSLL, "LINUX_SLL2": LinuxSLL2} {
		t.Run(name, func(t *testing.T) {
			inNamespace(t, "0")
			path := filepath.Join(t.TempDir(), "any.pcap")
			const packets = 200 // each goes out of one interface and into another
			wait := capturing(t, "listening on", tools["tcpdump"], "-c", strconv.Itoa(packets), "-i", "any", "-y", name, "-s", "2000", "-B", "4096", "-U", "-Z", "root", "-w", path)
			send := sender(t, "a0")
			for i := range packets / 2 {
				send(plain(i, 200))
			}
			wait()
			want := theirs(t, tools["tshark"], path)
			got := listing(t, path)
			if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != packets {
				t.Errorf("%d packets of type %d, tshark has %d", len(got), link, len(want))
			}
		})
	}
}

// TestPeer_dumpcap reads a file of two interfaces that dumpcap wrote.
func TestPeer_dumpcap(t *testing.T) {
	tools := peer.Require(t, "dumpcap", "tshark")
	inNamespace(t, "0", "1")
	path := filepath.Join(t.TempDir(), "two.pcapng")
	const packets = 100
	wait := capturing(t, "File:", tools["dumpcap"], "-c", strconv.Itoa(packets), "-i", "b0", "-i", "b1", "-w", path)
	sends := []func([]byte){sender(t, "a0"), sender(t, "a1")}
	for i := range packets {
		sends[i%2](plain(i, 200))
	}
	wait()
	want := theirs(t, tools["tshark"], path)
	got := listing(t, path)
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != packets {
		t.Errorf("%d packets, tshark has %d", len(got), len(want))
	}
}
