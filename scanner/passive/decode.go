package passive

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"probity/scanner/passive/capture"
)

// segment is one TCP segment with its addresses.
type segment struct {
	src, dst           netip.AddrPort
	seq                uint32
	syn, ack, fin, rst bool
	payload            []byte // aliases the packet
}

// decoder turns packets into segments. Only the layers named here are decoded:
// others of gopacket 1.1.19 panic on short input or keep state without bound.
type decoder struct {
	ethernet layers.Ethernet
	vlan     layers.Dot1Q
	ip4      layers.IPv4
	ip6      layers.IPv6
	tcp      layers.TCP
	parsers  map[gopacket.LayerType]*gopacket.DecodingLayerParser
	decoded  []gopacket.LayerType
	stats    *Stats
}

func newDecoder(stats *Stats) *decoder {
	d := &decoder{stats: stats, parsers: make(map[gopacket.LayerType]*gopacket.DecodingLayerParser)}
	for _, t := range []gopacket.LayerType{layers.LayerTypeEthernet, layers.LayerTypeDot1Q, layers.LayerTypeIPv4, layers.LayerTypeIPv6} {
		p := gopacket.NewDecodingLayerParser(t)
		p.SetDecodingLayerContainer(gopacket.DecodingLayerArray(nil))
		for _, l := range []gopacket.DecodingLayer{&d.ethernet, &d.vlan, &d.ip4, &d.ip6, &d.tcp} {
			p.AddDecodingLayer(l)
		}
		p.IgnorePanic = true // means: let it through; the reader recovers, for dissectors too
		p.IgnoreUnsupported = true
		d.parsers[t] = p
	}
	return d
}

// decode returns the segment in p and reports whether there is one. What cannot
// be decoded is counted.
func (d *decoder) decode(p capture.Packet) (segment, bool) {
	if p.Length > len(p.Data) {
		d.stats.CutPackets++
	}
	layer, data, supported := first(p)
	if !supported {
		count(&d.stats.UnsupportedLinks, p.Link)
		return segment{}, false
	}
	parser := d.parsers[layer]
	if parser == nil {
		return segment{}, false
	}
	err := parser.DecodeLayers(data, &d.decoded)
	if err != nil {
		count(&d.stats.DecodeErrors, damagedAfter(d.decoded))
		return segment{}, false
	}
	return d.segment()
}

// damagedAfter names the place of a damage by the last layer that was sound.
func damagedAfter(decoded []gopacket.LayerType) string {
	if len(decoded) == 0 {
		return "at the link header"
	}
	return "after the " + decoded[len(decoded)-1].String() + " header"
}

// segment puts the decoded layers together.
func (d *decoder) segment() (segment, bool) {
	var src, dst netip.Addr
	found := false
	for _, t := range d.decoded {
		switch t {
		case layers.LayerTypeIPv4:
			if d.ip4.Flags&layers.IPv4MoreFragments != 0 || d.ip4.FragOffset != 0 {
				if d.ip4.Protocol == layers.IPProtocolTCP {
					d.stats.Fragments++
				}
				return segment{}, false
			}
			src, _ = netip.AddrFromSlice(d.ip4.SrcIP)
			dst, _ = netip.AddrFromSlice(d.ip4.DstIP)
		case layers.LayerTypeIPv6:
			switch d.ip6.NextHeader {
			case layers.IPProtocolIPv6Fragment:
				d.stats.Fragments++
				return segment{}, false
			case layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination:
				count(&d.stats.DecodeErrors, "at an IPv6 extension header, which is not read")
				return segment{}, false
			default:
			}
			src, _ = netip.AddrFromSlice(d.ip6.SrcIP)
			dst, _ = netip.AddrFromSlice(d.ip6.DstIP)
		case layers.LayerTypeTCP:
			found = true
		}
	}
	if !found {
		if d.encapsulated() {
			d.stats.Encapsulated++
		}
		return segment{}, false
	}
	if !src.IsValid() || !dst.IsValid() {
		return segment{}, false
	}
	d.stats.Segments++
	return segment{
		src: netip.AddrPortFrom(src.Unmap(), uint16(d.tcp.SrcPort)),
		dst: netip.AddrPortFrom(dst.Unmap(), uint16(d.tcp.DstPort)),
		seq: d.tcp.Seq, syn: d.tcp.SYN, ack: d.tcp.ACK, fin: d.tcp.FIN, rst: d.tcp.RST,
		payload: d.tcp.Payload,
	}, true
}

// encapsulated reports whether the packet carries others in a way that is not
// read: MPLS, GRE (with ERSPAN), VXLAN or Geneve.
func (d *decoder) encapsulated() bool {
	const vxlan, geneve = 4789, 6081 // RFC 7348 section 5, RFC 8926 section 3.3
	if len(d.decoded) == 0 {
		return false
	}
	var protocol layers.IPProtocol
	var payload []byte
	switch d.decoded[len(d.decoded)-1] {
	case layers.LayerTypeEthernet:
		return mpls(d.ethernet.EthernetType)
	case layers.LayerTypeDot1Q:
		return mpls(d.vlan.Type)
	case layers.LayerTypeIPv4:
		protocol, payload = d.ip4.Protocol, d.ip4.Payload
	case layers.LayerTypeIPv6:
		protocol, payload = d.ip6.NextHeader, d.ip6.Payload
	}
	if protocol == layers.IPProtocolUDP && len(payload) >= 4 {
		port := binary.BigEndian.Uint16(payload[2:])
		return port == vxlan || port == geneve
	}
	return protocol == layers.IPProtocolGRE
}

func mpls(t layers.EthernetType) bool {
	return t == layers.EthernetTypeMPLSUnicast || t == layers.EthernetTypeMPLSMulticast
}

// count adds one to m[k].
func count[K comparable](m *map[K]int, k K) {
	if *m == nil {
		*m = make(map[K]int)
	}
	(*m)[k]++
}
