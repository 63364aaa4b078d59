package passive

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"probity/scanner/passive/capture"
)

// packets is a capture in memory.
type packets struct {
	list []capture.Packet
	at   int
}

func (p *packets) Next() (capture.Packet, error) {
	if p.at == len(p.list) {
		return capture.Packet{}, io.EOF
	}
	p.at++
	return p.list[p.at-1], nil
}

// load reads all packets of a file.
func load(t testing.TB, path string) []capture.Packet {
	t.Helper()
	f, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []capture.Packet
	for {
		p, err := f.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Data = append([]byte(nil), p.Data...)
		out = append(out, p)
	}
}

// talk builds the packets of TCP connections.
type talk struct {
	t              testing.TB
	client, server netip.AddrPort
	seq            [2]uint32 // of client and server
	list           []capture.Packet
}

func newTalk(t testing.TB, client, server string) *talk {
	return &talk{t: t, client: netip.MustParseAddrPort(client), server: netip.MustParseAddrPort(server), seq: [2]uint32{1000, 5000}}
}

const (
	fromClient = 0
	fromServer = 1
)

// open sends SYN and SYN-ACK.
func (k *talk) open() *talk {
	k.packet(fromClient, layers.TCP{Seq: k.seq[0] - 1, SYN: true}, nil)
	k.packet(fromServer, layers.TCP{Seq: k.seq[1] - 1, SYN: true, ACK: true}, nil)
	return k
}

// say sends text in one segment.
func (k *talk) say(side int, text string) *talk {
	k.packet(side, layers.TCP{Seq: k.seq[side], ACK: true, PSH: true}, []byte(text))
	k.seq[side] += uint32(len(text))
	return k
}

func (k *talk) packet(side int, tcp layers.TCP, payload []byte) {
	k.t.Helper()
	src, dst := k.client, k.server
	if side == fromServer {
		src, dst = dst, src
	}
	tcp.SrcPort, tcp.DstPort, tcp.DataOffset, tcp.Window = layers.TCPPort(src.Port()), layers.TCPPort(dst.Port()), 5, 65535
	eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	var ip gopacket.SerializableLayer = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
	if src.Addr().Is6() {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, eth, ip, &tcp, gopacket.Payload(payload)); err != nil {
		k.t.Fatal(err)
	}
	data := b.Bytes()
	k.list = append(k.list, capture.Packet{Data: data, Length: len(data), Link: capture.Ethernet, Time: time.Unix(1_700_000_000, 0).Add(time.Duration(len(k.list)) * time.Millisecond).UTC()})
}
