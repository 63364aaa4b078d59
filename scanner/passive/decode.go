package passive

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"probity/scanner/passive/capture"
)

// carries says what a segment is.
type carries uint8

const (
	carriesTCP carries = iota
	carriesUDP
	carriesICMPv6
	carriesARP
	carriesLLDP
	carriesCDP
)

// segment is what is left of a packet once everything around it is peeled off:
// a TCP segment or UDP datagram with its addresses, an ICMPv6 message, or a frame
// below IP, which has none.
type segment struct {
	kind               carries
	src, dst           netip.AddrPort
	seq                uint32 // this and the flags: TCP only
	syn, ack, fin, rst bool
	hops               uint8  // hop limit of the IPv6 packet
	payload            []byte // aliases the packet, or is a datagram put together
}

const (
	maxTunnels    = 4  // packets within packets
	maxTags       = 16 // VLAN tags and MPLS labels in one packet
	maxExtensions = 16 // headers between IPv6 and what it carries
)

// IP protocol numbers.
const (
	protoHopByHop    = 0
	protoIPv4        = 4
	protoTCP         = 6
	protoUDP         = 17
	protoIPv6        = 41
	protoRouting     = 43
	protoFragment    = 44
	protoGRE         = 47
	protoAH          = 51
	protoICMPv6      = 58
	protoDestination = 60
	protoMobility    = 135
	protoMPLS        = 137
)

// Places of damage.
const (
	atFrame     = "at the Ethernet header"
	atTag       = "at a VLAN tag"
	atMPLS      = "at an MPLS label"
	atIPv4      = "at the IPv4 header"
	atIPv6      = "at the IPv6 header"
	atExtension = "at an IPv6 extension header"
	atFragment  = "at an IP fragment"
	atTCP       = "at the TCP header"
	atUDP       = "at the UDP header"
	atGRE       = "at the GRE header"
)

// decoder turns packets into segments. It keeps nothing of a packet but IP
// fragments, and those within bounds. The headers that carry nearly all traffic
// are gopacket's; the tunnels and extensions are ours, because those of gopacket
// 1.1.19 panic on short input or keep state without bound.
type decoder struct {
	stats     *Stats
	fragments *defragmenter

	ip4 layers.IPv4 // these three are reused from packet to packet
	tcp layers.TCP
	udp layers.UDP
}

func newDecoder(stats *Stats) *decoder {
	return &decoder{stats: stats, fragments: newDefragmenter(stats)}
}

// packet is one packet on its way through the decoder.
type packet struct {
	next    etherType
	data    []byte
	tunnels int
	tags    int
	at      int64 // in seconds of the capture
	segment segment
}

// decode returns the segment in p and reports whether there is one. What cannot
// be decoded is counted. now is how long the capture goes, in seconds.
func (d *decoder) decode(p capture.Packet, now int64) (segment, bool) {
	if p.Length > len(p.Data) {
		d.stats.CutPackets++
	}
	next, data, supported := first(p)
	if !supported {
		count(&d.stats.UnsupportedLinks, p.Link)
		return segment{}, false
	}
	k := packet{next: next, data: data, at: now}
	for {
		found, more := d.step(&k)
		if !more {
			return k.segment, found
		}
	}
}

// step takes one header off. more asks for another step.
func (d *decoder) step(k *packet) (found, more bool) {
	switch k.next {
	case etherFrame:
		var ok bool
		if k.next, k.data, ok = frame(k.data); !ok {
			return d.damaged(atFrame)
		}
		return false, true
	case etherVLAN, etherQinQ, etherQinQ1, etherETag, etherVNTag, etherCMD:
		k.tags++
		size := tagSize(k.next)
		if len(k.data) < size+2 || k.tags > maxTags {
			return d.damaged(atTag)
		}
		k.next, k.data = typeAt(k.data, size, size+2)
		return false, true
	case etherMPLS, etherMPLSm:
		return d.mpls(k)
	case etherIP:
		return d.version(k)
	case etherIPv4:
		return d.ipv4(k)
	case etherIPv6:
		return d.ipv6(k)
	case etherARP:
		k.segment.kind = carriesARP
	case etherLLDP:
		k.segment.kind = carriesLLDP
	case etherCDP:
		k.segment.kind = carriesCDP
	default:
		if carriesPackets(k.next) {
			d.stats.Encapsulated++
		}
		return false, false
	}
	k.segment.payload = k.data
	return true, false
}

func (d *decoder) damaged(where string) (found, more bool) {
	count(&d.stats.DecodeErrors, where)
	return false, false
}

// version tells IPv4 from IPv6 by the version field.
func (d *decoder) version(k *packet) (found, more bool) {
	k.next = etherNone
	if len(k.data) > 0 {
		switch k.data[0] >> 4 {
		case 4:
			k.next = etherIPv4
		case 6:
			k.next = etherIPv6
		}
	}
	return false, true
}

// mpls takes one label off (RFC 3032). What follows the last one no field names:
// it is IP by its first half byte, or an Ethernet frame, perhaps after a control
// word (RFC 4385 section 3).
func (d *decoder) mpls(k *packet) (found, more bool) {
	k.tags++
	if len(k.data) < 4 || k.tags > maxTags {
		return d.damaged(atMPLS)
	}
	last := k.data[2]&1 != 0
	k.data = k.data[4:]
	if !last || len(k.data) == 0 {
		return false, !last
	}
	switch k.data[0] >> 4 {
	case 4:
		k.next = etherIPv4
	case 6:
		k.next = etherIPv6
	case 0:
		k.next, k.data = etherFrame, after(k.data, 4)
	default:
		k.next = etherFrame
	}
	return false, true
}

// ipv4 reads an IPv4 header (RFC 791 section 3.1).
func (d *decoder) ipv4(k *packet) (found, more bool) {
	h := &d.ip4
	if len(k.data) == 0 || k.data[0]>>4 != 4 || h.DecodeFromBytes(k.data, gopacket.NilDecodeFeedback) != nil {
		return d.damaged(atIPv4)
	}
	src, _ := netip.AddrFromSlice(h.SrcIP)
	dst, _ := netip.AddrFromSlice(h.DstIP)
	protocol, payload := byte(h.Protocol), h.Payload
	if more := h.Flags&layers.IPv4MoreFragments != 0; more || h.FragOffset != 0 {
		key := fragmentKey{src: src, dst: dst, id: uint32(h.Id), protocol: protocol}
		var ok bool
		protocol, payload, ok = d.fragments.add(key, int(h.FragOffset)*8, more, protocol, payload, k.at)
		if !ok {
			return false, false
		}
	}
	return d.transport(k, src, dst, protocol, payload)
}

// ipv6 reads an IPv6 header and those between it and what it carries (RFC 8200
// sections 3 and 4).
func (d *decoder) ipv6(k *packet) (found, more bool) {
	const header = 40
	b := k.data
	if len(b) < header || b[0]>>4 != 6 {
		return d.damaged(atIPv6)
	}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])).Unmap(), netip.AddrFrom16([16]byte(b[24:40])).Unmap()
	protocol, payload := b[6], b[header:]
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 && n < len(payload) { // 0: a jumbogram, or left to the network card
		payload = payload[:n]
	}
	k.segment.hops = b[7]
	for range maxExtensions {
		size := 0
		switch protocol {
		case protoHopByHop, protoRouting, protoDestination, protoMobility:
			if len(payload) >= 2 {
				size = int(payload[1])*8 + 8
			}
		case protoAH: // RFC 4302 section 2.2
			if len(payload) >= 2 {
				size = int(payload[1])*4 + 8
			}
		case protoFragment:
			const size = 8
			if len(payload) < size {
				return d.damaged(atExtension)
			}
			f, id := binary.BigEndian.Uint16(payload[2:]), binary.BigEndian.Uint32(payload[4:])
			if f&^6 == 0 { // the only one
				protocol, payload = payload[0], payload[size:]
				continue
			}
			key := fragmentKey{src: src, dst: dst, id: id}
			var ok bool
			protocol, payload, ok = d.fragments.add(key, int(f&^7), f&1 != 0, payload[0], payload[size:], k.at)
			if !ok {
				return false, false
			}
			continue
		default:
			return d.transport(k, src, dst, protocol, payload)
		}
		if size == 0 || size > len(payload) {
			return d.damaged(atExtension)
		}
		protocol, payload = payload[0], payload[size:]
	}
	return d.damaged(atExtension)
}

// transport reads what an IP packet carries: another packet or a segment.
func (d *decoder) transport(k *packet, src, dst netip.Addr, protocol byte, b []byte) (found, more bool) {
	s := &k.segment
	switch protocol {
	case protoTCP:
		h := &d.tcp
		if h.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil {
			return d.damaged(atTCP)
		}
		s.kind, s.seq, s.payload = carriesTCP, h.Seq, h.Payload
		s.fin, s.syn, s.rst, s.ack = h.FIN, h.SYN, h.RST, h.ACK
		s.src, s.dst = netip.AddrPortFrom(src, uint16(h.SrcPort)), netip.AddrPortFrom(dst, uint16(h.DstPort))
		d.stats.Segments++
		return true, false
	case protoUDP:
		h := &d.udp
		if h.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil {
			return d.damaged(atUDP)
		}
		if next, inner := udpTunnel(uint16(h.DstPort), h.Payload); next != etherNone {
			return d.inner(k, next, inner)
		}
		s.kind, s.payload = carriesUDP, h.Payload
		s.src, s.dst = netip.AddrPortFrom(src, uint16(h.SrcPort)), netip.AddrPortFrom(dst, uint16(h.DstPort))
		d.stats.Datagrams++
		return true, false
	case protoICMPv6:
		s.kind, s.payload = carriesICMPv6, b
		s.src, s.dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
		return true, false
	case protoIPv4:
		return d.inner(k, etherIPv4, b)
	case protoIPv6:
		return d.inner(k, etherIPv6, b)
	case protoMPLS:
		return d.inner(k, etherMPLS, b)
	case protoGRE:
		next, inner, ok := gre(b)
		if !ok {
			return d.damaged(atGRE)
		}
		return d.inner(k, next, inner)
	}
	return false, false
}

// inner goes on with a packet within the packet.
func (d *decoder) inner(k *packet, next etherType, data []byte) (found, more bool) {
	k.tunnels++
	if k.tunnels > maxTunnels || next == etherNone {
		d.stats.Encapsulated++
		return false, false
	}
	k.next, k.data, k.segment.hops = next, data, 0
	return false, true
}

// count adds one to m[k].
func count[K comparable](m *map[K]int, k K) {
	if *m == nil {
		*m = make(map[K]int)
	}
	(*m)[k]++
}
