// Package mqttwire builds a CONNECT of MQTT 3.1.1 without credentials and a
// DISCONNECT, and reads the CONNACK that answers the first (OASIS MQTT 3.1.1
// sections 3.1, 3.2 and 3.14).
//
// It knows no topic, no message, no user and no will, and does no I/O.
package mqttwire

import (
	"errors"
	"fmt"
)

// ConnAckSize is the length of a CONNACK.
const ConnAckSize = 4

// ErrMalformed marks bytes that are no CONNACK.
var ErrMalformed = errors.New("no CONNACK of MQTT 3.1.1")

// Connect returns a CONNECT with a clean session, a keep-alive of ten seconds,
// and a client identifier of at most 23 letters and digits.
func Connect(client string) []byte {
	client = client[:min(len(client), 23)]
	body := append([]byte("\x00\x04MQTT\x04\x02\x00\x0a\x00"), byte(len(client)))
	body = append(body, client...)
	return append([]byte{0x10, byte(len(body))}, body...)
}

// Disconnect returns a DISCONNECT.
func Disconnect() []byte { return []byte{0xe0, 0} }

// ParseConnAck returns the return code of a CONNACK (section 3.2.2.3).
func ParseConnAck(b []byte) (code uint8, err error) {
	if len(b) != ConnAckSize || b[0] != 0x20 || b[1] != 2 || b[2] > 1 {
		return 0, fmt.Errorf("%d bytes: %w", len(b), ErrMalformed)
	}
	return b[3], nil
}
