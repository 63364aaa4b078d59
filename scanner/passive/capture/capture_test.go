package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// sample are the packets that every file of these tests holds. Their times fit
// microseconds.
func sample(link LinkType) []Packet {
	at := time.Unix(1_700_000_000, 123_456_000).UTC()
	return []Packet{
		{Data: []byte("first"), Time: at, Length: 5, Link: link},
		{Data: []byte("second, cut"), Time: at.Add(time.Second), Length: 1500, Link: link},
		{Data: []byte{}, Time: at.Add(2 * time.Second), Length: 0, Link: link},
		{Data: []byte("last"), Time: at.Add(3 * time.Second), Length: 4, Link: link},
	}
}

// pcapFile builds a classic file by hand.
func pcapFile(order binary.AppendByteOrder, nano bool, link LinkType) []byte {
	magic, unit := uint32(0xa1b2c3d4), 1000
	if nano {
		magic, unit = 0xa1b23c4d, 1
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 8) // a snap length that the packets do not keep to
	b = order.AppendUint32(b, uint32(link))
	for _, p := range sample(link) {
		b = order.AppendUint32(b, uint32(p.Time.Unix()))
		b = order.AppendUint32(b, uint32(p.Time.Nanosecond()/unit))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = order.AppendUint32(b, uint32(p.Length))
		b = append(b, p.Data...)
	}
	return b
}

// block builds a pcapng block by hand.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return order.AppendUint32(b, uint32(len(body)+12))
}

// pcapngFile builds a pcapng file whose interface counts in 2^-20 seconds if
// binaryTime is set, else in nanoseconds and an hour early.
func pcapngFile(order binary.AppendByteOrder, link LinkType, binaryTime bool) []byte {
	section := order.AppendUint32(nil, byteOrderMagic)
	section = order.AppendUint16(section, 1)
	section = order.AppendUint16(section, 0)
	section = order.AppendUint64(section, ^uint64(0))
	b := block(order, blockSection, section)

	iface := order.AppendUint16(nil, uint16(link))
	iface = append(iface, 0, 0)
	iface = order.AppendUint32(iface, 0)
	iface = order.AppendUint16(iface, 9) // if_tsresol
	iface = order.AppendUint16(iface, 1)
	if binaryTime {
		iface = append(iface, 0x80|20, 0, 0, 0)
	} else {
		iface = append(iface, 9, 0, 0, 0)
		iface = order.AppendUint16(iface, 14) // if_tsoffset
		iface = order.AppendUint16(iface, 8)
		iface = order.AppendUint64(iface, 3600)
	}
	b = append(b, block(order, blockInterface, iface)...)
	b = append(b, block(order, 5, make([]byte, 12))...)                // statistics
	b = append(b, block(order, 0x0bad, make([]byte, maxBlock+100))...) // an unknown block that is too long to keep
	for _, p := range sample(link) {
		stamp := uint64(p.Time.Add(-time.Hour).UnixNano())
		if binaryTime {
			stamp = uint64(p.Time.Unix())<<20 + 129_452 // 0.123456 s, rounded up
		}
		body := order.AppendUint32(nil, 0)
		body = order.AppendUint32(body, uint32(stamp>>32))
		body = order.AppendUint32(body, uint32(stamp))
		body = order.AppendUint32(body, uint32(len(p.Data)))
		body = order.AppendUint32(body, uint32(p.Length))
		b = append(b, block(order, blockEnhancedPacket, append(body, p.Data...))...)
	}
	return b
}

func packed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// drain reads all packets of b.
func drain(b []byte) ([]Packet, error) {
	f, err := NewFile("test", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var out []Packet
	for {
		p, err := f.Next()
		if err != nil {
			return out, err
		}
		p.Data = append([]byte{}, p.Data...)
		out = append(out, p)
	}
}

func TestFile_formats(t *testing.T) {
	for name, b := range map[string][]byte{
		"pcap little-endian microseconds": pcapFile(binary.LittleEndian, false, Ethernet),
		"pcap little-endian nanoseconds":  pcapFile(binary.LittleEndian, true, Ethernet),
		"pcap big-endian microseconds":    pcapFile(binary.BigEndian, false, Ethernet),
		"pcap big-endian nanoseconds":     pcapFile(binary.BigEndian, true, Ethernet),
		"pcap gzip":                       packed(t, pcapFile(binary.LittleEndian, false, Ethernet)),
		"pcapng little-endian":            pcapngFile(binary.LittleEndian, Ethernet, false),
		"pcapng big-endian":               pcapngFile(binary.BigEndian, Ethernet, false),
		"pcapng gzip":                     packed(t, pcapngFile(binary.BigEndian, Ethernet, false)),
		"pcapng of two sections":          append(pcapngFile(binary.LittleEndian, Ethernet, false), pcapngFile(binary.BigEndian, Ethernet, false)...),
	} {
		t.Run(name, func(t *testing.T) {
			want := sample(Ethernet)
			if strings.Contains(name, "two") {
				want = append(want, want...)
			}
			got, err := drain(b)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("error %v, want io.EOF", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFile_linkTypes(t *testing.T) {
	for _, b := range [][]byte{pcapFile(binary.LittleEndian, false, LinuxSLL2), pcapngFile(binary.BigEndian, LinuxSLL2, false)} {
		got, err := drain(b)
		if !errors.Is(err, io.EOF) || got[0].Link != LinuxSLL2 {
			t.Errorf("link type %d, error %v", got[0].Link, err)
		}
	}
}

func TestFile_binaryTime(t *testing.T) {
	got, err := drain(pcapngFile(binary.LittleEndian, Ethernet, true))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for i, p := range sample(Ethernet) {
		if d := got[i].Time.Sub(p.Time).Abs(); d > time.Microsecond {
			t.Errorf("packet %d: %s apart", i+1, d)
		}
	}
}

// TestFile_pcapgo reads what pcapgo writes.
func TestFile_pcapgo(t *testing.T) {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sample(Ethernet) {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: len(p.Data), Length: p.Length}, p.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	got, err := drain(b.Bytes())
	if diff := cmp.Diff(sample(Ethernet), got); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestFile_cutAnywhere: whatever the place of a cut, the packets before it are
// read, and the error names the packet and its place.
func TestFile_cutAnywhere(t *testing.T) {
	whole := pcapFile(binary.LittleEndian, false, Ethernet)
	ends := []int{pcapHeader}
	for _, p := range sample(Ethernet) {
		ends = append(ends, ends[len(ends)-1]+16+len(p.Data))
	}
	for n := range whole {
		got, err := drain(whole[:n])
		if n < pcapHeader {
			if !errors.Is(err, ErrNotCapture) {
				t.Errorf("cut after %d bytes: %v", n, err)
			}
			continue
		}
		read := 0
		for read+1 < len(ends) && ends[read+1] <= n {
			read++
		}
		if len(got) != read {
			t.Errorf("cut after %d bytes: %d packets, want %d", n, len(got), read)
		}
		var cut *TruncatedError
		switch {
		case n == ends[read]:
			if !errors.Is(err, io.EOF) {
				t.Errorf("cut between packets: %v", err)
			}
		case !errors.As(err, &cut) || cut.Packet != read+1 || cut.Offset != int64(ends[read]) || !errors.Is(err, ErrTruncated):
			t.Errorf("cut after %d bytes: %v; want packet %d at %d", n, err, read+1, ends[read])
		}
	}
	ng := pcapngFile(binary.BigEndian, Ethernet, false)
	for _, n := range []int{len(ng) - 1, len(ng) - 20, len(ng) - 30} {
		var cut *TruncatedError
		if got, err := drain(ng[:n]); !errors.As(err, &cut) || len(got) != 3 || cut.Packet != 4 {
			t.Errorf("pcapng cut after %d bytes: %d packets, %v", n, len(got), err)
		}
	}
	gz := packed(t, whole)
	var cut *TruncatedError
	if _, err := drain(gz[:len(gz)-9]); !errors.As(err, &cut) {
		t.Errorf("gzip cut: %v", err)
	}
}

func TestFile_damaged(t *testing.T) {
	whole := pcapFile(binary.LittleEndian, false, Ethernet)
	second := pcapHeader + 16 + len("first")
	huge := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(huge[second+8:], 1<<31)
	binary.LittleEndian.PutUint32(huge[second+12:], 1<<31)
	ng := pcapngFile(binary.LittleEndian, Ethernet, false)
	tail := bytes.Clone(ng)
	tail[len(tail)-4]++
	claim := append(bytes.Clone(ng), block(binary.LittleEndian, blockEnhancedPacket, make([]byte, 20))...)
	binary.LittleEndian.PutUint32(claim[len(ng)+8+12:], MaxPacket)
	long := append(bytes.Clone(ng), 6, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff)
	short := append(bytes.Clone(ng), 6, 0, 0, 0, 4, 0, 0, 0)
	orphan := append(bytes.Clone(ng), block(binary.LittleEndian, blockEnhancedPacket, []byte{9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})...)
	for _, tt := range []struct {
		name   string
		in     []byte
		packet int
		offset int
	}{
		{"pcap length", huge, 2, second},
		{"pcapng length at the end", tail, 4, len(ng) - 12 - 20 - 4},
		{"pcapng packet longer than its block", claim, 5, len(ng)},
		{"pcapng block of 4 GiB", long, 5, len(ng)},
		{"pcapng block of 4 bytes", short, 5, len(ng)},
		{"pcapng packet of no interface", orphan, 5, len(ng)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := drain(tt.in)
			var damage *FormatError
			if !errors.As(err, &damage) || !errors.Is(err, ErrTruncated) {
				t.Fatalf("error %v", err)
			}
			if damage.Packet != tt.packet || damage.Offset != int64(tt.offset) || len(got) != tt.packet-1 {
				t.Errorf("%d packets, %v; want packet %d at byte %d", len(got), err, tt.packet, tt.offset)
			}
		})
	}
}

func TestOpen_notACapture(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty":   "",
		"short":   "\xa1\xb2",
		"text":    "These are notes, not packets.",
		"gzip":    string(packed(t, []byte("notes, packed"))),
		"pcap":    "\xa1\xb2\xc3\xd4 and no more",
		"pcapng":  "\x0a\x0d\x0d\x0a\x00\x00\x00\x1c\x00\x00\x00\x00",
		"version": "\xd4\xc3\xb2\xa1\x09\x00\x00\x00" + strings.Repeat("\x00", 16),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err == nil {
			t.Errorf("%s was opened", name)
			_ = f.Close()
			continue
		}
		if text := err.Error(); !strings.Contains(text, path) || strings.Contains(text, "\n") {
			t.Errorf("%s: %q does not name the file in one line", name, text)
		}
	}
	if _, err := Open(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzNewFile(f *testing.F) {
	f.Add(pcapFile(binary.BigEndian, true, Ethernet))
	f.Add(pcapngFile(binary.LittleEndian, Raw, false)[:200])
	f.Add(packed(f, pcapFile(binary.LittleEndian, false, Null)))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := drain(b)
		if err == nil {
			t.Fatal("no end")
		}
		for _, p := range list {
			if len(p.Data) > MaxPacket || p.Length < 0 {
				t.Fatalf("packet of %d bytes, length %d", len(p.Data), p.Length)
			}
		}
	})
}
