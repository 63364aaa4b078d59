package starttls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"probity/internal/wire/rdpwire"
)

// ldapRequest is an ExtendedRequest for StartTLS (RFC 4511 section 4.14.1) with
// message identifier 1.
const ldapRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

func askLDAP(c *conversation, _ string) (net.Conn, error) {
	if err := c.say(ldapRequest); err != nil {
		return nil, err
	}
	message, err := c.ber(0x30)
	if err != nil {
		return nil, err
	}
	// INTEGER 1, then ExtendedResponse [APPLICATION 24] with ENUMERATED success.
	rest, ok := bytes.CutPrefix(message, []byte{2, 1, 1, 0x78})
	if !ok {
		return nil, fmt.Errorf("%w: the answer is no LDAP extended response", errRefused)
	}
	switch {
	case len(rest) > 0 && rest[0] < 0x80:
		rest = rest[1:]
	case len(rest) > 1 && int(rest[0]&0x7f) < len(rest):
		rest = rest[1+int(rest[0]&0x7f):]
	}
	if !bytes.HasPrefix(rest, []byte{10, 1, 0}) {
		return nil, fmt.Errorf("%w: LDAP result % x", errRefused, rest[:min(len(rest), 3)])
	}
	return c.Conn, nil
}

// ber consumes one element of BER with a definite length and returns its value.
func (c *conversation) ber(tag byte) ([]byte, error) {
	head, err := c.take(2)
	if err != nil {
		return nil, err
	}
	length := int(head[1])
	if size := int(head[1] & 0x7f); head[1]&0x80 != 0 {
		if size < 1 || size > 4 {
			return nil, fmt.Errorf("%w: the answer is no LDAP message", errRefused)
		}
		more, err := c.take(size)
		if err != nil {
			return nil, err
		}
		length = 0
		for _, b := range more {
			length = length<<8 | int(b)
		}
	}
	if head[0] != tag || length > maxPrelude {
		return nil, fmt.Errorf("%w: the answer is no LDAP message", errRefused)
	}
	return c.take(length)
}

// askPostgreSQL sends SSLRequest ("Message Formats" of the PostgreSQL protocol).
func askPostgreSQL(c *conversation, _ string) (net.Conn, error) {
	if err := c.say("\x00\x00\x00\x08\x04\xd2\x16\x2f"); err != nil {
		return nil, err
	}
	answer, err := c.take(1)
	if err != nil {
		return nil, err
	}
	if answer[0] != 'S' {
		return nil, fmt.Errorf("%w: it answers %q", errRefused, answer)
	}
	return c.Conn, nil
}

// Capabilities of the MySQL protocol.
const (
	mysqlProtocol41 = 0x0200
	mysqlSSL        = 0x0800
	mysqlSecure     = 0x8000
)

// askMySQL reads the greeting, HandshakeV10, and answers with SSLRequest.
func askMySQL(c *conversation, _ string) (net.Conn, error) {
	header, err := c.take(4)
	if err != nil {
		return nil, err
	}
	length := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	if length < 1 || length > maxPrelude {
		return nil, fmt.Errorf("%w: the greeting is no packet of MySQL", errRefused)
	}
	greeting, err := c.take(length)
	if err != nil {
		return nil, err
	}
	_, rest, found := bytes.Cut(greeting[1:], []byte{0}) // after the version
	if greeting[0] != 10 || !found || len(rest) < 4+8+1+2 {
		return nil, fmt.Errorf("%w: the greeting is of protocol %d", errRefused, greeting[0])
	}
	if binary.LittleEndian.Uint16(rest[13:])&mysqlSSL == 0 {
		return nil, fmt.Errorf("%w: it lacks the capability", errRefused)
	}
	request := make([]byte, 4+32)
	request[0], request[3] = 32, 1
	binary.LittleEndian.PutUint32(request[4:], mysqlProtocol41|mysqlSSL|mysqlSecure)
	binary.LittleEndian.PutUint32(request[8:], 1<<24)
	request[12] = 33 // utf8
	_, err = c.Write(request)
	return c.Conn, err
}

// askRDP is the negotiation of MS-RDPBCGR section 5.4.2.1.
func askRDP(c *conversation, _ string) (net.Conn, error) {
	if _, err := c.Write(rdpwire.Request()); err != nil {
		return nil, err
	}
	answer, err := rdpwire.ReadConfirm(c)
	switch {
	case err != nil:
		return nil, err
	case answer.Failure != 0:
		return nil, fmt.Errorf("%w: RDP failure code %d", errRefused, answer.Failure)
	case !answer.Negotiates || answer.Selected == 0:
		return nil, fmt.Errorf("%w: it chose standard RDP security", errRefused)
	}
	return c.Conn, nil
}

// Packets of TDS (MS-TDS section 2.2.3.1).
const (
	tdsPrelogin = 0x12
	tdsReply    = 0x04
	tdsHeader   = 8
	tdsPayload  = 4096 - tdsHeader
)

// tdsRequest is PRELOGIN with VERSION and ENCRYPTION on (MS-TDS section 2.2.6.5).
func tdsRequest() []byte {
	options := []byte{
		0, 0, 11, 0, 6, // VERSION
		1, 0, 17, 0, 1, // ENCRYPTION
		0xff,
		0, 0, 0, 0, 0, 0, // version
		1, // ENCRYPT_ON
	}
	return tdsPacket(options)
}

func tdsPacket(payload []byte) []byte {
	header := []byte{tdsPrelogin, 1, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(tdsHeader+len(payload)))
	return append(header, payload...)
}

func askTDS(c *conversation, _ string) (net.Conn, error) {
	if _, err := c.Write(tdsRequest()); err != nil {
		return nil, err
	}
	header, err := c.take(tdsHeader)
	if err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	if header[0] != tdsReply || length < tdsHeader || length > maxPrelude {
		return nil, fmt.Errorf("%w: the answer is no TDS reply", errRefused)
	}
	reply, err := c.take(length - tdsHeader)
	if err != nil {
		return nil, err
	}
	const notSupported = 2
	if encryption, ok := tdsEncryption(reply); !ok || encryption == notSupported {
		return nil, fmt.Errorf("%w: TDS without encryption", errRefused)
	}
	return &tdsConn{Conn: c.Conn}, nil
}

// tdsEncryption is the value of the ENCRYPTION option.
func tdsEncryption(b []byte) (byte, bool) {
	for i := 0; i+5 <= len(b) && b[i] != 0xff; i += 5 {
		at := int(binary.BigEndian.Uint16(b[i+1:]))
		if b[i] == 1 && at < len(b) {
			return b[at], true
		}
	}
	return 0, false
}

// tdsConn carries the TLS handshake in TDS packets (MS-TDS section 3.2.5.1).
type tdsConn struct {
	net.Conn
	header []byte // the part of a header that was read
	left   int    // bytes of the packet under way
}

// Read implements [io.Reader] on the payload of packets.
func (c *tdsConn) Read(p []byte) (int, error) {
	for c.left == 0 {
		buf := make([]byte, tdsHeader-len(c.header))
		n, err := c.Conn.Read(buf)
		c.header = append(c.header, buf[:n]...)
		if len(c.header) == tdsHeader {
			length := int(binary.BigEndian.Uint16(c.header[2:]))
			if c.header[0] != tdsPrelogin && c.header[0] != tdsReply || length < tdsHeader {
				return 0, fmt.Errorf("%w: the TLS handshake is not in TDS packets", errRefused)
			}
			c.left, c.header = length-tdsHeader, c.header[:0]
		} else if err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Write implements [io.Writer], in packets.
func (c *tdsConn) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		chunk := p[written:min(len(p), written+tdsPayload)]
		if _, err := c.Conn.Write(tdsPacket(chunk)); err != nil {
			return written, err
		}
		written += len(chunk)
	}
	return written, nil
}
