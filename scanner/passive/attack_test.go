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
	if a.at%5000 == 4999 {
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
