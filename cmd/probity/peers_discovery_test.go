//go:build cgo && linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probity/fixtures/peer"
)

// outgoing counts what a link carries from this machine: ARP requests by the
// address asked for, solicitations by target, and datagrams by group, with their
// bytes.
type outgoing struct {
	mu   sync.Mutex
	sent map[string][]int
}

func newOutgoing(t *testing.T, name string) *outgoing {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	const all = 0x0300 // ETH_P_ALL in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}); err != nil {
		t.Fatal(err)
	}
	o := &outgoing{sent: map[string][]int{}}
	timeout := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	ended, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 65536)
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			select {
			case <-stop:
				return
			default:
			}
			if link, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && link.Pkttype == unix.PACKET_OUTGOING {
				o.take(link.Protocol, buf[:n])
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-ended; _ = unix.Close(fd) })
	return o
}

func (o *outgoing) take(protocol uint16, b []byte) {
	var to string
	size := len(b)
	switch protocol {
	case 0x0608: // ARP
		if binary.BigEndian.Uint16(b[6:]) == 1 {
			to = "arp " + netip.AddrFrom4([4]byte(b[24:28])).String()
		}
	case 0x0008: // IPv4
		if head := int(b[0]&15) * 4; b[9] == unix.IPPROTO_UDP {
			to = fmt.Sprintf("udp %s", netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(b[head+2:])))
			size -= head + 8
		}
	case 0xdd86: // IPv6
		dst := netip.AddrFrom16([16]byte(b[24:40]))
		switch {
		case b[6] == unix.IPPROTO_UDP:
			to = fmt.Sprintf("udp %s", netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[42:])))
			size -= 48
		case b[6] == unix.IPPROTO_ICMPV6 && b[40] == 135 && dst.IsMulticast():
			to = "nd " + netip.AddrFrom16([16]byte(b[48:64])).String()
			size -= 40
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if to != "" {
		o.sent[to] = append(o.sent[to], size)
	}
}

// neighbour makes a second namespace, joined to this one by a link v0-v1, in which
// a responder of each kind listens.
func neighbour(t *testing.T) {
	t.Helper()
	paths := peer.Require(t, "ip", "unshare", "sh", "avahi-daemon", "miniupnpd", "wsdd")
	dir := t.TempDir()
	avahi := writeFile(t, filepath.Join(dir, "avahi.conf"), "[server]\nhost-name=ward-pump\nenable-dbus=no\nallow-interfaces=v1\n[publish]\npublish-workstation=yes\n")
	upnp := writeFile(t, filepath.Join(dir, "upnp.conf"), "ext_ifname=v1\next_ip=8.8.8.8\nlistening_ip=v1\nhttp_port=0\nenable_natpmp=no\nenable_upnp=yes\nuuid=11111111-2222-3333-4444-555555555555\nlease_file="+dir+"/leases\n")
	script := writeFile(t, filepath.Join(dir, "device.sh"), fmt.Sprintf(`
mount -t tmpfs tmpfs /run; : > /run/no-names; mount --bind /run/no-names /etc/resolv.conf; mkdir /run/avahi-daemon
until ip link show v1 >/dev/null 2>&1; do sleep 0.05; done
ip link set lo up; ip addr add 10.77.0.2/24 dev v1; ip -6 addr add fd77::2/64 dev v1 nodad; echo 0 > /proc/sys/net/ipv6/conf/v1/accept_dad; ip link set v1 up
%s -f %s --no-drop-root --no-chroot &
%s -d -f %s -i v1 -P %s/upnp.pid &
%s -4 -i v1 --hostname ward-pc &
wait
`, paths["avahi-daemon"], avahi, paths["miniupnpd"], upnp, dir, paths["wsdd"]))
	cmd := exec.CommandContext(t.Context(), paths["unshare"], "-n", "-m", paths["sh"], script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ip := func(args ...string) { tool(t, paths["ip"], args...) }
	ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
	for range 100 { // until unshare has left this namespace
		if exec.CommandContext(t.Context(), paths["ip"], "link", "set", "v1", "netns", strconv.Itoa(cmd.Process.Pid)).Run() == nil &&
			exec.CommandContext(t.Context(), paths["ip"], "link", "show", "v1").Run() != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	ip("addr", "add", "10.77.0.1/24", "dev", "v0")
	ip("-6", "addr", "add", "fd77::1/64", "dev", "v0", "nodad")
	writeFile(t, "/proc/sys/net/ipv6/conf/v0/accept_dad", "0") // its address is usable at once
	ip("link", "set", "v0", "up")
}

// TestPeer_discovery asks a link on which avahi, miniupnpd and wsdd answer, and
// holds plan, ledger and what the link carried against one another.
func TestPeer_discovery(t *testing.T) {
	if !isolated(t) {
		return
	}
	neighbour(t)
	await(t, "10.77.0.2:5357", make(chan struct{})) // wsdd, which takes longest
	o := newOutgoing(t, "v0")
	args := []string{
		"10.77.0.0/29", "fd77::2", "fd77::9", "--exclude", "10.77.0.4", "--ports", "22",
		"--discover", "arp,nd,mdns,ssdp,ws-discovery", "--via", "v0",
	}
	probity(t, exitOK, append([]string{"plan"}, args...)...)
	o.mu.Lock()
	if len(o.sent) > 0 {
		t.Errorf("plan sent %v", o.sent)
	}
	o.mu.Unlock()

	db := scanned(t, exitOK, args...)
	db.want("SELECT address, bytes_sent, bytes_received FROM v_probe WHERE probe='arp' ORDER BY address",
		"10.77.0.2|28|28", "10.77.0.3|28|0", "10.77.0.5|28|0", "10.77.0.6|28|0")
	db.want("SELECT address, bytes_sent, bytes_received FROM v_probe WHERE probe='nd' ORDER BY address", "fd77::2|32|32", "fd77::9|32|0")
	db.want("SELECT address, outcome FROM v_probe WHERE probe='ssh' AND address NOT IN ('10.77.0.1') ORDER BY address",
		"10.77.0.2|sent", "10.77.0.3|not-needed", "10.77.0.5|not-needed", "10.77.0.6|not-needed", "fd77::2|sent", "fd77::9|not-needed")
	db.want("SELECT count(*) FROM v_probe WHERE address='10.77.0.4'", "0")
	db.want("SELECT DISTINCT json_extract(facts,'$.identity.protocol') FROM observation WHERE kind='identity' ORDER BY 1", "arp", "mdns", "nd", "ssdp", "ws-discovery")
	db.want("SELECT count(*) > 0 FROM observation WHERE facts LIKE '%MiniUPnPd%'", "1")
	db.want("SELECT count(*) > 0 FROM observation WHERE facts LIKE '%_workstation._tcp%'", "1")
	db.want("SELECT count(*) > 0 FROM observation WHERE facts LIKE '%\"Computer\"%' AND address='10.77.0.2'", "1")

	o.mu.Lock()
	defer o.mu.Unlock()
	for _, last := range []string{"3", "5", "6"} { // who does not answer is asked once, and never connected to
		if got := o.sent["arp 10.77.0."+last]; len(got) != 1 || got[0] != 28 {
			t.Errorf("10.77.0.%s: ARP requests %v", last, got)
		}
	}
	if got := o.sent["arp 10.77.0.4"]; got != nil {
		t.Errorf("the excluded address was asked: %v", got)
	}
	if got := o.sent["nd fd77::9"]; len(got) != 1 || got[0] != 32 {
		t.Errorf("fd77::9: solicitations %v", got)
	}
	for to, sizes := range o.sent {
		at, ok := strings.CutPrefix(to, "udp ")
		if !ok {
			continue
		}
		group := netip.MustParseAddrPort(at)
		sum := 0
		for _, n := range sizes {
			sum += n
		}
		db.want(fmt.Sprintf("SELECT count(*), sum(connections), sum(bytes_sent) FROM v_probe WHERE address='%s' AND port=%d", group.Addr(), group.Port()),
			fmt.Sprintf("%d|%d|%d", len(sizes), len(sizes), sum))
	}
}
