package passive

import (
	"encoding/binary"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"probity/scanner/passive/capture"
)

// first says which layer a packet begins with, after headers of the link that
// gopacket has no safe or complete decoder for. supported is false for link types
// that are not read; the layer is [gopacket.LayerTypeZero] for packets without IP
// and for damaged headers.
func first(p capture.Packet) (layer gopacket.LayerType, data []byte, supported bool) {
	switch p.Link {
	case capture.Ethernet:
		return layers.LayerTypeEthernet, p.Data, true
	case capture.Raw, capture.RawBSD, capture.RawOpenBSD, capture.IPv4, capture.IPv6:
		layer, data = internet(p.Data)
		return layer, data, true
	case capture.Null, capture.Loop:
		// The address family of IPv6 differs between systems; the version of the IP
		// header says the same for all.
		layer, data = internet(after(p.Data, 4))
		return layer, data, true
	case capture.LinuxSLL: // protocol in the last two of 16 bytes
		layer, data = etherType(p.Data, 14, 16)
		return layer, data, true
	case capture.LinuxSLL2: // protocol in the first two of 20 bytes
		layer, data = etherType(p.Data, 0, 20)
		return layer, data, true
	}
	return gopacket.LayerTypeZero, nil, false
}

// after returns b without its first n bytes.
func after(b []byte, n int) []byte { return b[min(n, len(b)):] }

// internet tells IPv4 from IPv6 by the version field.
func internet(b []byte) (gopacket.LayerType, []byte) {
	if len(b) > 0 {
		switch b[0] >> 4 {
		case 4:
			return layers.LayerTypeIPv4, b
		case 6:
			return layers.LayerTypeIPv6, b
		}
	}
	return gopacket.LayerTypeZero, nil
}

// etherType reads the EtherType at offset at and skips size bytes of header.
func etherType(b []byte, at, size int) (gopacket.LayerType, []byte) {
	if len(b) < size {
		return gopacket.LayerTypeZero, nil
	}
	switch layers.EthernetType(binary.BigEndian.Uint16(b[at:])) {
	case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6:
		return internet(b[size:])
	case layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ:
		return layers.LayerTypeDot1Q, b[size:]
	default:
		return gopacket.LayerTypeZero, nil
	}
}
