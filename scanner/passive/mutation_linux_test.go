package passive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probity/evidence"
	"probity/fixtures/traffic"
	"probity/scanner/passive/capture"
)

const (
	// mutationsInCI is how many packets are mutated where nothing else is asked
	// for; PROBITY_MUTATIONS asks for another number.
	mutationsInCI = 200_000
	// slowest is how long one packet may keep the reader, in time of the processor.
	slowest = 100 * time.Millisecond
)

// announcements are messages of the protocols that are known by their port, from
// and to which they are sent.
func announcements() []capture.Packet {
	name := "\x06_dicom\x04_tcp\x05local\x00"
	dhcp := "\x01\x01\x06\x00abcd\x00\x00\x00\x00\x0a\x00\x00\x09" + strings.Repeat("\x00", 12) + "\x02\x00\x00\x00\x00\x07" + strings.Repeat("\x00", 202) + "\x63\x82\x53\x63" +
		"\x35\x01\x03\x0c\x06pump-1\x32\x04\x0a\x00\x00\x09\x37\x03\x01\x03\x06\x3c\x04MSFT\x3d\x03\x01ab\xff"
	nbns := "\x00\x01\x29\x10\x00\x01\x00\x00\x00\x00\x00\x01\x20" + strings.Repeat("FAEL", 8) + "\x00\x00\x20\x00\x01\xc0\x0c\x00\x20\x00\x01\x00\x00\x00\x00\x00\x06\x00\x00\x0a\x00\x00\x01"
	soap := `<e:Envelope xmlns:e="x"><e:Body><d:Hello><d:Types>p:MedicalDevice</d:Types><d:Scopes>sdc.mds.pkp:1.2</d:Scopes><d:XAddrs>https://10.0.0.1:443/x</d:XAddrs></d:Hello></e:Body></e:Envelope>`
	snmp3 := "\x30\x3a\x02\x01\x03\x30\x0d\x02\x01\x01\x02\x02\x05\xdc\x04\x01\x00\x02\x01\x03\x04\x16\x30\x14\x04\x05\x80\x00\x00\x01\x02\x02\x01\x05\x02\x02\x01\x00\x04\x00\x04\x00\x04\x00"
	monitor := "\x00\x00\x01\x00\x00\x01\x00\x42\x00\x00\x00\x00\x00\x3c\x00\x23\x00\x00\x00\x00\x00\xd6\xd4\x00\x0d\x17\x00\x2e\x00\x02\x00\x2a" +
		"\xf1\x00\x00\x0e\x02\x00\x00\x00\x00\x09\x0a\x00\x00\x09\xff\x00\x00\x00\x09\x28\x00\x10\x00\x06ACME\x00\x00\x00\x06M8000\x00"
	unity := "\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x01" + strings.Repeat("\x00", 50) + "\xee\x00\x00\x00"
	var out []capture.Packet
	for _, m := range []struct {
		from, to int
		text     string
	}{
		{68, 67, dhcp},
		{546, 547, "\x01abc\x00\x01\x00\x04\x00\x03\x00\x01\x00\x27\x00\x08\x00\x06pump-3\x00\x10\x00\x0a\x00\x00\x00\x01\x00\x04MSFT"},
		{5353, 5353, "\x00\x00\x84\x00\x00\x00\x00\x02\x00\x00\x00\x00" + name + "\x00\x0c\x00\x01\x00\x00\x00\x01\x00\x04\x01a\xc0\x0c\xc0\x0c\x00\x10\x80\x01\x00\x00\x00\x01\x00\x0c\x0bmodel=MX800"},
		{137, 137, nbns},
		{1900, 1900, "NOTIFY * HTTP/1.1\r\nSERVER: Linux/3 UPnP/1.0 X/2\r\nNT: urn:schemas-upnp-org:device:Basic:1\r\n\r\n"},
		{50002, 3702, soap},
		{161, 50000, "\x30\x36\x02\x01\x01\x04\x06public\xa2\x29\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x1e\x30\x0e\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x04\x02HP\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x02\x00\x06\x00"},
		{161, 50000, snmp3},
		{47808, 47808, "\x81\x0b\x00\x0c\x01\x20\xff\xff\x00\xff\x10\x08"},
		{50001, 69, "\x00\x01x\x00octet\x00"},
		{40000, 24005, monitor},
		{2000, 2000, unity},
		{7000, 7000, "\x01\x04\x00\x00\x0a\x00\x00\x01\x5a\x40\xcd\xc0WARD|BED\x00\x00\x00\x00\x00\x00\x00\x00NAME,FIRST\x00\x00\x00\x00\x00\x07\x00\x03\x07\xd0"},
		{123, 123, "\x24\x02\x06\xe9" + strings.Repeat("\x01", 36) + "\xee\x00\x00\x00\x00\x00\x00\x00"},
	} {
		out = append(out, udpPacket(fmt.Sprintf("10.0.0.1:%d", m.from), fmt.Sprintf("10.0.0.2:%d", m.to), []byte(m.text)))
	}
	frame := func(kind etherType, text string) {
		b := eth(kind, []byte(text))
		out = append(out, capture.Packet{Data: b, Length: len(b), Link: capture.Ethernet, Time: time.Unix(1_700_000_000, 0).UTC()})
	}
	frame(etherARP, "\x00\x01\x08\x00\x06\x04\x00\x02\x02\x00\x00\x00\x00\x01\x0a\x00\x00\x01\x02\x00\x00\x00\x00\x02\x0a\x00\x00\x02")
	frame(etherLLDP, "\x02\x07\x04\x02\x00\x00\x00\x00\x01\x04\x07\x05port-1\x06\x02\x00\x78\x0a\x04sw-1\x0c\x05Linux\x10\x0c\x05\x01\x0a\x00\x00\x02\x02\x00\x00\x00\x01\x00\xfe\x08\x00\x12\xbb\x08S123\x00\x00")
	frame(etherType(0x24), "\xaa\xaa\x03\x00\x00\x0c\x20\x00\x02\xb4\x00\x00\x00\x01\x00\x08sw-2\x00\x02\x00\x11\x00\x00\x00\x01\x01\x01\xcc\x00\x04\x0a\x00\x00\x03\x00\x06\x00\x08C950")
	frame(etherIPv6, "\x60\x00\x00\x00\x00\x20\x3a\xff\xfe\x80"+strings.Repeat("\x00", 13)+"\x01\xff\x02"+strings.Repeat("\x00", 13)+"\x01"+
		"\x88\x00\x00\x00\x60\x00\x00\x00\xfe\x80"+strings.Repeat("\x00", 13)+"\x09\x02\x01\x02\x00\x00\x00\x00\x07")
	return out
}

// conversations are what is mutated: every protocol that is read, in captures of
// real devices and in ones that are made.
func conversations(t testing.TB) [][]capture.Packet {
	t.Helper()
	out := [][]capture.Packet{announcements()}
	files, err := filepath.Glob(ours("*.pcap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	for _, name := range files {
		out = append(out, load(t, name))
	}
	talk := func(port int, said ...string) {
		k := newTalk(t, "10.0.0.1:40000", fmt.Sprintf("10.0.0.2:%d", port)).open()
		for i, text := range said {
			k.say(i%2, text)
		}
		out = append(out, k.list)
	}
	handshake := bytesOf(t, "live_dicom_tls12_dcmtk_mtls.pcap")
	for _, turns := range preludeTalks() {
		k := newTalk(t, "10.0.0.1:40001", "10.0.0.2:7777").open()
		for _, s := range turns {
			k.say(s.side, s.text)
		}
		out = append(out, k.say(fromClient, handshake[fromClient]).say(fromServer, handshake[fromServer]).list)
	}
	for _, size := range []int{100, 1300} {
		k := newTalk(t, "10.0.0.1:40002", "10.0.0.2:4433")
		for side, list := range dtlsOf(t, "live_dicom_tls12_dcmtk_mtls.pcap", size) {
			for _, b := range list {
				k.list = append(k.list, udpBetween(k, side, b))
			}
		}
		out = append(out, k.list)
	}
	quic := newTalk(t, "10.0.0.1:40003", "10.0.0.2:443")
	out = append(out, []capture.Packet{udpBetween(quic, fromClient, quicSeal(t, cat([]byte{6, 0, 0x41, 0}, bytes.Repeat([]byte{1}, 256)), 0))})
	body := `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","software":{"name":"HAPI","version":"6"}}`
	answer := "HTTP/1.1 200 OK\r\nServer: nginx/1.2\r\nContent-Type: application/fhir+json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	talk(80, "GET /metadata HTTP/1.1\r\n\r\n", answer)
	talk(9100, `<?xml version="1.0"?><HEL.R01><DEV><DEV.vendor_id V="ACME"/><DEV.model_id V="G1"/></DEV></HEL.R01>`)
	talk(9200, "\x05\x021H|\\^&|||Analyzer^7^1||||||P|1|2026\rP|1\r")
	talk(9101, "\x0b<HEL.R01><DEV><DEV.device_name V='Meter'/><DEV.serial_id V='1'/></DEV></HEL.R01>\x1c\r", "\x0b<ACK.R01/>\x1c\r")
	talk(9201, "\x05\x05\x02H|\\^&|||Analyzer^1.0^A12345\r", "\x06\x06\x0bH|\\^&|||LIS\r")
	talk(502, "\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x01", "\x00\x01\x00\x00\x00\x05\x01\x03\x02\x00\x07")
	talk(4840, "HELF\x20\x00\x00\x00\x00\x00\x00\x00")
	talk(1883, "\x10\x10\x00\x04MQTT\x04\xc2\x00\x3c\x00\x04name")
	talk(23, "\xff\xfd\x01", "\xff\xfb\x01login: ")
	talk(22, "SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x14\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00", "SSH-2.0-y\r\n\x00\x00\x00\x0c\x04\x1f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00")
	var generated bytes.Buffer
	if _, err := traffic.Write(&generated, traffic.Config{Seed: 1, Bytes: 2 << 20, Density: 30, Tunnels: true, Pieces: true, AtOnce: 8}); err != nil {
		t.Fatal(err)
	}
	src, err := capture.NewFile("generated", &generated)
	if err != nil {
		t.Fatal(err)
	}
	var made []capture.Packet
	for {
		p, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Data = bytes.Clone(p.Data)
		made = append(made, p)
	}
	return append(out, made)
}

// mutator is a capture of conversations of which every third packet is damaged.
// It measures how long the reader keeps each packet.
type mutator struct {
	t        testing.TB
	r        *rand.Rand
	from     [][]capture.Packet
	playing  []capture.Packet
	left     int // packets still to damage
	at       time.Time
	longest  time.Duration
	culprit  []byte
	previous []byte
	entered  time.Duration
	buffer   []byte
}

// cpu is the time that this thread has run.
func cpu() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func (m *mutator) Next() (capture.Packet, error) {
	if m.previous != nil {
		if d := cpu() - m.entered; d > m.longest {
			m.longest, m.culprit = d, bytes.Clone(m.previous)
		}
	}
	if m.left == 0 {
		return capture.Packet{}, io.EOF
	}
	if len(m.playing) == 0 {
		m.playing = m.from[m.r.IntN(len(m.from))]
		if n := len(m.playing); n > 100 { // of a long one a part
			at := m.r.IntN(n - 100)
			m.playing = m.playing[at : at+100]
		}
	}
	p := m.playing[0]
	m.playing = m.playing[1:]
	m.at = m.at.Add(time.Millisecond)
	p.Time = m.at
	m.buffer = append(m.buffer[:0], p.Data...)
	if m.r.IntN(3) == 0 {
		m.left--
		for range 1 + m.r.IntN(4) {
			m.damage()
		}
		p.Length = len(m.buffer)
		if m.r.IntN(50) == 0 {
			p.Length += m.r.IntN(1 << 16)
		}
		if m.r.IntN(200) == 0 {
			p.Link = capture.LinkType(m.r.IntN(300))
		}
	}
	p.Data = m.buffer
	m.previous, m.entered = p.Data, cpu()
	return p, nil
}

// damage changes a place of the packet; places near its beginning, where lengths
// and types are, more often.
func (m *mutator) damage() {
	b, r := m.buffer, m.r
	if len(b) == 0 {
		return
	}
	at := r.IntN(len(b))
	if r.IntN(2) == 0 {
		at = r.IntN(min(len(b), 128))
	}
	values := []uint64{0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0xffffff, 0x7fffffff, 0x80000000, 0xffffffff, uint64(len(b)), uint64(len(b) - at)}
	v := values[r.IntN(len(values))]
	switch r.IntN(9) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = byte(v)
	case 2:
		if at+2 <= len(b) {
			binary.BigEndian.PutUint16(b[at:], uint16(v))
		}
	case 3:
		if at+4 <= len(b) {
			binary.BigEndian.PutUint32(b[at:], uint32(v))
		}
	case 4:
		m.buffer = b[:at]
	case 5: // a part twice
		end := min(len(b), at+1+r.IntN(64))
		m.buffer = append(b[:end:end], b[at:]...)
	case 6: // a part of another packet
		other := m.from[r.IntN(len(m.from))]
		q := other[r.IntN(len(other))].Data
		if len(q) > 0 {
			copy(b[at:], q[r.IntN(len(q)):])
		}
	case 7: // a part out
		end := min(len(b), at+1+r.IntN(64))
		m.buffer = append(b[:at], b[end:]...)
	case 8:
		for i := at; i < min(len(b), at+16); i++ {
			b[i] = byte(r.Uint32())
		}
	}
}

// forgetful is a sink that keeps nothing but checks what it gets.
type forgetful struct{ n int }

func (f *forgetful) Record(_ context.Context, o evidence.Observation) error {
	f.n++
	for _, b := range o.Raw {
		if len(b.Data) > 4*maxTLSRaw {
			return fmt.Errorf("%d raw bytes", len(b.Data))
		}
	}
	return nil
}

// TestRead_mutated damages packets of every protocol and tunnel in many ways: the
// reader must not fail on one, nor take long. It is the same on every machine.
//
// A run of ten million: PROBITY_MUTATIONS=10000000 go test -run TestRead_mutated
// -timeout 2h ./scanner/passive
func TestRead_mutated(t *testing.T) {
	total := mutationsInCI
	if text := os.Getenv("PROBITY_MUTATIONS"); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread() // so that its time is that of the reader
	defer runtime.UnlockOSThread()
	const round = 20_000
	from := conversations(t)
	var all Stats
	var sink forgetful
	var longest time.Duration
	var culprit []byte
	for seed := uint64(1); total > 0; seed++ {
		left := min(total, round)
		total -= left
		var stats Stats
		var m *mutator
		// What a round takes is the least of three: the time of a collection of garbage,
		// or of a neighbour in the cache, counts as the reader's.
		for range 3 {
			m = &mutator{t: t, r: rand.New(rand.NewPCG(seed, 2)), from: from, left: left, at: time.Unix(1_700_000_000, 0).UTC()}
			var err error
			if stats, err = Read(t.Context(), m, &sink, Options{Limits: Limits{Flows: 2000}}); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if stats.Panics > 0 {
				t.Fatalf("seed %d: %d panics", seed, stats.Panics)
			}
			if m.longest <= slowest {
				break
			}
		}
		if m.longest > slowest {
			t.Fatalf("seed %d: %v for the packet %x", seed, m.longest, m.culprit)
		}
		if m.longest > longest {
			longest, culprit = m.longest, m.culprit
		}
		all.Packets += stats.Packets
		all.Segments += stats.Segments
		all.Datagrams += stats.Datagrams
		all.Repeats += stats.Repeats
	}
	if all.Segments == 0 || all.Datagrams == 0 || sink.n == 0 {
		t.Errorf("hardly anything was read: %+v, %d observations", all, sink.n)
	}
	t.Logf("%d packets, a third of them damaged: %d observations, %d repeats, the longest packet took %v: %.200x", all.Packets, sink.n, all.Repeats, longest, culprit)
}
