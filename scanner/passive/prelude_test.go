package passive

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bytesOf returns what the two sides of the only connection of a capture say,
// the client's first.
func bytesOf(t testing.TB, name string) [2]string {
	t.Helper()
	var out [2]string
	var stats Stats
	d := newDecoder(&stats)
	var client uint16
	for _, p := range load(t, ours(name)) {
		s, ok := d.decode(p, 0)
		if !ok {
			continue
		}
		if s.syn && !s.ack {
			client = s.src.Port()
		}
		side := fromClient
		if s.src.Port() != client {
			side = fromServer
		}
		out[side] += string(s.payload)
	}
	return out
}

// tdsWrap puts bytes into TDS packets of at most 512 bytes.
func tdsWrap(text string) string {
	var out []byte
	for chunk := range slices.Chunk([]byte(text), 504) {
		out = append(out, 0x12, 1)
		out = binary.BigEndian.AppendUint16(out, uint16(len(chunk)+8))
		out = append(append(out, 0, 0, 1, 0), chunk...)
	}
	return string(out)
}

type turn struct {
	side int
	text string
}

// preludeTalks are what each protocol says before TLS. MARKER stands for text
// that must not be kept.
func preludeTalks() map[string][]turn {
	prelogin := "\x00\x00\x06\x00\x06\xff\x0e\x00\x00\x00\x00\x00\x00"
	greeting := "\x0a8.0.MARKER\x00" + strings.Repeat("\x01", 30)
	return map[string][]turn{
		"smtp":       {{fromServer, "220 mail.MARKER ESMTP\r\n"}, {fromClient, "EHLO MARKER\r\n"}, {fromServer, "250-MARKER\r\n250 STARTTLS\r\n"}, {fromClient, "STARTTLS\r\n"}, {fromServer, "220 go\r\n"}},
		"imap":       {{fromServer, "* OK MARKER\r\n"}, {fromClient, "a CAPABILITY\r\n"}, {fromServer, "* CAPABILITY STARTTLS\r\na OK MARKER\r\n"}, {fromClient, "b STARTTLS\r\n"}, {fromServer, "b OK\r\n"}},
		"pop3":       {{fromServer, "+OK MARKER\r\n"}, {fromClient, "STLS\r\n"}, {fromServer, "+OK\r\n"}},
		"ftp":        {{fromServer, "220-MARKER\r\n220 ok\r\n"}, {fromClient, "AUTH TLS\r\n"}, {fromServer, "234 MARKER\r\n"}},
		"ldap":       {{fromClient, "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"}, {fromServer, "\x30\x84\x00\x00\x00\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}},
		"xmpp":       {{fromClient, "<?xml version='1.0'?><stream:stream to='MARKER'>"}, {fromServer, "<?xml version='1.0'?>"}, {fromServer, "<stream:stream from='MARKER'><stream:features><starttls/></stream:features>"}, {fromClient, "<starttls/>"}, {fromServer, "<proceed/>"}},
		"postgresql": {{fromClient, "\x00\x00\x00\x08\x04\xd2\x16\x30"}, {fromServer, "N"}, {fromClient, "\x00\x00\x00\x08\x04\xd2\x16\x2f"}, {fromServer, "S"}},
		"mysql":      {{fromServer, string(rune(len(greeting))) + "\x00\x00\x00" + greeting}, {fromClient, "\x20\x00\x00\x01\x05\xae\x00\x00" + strings.Repeat("\x00", 28)}},
		"rdp":        {{fromClient, "\x03\x00\x00\x26\x21\xe0\x00\x00\x00\x00\x00Cookie: mstshash=MARKER\r\n\x01\x00"}, {fromServer, "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00"}},
		"tds":        {{fromClient, "\x12\x01\x00" + string(rune(8+len(prelogin))) + "\x00\x00\x01\x00" + prelogin}, {fromServer, "\x04\x01\x00" + string(rune(8+len(prelogin))) + "\x00\x00\x01\x00" + prelogin}},
	}
}

// TestRead_starttls says what each protocol says before TLS, in pieces of several
// sizes, and expects the certificates and nothing of the text.
func TestRead_starttls(t *testing.T) {
	handshake := bytesOf(t, "live_dicom_tls12_dcmtk_mtls.pcap")
	list, _ := readFile(t, ours("live_dicom_tls12_dcmtk_mtls.pcap"))
	want := certificates(list)
	for name, turns := range preludeTalks() {
		for _, size := range []int{1, 3, 17, 1400} {
			k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:7777").open()
			said := slices.Clone(turns)
			for side, text := range handshake {
				if name == "tds" {
					text = tdsWrap(text[:len(text)-200]) + text[len(text)-200:]
				}
				said = append(said, turn{side, text})
			}
			for _, s := range said {
				for chunk := range slices.Chunk([]byte(s.text), size) {
					k.say(s.side, string(chunk))
				}
			}
			list, stats, err := read(t, &packets{list: k.list}, Options{})
			if err != nil || len(list) != 1 || list[0].Facts.TLS == nil {
				t.Errorf("%s in pieces of %d: %q, %v", name, size, summaries(list), err)
				continue
			}
			if diff := cmp.Diff(want, certificates(list)); diff != "" {
				t.Errorf("%s in pieces of %d: certificates (-want +got):\n%s", name, size, diff)
			}
			if f := list[0].Facts.TLS; f.Carrier != name || list[0].Endpoint.Port != 7777 {
				t.Errorf("%s: carrier %q at %s", name, f.Carrier, list[0].Endpoint)
			}
			if bytes.Contains(everything(t, list, stats), []byte("MARKER")) {
				t.Errorf("%s in pieces of %d: text of the prelude was kept", name, size)
			}
		}
	}
}

// TestRead_noTLS: a session that never gets to TLS is not read for ever and
// keeps nothing.
func TestRead_noTLS(t *testing.T) {
	for name, turns := range preludeTalks() {
		k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:7777").open()
		for _, s := range turns {
			k.say(s.side, s.text)
		}
		for range 200 {
			k.say(fromClient, strings.Repeat("a", 998)+"\r\n")
		}
		list, _, err := read(t, &packets{list: k.list}, Options{})
		if err != nil || len(list) > 1 || len(list) == 1 && list[0].Facts.Banner == nil {
			t.Errorf("%s: %q, %v", name, summaries(list), err)
		}
	}
}

// TestGolden_rdp: the certificate behind RDP's negotiation, which tshark 4.0
// shows only if it is told the port.
func TestGolden_rdp(t *testing.T) {
	list, stats := readFile(t, theirs(t, "zeek_rdp-to-ssl.pcap"))
	if len(list) != 1 || list[0].Facts.TLS == nil || len(list[0].Certs) == 0 || list[0].Facts.TLS.Carrier != "rdp" || list[0].Endpoint.Port != 3389 {
		t.Errorf("%q, %+v", summaries(list), stats)
	}
}

// FuzzPrelude feeds two sides of a session in pieces.
func FuzzPrelude(f *testing.F) {
	for _, turns := range preludeTalks() {
		var sides [2]string
		for _, s := range turns {
			sides[s.side] += s.text
		}
		f.Add([]byte(sides[0]+"\x16\x03\x01\x00\x05\x01"), []byte(sides[1]), uint8(3))
	}
	f.Fuzz(func(t *testing.T, client, server []byte, size uint8) {
		fl := &flow{opener: unknownSide, reset: unknownSide}
		for side, b := range [][]byte{client, server} {
			start, _ := classifyPrelude(b)
			if start == nil {
				continue
			}
			s := start()
			for _, part := range [][]byte{b, client, server} {
				for chunk := range slices.Chunk(part, int(size)+1) {
					if s.feed(side, chunk) {
						break
					}
				}
			}
			if s.held() > maxTLSRaw+maxPrelude {
				t.Fatalf("%d bytes held", s.held())
			}
			s.conclude(fl)
			s.server(fl)
		}
	})
}
