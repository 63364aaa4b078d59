package passive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner/passive/capture"
)

// udpPacket is one datagram in an Ethernet frame.
func udpPacket(src, dst string, payload []byte) capture.Packet {
	t := newTalk(nil, src, dst)
	return udpBetween(t, fromClient, payload)
}

func udpBetween(k *talk, side int, payload []byte) capture.Packet {
	src, dst := k.client, k.server
	if side == fromServer {
		src, dst = dst, src
	}
	b := cat(u16(int(src.Port())), u16(int(dst.Port())), u16(8+len(payload)), u16(0), payload)
	var data []byte
	if src.Addr().Is4() {
		data = eth(etherIPv4, cat([]byte{0x45, 0}, u16(20+len(b)), []byte{0, 1, 0, 0, 64, 17, 0, 0}, src.Addr().AsSlice(), dst.Addr().AsSlice(), b))
	} else {
		data = eth(etherIPv6, cat([]byte{0x60, 0, 0, 0}, u16(len(b)), []byte{17, 64}, src.Addr().AsSlice(), dst.Addr().AsSlice(), b))
	}
	return capture.Packet{Data: data, Length: len(data), Link: capture.Ethernet, Time: time.Unix(1_700_000_000, 0).UTC()}
}

// dtlsOf turns the handshake messages of a capture of TLS 1.2 into DTLS records
// with fragments of at most size bytes, each a datagram.
func dtlsOf(t testing.TB, name string, size int) (out [2][][]byte) {
	t.Helper()
	for side, text := range bytesOf(t, name) {
		list, err := tlswire.NewStream(tlswire.Limits{}).Feed([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		epoch, seq := byte(0), 0
		for _, m := range list {
			record := func(kind byte, body []byte) {
				b := cat([]byte{kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, byte(len(out[side]))}, u16(len(body)), body)
				out[side] = append(out[side], b)
			}
			switch {
			case m.Kind == tlswire.ChangeCipherSpec:
				record(20, []byte{1})
				epoch = 1
			case m.Kind == tlswire.Handshake && m.Encrypted:
				record(22, make([]byte, 40))
			case m.Kind == tlswire.Handshake:
				body := slices.Clone(m.Body)
				if m.Type == 1 || m.Type == 2 {
					body[0], body[1] = 0xfe, 0xfd
				}
				if m.Type == 1 {
					at := 35 + int(body[34])
					body = slices.Insert(body, at, 4, 'c', 'o', 'o', 'k')
				}
				for at := 0; at == 0 || at < len(body); at += size {
					f := body[at:min(at+size, len(body))]
					n := len(body)
					h := []byte{m.Type, byte(n >> 16), byte(n >> 8), byte(n), 0, byte(seq), byte(at >> 16), byte(at >> 8), byte(at), 0, byte(len(f) >> 8), byte(len(f))}
					record(22, append(h, f...))
				}
				seq++
			}
		}
	}
	return out
}

func TestRead_dtls(t *testing.T) {
	tcp, _ := readFile(t, ours("live_dicom_tls12_dcmtk_mtls.pcap"))
	for _, size := range []int{100, 1300, 9000} {
		for name, mix := range map[string]func(l [][]byte) [][]byte{
			"in order":  func(l [][]byte) [][]byte { return l },
			"backwards": func(l [][]byte) [][]byte { l = slices.Clone(l); slices.Reverse(l[1 : len(l)-1]); return l },
			"twice":     func(l [][]byte) [][]byte { return slices.Concat(l[:len(l)-2], l) },
		} {
			k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:4433")
			for side, list := range dtlsOf(t, "live_dicom_tls12_dcmtk_mtls.pcap", size) {
				if name == "backwards" && slices.ContainsFunc(list, func(b []byte) bool { return b[0] == 20 }) {
					end := slices.IndexFunc(list, func(b []byte) bool { return b[0] == 20 })
					list = slices.Concat(mix(list[:end]), list[end:])
				} else {
					list = mix(list)
				}
				for _, b := range list {
					k.list = append(k.list, udpBetween(k, side, b))
				}
			}
			list, stats, err := read(t, &packets{list: k.list}, Options{})
			if err != nil || len(list) != 1 || stats.Incomplete() != nil {
				t.Fatalf("%s, %d: %q, %q, %v", name, size, summaries(list), stats.Incomplete(), err)
			}
			f := list[0].Facts.TLS
			if diff := cmp.Diff(certificates(tcp), certificates(list)); diff != "" || f.Version != tlswire.VersionTLS12 || f.Carrier != "dtls" ||
				f.Handshake != evidence.StageComplete || list[0].Endpoint.String() != "udp/10.0.0.2:4433" || !strings.HasPrefix(f.JA4, "dd2") {
				t.Errorf("%s, %d: %s, %+v\n%s", name, size, summary(list[0]), f, diff)
			}
		}
	}
}

// TestRead_dtlsLoss: a lost fragment is a gap, and what came is kept.
func TestRead_dtlsLoss(t *testing.T) {
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:4433")
	for side, list := range dtlsOf(t, "live_dicom_tls12_dcmtk_mtls.pcap", 300) {
		for i, b := range list {
			if side == fromServer && i == 3 {
				continue
			}
			k.list = append(k.list, udpBetween(k, side, b))
		}
	}
	list, stats, err := read(t, &packets{list: k.list}, Options{})
	if err != nil || len(list) != 1 || stats.Gaps != 1 || list[0].Facts.TLS.Version == 0 {
		t.Errorf("%q, %+v, %v", summaries(list), stats, err)
	}
}

// TestPeer_ja3 compares JA3 with tshark on every capture with a handshake.
func TestPeer_ja3(t *testing.T) {
	tshark := peer.Require(t, "tshark")["tshark"]
	for _, path := range []string{
		ours("live_dicom_tls12_dcmtk_mtls.pcap"), ours("live_dicom_tls_orthanc_mtls.pcap"), ours("live_mqtt_tls12_mtls.pcap"),
		theirs(t, "suricata_tls_input.pcap"), theirs(t, "zeek_client-certificate.pcap"), theirs(t, "zeek_missing-intermediate.pcap"),
	} {
		out, err := exec.CommandContext(t.Context(), tshark, "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE",
			"-Y", "tls.handshake.ja3", "-T", "fields", "-e", "tls.handshake.ja3").Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(string(out))
		var got []string
		list, _ := readFile(t, path)
		for _, o := range list {
			if f := o.Facts.TLS; f != nil && f.JA3 != "" {
				got = append(got, f.JA3)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		want, got = slices.Compact(want), slices.Compact(got)
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
			t.Errorf("%s (-tshark +ours):\n%s", path, diff)
		}
	}
}

// quicSeal makes a client's Initial packet with the keys of RFC 9001 appendix
// A.1, whose destination is 8394c8f03e515708.
func quicSeal(t testing.TB, frames []byte, number byte) []byte {
	t.Helper()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, err := aes.NewCipher(unhex("1f369613dd76d5467730efcbe3b1a22d"))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	mask, err := aes.NewCipher(unhex("9f50449e04a0e810283a1e9933adedd2"))
	if err != nil {
		t.Fatal(err)
	}
	head := cat(unhex("c000000001088394c8f03e5157080000"), u16(0x4000|1+1170+16), []byte{number})
	plain := make([]byte, 1170)
	copy(plain, frames)
	nonce := unhex("fa044b2f42a3fd3b46fb255c")
	nonce[11] ^= number
	at := len(head) - 1
	out := aead.Seal(slices.Clone(head), nonce, plain, head)
	var m [16]byte
	mask.Encrypt(m[:], out[at+4:at+20])
	out[0] ^= m[0] & 0x0f
	out[at] ^= m[1]
	return out
}

// TestRead_quic reads a ClientHello of crypto/tls out of two packets in the wrong
// order, the first of which begins in the middle.
func TestRead_quic(t *testing.T) {
	q := tls.QUICClient(&tls.QUICConfig{TLSConfig: &tls.Config{ServerName: "pacs.example", NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}})
	q.SetTransportParameters([]byte{1, 2, 3})
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var hello []byte
	for e := q.NextEvent(); e.Kind != tls.QUICNoEvent; e = q.NextEvent() {
		if e.Kind == tls.QUICWriteData {
			hello = append(hello, e.Data...)
		}
	}
	cut := len(hello) - 1000
	frame := func(offset int, data []byte) []byte {
		return cat([]byte{6}, u16(0x4000|offset), u16(0x4000|len(data)), data)
	}
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443")
	k.list = append(k.list, udpBetween(k, fromClient, quicSeal(t, frame(cut, hello[cut:]), 0)), udpBetween(k, fromClient, quicSeal(t, frame(0, hello[:cut]), 1)))
	list, stats, err := read(t, &packets{list: k.list}, Options{})
	if err != nil || len(list) != 1 || stats.Incomplete() != nil {
		t.Fatalf("%q, %+v, %v", summaries(list), stats, err)
	}
	f := list[0].Facts.TLS
	if f.ServerName != "pacs.example" || !slices.Equal(f.ClientALPN, []string{"h3"}) || f.Carrier != "quic" || f.OfferedMax != tlswire.VersionTLS13 ||
		!strings.HasPrefix(f.JA4, "q13d") || list[0].Endpoint.String() != "udp/10.0.0.2:443" {
		t.Errorf("%s: %+v", list[0].Endpoint, f)
	}
}

func TestRead_quicRefused(t *testing.T) {
	b := make([]byte, 1200)
	b[0] = 0xc3
	binary.BigEndian.PutUint32(b[1:], 1)
	b[5] = 8
	binary.BigEndian.PutUint16(b[16:], 0x4400)
	list, stats, err := read(t, &packets{list: []capture.Packet{udpPacket("10.0.0.1:40000", "10.0.0.2:443", b)}}, Options{})
	if err != nil || len(list) != 0 || stats.Flows != 0 || stats.Panics != 0 {
		t.Errorf("%q, %+v, %v", summaries(list), stats, err)
	}
}
