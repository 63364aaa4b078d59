package discover

import (
	"net"
	"net/netip"
	"slices"
)

// Sizes of the questions, above Ethernet and above IPv6.
const (
	arpSize          = 28
	solicitationSize = 32
)

// request is an ARP request (RFC 826).
func request(mac net.HardwareAddr, from, addr netip.Addr) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 1}, mac, from.AsSlice(), make([]byte, 6), addr.AsSlice())
}

// solicitation is a neighbour solicitation (RFC 4861 section 4.3) with the
// sender's address of the link, without checksum.
func solicitation(mac net.HardwareAddr, addr netip.Addr) []byte {
	b := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, addr.WithZone("").AsSlice()...)
	return append(append(b, 1, 1), mac...)
}

// solicited is the solicited-node group of an address (RFC 4291 section 2.7.1).
func solicited(addr netip.Addr) netip.Addr {
	b := netip.MustParseAddr("ff02::1:ff00:0").As16()
	of := addr.As16()
	copy(b[13:], of[13:])
	return netip.AddrFrom16(b)
}
