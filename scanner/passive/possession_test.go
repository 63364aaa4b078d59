package passive

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// possessions reads the only connection of a capture, after change was made to
// what the sides say.
func possessions(t *testing.T, name string, change func(said *[2]string)) *evidence.TLSFacts {
	t.Helper()
	said := bytesOf(t, name)
	change(&said)
	k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:443").open()
	k.say(fromClient, said[fromClient]).say(fromServer, said[fromServer])
	list, _, err := read(t, &packets{list: k.list}, Options{})
	if err != nil || len(list) != 1 || list[0].Facts.TLS == nil {
		t.Fatalf("%q, %v", summaries(list), err)
	}
	return list[0].Facts.TLS
}

// flip changes a byte of the last message of a kind.
func flip(t *testing.T, said *string, kind uint8, fromEnd int) {
	t.Helper()
	list, err := tlswire.NewStream(tlswire.Limits{}).Feed([]byte(*said))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Backward(list) {
		if m.Kind == tlswire.Handshake && m.Type == kind && !m.Encrypted {
			at := strings.LastIndex(*said, string(m.Raw)) + len(m.Raw) - fromEnd
			b := []byte(*said)
			b[at] ^= 1
			*said = string(b)
			return
		}
	}
	t.Fatalf("no message of type %d", kind)
}

// TestRead_possession: a signature of the presented key is proof that its holder
// spoke, and one that does not fit is not.
func TestRead_possession(t *testing.T) {
	const yes, no = evidence.PossessionVerified, evidence.PossessionRefuted
	for _, name := range []string{"live_dicom_tls12_dcmtk_mtls.pcap", "live_mqtt_tls12_mtls.pcap"} {
		for _, tt := range []struct {
			name           string
			change         func(said *[2]string)
			server, client evidence.Possession
		}{
			{"as it was", func(*[2]string) {}, yes, yes},
			{"another signature of the server", func(s *[2]string) { flip(t, &s[fromServer], tlswire.TypeServerKeyExchange, 1) }, no, no},
			{"another server random", func(s *[2]string) {
				b := []byte(s[fromServer])
				b[5+4+2] ^= 1
				s[fromServer] = string(b)
			}, no, no},
			{"another signature of the client", func(s *[2]string) { flip(t, &s[fromClient], tlswire.TypeCertificateVerify, 1) }, yes, no},
			{"another premaster secret", func(s *[2]string) { flip(t, &s[fromClient], tlswire.TypeClientKeyExchange, 1) }, yes, no},
			{"the client was not captured", func(s *[2]string) { s[fromClient] = "" }, "", ""},
		} {
			t.Run(fmt.Sprint(name, " ", tt.name), func(t *testing.T) {
				f := possessions(t, name, tt.change)
				if f.Possession != tt.server || f.ClientPossession != tt.client {
					t.Errorf("server %q, client %q; want %q, %q", f.Possession, f.ClientPossession, tt.server, tt.client)
				}
			})
		}
	}
}

// TestRead_forgedCertificate: who presents a certificate of another without its
// key is seen to.
func TestRead_forgedCertificate(t *testing.T) {
	other, _ := readFile(t, ours("live_mqtt_tls12_mtls.pcap"))
	stolen := other[0].Certs[1].DER // of the issuer: another key
	f := possessions(t, "live_dicom_tls12_dcmtk_mtls.pcap", func(said *[2]string) {
		list, err := tlswire.NewStream(tlswire.Limits{}).Feed([]byte(said[fromServer]))
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, m := range list {
			if m.Kind != tlswire.Handshake || m.Encrypted {
				break
			}
			raw := m.Raw
			if m.Type == tlswire.TypeCertificate {
				size := func(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }
				entry := cat(size(len(stolen)), stolen)
				raw = cat([]byte{11}, size(len(entry)+3), size(len(entry)), entry)
			}
			out += string(cat([]byte{22, 3, 3}, u16(len(raw)), raw))
		}
		said[fromServer] = out
	})
	if f.Possession != evidence.PossessionRefuted {
		t.Errorf("possession %q", f.Possession)
	}
}
