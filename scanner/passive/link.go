package passive

import (
	"encoding/binary"

	"probity/scanner/passive/capture"
)

// etherType names what comes next in a packet: the EtherTypes of IEEE 802 that
// are read, and two values of ours for what has none.
type etherType uint16

const (
	etherNone  etherType = 0 // nothing that is read
	etherIP    etherType = 4 // IP, whose version field tells which; no frame has a type below 1,536
	etherIPv4  etherType = 0x0800
	etherARP   etherType = 0x0806
	etherFrame etherType = 0x6558 // an Ethernet frame (RFC 1701, "transparent Ethernet bridging")
	etherVLAN  etherType = 0x8100
	etherIPv6  etherType = 0x86dd
	etherMPLS  etherType = 0x8847
	etherMPLSm etherType = 0x8848 // multicast
	etherQinQ  etherType = 0x88a8
	etherQinQ1 etherType = 0x9100 // before the standard
	etherETag  etherType = 0x893f // IEEE 802.1BR
	etherVNTag etherType = 0x8926 // of Cisco, before that
	etherCMD   etherType = 0x8909 // Cisco MetaData, with a security group
	etherLLDP  etherType = 0x88cc
	etherCDP   etherType = 1 // Cisco Discovery Protocol in SNAP
)

// first says what a packet begins with, after headers of the link that are not
// Ethernet. supported is false for link types that are not read.
func first(p capture.Packet) (next etherType, data []byte, supported bool) {
	switch p.Link {
	case capture.Ethernet:
		return etherFrame, p.Data, true
	case capture.Raw, capture.RawBSD, capture.RawOpenBSD, capture.IPv4, capture.IPv6:
		return etherIP, p.Data, true
	case capture.Null, capture.Loop:
		// The address family of IPv6 differs between systems; the version of the IP
		// header says the same for all.
		return etherIP, after(p.Data, 4), true
	case capture.LinuxSLL: // protocol in the last two of 16 bytes
		next, data = typeAt(p.Data, 14, 16)
		return next, data, true
	case capture.LinuxSLL2: // protocol in the first two of 20 bytes
		next, data = typeAt(p.Data, 0, 20)
		return next, data, true
	}
	return etherNone, nil, false
}

// tagSize is the size of a tag before a frame's own type.
func tagSize(kind etherType) int {
	if kind == etherVNTag {
		return 4
	}
	if kind == etherETag || kind == etherCMD {
		return 6
	}
	return 2
}

// carriesPackets names the types of frames that have packets in them in a form that
// is not read.
func carriesPackets(kind etherType) bool {
	const pppoe, macsec, backbone, trill, services = 0x8864, 0x88e5, 0x88e7, 0x22f3, 0x894f
	return kind == pppoe || kind == macsec || kind == backbone || kind == trill || kind == services
}

// after returns b without its first n bytes.
func after(b []byte, n int) []byte { return b[min(n, len(b)):] }

// typeAt reads the EtherType at offset at and skips size bytes of header.
func typeAt(b []byte, at, size int) (etherType, []byte) {
	if len(b) < size {
		return etherNone, nil
	}
	return etherType(binary.BigEndian.Uint16(b[at:])), b[size:]
}

// frame reads an Ethernet header. A length in the place of the type is followed
// by LLC, of which the SNAP form names a type (IEEE 802 section 9).
func frame(b []byte) (next etherType, data []byte, ok bool) {
	const header, snap, maxLength = 14, 8, 1500
	if len(b) < header {
		return etherNone, nil, false
	}
	next, data = typeAt(b, 12, header)
	if next > maxLength {
		return next, data, true
	}
	data = data[:min(int(next), len(data))]
	if len(data) < snap || data[0] != 0xaa || data[1] != 0xaa || data[2] != 3 {
		return etherNone, nil, true // spanning tree and its like
	}
	kind := etherType(binary.BigEndian.Uint16(data[6:]))
	switch [3]byte(data[3:6]) {
	case [3]byte{}:
		return kind, data[snap:], true
	case [3]byte{0, 0, 0x0c}:
		const discovery = 0x2000
		if kind == discovery {
			return etherCDP, data[snap:], true
		}
	}
	return etherNone, nil, true
}
