package passive

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"probity/evidence"
	"probity/scanner/passive/capture"
)

// timed counts how many packets were read when each observation came.
type timed struct {
	src  packets
	read int
	when []int
}

func (s *timed) Next() (capture.Packet, error) {
	s.read++
	return s.src.Next()
}

func (s *timed) Record(context.Context, evidence.Observation) error {
	s.when = append(s.when, s.read)
	return nil
}

// later returns packets of other connections, step apart, which begin after at.
func later(t *testing.T, at time.Time, n int, step time.Duration) []capture.Packet {
	t.Helper()
	var out []capture.Packet
	for i := range n {
		k := newTalk(t, fmt.Sprintf("10.7.0.%d:%d", 1+i%200, 20000+i), "10.8.0.1:9")
		k.packet(fromClient, layers.TCP{Seq: 1, ACK: true}, nil)
		k.list[0].Time = at.Add(time.Duration(i+1) * step)
		out = append(out, k.list[0])
	}
	return out
}

// TestRead_silence: what a connection showed is recorded once it fell silent, in
// the time of the capture, and not only at the end of the reading.
func TestRead_silence(t *testing.T) {
	said := bytesOf(t, "live_dicom_tls12_orthanc_mtls.pcap")
	both := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443").open()
	both.say(fromClient, said[fromClient][:400]).say(fromServer, said[fromServer][:1000])
	one := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443").say(fromServer, said[fromServer])
	end := both.list[len(both.list)-1].Time
	going := slices.Clone(one.list) // its one side goes on
	for i := range 100 {
		one.say(fromServer, "more")
		p := one.list[len(one.list)-1]
		p.Time = end.Add(time.Duration(i+1) * 10 * time.Second)
		going = append(going, p)
	}
	wrong := later(t, end.AddDate(90, 0, 0), 1, 0)
	for name, tt := range map[string]struct {
		list     []capture.Packet
		packets  int // read when the observation comes
		timedOut int
	}{
		"silent":           {slices.Concat(both.list, later(t, end, 400, time.Second)), len(both.list) + 301, 1},
		"a gap":            {slices.Concat(both.list, later(t, end.AddDate(0, 0, 2), 400, time.Second)), len(both.list) + 292, 1},
		"not long enough":  {slices.Concat(both.list, later(t, end, 300, time.Second)), len(both.list) + 301, 0},
		"a wrong time":     {slices.Concat(both.list, wrong, later(t, end, 280, time.Second)), len(both.list) + 282, 0},
		"no times":         {slices.Concat(both.list, later(t, time.Time{}.Add(-time.Second), 500, 0)), len(both.list) + 501, 0},
		"one side goes on": {going, len(one.list) - 100 + 31, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &timed{src: packets{list: tt.list}}
			r := newReader(t.Context(), s, Options{}) // which records at once
			if err := r.run(s); err != nil {
				t.Fatal(err)
			}
			r.settleAll()
			if stats := r.total(); !slices.Equal(s.when, []int{tt.packets}) || stats.TimedOut != tt.timedOut || len(stats.Incomplete()) > 0 {
				t.Errorf("recorded after %d packets, want %d; %+v", s.when, tt.packets, stats)
			}
		})
	}
}

// TestRead_openings: a SYN alone takes no place in the table, and what it said is
// not forgotten over others.
func TestRead_openings(t *testing.T) {
	said := bytesOf(t, "live_dicom_tls12_orthanc_mtls.pcap")
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443").open()
	opened := slices.Clone(k.list)
	hello := said[fromClient]
	k.say(fromClient, hello[:100]).say(fromClient, hello[100:]).say(fromServer, said[fromServer])
	late := []capture.Packet{k.list[3], k.list[2], k.list[4]} // the beginning comes second
	const limit = 50
	for _, tt := range []struct {
		flood int
		want  Stats
	}{
		{limit / 2, Stats{Flows: 1, Observations: 1}},
		{10 * limit, Stats{Flows: 1, Observations: 1, MidStream: 1, Ambiguous: 0}},
	} {
		var c collector
		r := newReader(t.Context(), &c, Options{Limits: Limits{Flows: limit}})
		list := slices.Clone(opened)
		for i := range tt.flood {
			syn := newTalk(t, fmt.Sprintf("10.1.%d.%d:1024", i/250, i%250), "10.0.0.2:443").open()
			list = append(list, syn.list[0])
		}
		if err := r.run(&packets{list: append(list, late...)}); err != nil {
			t.Fatal(err)
		}
		r.settleAll()
		if o := r.table.openings; len(o.young)+len(o.old) > 2*limit || len(r.table.flows) != 1 {
			t.Errorf("%d openings and %d connections are kept", len(o.young)+len(o.old), len(r.table.flows))
		}
		got := Stats{Flows: r.stats.Flows, Observations: r.total().Observations, MidStream: r.stats.MidStream}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("flood of %d (-want +got):\n%s", tt.flood, diff)
		}
		// With the number of its SYN the hello is read from its begin.
		if offered := len(c.list) == 1 && c.list[0].Facts.TLS.OfferedMax != 0; offered != (tt.want.MidStream == 0) {
			t.Errorf("flood of %d: the hello was read: %v", tt.flood, offered)
		}
	}
}

// TestRead_portsReused: two connections on the same ports are two, also when one
// side only is in the capture.
func TestRead_portsReused(t *testing.T) {
	first, second := bytesOf(t, "live_dicom_tls12_orthanc_mtls.pcap"), bytesOf(t, "live_mqtt_tls12_mtls.pcap")
	var all []capture.Packet
	for i, said := range [][2]string{first, second} {
		k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443")
		k.seq = [2]uint32{1000 + uint32(i)<<20, 5000 + uint32(i)<<20}
		k.open().say(fromClient, said[fromClient]).say(fromServer, said[fromServer])
		all = append(all, k.list...)
	}
	for name, tt := range map[string]struct {
		want    int
		port    byte // the first byte of the port from which packets are left out
		reused  int
		oneSide int
	}{
		"both sides":  {want: 2, reused: 1},
		"client only": {want: 2, reused: 1, port: 443 >> 8, oneSide: 2},
		"server only": {want: 2, reused: 1, port: 40000 >> 8, oneSide: 2},
	} {
		t.Run(name, func(t *testing.T) {
			list := slices.DeleteFunc(slices.Clone(all), func(p capture.Packet) bool { return p.Data[14+20] == tt.port && tt.port != 0 })
			got, stats, err := read(t, &packets{list: list}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != tt.want || stats.Reused != tt.reused || stats.OneSided != tt.oneSide || stats.MidStream != 0 {
				t.Errorf("%q, %+v", summaries(got), stats)
			}
		})
	}
}

// faulty is a dissector with a mistake.
type faulty struct {
	presence
	late bool // it shows at the end only
}

func (s *faulty) feed(int, []byte) bool {
	if !s.late {
		panic("planted")
	}
	return false
}

func (*faulty) conclude(*flow) []evidence.Observation { panic("planted") }

// TestRead_panic: a mistake of ours costs the packet that meets it and nothing
// else, and makes the reading incomplete.
func TestRead_panic(t *testing.T) {
	said := bytesOf(t, "live_dicom_tls12_orthanc_mtls.pcap")
	for _, late := range []bool{false, true} {
		var c collector
		r := newReader(t.Context(), &c, Options{})
		bad := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443").open().say(fromClient, said[fromClient][:100])
		good := newTalk(t, "10.0.0.3:40000", "10.0.0.2:443").open().say(fromClient, said[fromClient]).say(fromServer, said[fromServer])
		if err := r.run(&packets{list: bad.list}); err != nil {
			t.Fatal(err)
		}
		r.table.busy.head.session = &faulty{late: late}
		bad.list = nil
		bad.say(fromClient, said[fromClient][100:])
		if err := r.run(&packets{list: slices.Concat(bad.list, good.list)}); err != nil {
			t.Fatal(err)
		}
		r.table.busy.head.session = &faulty{late: true}
		r.settleAll()
		want := 1 // at the end
		if !late {
			want++
		}
		if r.stats.Panics != want || len(c.list) != 1 || !slices.Contains(r.stats.Incomplete(), fmt.Sprintf("%d packets made a decoder fail", want)) {
			t.Errorf("late %v: %d observations, %q", late, len(c.list), r.stats.Incomplete())
		}
	}
}
