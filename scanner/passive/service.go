package passive

import (
	"bytes"

	"probity/evidence"
	"probity/internal/wire/idwire"
	"probity/internal/wire/mllpwire"
)

// presence tells that a protocol is spoken, and nothing more: no byte is kept.
type presence struct {
	observation evidence.Observation
	port        uint16 // where the first bytes prove too little: that of the server; else 0
}

func (s *presence) held() int { return 0 }

func (s *presence) feed(int, []byte) (done bool) { return true }

func (s *presence) server(f *flow) int { return serverOf(f, unknownSide) }

func (s *presence) conclude(f *flow) []evidence.Observation {
	if s.port != 0 && f.ends[s.server(f)].Port() != s.port {
		return nil
	}
	return []evidence.Observation{s.observation}
}

func identityOf(protocol string) evidence.Observation {
	return evidence.Observation{Kind: evidence.KindIdentity, Facts: evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: protocol}}}
}

func newMQTTSession() session  { return &presence{observation: identityOf("mqtt")} }
func newOPCUASession() session { return &presence{observation: identityOf("opcua")} }

func newTelnetSession() session {
	return &presence{observation: evidence.Observation{
		Kind: evidence.KindBanner, Facts: evidence.Facts{Banner: &evidence.BannerFacts{Protocol: "telnet", Options: true}},
	}}
}

// isTelnet knows a negotiation of options (RFC 854).
func isTelnet(b []byte) (is, more bool) {
	if len(b) > 0 && b[0] != 0xff || len(b) > 1 && (b[1] < 0xfb || b[1] == 0xff) {
		return false, false
	}
	return len(b) >= 3, len(b) < 3
}

// isMQTT knows a CONNECT packet (MQTT 5.0 section 3.1) by its protocol name.
func isMQTT(b []byte) (is, more bool) {
	if len(b) > 0 && b[0] != 0x10 {
		return false, false
	}
	at := 1
	for at < len(b) && at < 4 && b[at]&0x80 != 0 {
		at++
	}
	if len(b) < at+7 {
		return false, true
	}
	name := string(b[at+1 : at+7])
	return name == "\x00\x04MQTT" || name == "\x00\x06MQIs", false
}

// classifyModbus knows the header of Modbus over TCP (Modbus Messaging on TCP/IP
// section 3.1.3), which proves little: only a connection to port 502 counts.
func classifyModbus(b []byte) (newSession func() session) {
	const header, longest = 8, 254
	if len(b) < header || b[2]|b[3]|b[4] != 0 || b[5] < 2 || b[5] > longest || b[7]&0x7f == 0 || b[7]&0x7f > 0x2b || len(b) > 6+int(b[5]) {
		return nil
	}
	return func() session { return &presence{observation: identityOf("modbus"), port: 502} }
}

// helloSession reads the first message of one side, up to its end.
type helloSession struct {
	end    string // of what is read
	read   func(b []byte) (evidence.IdentityFacts, bool)
	buffer [2][]byte
	facts  [2]*evidence.IdentityFacts
}

const maxHello = 16 << 10

func newPOCT1Session() session { return &helloSession{end: "</HEL.R01>", read: idwire.POCT1} }
func newLIS2Session() session  { return &helloSession{end: "\r", read: idwire.LIS2} }

// isPOCT1 knows the hello of an analyser, with or without an XML declaration, by
// itself or in a frame of MLLP.
func isPOCT1(b []byte) (is, more bool) {
	b = bytes.TrimPrefix(b, []byte{mllpwire.StartBlock})
	b = bytes.TrimLeft(b, " \r\n\t")
	is, more = anyPrefix("<HEL.R01", "<?xml")(b)
	if !is {
		return false, more
	}
	is = bytes.Contains(b[:min(len(b), maxPreludeHead)], []byte("<HEL.R01"))
	return is, !is && len(b) < maxPreludeHead
}

// isLIS2 knows the header record of an analyser's message. It may come long after
// the line was asked for, but not after much else.
func isLIS2(b []byte) (is, more bool) {
	const most = 64
	_, is, more = idwire.LIS2Header(b)
	return is, more && len(b) < most
}

func (s *helloSession) held() int { return len(s.buffer[0]) + len(s.buffer[1]) }

func (s *helloSession) feed(side int, b []byte) (done bool) {
	buffer := keep(s.buffer[side], b[:min(len(b), maxHello-len(s.buffer[side]))])
	s.buffer[side] = buffer
	end := bytes.Index(buffer, []byte(s.end))
	if end < 0 {
		done = len(buffer) >= maxHello
	} else {
		if f, ok := s.read(buffer[:end+len(s.end)]); ok {
			s.facts[side] = &f
		}
		done = true
	}
	if done {
		forget(buffer)
		s.buffer[side] = nil
	}
	return done
}

func (s *helloSession) server(f *flow) int { return serverOf(f, unknownSide) }

func (s *helloSession) conclude(f *flow) []evidence.Observation {
	forget(s.buffer[0])
	forget(s.buffer[1])
	server := s.server(f)
	var out []evidence.Observation
	for side, facts := range s.facts {
		if facts == nil {
			continue
		}
		facts.Sender = evidence.RoleClient
		if side == server {
			facts.Sender = evidence.RoleServer
		}
		out = append(out, evidence.Observation{Kind: evidence.KindIdentity, Detail: ambiguity(f), Facts: evidence.Facts{Identity: facts}})
	}
	return out
}
