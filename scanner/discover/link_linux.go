package discover

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"probity/internal/wire/idwire"
)

// openMedium opens the socket of a method. The kernel asks for CAP_NET_RAW.
func openMedium(l *Link, m Method) (medium, error) {
	open := openARP
	if m == ND {
		open = openND
	}
	opened, err := open(l)
	if errors.Is(err, os.ErrPermission) {
		return nil, ErrPrivilege
	}
	return opened, err
}

// arp is a packet socket that takes ARP alone; it is never promiscuous.
type arp struct {
	link *Link
	file *os.File
	raw  syscall.RawConn
}

// network is a number in network byte order, as packet sockets have it.
func network(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

func openARP(l *Link) (medium, error) {
	if len(l.Interface.HardwareAddr) != 6 {
		return nil, errors.New("the interface has no Ethernet address")
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(network(unix.ETH_P_ARP)))
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "arp")
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network(unix.ETH_P_ARP), Ifindex: l.Interface.Index}); err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), file.Close())
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &arp{l, file, raw}, nil
}

// ask broadcasts one request (RFC 826) for addr.
func (a *arp) ask(addr netip.Addr) (int, error) {
	from, ok := a.link.from(addr)
	if !ok {
		return 0, fmt.Errorf("%s is not on the link", addr)
	}
	b := request(a.link.Interface.HardwareAddr, from, addr)
	to := &unix.SockaddrLinklayer{Protocol: network(unix.ETH_P_ARP), Ifindex: a.link.Interface.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	var sent error
	if err := a.raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), b, 0, to)
		return !errors.Is(sent, unix.EAGAIN)
	}); err != nil {
		return 0, err
	}
	if sent != nil {
		return 0, fmt.Errorf("ARP request for %s: %w", addr, sent)
	}
	return len(b), nil
}

// answer returns the next ARP reply.
func (a *arp) answer() (reply, error) {
	buf := make([]byte, 128)
	for {
		var n int
		var received error
		if err := a.raw.Read(func(fd uintptr) bool {
			n, _, received = unix.Recvfrom(int(fd), buf, 0)
			return !errors.Is(received, unix.EAGAIN)
		}); err != nil {
			return reply{}, err
		}
		if received != nil {
			return reply{}, received
		}
		const operation, isReply = 7, 2
		if facts, addr, ok := idwire.ARP(buf[:n]); ok && buf[operation] == isReply {
			return reply{addr, facts, arpSize}, nil
		}
	}
}

// Close ends a waiting answer, too.
func (a *arp) Close() error { return closed(a.file.Close()) }

func closed(err error) error {
	if errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// neighbours is a socket for ICMPv6 that takes neighbour advertisements alone.
type neighbours struct {
	link *Link
	c    *ipv6.PacketConn
}

func openND(l *Link) (medium, error) {
	from, ok := l.first(true)
	if !ok {
		return nil, errors.New("the interface has no link-local address")
	}
	var config net.ListenConfig
	raw, err := config.ListenPacket(context.Background(), "ip6:ipv6-icmp", from.WithZone(l.Interface.Name).String())
	if err != nil {
		return nil, err
	}
	c := ipv6.NewPacketConn(raw)
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	// 255 hops show that no router passed a message on (RFC 4861 section 7.1).
	err = errors.Join(c.SetICMPFilter(&only), c.SetMulticastInterface(&l.Interface), c.SetMulticastHopLimit(255),
		c.SetMulticastLoopback(false), c.SetControlMessage(ipv6.FlagHopLimit, true))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &neighbours{l, c}, nil
}

// ask sends one solicitation to the group of addr; the kernel adds the checksum.
func (n *neighbours) ask(addr netip.Addr) (int, error) {
	b := solicitation(n.link.Interface.HardwareAddr, addr)
	group := solicited(addr)
	return n.c.WriteTo(b, nil, &net.IPAddr{IP: group.AsSlice(), Zone: n.link.Interface.Name})
}

// answer returns the next advertisement.
func (n *neighbours) answer() (reply, error) {
	buf := make([]byte, 1500)
	for {
		size, control, from, err := n.c.ReadFrom(buf)
		if err != nil {
			return reply{}, err
		}
		source, ok := from.(*net.IPAddr)
		if !ok || control == nil {
			continue
		}
		addr, _ := netip.AddrFromSlice(source.IP)
		if facts, target, ok := idwire.ND(buf[:size], addr, uint8(control.HopLimit)); ok { //nolint:gosec // a field of eight bits
			return reply{target, facts, size}, nil
		}
	}
}

// Close ends a waiting answer, too.
func (n *neighbours) Close() error { return closed(n.c.Close()) }
