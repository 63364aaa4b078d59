package passive

import (
	"bytes"
	"encoding/binary"
	"sync"

	"probity/evidence"
)

const (
	maxPrelude     = 64 << 10 // bytes of a side before TLS must have begun
	maxPreludeHead = 512      // bytes that decide whether XML is XMPP
)

// prelude is a protocol that is spoken before TLS begins on the same connection.
// Its text is passed over unit by unit, to find TLS at the beginning of one, and
// never kept.
type prelude struct {
	name string
	// end is the last byte of a unit, where units are lines and the like.
	end byte
	// header is how many bytes tell the size of a unit, where units have one, and
	// size reads it, header included. A size of 0 says that the bytes are no unit.
	header int
	size   func(head []byte) int
	// wraps says that units may carry the records of TLS (TDS).
	wraps bool
}

// preludeMatch knows the first bytes of either side.
type preludeMatch struct {
	match   func(b []byte) (is, more bool)
	prelude prelude
}

// preludeTable is made once, because it is asked for every connection.
var preludeTable = sync.OnceValue(preludes)

// preludes lists the protocols with their first bytes.
func preludes() []preludeMatch {
	lines := func(name string) prelude { return prelude{name: name, end: '\n'} }
	return []preludeMatch{
		{anyPrefix("220 ", "220-"), lines("")}, // SMTP (RFC 3207) or FTP (RFC 4217): the client's first line tells
		{anyPrefix("EHLO ", "HELO ", "LHLO "), lines("smtp")},
		{anyPrefix("* OK", "* PREAUTH"), lines("imap")}, // RFC 9051 section 7.1
		{anyPrefix("+OK"), lines("pop3")},               // RFC 1939 section 4, RFC 2595 section 4
		{anyPrefix("AUTH TLS\r", "AUTH SSL\r"), lines("ftp")},
		{isXMPP, prelude{name: "xmpp", end: '>'}}, // RFC 6120 section 5
		{isLDAP, prelude{name: "ldap", header: 6, size: sizeBER}},
		{isTPKT, prelude{name: "rdp", header: 4, size: sizeTPKT}},
		{isPostgres, prelude{name: "postgresql", header: 1, size: sizePostgres}},
		{isMySQL, prelude{name: "mysql", header: 4, size: sizeMySQL}},
		{isTDS, prelude{name: "tds", header: 8, size: sizeTDS, wraps: true}},
	}
}

// classifyPrelude finds the prelude that b begins, as [classify] does.
func classifyPrelude(b []byte) (newSession func() session, more bool) {
	for _, m := range preludeTable() {
		is, undecided := m.match(b)
		if is {
			return func() session { return &preludeSession{prelude: m.prelude, tls: newTLSSession()} }, false
		}
		more = more || undecided
	}
	return nil, more
}

func anyPrefix(want ...string) func(b []byte) (is, more bool) {
	return func(b []byte) (is, more bool) {
		for _, w := range want {
			i, m := prefix(b, w)
			if i {
				return true, false
			}
			more = more || m
		}
		return false, more
	}
}

func isXMPP(b []byte) (is, more bool) {
	if is, more = anyPrefix("<stream:stream", "<?xml")(b); !is {
		return false, more
	}
	head := b[:min(len(b), maxPreludeHead)]
	is = bytes.Contains(head, []byte("<stream:stream"))
	return is, !is && len(b) < maxPreludeHead
}

// isLDAP knows an LDAPMessage with a bind, search or extended operation (RFC 4511
// section 4.1.1).
func isLDAP(b []byte) (is, more bool) {
	if len(b) > 0 && b[0] != 0x30 {
		return false, false
	}
	if len(b) < 6 {
		return false, true
	}
	_, header := berSize(b)
	if header == 0 || header == 1 {
		return false, false
	}
	if len(b) < header+3 {
		return false, true
	}
	if b[header] != 2 || b[header+1] < 1 || b[header+1] > 4 {
		return false, false
	}
	at := header + 2 + int(b[header+1])
	if len(b) <= at {
		return false, true
	}
	switch b[at] {
	case 0x60, 0x61, 0x63, 0x64, 0x65, 0x77, 0x78:
		return true, false
	}
	return false, false
}

// berSize returns the size of the element that b begins and of its header; 0 for
// none that is read. b must have 6 bytes.
func berSize(b []byte) (size, header int) {
	n := int(b[1])
	if n < 0x80 {
		return n + 2, 2
	}
	octets := n & 0x7f
	if octets == 0 || octets > 4 {
		return 0, 0
	}
	n = 0
	for _, c := range b[2 : 2+octets] {
		n = n<<8 | int(c)
	}
	return n + 2 + octets, 2 + octets
}

func sizeBER(b []byte) int {
	if b[0] != 0x30 {
		return 0
	}
	size, _ := berSize(b)
	return size
}

// isTPKT knows the connection request and confirm of X.224 (ITU-T X.224 section
// 13, RFC 1006), with which RDP begins (MS-RDPBCGR section 2.2.1).
func isTPKT(b []byte) (is, more bool) {
	if is, more = prefix(b, "\x03\x00"); !is {
		return false, more
	}
	if len(b) < 6 {
		return false, true
	}
	return b[5]&0xf0 == 0xe0 && b[2] == 0 || b[5] == 0xd0 && b[2] == 0, false
}

func sizeTPKT(b []byte) int {
	if b[0] != 3 {
		return 0
	}
	return int(binary.BigEndian.Uint16(b[2:]))
}

// isPostgres knows SSLRequest and GSSENCRequest, and of a server alone its yes
// with the handshake after it (PostgreSQL, Frontend/Backend Protocol).
func isPostgres(b []byte) (is, more bool) {
	return anyPrefix("\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x00\x00\x00\x08\x04\xd2\x16\x30", "S\x16\x03")(b)
}

func sizePostgres(b []byte) int {
	switch b[0] {
	case 0:
		return 8
	case 'S', 'N', 'G':
		return 1
	}
	return 0
}

// isMySQL knows the server's greeting of protocol version 10 and the client's
// request for TLS (MySQL Client/Server Protocol, connection phase).
func isMySQL(b []byte) (is, more bool) {
	const clientSSL = 0x08 // in the second byte of the capabilities
	if len(b) < 6 {
		// The size of either is far below 64 KiB.
		return false, len(b) < 3 || b[2] == 0 && (len(b) < 4 || b[3] <= 1)
	}
	if b[2] != 0 || b[1] > 1 {
		return false, false
	}
	greeting := b[3] == 0 && b[4] == 10 && b[0]|b[1] != 0 && b[5] >= '0' && b[5] <= '9'
	request := b[0] == 32 && b[1] == 0 && b[3] == 1 && b[5]&clientSSL != 0
	return greeting || request, false
}

func sizeMySQL(b []byte) int { return 4 + (int(b[0]) | int(b[1])<<8 | int(b[2])<<16) }

// isTDS knows the PRELOGIN message of the client and the answer to it (MS-TDS
// sections 2.2.3.1 and 2.2.6.5): both have the version option first.
func isTDS(b []byte) (is, more bool) {
	if len(b) > 0 && b[0] != 0x12 && b[0] != 0x04 || len(b) > 1 && b[1] != 1 {
		return false, false
	}
	if len(b) < 14 {
		return false, true
	}
	return b[8] == 0 && b[9] == 0 && b[11] == 0 && b[12] == 6, false
}

func sizeTDS(b []byte) int {
	switch b[0] {
	case 0x12, 0x04:
		return int(binary.BigEndian.Uint16(b[2:]))
	}
	return 0
}

// preludeSession passes over a prelude and reads the TLS that follows.
type preludeSession struct {
	prelude prelude
	tls     session
	begun   bool // TLS has begun on one side
	sides   [2]preludeSide
}

type preludeSide struct {
	passed int    // bytes of the prelude
	head   []byte // of a unit, at most its header
	skip   int    // bytes of a unit still to come
	within bool   // a unit without a size is open
	begun  bool   // TLS has begun
	wrap   bool   // the bytes of skip are TLS
}

func (s *preludeSession) held() int {
	return s.tls.held() + len(s.sides[0].head) + len(s.sides[1].head)
}

func (s *preludeSession) feed(side int, b []byte) (done bool) {
	p := &s.sides[side]
	if len(p.head) > 0 {
		b = keep(p.head, b)
		defer forget(b)
		p.head = nil
	}
	for len(b) > 0 {
		switch {
		case p.begun && !p.wrap:
			return s.tls.feed(side, b)
		case p.skip > 0:
			n := min(p.skip, len(b))
			if p.wrap && s.tls.feed(side, b[:n]) {
				return true
			}
			p.skip -= n
			b = b[n:]
		case p.within:
			n := bytes.IndexByte(b, s.prelude.end) + 1
			p.within = n == 0
			if n == 0 {
				n = len(b)
			}
			p.passed += n
			b = b[n:]
		default:
			var ok bool
			if b, ok = s.unit(p, b); !ok {
				return true
			}
		}
		if p.passed > maxPrelude {
			return true
		}
	}
	return false
}

// unit looks at the beginning of a unit: of the prelude or of TLS.
func (s *preludeSession) unit(p *preludeSide, b []byte) (rest []byte, ok bool) {
	const handshake = 0x16
	if b[0] == handshake {
		is, more := isTLS(b)
		if is || more && p.wrap {
			p.begun, p.wrap, s.begun = true, false, true
			return b, true
		}
		if more {
			p.head = bytes.Clone(b)
			return nil, true
		}
	}
	if s.prelude.size == nil {
		if s.prelude.name == "" && len(b) < preludeName {
			p.head = bytes.Clone(b)
			return nil, true
		}
		s.name(b)
		p.within = true
		return b, true
	}
	if len(b) < s.prelude.header {
		p.head = bytes.Clone(b)
		return nil, true
	}
	size := s.prelude.size(b)
	if size < s.prelude.header && s.prelude.header < 6 || size <= 0 {
		return nil, false
	}
	p.passed += size
	if size > maxPrelude {
		return nil, false
	}
	if n := s.prelude.header; s.prelude.wraps {
		// The records of TLS begin after the header of the unit; the wish to know
		// its first byte keeps the header until then.
		if len(b) == n {
			p.head = bytes.Clone(b)
			p.passed -= size
			return nil, true
		}
		if p.begun || b[n] == handshake {
			p.begun, p.wrap, s.begun = true, true, true
			b, size = b[n:], size-n
		}
	}
	p.skip = size
	return b, true
}

// preludeName is how many bytes of a line tell SMTP from FTP.
const preludeName = 4

// name tells SMTP from FTP by a line of the client.
func (s *preludeSession) name(b []byte) {
	if s.prelude.name != "" {
		return
	}
	switch string(bytes.ToUpper(b[:min(len(b), preludeName)])) {
	case "EHLO", "HELO", "LHLO":
		s.prelude.name = "smtp"
	case "AUTH", "USER", "FEAT", "SYST", "HOST", "CLNT":
		s.prelude.name = "ftp"
	}
}

func (s *preludeSession) server(f *flow) int {
	if !s.begun {
		return serverOf(f, unknownSide)
	}
	return s.tls.server(f)
}

func (s *preludeSession) conclude(f *flow) []evidence.Observation {
	forget(s.sides[0].head)
	forget(s.sides[1].head)
	if !s.begun {
		return s.presence()
	}
	list := s.tls.conclude(f)
	for _, o := range list {
		o.Facts.TLS.Carrier = s.prelude.name
		if s.prelude.name == "" {
			o.Facts.TLS.Carrier = "starttls"
		}
	}
	return list
}

// presence tells of FTP without TLS, which devices should not speak; its
// greeting is free text and stays out.
func (s *preludeSession) presence() []evidence.Observation {
	if s.prelude.name != "ftp" {
		return nil
	}
	return []evidence.Observation{{Kind: evidence.KindBanner, Facts: evidence.Facts{Banner: &evidence.BannerFacts{Protocol: "ftp"}}}}
}
