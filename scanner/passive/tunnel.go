package passive

import "encoding/binary"

// UDP ports of tunnels.
const (
	portGTPU     = 2152 // 3GPP TS 29.281 section 4.4.2
	portVXLAN    = 4789 // RFC 7348 section 5
	portGeneve   = 6081 // RFC 8926 section 3.3
	portVXLANOld = 8472 // Linux before the port was assigned
)

// udpTunnel returns what a datagram to a tunnel's port carries. It is etherNone
// for other ports, and where the header does not fit, because any client may use
// the port for its own end.
func udpTunnel(port uint16, b []byte) (etherType, []byte) {
	switch port {
	case portVXLAN, portVXLANOld:
		// RFC 7348 section 5: flags with the I bit, and none but that of a group policy
		// (draft-smith-vxlan-group-policy), which fabrics set; a reserved byte of zero.
		const instance, policy = 0x08, 0x80
		if len(b) >= 8 && b[0]&^policy == instance && b[7] == 0 {
			return etherFrame, b[8:]
		}
	case portGeneve:
		return geneve(b)
	case portGTPU:
		return gtp(b)
	}
	return etherNone, nil
}

// geneve reads the header of RFC 8926 section 3.4.
func geneve(b []byte) (etherType, []byte) {
	const header = 8
	if len(b) < header || b[0]>>6 != 0 {
		return etherNone, nil
	}
	size := header + int(b[0]&0x3f)*4
	if size > len(b) || b[7] != 0 {
		return etherNone, nil
	}
	switch next := etherType(binary.BigEndian.Uint16(b[2:])); next {
	case etherFrame, etherIPv4, etherIPv6, etherMPLS:
		return next, b[size:]
	default:
		return etherNone, nil
	}
}

// gtp reads the header of a G-PDU (3GPP TS 29.281 section 5), which carries an
// IP packet.
func gtp(b []byte) (etherType, []byte) {
	const header, gpdu, maxHeaders = 8, 255, 16
	if len(b) < header || b[0]&0xf0 != 0x30 || b[1] != gpdu {
		return etherNone, nil
	}
	if n := int(binary.BigEndian.Uint16(b[2:])); n <= len(b)-header {
		b = b[:header+n]
	}
	flags, rest := b[0], b[header:]
	if flags&7 == 0 {
		return etherIP, rest
	}
	if len(rest) < 4 {
		return etherNone, nil
	}
	next := rest[3]
	rest = rest[4:]
	if flags&4 == 0 {
		next = 0
	}
	for n := 0; next != 0; n++ {
		if n == maxHeaders || len(rest) == 0 {
			return etherNone, nil
		}
		size := int(rest[0]) * 4
		if size == 0 || size > len(rest) {
			return etherNone, nil
		}
		next, rest = rest[size-1], rest[size:]
	}
	return etherIP, rest
}

// gre reads the header of RFC 2784 with the fields of RFC 2890 and RFC 1701. ok
// is false for a damaged one; next is etherNone where what it carries is not
// read, such as the PPP of PPTP.
func gre(b []byte) (next etherType, data []byte, ok bool) {
	const checksum, routing, key, sequence = 0x8000, 0x4000, 0x2000, 0x1000
	const erspan2, erspan3 etherType = 0x88be, 0x22eb
	if len(b) < 4 {
		return etherNone, nil, false
	}
	flags := binary.BigEndian.Uint16(b)
	next, b = etherType(binary.BigEndian.Uint16(b[2:])), b[4:]
	if flags&7 != 0 {
		return etherNone, nil, true
	}
	size := 0
	for _, f := range []struct{ bits uint16 }{{checksum | routing}, {key}, {sequence}} {
		if flags&f.bits != 0 {
			size += 4
		}
	}
	if size > len(b) {
		return etherNone, nil, false
	}
	b = b[size:]
	if flags&routing != 0 {
		if b, ok = sourceRoutes(b); !ok {
			return etherNone, nil, false
		}
	}
	switch next {
	case etherFrame, etherIPv4, etherIPv6, etherMPLS, etherMPLSm, etherVLAN, etherQinQ:
		return next, b, true
	case erspan2, erspan3:
		return erspan(b, flags&sequence != 0)
	default:
		return etherNone, nil, true
	}
}

// sourceRoutes skips the routing field (RFC 1701): entries that end with an empty
// one.
func sourceRoutes(b []byte) ([]byte, bool) {
	const header = 4
	for len(b) >= header {
		size := int(b[3])
		last := size == 0 && b[0] == 0 && b[1] == 0
		if header+size > len(b) {
			return nil, false
		}
		b = b[header+size:]
		if last {
			return b, true
		}
	}
	return nil, false
}

// erspan skips the header of a mirrored frame (draft-foschiano-erspan-03). Type I
// has neither sequence number nor header; the version tells II (1) from III (2).
func erspan(b []byte, sequenced bool) (next etherType, data []byte, ok bool) {
	const header2, header3, subheader = 8, 12, 8
	if !sequenced {
		return etherFrame, b, true
	}
	if len(b) < header2 {
		return etherNone, nil, false
	}
	switch b[0] >> 4 {
	case 1:
		return etherFrame, b[header2:], true
	case 2:
		if len(b) < header3 {
			return etherNone, nil, false
		}
		const frameType, ip = 0x7c, 2 << 2
		size := header3 + int(b[11]&1)*subheader
		if size > len(b) {
			return etherNone, nil, false
		}
		if b[10]&frameType == ip {
			return etherIP, b[size:], true
		}
		return etherFrame, b[size:], true
	}
	return etherNone, nil, true
}
