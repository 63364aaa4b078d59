package passive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"probity/scanner/passive/capture"
)

const etherHeader = 14

// eth puts a frame around b.
func eth(kind etherType, b []byte) []byte {
	return cat([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, u16(int(kind)), b)
}

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

// ip4 puts an IPv4 packet of the mirror around b, in a frame.
func ip4(protocol byte, b []byte) []byte {
	h := cat([]byte{0x45, 0}, u16(20+len(b)), []byte{0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2})
	return eth(etherIPv4, append(h, b...))
}

func ip6(protocol byte, b []byte) []byte {
	h := cat([]byte{0x60, 0, 0, 0}, u16(len(b)), []byte{protocol, 64}, netip.MustParseAddr("2001:db8::1").AsSlice(), netip.MustParseAddr("2001:db8::2").AsSlice())
	return eth(etherIPv6, append(h, b...))
}

func udp4(port int, b []byte) []byte {
	return ip4(17, cat(u16(50000), u16(port), u16(8+len(b)), u16(0), b))
}

// wraps are all encapsulations of a frame that carries IPv4.
func wraps() map[string]func(frame []byte) ([]byte, capture.LinkType) {
	all := map[string]func(b []byte) ([]byte, capture.LinkType){
		"raw":  func(b []byte) ([]byte, capture.LinkType) { return b[etherHeader:], capture.Raw },
		"ipv4": func(b []byte) ([]byte, capture.LinkType) { return b[etherHeader:], capture.IPv4 },
		"null": func(b []byte) ([]byte, capture.LinkType) {
			return cat([]byte{2, 0, 0, 0}, b[etherHeader:]), capture.Null
		},
		"loop": func(b []byte) ([]byte, capture.LinkType) {
			return cat([]byte{0, 0, 0, 2}, b[etherHeader:]), capture.Loop
		},
		"sll": func(b []byte) ([]byte, capture.LinkType) { return cat(make([]byte, 14), b[12:]), capture.LinuxSLL },
		"sll with a tag": func(b []byte) ([]byte, capture.LinkType) {
			return cat(make([]byte, 14), []byte{0x81, 0, 0, 5}, b[12:]), capture.LinuxSLL
		},
		"sll2": func(b []byte) ([]byte, capture.LinkType) {
			return cat(b[12:14], make([]byte, 18), b[etherHeader:]), capture.LinuxSLL2
		},
	}
	for name, wrap := range ethernetWraps() {
		all[name] = func(b []byte) ([]byte, capture.LinkType) { return wrap(b), capture.Ethernet }
	}
	return all
}

// ethernetWraps are the encapsulations that give a frame again.
func ethernetWraps() map[string]func(frame []byte) []byte {
	label, bottom := []byte{0, 1, 0, 64}, []byte{0, 2, 1, 64}
	return map[string]func(b []byte) []byte{
		"dot1q": func(b []byte) []byte { return cat(b[:12], []byte{0x81, 0, 0, 5}, b[12:]) },
		"qinq":  func(b []byte) []byte { return cat(b[:12], []byte{0x88, 0xa8, 0, 7, 0x81, 0, 0, 5}, b[12:]) },
		"snap": func(b []byte) []byte {
			return cat(b[:12], u16(len(b)-etherHeader+8), []byte{0xaa, 0xaa, 3, 0, 0, 0}, b[12:])
		},
		"mpls":           func(b []byte) []byte { return eth(etherMPLS, cat(label, bottom, b[etherHeader:])) },
		"mpls ethernet":  func(b []byte) []byte { return eth(etherMPLS, cat(bottom, []byte{0, 0, 0, 9}, b)) },
		"mpls in ip":     func(b []byte) []byte { return ip4(137, cat(bottom, b[etherHeader:])) },
		"gre":            func(b []byte) []byte { return ip4(47, cat([]byte{0, 0, 8, 0}, b[etherHeader:])) },
		"gre all fields": func(b []byte) []byte { return ip4(47, cat([]byte{0xb0, 0, 8, 0}, make([]byte, 12), b[etherHeader:])) },
		"gre routing": func(b []byte) []byte {
			return ip4(47, cat([]byte{0x40, 0, 8, 0}, make([]byte, 4), []byte{8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0}, b[etherHeader:]))
		},
		"gre ethernet": func(b []byte) []byte { return ip4(47, cat([]byte{0x20, 0, 0x65, 0x58, 0, 0, 1, 0}, b)) },
		"gre in ipv6":  func(b []byte) []byte { return ip6(47, cat([]byte{0, 0, 8, 0}, b[etherHeader:])) },
		"erspan I":     func(b []byte) []byte { return ip4(47, cat([]byte{0, 0, 0x88, 0xbe}, b)) },
		"erspan II": func(b []byte) []byte {
			return ip4(47, cat([]byte{0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 1, 0, 0, 0, 0}, b))
		},
		"erspan III": func(b []byte) []byte {
			return ip4(47, cat([]byte{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 1}, make([]byte, 8), b))
		},
		"erspan III sub": func(b []byte) []byte {
			return ip4(47, cat([]byte{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 1}, make([]byte, 7), []byte{1}, make([]byte, 8), b))
		},
		"erspan III ip": func(b []byte) []byte {
			return ip4(47, cat([]byte{0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 1}, make([]byte, 6), []byte{8, 0}, b[etherHeader:]))
		},
		"vxlan":  func(b []byte) []byte { return udp4(4789, cat([]byte{8, 0, 0, 0, 0, 0, 7, 0}, b)) },
		"geneve": func(b []byte) []byte { return udp4(6081, cat([]byte{0, 0, 0x65, 0x58, 0, 0, 7, 0}, b)) },
		"geneve options": func(b []byte) []byte {
			return udp4(6081, cat([]byte{2, 0, 8, 0, 0, 0, 7, 0}, make([]byte, 8), b[etherHeader:]))
		},
		"gtp-u": func(b []byte) []byte {
			return udp4(2152, cat([]byte{0x30, 255}, u16(len(b)-etherHeader), []byte{0, 0, 0, 1}, b[etherHeader:]))
		},
		"gtp-u extension": func(b []byte) []byte {
			return udp4(2152, cat([]byte{0x34, 255}, u16(len(b)-etherHeader+8), []byte{0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0}, b[etherHeader:]))
		},
		"4in4": func(b []byte) []byte { return ip4(4, b[etherHeader:]) },
		"4in6": func(b []byte) []byte { return ip6(4, b[etherHeader:]) },
		"6in4": func(b []byte) []byte { // of a packet that is 4in6 already
			return ip4(41, ip6(4, b[etherHeader:])[etherHeader:])
		},
		"extension headers": func(b []byte) []byte {
			return ip6(0, cat([]byte{60, 0, 0, 0, 0, 0, 0, 0}, []byte{43, 1}, make([]byte, 14), []byte{51, 0, 0, 0, 0, 0, 0, 0},
				[]byte{44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{4, 0, 0, 0, 0, 0, 0, 9}, b[etherHeader:]))
		},
	}
}

// wrapped returns packets with each frame in an encapsulation.
func wrapped(list []capture.Packet, wrap func(b []byte) ([]byte, capture.LinkType)) []capture.Packet {
	out := slices.Clone(list)
	for i := range out {
		out[i].Data, out[i].Link = wrap(out[i].Data)
		out[i].Length = len(out[i].Data)
	}
	return out
}

// TestRead_encapsulations puts one capture behind every header that is read.
func TestRead_encapsulations(t *testing.T) {
	plain := load(t, ours("live_dicom_orthanc.pcap"))
	list, _, err := read(t, &packets{list: plain}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := summaries(list)
	for name, wrap := range wraps() {
		t.Run(name, func(t *testing.T) {
			list, stats, err := read(t, &packets{list: wrapped(plain, wrap)}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, summaries(list)); diff != "" {
				t.Errorf("(-plain +wrapped):\n%s", diff)
			}
			if reasons := stats.Incomplete(); reasons != nil {
				t.Errorf("incomplete: %q", reasons)
			}
		})
	}
}

// TestRead_depth puts encapsulations into each other: four tunnels are read, five
// are counted as lost.
func TestRead_depth(t *testing.T) {
	plain := load(t, ours("live_dicom_orthanc.pcap"))
	all := ethernetWraps()
	chain := func(names ...string) (int, Stats) {
		list := plain
		for _, name := range names {
			list = wrapped(list, func(b []byte) ([]byte, capture.LinkType) { return all[name](b), capture.Ethernet })
		}
		got, stats, err := read(t, &packets{list: list}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return len(got), stats
	}
	if n, stats := chain("dot1q", "vxlan", "mpls", "gre ethernet", "geneve", "qinq", "erspan III"); n != 4 || stats.Incomplete() != nil {
		t.Errorf("four deep: %d observations, %q", n, stats.Incomplete())
	}
	if n, stats := chain("vxlan", "gre ethernet", "geneve", "erspan II", "4in4"); n != 0 || stats.Encapsulated != len(plain) {
		t.Errorf("five deep: %d observations, %d of %d counted", n, stats.Encapsulated, len(plain))
	}
}

func TestRead_erspan(t *testing.T) {
	_, stats := readFile(t, theirs(t, "suricata_decode-erspan-typeII-01_input.pcap"))
	if reasons := stats.Incomplete(); reasons != nil || stats.Packets != 6 {
		t.Errorf("%d packets, incomplete: %q", stats.Packets, reasons)
	}
}

// fragments4 cuts an IPv4 frame into fragments of at most size bytes.
func fragments4(frame []byte, id, size int) [][]byte {
	header, payload := frame[etherHeader:etherHeader+20], frame[etherHeader+20:etherHeader+int(binary.BigEndian.Uint16(frame[16:]))]
	var out [][]byte
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		flags := at / 8
		if end < len(payload) {
			flags |= 0x2000
		}
		h := cat(header[:2], u16(20+end-at), u16(id), u16(flags), header[8:])
		out = append(out, eth(etherIPv4, cat(h, payload[at:end])))
	}
	return out
}

// fragments6 cuts an IPv4 frame, put into IPv6, into fragments.
func fragments6(frame []byte, id, size int) [][]byte {
	payload := frame[etherHeader:]
	var out [][]byte
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		flags := at
		if end < len(payload) {
			flags |= 1
		}
		out = append(out, ip6(44, cat([]byte{4, 0}, u16(flags), u16(0), u16(id), payload[at:end])))
	}
	return out
}

// TestRead_fragments cuts every packet of a capture, and reads the pieces in
// order, backwards and twice.
func TestRead_fragments(t *testing.T) {
	plain := load(t, ours("live_dicom_tls12_dcmtk_mtls.pcap"))
	list, _, err := read(t, &packets{list: plain}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := summaries(list)
	for name, cut := range map[string]func([]byte, int, int) [][]byte{"IPv4": fragments4, "IPv6": fragments6} {
		for order, mix := range map[string]func([][]byte) [][]byte{
			"in order":    func(l [][]byte) [][]byte { return l },
			"backwards":   func(l [][]byte) [][]byte { slices.Reverse(l); return l },
			"twice":       func(l [][]byte) [][]byte { return slices.Concat(l[:len(l)-1], l) },
			"overlapping": func(l [][]byte) [][]byte { return l }, // see below
		} {
			t.Run(name+" "+order, func(t *testing.T) {
				var pieces []capture.Packet
				for i, p := range plain {
					l := cut(p.Data, i, 48)
					if order == "overlapping" { // pieces of another size, without the end
						l = slices.Concat(cut(p.Data, i, 40)[:(len(l)-1)*48/40], l)
					}
					for _, b := range mix(l) {
						pieces = append(pieces, capture.Packet{Data: b, Length: len(b), Link: capture.Ethernet, Time: p.Time})
					}
				}
				list, stats, err := read(t, &packets{list: pieces}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, summaries(list)); diff != "" || stats.Defragmented == 0 {
					t.Errorf("%d datagrams put together, %q (-plain +cut):\n%s", stats.Defragmented, stats.Incomplete(), diff)
				}
			})
		}
	}
}

// TestDefragmenter_bounds floods the store of fragments with datagrams that never
// become complete.
func TestDefragmenter_bounds(t *testing.T) {
	var stats Stats
	f := newDefragmenter(&stats)
	const now = 100
	big := make([]byte, 64000)
	sent := 0
	for i := range 5000 {
		key := fragmentKey{src: netip.MustParseAddr("192.0.2.1"), id: uint32(i)}
		data := big[:8]
		if i%3 == 0 {
			data = big
		}
		if _, _, ok := f.add(key, 8, true, 17, data, now); ok {
			t.Fatal("complete without its begin")
		}
		sent++
		if len(f.open) > maxDatagrams || f.bytes > maxFragmentBytes || f.order.Len() != len(f.open) {
			t.Fatalf("%d datagrams, %d bytes", len(f.open), f.bytes)
		}
	}
	f.add(fragmentKey{id: 1}, 8, true, 17, big[:8], now+fragmentTime+1)
	if len(f.open) != 1 {
		t.Errorf("%d datagrams are left after %d seconds", len(f.open), fragmentTime)
	}
	f.giveAll()
	if f.bytes != 0 || len(f.open) != 0 || stats.Fragments != sent+1 {
		t.Errorf("%d bytes, %d datagrams, %d of %d fragments counted as lost", f.bytes, len(f.open), stats.Fragments, sent+1)
	}
}

// TestDefragmenter_refuses: fragments that disagree, reach beyond 64 KiB or are
// too many give no datagram, and all of them are counted.
func TestDefragmenter_refuses(t *testing.T) {
	type piece struct {
		offset int
		more   bool
		data   string
	}
	many := make([]piece, 0, 200)
	for i := range 199 {
		many = append(many, piece{i * 8, true, "12345678"})
	}
	for name, pieces := range map[string][]piece{
		"overlap that disagrees": {{0, true, "AAAAAAAAAAAAAAAA"}, {8, true, "BBBBBBBB"}, {16, false, "CC"}},
		"two ends":               {{8, false, "AAAA"}, {8, false, "AAAAAA"}, {0, true, "BBBBBBBB"}},
		"beyond 64 KiB":          {{65528, false, "AAAAAAAAA"}, {0, true, "BBBBBBBB"}},
		"too many":               append(many, piece{199 * 8, false, "x"}),
	} {
		var stats Stats
		f := newDefragmenter(&stats)
		for _, p := range pieces {
			if _, _, ok := f.add(fragmentKey{}, p.offset, p.more, 6, []byte(p.data), 0); ok {
				t.Errorf("%s: a datagram came of it", name)
			}
		}
		f.giveAll()
		if stats.Lost() != len(pieces) {
			t.Errorf("%s: %d of %d counted", name, stats.Lost(), len(pieces))
		}
	}
}

// TestDefragmenter_twice: a fragment that comes again after its datagram is
// complete is none that is lost; another one of the same number is.
func TestDefragmenter_twice(t *testing.T) {
	var stats Stats
	f := newDefragmenter(&stats)
	whole := 0
	add := func(offset int, more bool, data string) {
		if _, _, ok := f.add(fragmentKey{id: 7}, offset, more, 6, []byte(data), 0); ok {
			whole++
		}
	}
	for range 2 {
		add(0, true, "AAAAAAAA")
		add(8, false, "BBBB")
		add(8, false, "BBBB")
	}
	if whole != 1 || len(f.open) != 0 {
		t.Errorf("%d datagrams, %d open", whole, len(f.open))
	}
	add(8, false, "CCCC")
	for id := range uint32(2 * maxFinished) { // what is remembered is bounded
		f.add(fragmentKey{id: 1000 + id}, 0, false, 6, []byte("x"), 0)
	}
	f.giveAll()
	if stats.Fragments != 1 || len(f.finished) > maxFinished {
		t.Errorf("%d fragments were lost, %d datagrams are remembered", stats.Fragments, len(f.finished))
	}
}

// FuzzDefragmenter cuts a datagram at random, loses, repeats and forges pieces.
// What comes out must be the datagram or, where pieces were forged, one of the
// same length bounds.
func FuzzDefragmenter(f *testing.F) {
	f.Add(uint64(1), uint16(100))
	f.Add(uint64(7), uint16(5000))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16) {
		if size == 0 {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		var stats Stats
		d := newDefragmenter(&stats)
		forged := seed%3 == 0
		for range 300 {
			offset := rng.IntN((int(size)+7)/8) * 8
			end := min(offset+8+rng.IntN(64)*8, int(size))
			data := bytes.Clone(want[offset:end])
			if forged && rng.IntN(50) == 0 {
				data[0] ^= 1
			}
			_, got, ok := d.add(fragmentKey{}, offset, end < int(size), 6, data, 0)
			if ok && (len(got) != int(size) || !forged && !bytes.Equal(got, want)) {
				t.Fatalf("%d bytes of %d, forged %v", len(got), size, forged)
			}
		}
	})
}

// FuzzDecode feeds any bytes behind any link and tunnel.
func FuzzDecode(f *testing.F) {
	frame := load(f, ours("live_dicom_orthanc.pcap"))[3].Data
	all := wraps()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b, link := all[name](frame)
		f.Add(uint16(link), b)
	}
	var stats Stats
	f.Fuzz(func(t *testing.T, link uint16, b []byte) {
		d := newDecoder(&stats)
		s, ok := d.decode(capture.Packet{Data: b, Length: len(b), Link: capture.LinkType(link)}, 0)
		if !ok && s.payload == nil {
			return
		}
		if len(s.payload) > max(len(b), maxDatagram) {
			t.Fatalf("%d bytes out of %d", len(s.payload), len(b))
		}
	})
}

// TestDecode_gopacket compares the decoder with gopacket on plain captures.
func TestDecode_gopacket(t *testing.T) {
	files := []string{ours("live_dicom_tls12_dcmtk_mtls.pcap"), ours("live_snmp_monitor_sysgroup.pcap"), ours("live_sdc_ws_discovery.pcap")}
	for _, name := range []string{"suricata_tls_input.pcap", "zeek_mdns.pcap", "iti_bacnet_test.pcap"} {
		files = append(files, theirs(t, name))
	}
	for _, path := range files {
		compared := 0
		for i, p := range load(t, path) {
			if p.Link != capture.Ethernet {
				continue
			}
			var stats Stats
			got, ok := newDecoder(&stats).decode(p, 0)
			parsed := gopacket.NewPacket(p.Data, layers.LayerTypeEthernet, gopacket.NoCopy)
			want := ""
			switch l := parsed.TransportLayer().(type) {
			case *layers.TCP:
				want = fmt.Sprint("tcp ", uint16(l.SrcPort), uint16(l.DstPort), l.Seq, l.SYN, l.ACK, l.FIN, l.RST, len(l.Payload))
			case *layers.UDP:
				want = fmt.Sprint("udp ", uint16(l.SrcPort), uint16(l.DstPort), len(l.Payload))
			default:
				continue
			}
			text := ""
			if ok && got.kind == carriesTCP {
				text = fmt.Sprint("tcp ", got.src.Port(), got.dst.Port(), got.seq, got.syn, got.ack, got.fin, got.rst, len(got.payload))
			} else if ok && got.kind == carriesUDP {
				text = fmt.Sprint("udp ", got.src.Port(), got.dst.Port(), len(got.payload))
			}
			if n := parsed.NetworkLayer().NetworkFlow(); text != want || n.Src().String() != got.src.Addr().String() {
				t.Errorf("%s, packet %d: %s of %s, gopacket: %s of %s", path, i+1, text, got.src, want, n)
			}
			compared++
		}
		if compared == 0 && !strings.Contains(path, "sdc") {
			t.Errorf("%s: nothing compared", path)
		}
	}
}
