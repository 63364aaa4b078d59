//go:build cgo

package main

import (
	"bytes"
	"html"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"probity/evidence"
	"probity/evidence/store"
	"probity/fixtures/traffic"
)

// lossy writes a capture in which everything that can be lost is lost once, and
// returns what must be said of it.
func lossy(t *testing.T, path string) (wants []string) {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapgo.NewNgWriter(&out, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := w.AddInterface(pcapgo.NgInterface{LinkType: 195, SnapLength: 65535})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, time.November, 2, 8, 0, 0, 0, time.UTC)
	write := func(link, missing int, b []byte) {
		at = at.Add(time.Millisecond)
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b) + missing, InterfaceIndex: link}, b); err != nil {
			t.Fatal(err)
		}
	}
	frame := func(port layers.TCPPort, seq uint32, syn bool, payload string) []byte {
		b := gopacket.NewSerializeBuffer()
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: []byte{192, 0, 2, 1}, DstIP: []byte{192, 0, 2, 2}}
		tcp := &layers.TCP{SrcPort: port, DstPort: 443, Seq: seq, SYN: syn, ACK: !syn, DataOffset: 5}
		eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: false}, eth, ip, tcp, gopacket.Payload(payload)); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(b.Bytes())
	}
	hello := "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03" + strings.Repeat("r", 60)
	for _, b := range [][]byte{
		frame(1001, 1, true, ""), frame(1001, 2, false, hello), frame(1001, 500, false, "beyond a hole"),
		frame(1002, 1, true, ""), frame(1002, 2+71, false, "first"), frame(1002, 2+71, false, "other"), frame(1002, 2, false, hello),
		frame(1003, 1, true, "")[:14+20+8],
	} {
		write(0, 0, b)
	}
	fragment := frame(1004, 1, false, strings.Repeat("x", 100))
	fragment[20] |= 0x20 // more fragments
	write(0, 0, fragment[:14+20+104])
	write(0, 1000, frame(1005, 1, false, "cut"))
	write(foreign, 0, []byte("not read"))
	tunnel := frame(1006, 1, false, "\x88\x0b\x00\x00")
	tunnel[23] = 47 // GRE, with the TCP header in the place of its own
	copy(tunnel[34:], []byte{0x30, 1, 0x88, 0x0b})
	write(0, 0, tunnel)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{
		"1 packets cannot be decoded at the TCP header",
		"1 packets have link type 195, which is not read",
		"1 packets carry others more than four deep or in a way that is not read",
		"1 IP fragments are of datagrams that did not become complete or disagree",
		"1 packets were cut by the capture (capture with a snap length of 0)",
		"1 directions of connections have missing bytes",
		"1 connections have overlapping bytes that disagree",
	}
}

// TestRead_losses: whatever is lost of a capture makes its run incomplete, and is
// said when it is read, in the database and in every report.
func TestRead_losses(t *testing.T) {
	dir := t.TempDir()
	path, db := filepath.Join(dir, "lossy.pcapng"), filepath.Join(dir, "a.db")
	wants := lossy(t, path)
	shown := map[string]string{
		"table": probity(t, exitQualified, "read", path, "--db", db, "--fail-on", "none", "--wide"),
		"json":  probity(t, exitOK, "report", "--db", db, "--format", "json"),
		"html":  html.UnescapeString(probity(t, exitOK, "report", "--db", db, "--format", "html")),
	}
	st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	runs, err := st.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if end := runs[0].End; end == nil || end.Status != evidence.StatusIncomplete || end.PacketsSeen != 12 || end.PacketsDropped != 5 {
		t.Errorf("the run ended %+v", end)
	} else {
		shown["database"] = end.Note
	}
	for where, text := range shown {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no word of %q", where, want)
			}
		}
	}
}

// TestRead_flood: more connections than the table has room for, none of which
// comes about, take bounded memory, and the loss is said.
func TestRead_flood(t *testing.T) {
	dir := t.TempDir()
	path, db, status := filepath.Join(dir, "flood.pcap"), filepath.Join(dir, "a.db"), filepath.Join(dir, "status")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const connections = 100_000
	if err := traffic.Flood(f, 1, connections); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd, stderr := process(t, "read", path, "--db", db, "--fail-on", "none", "--quiet")
	cmd.Env = append(cmd.Env, peakFile+"="+status)
	_ = cmd.Run() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != exitQualified || !strings.Contains(stderr.String(), "given up for want of room in the table") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	// The race detector takes several times the memory.
	if peak := peakOf(t, status); peak > 256<<20 && !underRace() {
		t.Errorf("%d bytes were held at once", peak)
	}
}

// underRace reports whether this program was built with the race detector.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" })
}
