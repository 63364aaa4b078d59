//go:build linux && cgo

package capture

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"probity/fixtures/peer"
)

// capturing starts a program that captures a number of packets to a file. It
// returns when it does so, with a function that sends until the program has them:
// a packet that the kernel dropped would be waited for in vain.
func capturing(t *testing.T, ready, program string, args ...string) (feed func(send func(i int))) {
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
	return func(send func(i int)) {
		t.Helper()
		ended := make(chan error, 1)
		go func() {
			_, _ = io.Copy(io.Discard, lines) // until it ends
			ended <- cmd.Wait()
		}()
		const most = 20_000
		for i := range most {
			send(i)
			select {
			case err := <-ended:
				if err != nil {
					t.Fatalf("%s: %v", program, err)
				}
				return
			case <-time.After(time.Millisecond):
			}
		}
		t.Fatalf("%s has not enough of %d packets", program, most)
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
			feed := capturing(t, "listening on", tools["tcpdump"], "-c", strconv.Itoa(packets), "-i", "any", "-y", name, "-s", "2000", "-B", "4096", "-U", "-Z", "root", "-w", path)
			send := sender(t, "a0")
			feed(func(i int) { send(plain(i, 200)) })
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
	feed := capturing(t, "File:", tools["dumpcap"], "-c", strconv.Itoa(packets), "-i", "b0", "-i", "b1", "-w", path)
	sends := []func([]byte){sender(t, "a0"), sender(t, "a1")}
	feed(func(i int) { sends[i%2](plain(i, 200)) })
	want := theirs(t, tools["tshark"], path)
	got := listing(t, path)
	if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != packets {
		t.Errorf("%d packets, tshark has %d", len(got), len(want))
	}
}
