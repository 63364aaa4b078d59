package passive

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"probity/scanner/passive/capture"
)

// attack is a capture that is made while it is read.
type attack struct {
	at, n int
	peak  int64 // of the heap while it was read
	make  func(i int) capture.Packet
}

func (a *attack) Next() (capture.Packet, error) {
	if a.at == a.n {
		return (&packets{}).Next()
	}
	if a.at%5000 == 4999 || a.n < 5000 && a.at%1000 == 999 {
		a.peak = max(a.peak, heap())
	}
	a.at++
	return a.make(a.at - 1), nil
}

// heap is what is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRead_attacks: what an attacker sends must not take memory without bound,
// and what is lost to it must show.
func TestRead_attacks(t *testing.T) {
	one := func(client string, side int, tcp layers.TCP, text string) capture.Packet {
		k := newTalk(t, client, "10.0.0.2:443")
		k.packet(side, tcp, []byte(text))
		return k.list[0]
	}
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d:%d", 1+i>>16, i>>8&255, i&255, 1024+i%50000) }
	record := "\x16\x03\x03\x40\x00\x01\x00\x3f\xfc\x03\x03" + strings.Repeat("x", 500)
	for name, packet := range map[string]func(i int) capture.Packet{
		"half-open flows": func(i int) capture.Packet { return one(address(i), fromClient, layers.TCP{Seq: 1, SYN: true}, "") },
		"endless hellos":  func(i int) capture.Packet { return one(address(i), fromClient, layers.TCP{Seq: 1, ACK: true}, record) },
		"holes": func(i int) capture.Packet {
			syn := i%2 == 0
			tcp := layers.TCP{Seq: 1, SYN: syn, ACK: !syn}
			if !syn {
				tcp.Seq = 5000
				return one(address(i/2), fromClient, tcp, record)
			}
			return one(address(i/2), fromClient, tcp, "")
		},
	} {
		before := heap()
		limits := Limits{Flows: 1000, TotalBytes: 100 << 10}
		src := &attack{n: 30000, make: packet}
		_, stats, err := read(t, src, Options{Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		if grown := src.peak - before; src.peak == 0 || grown > 8<<20 {
			t.Errorf("%s: %d bytes are held at once", name, grown)
		}
		if name != "half-open flows" && len(stats.Incomplete()) == 0 {
			t.Errorf("%s: nothing was counted as lost: %+v", name, stats)
		}
	}
}

// TestRead_hugeLengths: a message that says to be huge, or never ends, is not
// waited for in memory, in whatever protocol it comes.
func TestRead_hugeLengths(t *testing.T) {
	const flows, segments = 10, 400 // 5.6 MB in all
	filler := strings.Repeat("A", 1400)
	for name, begin := range map[string]string{
		"TLS record":            "\x16\x03\x03\xff\xff\x01\xff\xff\xff",
		"TLS handshake":         "\x16\x03\x03\x40\x00\x0b\xff\xff\xff\x03\x03",
		"TLS hello of server":   "\x16\x03\x03\x40\x00\x02\x03\xff\xff\x03\x03",
		"SSL 2.0 hello":         "\xff\xff\x01\x03\x03\xff\xff\xff\xff\xff\xff",
		"DICOM association":     "\x01\x00\xff\xff\xff\xff\x00\x01\x00\x00",
		"HL7 message":           "\x0bMSH|^~\\&|",
		"SSH packet":            "SSH-2.0-x\r\n\xff\xff\xff\xff\x04",
		"SSH line":              "SSH-2.0-",
		"HTTP head":             "HTTP/1.1 200 OK\r\nServer: ",
		"HTTP body":             "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 9999999999999\r\n\r\n",
		"POCT1 hello":           `<HEL.R01>`,
		"LIS2 header":           "\x05\x021H|\\^&|",
		"SMTP line":             "220 ",
		"LDAP message":          "\x30\x84\xff\xff\xff\xff\x02\x01\x01\x60",
		"XMPP stream":           "<?xml version='1.0'?><stream:stream to='",
		"TDS packet":            "\x12\x01\xff\xff\x00\x00\x01\x00\x00\x00\xff\xff\x06",
		"MySQL greeting":        "\xff\xff\x00\x00\x0a8.0",
		"RDP request":           "\x03\x00\xff\xff\x27\xe0\x00\x00\x00\x00\x00Cookie: ",
		"PostgreSQL, then TLS":  "S\x16\x03\x03\xff\xff",
		"certificate of 16 MiB": "\x16\x03\x03\x40\x00\x0b\xff\xff\xfe\xff\xff\xfb\xff\xff\xf8",
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			talks := make([]*talk, flows)
			src := &attack{n: flows * (segments + 3), make: func(i int) capture.Packet {
				k := talks[i%flows]
				if k == nil {
					k = newTalk(t, fmt.Sprintf("10.1.0.%d:40000", i%flows), "10.0.0.2:7777").open()
					talks[i%flows] = k
					syn := k.list[0]
					k.list = k.list[1:]
					return syn
				}
				if len(k.list) == 0 {
					k.say(fromServer, filler)
				} else if k.seq[fromServer] == 5000 && len(k.list) == 1 {
					k.say(fromServer, begin)
				}
				p := k.list[0]
				k.list = k.list[1:]
				return p
			}}
			_, stats, err := read(t, src, Options{})
			if err != nil || stats.Panics > 0 {
				t.Fatalf("%+v, %v", stats, err)
			}
			// A connection may keep 16 KiB in the common case, 64 KiB of a
			// message of bounded size, 256 KiB of certificates.
			if grown := max(src.peak, heap()) - before; grown > flows*(300<<10) {
				t.Errorf("%d bytes are held for %d connections", grown, flows)
			}
		})
	}
}
