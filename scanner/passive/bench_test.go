package passive

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"probity/evidence"
	"probity/fixtures/measure"
	"probity/fixtures/traffic"
	"probity/scanner/passive/capture"
)

// bulk is a capture of n connections, each a DICOM association followed by data,
// interleaved.
func bulk(b *testing.B, n, segments int) []capture.Packet {
	b.Helper()
	hello := load(b, ours("live_dicom_echo_dcmtk.pcap"))
	request := string(hello[3].Data[14+20+32:])
	data := "\x04\x00\x00\x10\x00\x00" + strings.Repeat("x", 1394)
	talks := make([]*talk, n)
	for i := range talks {
		talks[i] = newTalk(b, fmt.Sprintf("10.0.%d.%d:40000", i/250, i%250), "10.9.0.1:104").open().say(fromClient, request)
		for range segments {
			talks[i].say(fromClient, data)
		}
	}
	var out []capture.Packet
	for at := range talks[0].list {
		for _, k := range talks {
			out = append(out, k.list[at])
		}
	}
	return out
}

func BenchmarkRead(b *testing.B) {
	list := bulk(b, 200, 100)
	size := 0
	for _, p := range list {
		size += len(p.Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		_, stats, err := read(b, &packets{list: list}, Options{})
		if err != nil || stats.Observations != 200 {
			b.Fatalf("%+v, %v", stats, err)
		}
		n += stats.Packets
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "packets/s")
}

// BenchmarkRead_small reads small packets of real handshakes and SNMP out of
// memory, without a store: packets for each second of processor time. Of "new" nearly every
// handshake is of another server; of "again" two hundred clients call the same servers.
func BenchmarkRead_small(b *testing.B) {
	for _, tt := range []struct {
		name  string
		pairs int
	}{{"new", 0}, {"again", 200}} {
		b.Run(tt.name, func(b *testing.B) {
			var file bytes.Buffer
			c := traffic.Mixed(2, 64<<20)
			c.Small, c.Pairs = true, tt.pairs
			truth, err := traffic.Write(&file, c)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(truth.Bytes)
			b.ReportAllocs()
			var stats Stats
			begun := measure.ProcessorTime(b)
			for b.Loop() {
				src, err := capture.NewFile("memory", bytes.NewReader(file.Bytes()))
				if err != nil {
					b.Fatal(err)
				}
				stats, err = Read(b.Context(), src, discard{}, Options{})
				if err != nil || int64(stats.Packets) != truth.Packets || stats.Unproven > 0 {
					b.Fatalf("%+v, %v", stats, err)
				}
			}
			spent := measure.ProcessorTime(b) - begun
			b.ReportMetric(float64(truth.Packets)*float64(b.N)/spent.Seconds(), "packets/cpu-s")
			b.ReportMetric(float64(stats.Observations), "observations")
			b.ReportMetric(float64(stats.Repeats), "repeats")
		})
	}
}

// discard keeps nothing.
type discard struct{}

func (discard) Record(context.Context, evidence.Observation) error { return nil }
