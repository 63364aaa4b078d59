//go:build linux && cgo

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probity/fixtures/peer"
)

// inNamespace moves the test to a network of its own, with pairs of interfaces:
// what is sent to a0 comes out of b0.
func inNamespace(t *testing.T, pairs ...string) {
	t.Helper()
	var lines []string
	for _, n := range pairs {
		lines = append(lines, "link add a"+n+" type veth peer name b"+n)
		for _, end := range []string{"a" + n, "b" + n} {
			lines = append(lines, "link set "+end+" addrgenmode none", "link set "+end+" arp off up")
		}
	}
	peer.Network(t, lines...)
}

// sender returns a function that sends a frame through an interface.
func sender(t *testing.T, name string) func([]byte) {
	t.Helper()
	iface, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	to := &unix.SockaddrLinklayer{Ifindex: iface.Index}
	return func(b []byte) {
		for {
			err := unix.Sendto(fd, b, 0, to)
			if err == nil {
				return
			}
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				t.Fatal(err)
			}
		}
	}
}

func openLive(t *testing.T, o LiveOptions) *Live {
	t.Helper()
	o.Now = time.Now
	l, err := OpenLive(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// drainLive reads what is left and returns how often each frame came.
func drainLive(t *testing.T, l *Live) map[string]int {
	t.Helper()
	out := make(map[string]int)
	for {
		p, err := l.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Link != Ethernet || p.Length < len(p.Data) || p.Time.IsZero() {
			t.Fatalf("packet %+v", p)
		}
		out[string(p.Data)]++
	}
}

// plain is a frame of an experimental type with a number in it.
func plain(number, size int) []byte {
	b := make([]byte, max(size, 60))
	b[12], b[13] = 0x88, 0xb5
	binary.BigEndian.PutUint32(b[14:], uint32(number))
	return b
}

// overloaded returns a function that skips the test if the kernel has dropped
// packets since, between the two ends of a pair and before any ring: a machine
// that has no time for its own packets (softnet_stat, second column).
func overloaded(t *testing.T) (check func()) {
	t.Helper()
	drops := func() (sum int64) {
		text, err := os.ReadFile("/proc/net/softnet_stat")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			n, err := strconv.ParseInt(strings.Fields(line)[1], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
		return sum
	}
	before := drops()
	return func() {
		t.Helper()
		if n := drops() - before; n > 0 {
			t.Skipf("the kernel dropped %d packets on the way to the interface", n)
		}
	}
}

// TestLive_noDrop: a burst of 200,000 packets as fast as this machine sends them
// finds room in the ring.
func TestLive_noDrop(t *testing.T) {
	inNamespace(t, "0")
	const count = 200_000
	check := overloaded(t)
	l := openLive(t, LiveOptions{Interfaces: []string{"b0"}, RingBytes: 128 << 20, Promiscuous: true})
	send := sender(t, "a0")
	began := time.Now()
	for i := range count {
		send(plain(i, 128))
	}
	t.Logf("sent %.0f packets/s", count/time.Since(began).Seconds())
	l.Stop()
	got := drainLive(t, l)
	if lost := l.Dropped(); len(got) != count || len(lost) != 0 {
		check()
		t.Errorf("%d different packets of %d, %+v lost", len(got), count, lost)
	}
}

// TestLive_exactLoss: a ring that nobody reads runs over; what was received and
// what was lost are together what was sent.
func TestLive_exactLoss(t *testing.T) {
	inNamespace(t, "0")
	const count = 20_000
	check := overloaded(t)
	l := openLive(t, LiveOptions{Interfaces: []string{"b0"}, RingBytes: 128 << 10})
	send := sender(t, "a0")
	for i := range count {
		send(plain(i, 500))
	}
	l.Stop()
	got, lost := len(drainLive(t, l)), l.Dropped()
	if len(lost) != 1 || lost[0].Interface != "b0" || uint64(got)+lost[0].Ring != count || lost[0].Ring == 0 || lost[0].Card != 0 {
		check()
		t.Errorf("%d received + %+v lost is not %d sent", got, lost, count)
	}
	if again := l.Dropped(); len(again) != 0 {
		t.Errorf("the same loss counted again: %+v", again)
	}
}

// TestLive_tags: VLAN tags are there, although the kernel takes the outer one off,
// and the filter knows them.
func TestLive_tags(t *testing.T) {
	all := frames(t)
	for expression, want := range map[string][]string{
		"tcp or udp or not tcp":   {"arp", "qinq", "tcp4", "vlan7"},
		"vlan 7":                  {"qinq", "vlan7"},
		"vlan 9 and net 10.0/8":   nil, // no prefix
		"vlan 9":                  {"qinq"},
		"port 443 and not vlan 9": {"tcp4", "vlan7"},
	} {
		t.Run(expression, func(t *testing.T) {
			f, err := ParseFilter(expression)
			if want == nil {
				if err == nil {
					t.Error("no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			inNamespace(t, "0")
			l := openLive(t, LiveOptions{Interfaces: []string{"b0"}, RingBytes: 1 << 20, Filter: f})
			send := sender(t, "a0")
			expected := make(map[string]int)
			for _, name := range []string{"arp", "qinq", "tcp4", "vlan7"} {
				send(all[name])
			}
			for _, name := range want {
				b := bytes.Clone(all[name])
				if name == "qinq" { // afpacket writes every outer tag with the type of 802.1Q
					b[12], b[13] = 0x81, 0x00
				}
				expected[string(b)]++
			}
			l.Stop()
			if diff := cmp.Diff(expected, drainLive(t, l)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestLive_cut begins another run in between and loses nothing, on two interfaces.
func TestLive_cut(t *testing.T) {
	inNamespace(t, "0", "1")
	l := openLive(t, LiveOptions{Interfaces: []string{"b0", "b1"}, RingBytes: 1 << 20})
	sends := []func([]byte){sender(t, "a0"), sender(t, "a1")}
	got := make(map[string]int)
	for round := range 3 {
		for i := range 100 {
			sends[i%2](plain(round*100+i, 60))
		}
		if round == 2 {
			l.Stop()
		} else {
			l.Cut()
		}
		for frame, n := range drainLive(t, l) {
			got[frame] += n
		}
		if l.Ended() != (round == 2) {
			t.Errorf("round %d: ended is %v", round, l.Ended())
		}
	}
	if len(got) != 300 || len(l.Dropped()) != 0 {
		t.Errorf("%d different packets, want 300", len(got))
	}
}

// TestLive_down: an interface that goes down ends, with what came before.
func TestLive_down(t *testing.T) {
	inNamespace(t, "0")
	l := openLive(t, LiveOptions{Interfaces: []string{"b0"}, RingBytes: 1 << 20})
	sender(t, "a0")(plain(1, 60))
	if _, err := l.Next(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "del", "a0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := l.Next()
	var lost *LostInterfaceError
	if !errors.As(err, &lost) || lost.Interface != "b0" || !errors.Is(err, ErrTruncated) || !l.Ended() {
		t.Errorf("error %v", err)
	}
}

// TestLive_loopback: packets of the loopback interface pass once.
func TestLive_loopback(t *testing.T) {
	inNamespace(t)
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l := openLive(t, LiveOptions{Interfaces: []string{"lo"}, RingBytes: 1 << 20})
	taker, err := net.ListenPacket("udp4", "127.0.0.1:0") // without it an ICMP message would repeat the packet
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	c, err := net.Dial("udp4", taker.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("only once")); err != nil {
		t.Fatal(err)
	}
	l.Stop()
	n := 0
	for frame, times := range drainLive(t, l) {
		if bytes.HasSuffix([]byte(frame), []byte("only once")) {
			n += times
		}
	}
	if n != 1 {
		t.Errorf("the packet came %d times", n)
	}
}

func TestOpenLive_errors(t *testing.T) {
	if _, err := OpenLive(LiveOptions{Interfaces: []string{"none0"}, RingBytes: 1 << 20, Now: time.Now}); !errors.Is(err, ErrInterface) {
		t.Errorf("unknown interface: %v", err)
	}
	inNamespace(t) // where lo is down
	if _, err := OpenLive(LiveOptions{Interfaces: []string{"lo"}, RingBytes: 1 << 20, Now: time.Now}); !errors.Is(err, ErrInterface) {
		t.Errorf("interface that is down: %v", err)
	}
}
