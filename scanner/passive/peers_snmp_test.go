package passive

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"probity/fixtures/peer"
	"probity/scanner/passive/capture"
)

// TestPeer_snmpd reads what snmpd answers to snmpget in versions 1, 2c and 3, and
// compares it with tshark. Neither community nor user may be kept.
func TestPeer_snmpd(t *testing.T) {
	paths := peer.Require(t, "snmpd", "snmpget", "tshark")
	dir, server := t.TempDir(), freePort(t)
	t.Setenv("SNMP_PERSISTENT_DIR", dir)
	t.Setenv("MIBS", "")
	config := filepath.Join(dir, "snmpd.conf")
	text := "rocommunity MARKERc 127.0.0.1\ncreateUser MARKERu SHA MARKERpass\nrouser MARKERu auth\nsysDescr Example monitor 1.2\n" +
		"sysObjectID 1.3.6.1.4.1.3592.1\nsysName bed-7\nsysLocation MARKERl\nsysContact MARKERn\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// TCP is for the readiness only.
	start(t, server, paths["snmpd"], "-f", "-Lo", "-C", "-c", config, "-p", filepath.Join(dir, "pid"), "udp:"+server, "tcp:"+server)
	var all []capture.Packet
	ask := func(options ...string) {
		p := tapUDP(t, server)
		for _, oid := range []string{".1.3.6.1.2.1.1.1.0", ".1.3.6.1.2.1.1.2.0", ".1.3.6.1.2.1.1.5.0", ".1.3.6.1.2.1.1.6.0"} {
			if out := run(t, paths["snmpget"], append(slices.Clone(options), "-t", "5", p.addr, oid)...); !strings.Contains(out, "=") {
				t.Fatalf("snmpget %v: %s", options, out)
			}
		}
		list := p.packets()
		for i := range list { // by which version 3 is known
			list[i].Data = onStandardPort(list[i].Data)
		}
		all = append(all, list...)
	}
	ask("-v1", "-c", "MARKERc")
	ask("-v2c", "-c", "MARKERc")
	ask("-v3", "-u", "MARKERu", "-l", "authNoPriv", "-a", "SHA", "-A", "MARKERpass")
	path := savePackets(t, all)
	list, stats := readFile(t, path)
	var descriptions, objects, names, engines []string
	for _, o := range list {
		if f := o.Facts.SNMP; f != nil {
			engines = append(engines, hex.EncodeToString(f.EngineID))
		}
		if f := o.Facts.Identity; f != nil {
			descriptions, objects, names = append(descriptions, f.Description), append(objects, f.ObjectID), append(names, f.Hostnames...)
		}
	}
	each := func(l []string) []string {
		slices.Sort(l)
		return slices.DeleteFunc(slices.Compact(l), func(s string) bool { return s == "" })
	}
	var judgedEngines, judgedObjects, judgedDescriptions []string
	for _, p := range tsharkPackets(t, paths["tshark"], path, "", "snmp.data == 2 or snmp.msgAuthoritativeEngineID",
		"snmp.msgAuthoritativeEngineID", "snmp.value.oid", "snmp.value.octets") {
		for _, id := range p["snmp.msgAuthoritativeEngineID"] {
			if id != "<MISSING>" { // of the question for it
				judgedEngines = append(judgedEngines, strings.ReplaceAll(id, ":", ""))
			}
		}
		judgedObjects = append(judgedObjects, p["snmp.value.oid"]...)
		for _, v := range p["snmp.value.octets"] {
			b, err := hex.DecodeString(strings.ReplaceAll(v, ":", ""))
			if err != nil {
				t.Fatal(err)
			}
			judgedDescriptions = append(judgedDescriptions, string(b))
		}
	}
	if got, want := each(engines), each(judgedEngines); len(want) != 1 || !slices.Equal(got, want) {
		t.Errorf("engines %q, tshark %q", got, want)
	}
	if got, want := each(objects), each(judgedObjects); len(want) != 1 || !slices.Equal(got, want) {
		t.Errorf("objects %q, tshark %q", got, want)
	}
	if got := each(descriptions); len(got) != 1 || !slices.Contains(judgedDescriptions, got[0]) || !slices.Equal(each(names), []string{"bed-7"}) {
		t.Errorf("descriptions %q, names %q; tshark %q", got, names, judgedDescriptions)
	}
	if bytes.Contains(everything(t, list, stats), []byte("MARKER")) {
		t.Error("a community, user, place or contact was kept")
	}
}

// onStandardPort puts the port of SNMP into a UDP datagram in IPv4, at the side of
// the server that a tap shows. An address tells the sides apart: the free port that
// a server was given can be any.
func onStandardPort(frame []byte) []byte {
	const ip, udp = 14, 14 + 20
	b := bytes.Clone(frame)
	server := udp // its port, as the sender
	if bytes.Equal(b[ip+16:ip+20], []byte{10, 0, 0, 2}) {
		server = udp + 2
	}
	binary.BigEndian.PutUint16(b[server:], portSNMP)
	return b
}
