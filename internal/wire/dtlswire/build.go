package dtlswire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"probity/internal/wire/tlswire"
)

// ClientHello returns the datagram of a hello: the fields of h, of which the
// version is one of DTLS, and the cookie of a HelloVerifyRequest. message counts
// the client's handshake messages from 0, record its records. It fails if a list
// is too long for its length field or the hello for a record.
func ClientHello(h tlswire.ClientHello, cookie []byte, message uint16, record uint64) ([]byte, error) {
	if len(cookie) > 255 {
		return nil, fmt.Errorf("build ClientHello: a cookie of %d bytes", len(cookie))
	}
	b, err := h.Marshal()
	if err != nil {
		return nil, err
	}
	const headers = 5 + 4 // of a record and of a handshake message of TLS
	body := b[headers:]
	at := 2 + 32 + 1 + len(h.SessionID)
	body = slices.Concat(body[:at], []byte{byte(len(cookie))}, cookie, body[at:])
	n := len(body)
	out := recordOf(tlswire.Handshake, record, handshakeHeader+n)
	out = append(out, tlswire.TypeClientHello, byte(n>>16), byte(n>>8), byte(n), byte(message>>8), byte(message), 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
	return append(out, body...), nil
}

// FatalAlert returns the datagram of a fatal alert in the clear, by which a
// client takes leave in the middle of a handshake.
func FatalAlert(description uint8, record uint64) []byte {
	return append(recordOf(tlswire.Alert, record, 2), tlswire.AlertFatal, description)
}

// recordOf is the header of a record in the clear. Its version is the one that
// every server reads (RFC 6347 section 4.2.1).
func recordOf(kind tlswire.Kind, record uint64, length int) []byte {
	out := []byte{byte(kind), 0xfe, 0xff, 0, 0} // epoch 0
	out = append(out, byte(record>>40), byte(record>>32))
	out = binary.BigEndian.AppendUint32(out, uint32(record))
	return binary.BigEndian.AppendUint16(out, uint16(length))
}

// ParseHelloVerifyRequest reads the body of a HelloVerifyRequest and returns its
// cookie. The version in it says nothing (RFC 6347 section 4.2.1).
func ParseHelloVerifyRequest(body []byte) ([]byte, error) {
	s := cryptobyte.String(body)
	var cookie cryptobyte.String
	if !s.Skip(2) || !s.ReadUint8LengthPrefixed(&cookie) || !s.Empty() {
		return nil, fmt.Errorf("HelloVerifyRequest: %w", errMalformed)
	}
	return slices.Clone([]byte(cookie)), nil
}

// Sequence returns the number of a handshake message of a [Stream] in its
// direction.
func Sequence(m tlswire.Message) int {
	if m.Kind != tlswire.Handshake || len(m.Raw) < handshakeHeader {
		return 0
	}
	return int(binary.BigEndian.Uint16(m.Raw[4:]))
}
