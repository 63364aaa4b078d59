package passive

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket/layers"

	"probity/evidence"
	"probity/internal/wire/dicomwire"
	"probity/scanner/passive/capture"
)

func summaries(list []evidence.Observation) []string {
	var out []string
	for _, o := range list {
		out = append(out, summary(o))
	}
	return out
}

// everything returns all that an observation holds, in text and bytes.
func everything(t *testing.T, list []evidence.Observation, stats Stats) []byte {
	t.Helper()
	out, err := json.Marshal(struct {
		List  []evidence.Observation
		Stats string
	}{list, fmt.Sprintf("%+v %q", stats, stats.Incomplete())})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		for _, r := range o.Raw {
			out = append(out, r.Data...)
		}
	}
	return out
}

func dicomRequest(t *testing.T) string {
	t.Helper()
	b, err := dicomwire.Associate{
		Version: 1, CalledAE: "PACS", CallingAE: "CT", ApplicationContext: dicomwire.ApplicationContext, MaxPDU: 16384, ImplementationUID: "1.2.3",
		Contexts: []dicomwire.Context{{ID: 1, AbstractSyntax: dicomwire.Verification, TransferSyntaxes: []string{dicomwire.ImplicitVRLittle}}},
	}.MarshalRequest()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRead_noPatientData plants a marker in every place where patient data
// travels, in one segment and in many.
func TestRead_noPatientData(t *testing.T) {
	const marker = "MARKER"
	hl7 := "\x0bMSH|^~\\&|MON|ICU|EHR|HOSP|2026|MARKER|ORU^R01|MARKER|P|2.5|MARKER\r" +
		"PID|1||MARKER||MARKER^MARKER\rOBX|1|ST|MARKER||MARKER\rMARKER\r\x1c\r"
	pdata := "\x04\x00\x00\x00\x00\x40\x00\x00\x00\x3c\x01\x00" + strings.Repeat(marker, 9) + "MARKER"
	identity := dicomRequest(t)
	// A user identity item (PS3.7 D.3.3.7) at the end of the user information.
	item := "\x58\x00\x00\x0e\x02\x00\x00\x06MARKER\x00\x02pw"
	identity += item
	body := []byte(identity)
	binary.BigEndian.PutUint32(body[2:], uint32(len(body)-6))
	user := bytes.LastIndex(body, []byte("\x50\x00"))
	binary.BigEndian.PutUint16(body[user+2:], uint16(len(body)-user-4))

	for name, say := range map[string][][2]string{
		"hl7":            {{hl7, "\x0bMSH|^~\\&|EHR|HOSP|MON|ICU|||ACK|MARKER|P|2.5\rMSA|AA|MARKER\r\x1c\r"}},
		"hl7 again":      {{hl7, ""}, {hl7, ""}},
		"dicom":          {{string(body), ""}, {pdata, pdata}},
		"dicom at once":  {{string(body) + pdata, pdata}},
		"http":           {{"POST /MARKER HTTP/1.1\r\n\r\nMARKER", "HTTP/1.1 200 OK\r\n\r\nMARKER"}},
		"tls, then text": {{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "\x17\x03\x03\x00\x06MARKER"}},
	} {
		for _, size := range []int{1, 7, 10000} {
			k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:104").open()
			for _, turn := range say {
				for side, text := range turn {
					for len(text) > 0 {
						n := min(size, len(text))
						k.say(side, text[:n])
						text = text[n:]
					}
				}
			}
			list, stats, err := read(t, &packets{list: k.list}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if all := everything(t, list, stats); bytes.Contains(all, []byte(marker)) {
				t.Errorf("%s in pieces of %d: the marker is in %s", name, size, all)
			}
			if strings.HasPrefix(name, "hl7") && len(list) == 0 || strings.HasPrefix(name, "dicom") && len(list) == 0 {
				t.Errorf("%s in pieces of %d: no observation", name, size)
			}
		}
	}
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestRead_incomplete(t *testing.T) {
	eth := newTalk(t, "10.0.0.1:1", "10.0.0.2:2").open().list[0].Data
	for _, tt := range []struct {
		name string
		p    capture.Packet
		want string
	}{
		{"link type", capture.Packet{Data: eth, Link: 195}, "1 packets have link type 195, which is not read"},
		{"cut", capture.Packet{Data: eth, Length: 1500, Link: capture.Ethernet}, "1 packets were cut by the capture (capture with a snap length of 0)"},
		{"tcp header", capture.Packet{Data: eth[:40], Link: capture.Ethernet}, "1 packets cannot be decoded at the TCP header"},
		{"ppp in gre", capture.Packet{Data: cat(eth[:23], []byte{47}, eth[24:34], []byte{0x30, 1, 0x88, 0x0b}, eth[38:]), Link: capture.Ethernet}, "1 packets carry others more than four deep or in a way that is not read"},
		{"fragment", capture.Packet{Data: cat(eth[:20], []byte{0x20, 0}, eth[22:34], make([]byte, 16)), Link: capture.Ethernet}, "1 IP fragments are of datagrams that did not become complete or disagree"},
		{"odd fragment", capture.Packet{Data: cat(eth[:16], []byte{0, 31}, eth[18:20], []byte{0x20, 0}, eth[22:34], make([]byte, 11)), Link: capture.Ethernet}, "1 packets cannot be decoded at an IP fragment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, stats, err := read(t, &packets{list: []capture.Packet{tt.p}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want}, stats.Incomplete()); diff != "" || stats.Lost() != 1 {
				t.Errorf("lost %d (-want +got):\n%s", stats.Lost(), diff)
			}
		})
	}
}

// TestRead_oneSided reads each direction of every handshake by itself.
func TestRead_oneSided(t *testing.T) {
	for name, want := range map[string][2]string{ // packets to the server, packets from it
		"live_dicom_tls12_dcmtk_mtls.pcap": {
			"tls tcp/127.0.0.1:22762 0x0000 suite 0x0000 group 0x0000 dh 0 scheme 0x0000 none certs 0+2 [no answer of the server was captured]",
			"tls tcp/127.0.0.1:22762 0x0303 suite 0x009f group 0x0000 dh 2048 scheme 0x0804 complete client-auth requested (0 authorities) certs 2+0 [no byte of the client was captured]",
		},
		"live_dicom_reject_dcmtk.pcap": {
			"dicom tcp/127.0.0.1:21105 rq ECHOSCU>ANY 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21105 rj > 1/1/1",
		},
		"live_hl7_mllp_simplehl7.pcap": {
			"hl7 tcp/127.0.0.1:22575 client MONITOR|ICU > EHR|HOSP ORU^R01^ORU_R01 P 2.6 [PID OBR OBX]",
			"hl7 tcp/127.0.0.1:22575 server EHR|HOSP > MONITOR|ICU ACK P 2.3 [MSA]",
		},
	} {
		all := load(t, ours(name))
		full, _, err := read(t, &packets{list: all}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		port := full[0].Endpoint.Port
		for side, want := range want {
			for _, begin := range []bool{true, false} { // with and without SYN
				var part []capture.Packet
				for _, p := range all {
					const tcp = 14 + 20
					at := tcp + 2 - 2*side // destination port to the server, source port from it
					syn := p.Data[tcp+13]&2 != 0
					if binary.BigEndian.Uint16(p.Data[at:]) == port && (begin || !syn) {
						part = append(part, p)
					}
				}
				list, _, err := read(t, &packets{list: part}, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{want}, summaries(list)); diff != "" {
					t.Errorf("%s, side %d, beginning %v (-want +got):\n%s", name, side, begin, diff)
				}
			}
		}
	}
}

func TestRead_notTLS(t *testing.T) {
	hello := string(load(t, ours("live_dicom_tls12_dcmtk_mtls.pcap"))[3].Data[14+20+32:])
	k := newTalk(t, "[2001:db8::1]:40000", "[2001:db8::2]:11112").open().say(fromClient, hello).say(fromServer, "\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01")
	list, _, err := read(t, &packets{list: k.list}, Options{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d observations, %v", len(list), err)
	}
	if f := list[0].Facts.TLS; !f.NotTLS || f.Spoke != "dicom" || f.Version != 0 || list[0].Endpoint.Addr != k.server.Addr() {
		t.Errorf("%+v at %s", f, list[0].Endpoint)
	}
}

func TestRead_alert(t *testing.T) {
	hello := string(load(t, ours("live_dicom_tls12_dcmtk_mtls.pcap"))[3].Data[14+20+32:])
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443").open().say(fromClient, hello).say(fromServer, "\x15\x03\x03\x00\x02\x02\x28")
	list, _, err := read(t, &packets{list: k.list}, Options{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d observations, %v", len(list), err)
	}
	if f := list[0].Facts.TLS; f.Alert == nil || *f.Alert != 40 || f.Handshake != evidence.StageNone || f.NotTLS {
		t.Errorf("%+v", f)
	}
}

// TestRead_reordered sends packets twice and up to four places late. After the
// handshake of TCP the order must not matter.
func TestRead_reordered(t *testing.T) {
	for _, name := range []string{"live_dicom_tls12_dcmtk_mtls.pcap", "live_mqtt_tls12_mtls.pcap", "live_dicom_orthanc.pcap", "live_hl7_mllp_simplehl7.pcap"} {
		plain := load(t, ours(name))
		list, _, err := read(t, &packets{list: plain}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := summaries(list)
		slices.Sort(want)
		for seed := range uint64(100) {
			rng := rand.New(rand.NewPCG(seed, 2))
			mixed := slices.Clone(plain)
			for i := range len(mixed) - 4 {
				j := i + rng.IntN(5)
				if flags := mixed[i].Data[14+20+13] | mixed[j].Data[14+20+13]; flags&2 == 0 { // not a SYN
					mixed[i], mixed[j] = mixed[j], mixed[i]
				}
				if rng.IntN(4) == 0 {
					mixed = slices.Insert(mixed, j, mixed[j])
				}
			}
			list, stats, err := read(t, &packets{list: mixed}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := summaries(list)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" || stats.Incomplete() != nil {
				t.Fatalf("%s, seed %d: %q (-in order +mixed):\n%s", name, seed, stats.Incomplete(), diff)
			}
		}
	}
}

func TestRead_ssh(t *testing.T) {
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:22").open().say(fromClient, "SSH-2.0-OpenSSH_9\r\n").say(fromServer, "SSH-2.0-drop").say(fromServer, "bear\r\nMARKER")
	list, _, err := read(t, &packets{list: k.list}, Options{})
	if diff := cmp.Diff([]string{"ssh tcp/10.0.0.2:22 SSH-2.0-dropbear"}, summaries(list)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestRead_reset: a RST that no peer would take does not end the reading, and a
// port that is used again is a new connection.
func TestRead_reset(t *testing.T) {
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:104").open()
	k.packet(fromClient, layers.TCP{Seq: 99, RST: true}, nil)
	k.say(fromClient, dicomRequest(t))
	again := newTalk(t, "10.0.0.1:40000", "10.0.0.2:104")
	again.seq[0] += 5000
	again.open().say(fromClient, strings.Replace(dicomRequest(t), "CT  ", "MR  ", 1))
	list, _, err := read(t, &packets{list: append(k.list, again.list...)}, Options{})
	if err != nil || len(list) != 2 || list[0].Facts.DICOM.CallingAE != "CT" || list[1].Facts.DICOM.CallingAE != "MR" {
		t.Errorf("%q, %v", summaries(list), err)
	}
}

func TestRead_repeats(t *testing.T) {
	var all []capture.Packet
	for port := range 50 {
		k := newTalk(t, fmt.Sprintf("10.0.0.1:%d", 40000+port), "10.0.0.2:104").open().say(fromClient, dicomRequest(t))
		all = append(all, k.list...)
	}
	list, stats, err := read(t, &packets{list: all}, Options{})
	if err != nil || len(list) != 1 || stats.Repeats != 49 || stats.Observations != 1 {
		t.Errorf("%d observations, %+v, %v", len(list), stats, err)
	}
}

// TestRead_flood: connections with a hole must not take memory without bound, and
// the loss must show.
func TestRead_flood(t *testing.T) {
	l := Limits{Flows: 100, TotalBytes: 5000}
	var c collector
	r := newReader(t.Context(), &c, Options{Limits: l})
	for port := range 1000 {
		k := newTalk(t, fmt.Sprintf("10.0.0.1:%d", 10000+port), "10.0.0.2:104").open()
		k.seq[0] += 10 // a hole
		k.say(fromClient, strings.Repeat("x", 100))
		if err := r.run(&packets{list: k.list}); err != nil {
			t.Fatal(err)
		}
		if len(r.table.flows) > l.Flows || r.table.held > l.TotalBytes {
			t.Fatalf("%d flows, %d bytes", len(r.table.flows), r.table.held)
		}
	}
	if r.stats.Evictions+r.stats.Squeezed < 900 || len(r.stats.Incomplete()) == 0 {
		t.Errorf("%+v", r.stats)
	}
	r.settleAll()
	held := 0
	for _, f := range r.table.flows {
		held += f.sides[0].held() + f.sides[1].held()
	}
	if held != 0 {
		t.Errorf("%d bytes kept after the end", held)
	}
}

func TestRead_ambiguous(t *testing.T) {
	request := dicomRequest(t)
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:104").open()
	at := k.seq[0]
	k.packet(fromClient, layers.TCP{Seq: at + 50, ACK: true}, []byte(request[50:]))
	k.packet(fromClient, layers.TCP{Seq: at + 50, ACK: true}, []byte(strings.Repeat("?", 20)))
	k.packet(fromClient, layers.TCP{Seq: at, ACK: true}, []byte(request[:50]))
	list, stats, err := read(t, &packets{list: k.list}, Options{})
	if err != nil || len(list) != 1 || stats.Ambiguous != 1 || list[0].Facts.DICOM.ImplementationUID != "1.2.3" || list[0].Detail == "" {
		t.Errorf("%q, %+v, %v", summaries(list), stats, err)
	}
}

type failing struct{ after int }

var errSink = errors.New("disk full")

func (f *failing) Record(context.Context, evidence.Observation) error {
	f.after--
	if f.after < 0 {
		return errSink
	}
	return nil
}

func TestRead_sinkFails(t *testing.T) {
	stats, err := Read(t.Context(), &packets{list: load(t, ours("live_dicom_orthanc.pcap"))}, &failing{after: 1}, Options{})
	if !errors.Is(err, errSink) || stats.Observations != 1 {
		t.Errorf("%v, %+v", err, stats)
	}
}

func TestRead_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, &packets{list: load(t, ours("live_dicom_orthanc.pcap"))}, &collector{}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// FuzzRead changes bytes of the packets of a capture and puts them in another
// order. Nothing may fail but decoding.
func FuzzRead(f *testing.F) {
	var captures [][]capture.Packet
	for _, name := range []string{"live_dicom_tls12_dcmtk_mtls.pcap", "live_dicom_orthanc.pcap", "live_hl7_mllp_simplehl7.pcap", "live_dicom_tls_dcmtk_mtls.pcap"} {
		captures = append(captures, load(f, ours(name)))
	}
	f.Add(uint8(0), []byte{})
	f.Add(uint8(1), []byte{3, 0, 80, 0xff, 5, 0, 14, 0x60})
	f.Add(uint8(2), []byte{1, 1, 20, 9, 200, 0, 0, 0})
	links := []capture.LinkType{capture.Ethernet, capture.Ethernet, capture.Ethernet, capture.Raw, capture.LinuxSLL, capture.LinuxSLL2, capture.Null, 999}
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		original := captures[int(which)%len(captures)]
		list := make([]capture.Packet, len(original))
		for i, p := range original {
			p.Data, p.Link = bytes.Clone(p.Data), links[which>>5]
			list[i] = p
		}
		for len(changes) >= 4 {
			i, at, v := int(changes[0])%len(list), int(changes[1])<<8|int(changes[2]), changes[3]
			changes = changes[4:]
			if p := &list[i]; at < len(p.Data) {
				p.Data[at] ^= v
			} else if at%2 == 0 {
				p.Data = p.Data[:int(v)%(len(p.Data)+1)]
			} else {
				list[i], list[int(v)%len(list)] = list[int(v)%len(list)], list[i]
			}
		}
		got, stats, err := read(t, &packets{list: list}, Options{Limits: Limits{Flows: 3, TotalBytes: 4096}})
		if err != nil || stats.Panics > 0 || stats.Packets != len(list) || len(got) != stats.Observations {
			t.Fatalf("%+v, %v", stats, err)
		}
	})
}
