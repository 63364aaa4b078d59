package passive

import (
	"net/netip"
	"slices"
	"testing"

	"probity/internal/wire/tlswire"
	"probity/scanner/passive/capture"
)

// sessions are the constructors of all dissectors.
func sessions() []func() session {
	return []func() session{
		newTLSSession, newDICOMSession, newHL7Session, newSSHSession, newHTTPSession, newTelnetSession, newMQTTSession, newOPCUASession,
		newPOCT1Session, newLIS2Session, newDTLSSession,
	}
}

// FuzzSessions feeds what two sides say to every dissector, in pieces: none may
// fail, keep more than its bounds, or put a side before the server's.
func FuzzSessions(f *testing.F) {
	for i := range sessions() {
		f.Add(uint8(i), []byte("SSH-2.0-x\r\n"), []byte("HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 2\r\n\r\n{}"), uint8(7))
	}
	for i, name := range []string{"live_dicom_tls12_dcmtk_mtls.pcap", "live_dicom_echo_dcmtk.pcap", "live_hl7_mllp_simplehl7.pcap"} {
		said := bytesOf(f, name)
		f.Add(uint8(i), []byte(said[0]), []byte(said[1]), uint8(200))
	}
	f.Add(uint8(8), []byte(`<?xml version="1.0"?><HEL.R01><DEV><DEV.vendor_id V="ACME"/><DEV.model_id V="G1"/></DEV></HEL.R01>`), []byte{}, uint8(5))
	f.Add(uint8(9), []byte("\x05\x021H|\\^&|||Analyzer^7^1||||||P|1|2026\r"), []byte{}, uint8(1))
	for _, b := range dtlsOf(f, "live_dicom_tls12_dcmtk_mtls.pcap", 300)[fromServer][:2] {
		f.Add(uint8(10), b, b, uint8(255))
	}
	f.Fuzz(func(t *testing.T, which uint8, client, server []byte, size uint8) {
		list := sessions()
		s := list[int(which)%len(list)]()
		var done [2]bool
		for side, b := range [][]byte{client, server} {
			for chunk := range slices.Chunk(b, int(size)+1) {
				if done[side] = done[side] || s.feed(side, slices.Clone(chunk)); done[side] {
					break
				}
			}
		}
		if s.held() > 3*maxTLSRaw {
			t.Fatalf("%d bytes held", s.held())
		}
		fl := &flow{opener: unknownSide, reset: unknownSide}
		for _, o := range s.conclude(fl) {
			if o.Kind == "" || o.Facts.TLS != nil && o.Facts.TLS.Version < tlswire.VersionTLS10 && len(o.Certs) > 2*tlswire.MaxCertificates {
				t.Fatalf("%+v", o)
			}
		}
		if fl.pledges != nil {
			for _, p := range fl.pledges() {
				p.cost()
				p.check()
			}
		}
		if side := s.server(fl); side != 0 && side != 1 {
			t.Fatalf("server %d", side)
		}
	})
}

// FuzzTalk lets two sides say anything, in turns and in pieces, so that it is told by
// its first bytes who reads it.
func FuzzTalk(f *testing.F) {
	for _, said := range [][2]string{
		{"\x05\x05\x021H|\\^&|||Analyser^1.0\r\x03", "\x06\x06\x06"},
		{"\x0b<HEL.R01><DEV><DEV.model_id V=\"G1\"/></DEV></HEL.R01>\x1c\r", "\x0b<ACK.R01>"},
		{"SSH-2.0-x\r\n", "Notice\nSSH-2.0-y\r\n"},
		{"EHLO x\r\nSTARTTLS\r\n", "220 x\r\n220 y\r\n"},
		{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "S"},
		{"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", "\x03\x00\x00\x13\x0e\xd0\x00\x00\x00\x00\x00\x02\x00\x08\x00\x01\x00\x00\x00"},
		{"\x12\x01\x00\x11\x00\x00\x00\x00\x01\x00\x06\x00\x01\x02\xff\x00\x02", "\x04\x01\x00\x11\x00\x00\x00\x00\x01\x00\x06\x00\x01\x02\xff\x00\x02"},
		{"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"},
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/fhir+json\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"},
		{"<?xml version='1.0'?><stream:stream><starttls/>", "<stream:stream><proceed/>"},
		{"\x00\x01\x00\x00\x00\x06\x01\x03\x00\x01\x00\x02", "\x00\x01\x00\x00\x00\x04\x01\x03\x02\x00"},
	} {
		f.Add([]byte(said[0]), []byte(said[1]), uint8(9), uint16(502))
	}
	f.Fuzz(func(t *testing.T, client, server []byte, size uint8, port uint16) {
		if len(client)+len(server) > 60_000 {
			return
		}
		k := newTalk(t, "10.0.0.1:40000", netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), port).String()).open()
		n := int(size) + 1
		for len(client)+len(server) > 0 {
			for side, b := range []*[]byte{&client, &server} {
				if piece := (*b)[:min(n, len(*b))]; len(piece) > 0 {
					k.say(side, string(piece))
					*b = (*b)[len(piece):]
				}
			}
		}
		if _, stats, err := read(t, &packets{list: k.list}, Options{}); err != nil || stats.Panics > 0 {
			t.Fatalf("%+v, %v", stats, err)
		}
	})
}

// FuzzDatagram gives a datagram to the reader at the ports of the protocols that
// are known by them, and the frames below IP.
func FuzzDatagram(f *testing.F) {
	ports := []uint16{
		portDHCPServer, portDHCPClient, portTFTP, portNBNS, portSNMP, portDHCPv6Client, portDHCPv6Server,
		portSSDP, portGEUnity, portWSDiscovery, portMDNS, portGEPresence, portIntelliVue, portBACnet, 443, 4433,
		portNTP, portVXLAN, portGeneve, portGTPU,
	}
	for i := range ports {
		f.Add(uint8(i), uint8(i), []byte("\x30\x03\x02\x01\x01"))
	}
	f.Add(uint8(14), uint8(15), quicSeal(f, []byte{6, 0, 4, 1, 0, 0, 0}, 0))
	f.Fuzz(func(t *testing.T, from, to uint8, b []byte) {
		src := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), ports[int(from)%len(ports)])
		dst := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), ports[int(to)%len(ports)])
		if len(b) > 60_000 {
			return
		}
		list := []capture.Packet{udpPacket(src.String(), dst.String(), b)}
		for _, kind := range []etherType{etherARP, etherLLDP, etherCDP} {
			frame := eth(kind, b)
			list = append(list, capture.Packet{Data: frame, Length: len(frame), Link: capture.Ethernet})
		}
		if _, stats, err := read(t, &packets{list: list}, Options{}); err != nil || stats.Panics > 0 {
			t.Fatalf("%+v, %v", stats, err)
		}
	})
}
