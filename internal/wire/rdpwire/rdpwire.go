// Package rdpwire builds and reads the connection request and confirm by which a
// Remote Desktop client and server agree on security (MS-RDPBCGR sections 2.2.1.1
// and 2.2.1.2). It names no user and knows nothing of what follows.
//
// Invariant: a confirm is read exactly to its end, and bounded before anything
// is allocated.
package rdpwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxConfirm bounds a TPKT with a connection confirm; it has 11 or 19 bytes.
const maxConfirm = 512

// Confirm is the answer of a server.
type Confirm struct {
	Negotiates bool   // false: standard RDP security only
	Selected   uint32 // selectedProtocol: 0 standard, 1 TLS, 2 CredSSP, 8 CredSSP with early authorisation
	Failure    uint32 // failureCode, 0 without one
}

// Request is TPKT (RFC 1006), X.224 CR and RDP_NEG_REQ with PROTOCOL_SSL and
// PROTOCOL_HYBRID.
func Request() []byte {
	return []byte{
		3, 0, 0, 19, // TPKT
		14, 0xe0, 0, 0, 0, 0, 0, // X.224 CR
		1, 0, 8, 0, 3, 0, 0, 0, // RDP_NEG_REQ
	}
}

// ErrNotConfirm marks an answer that is no connection confirm.
var ErrNotConfirm = errors.New("the answer is no X.224 connection confirm")

// ReadConfirm reads one confirm from r. Its errors are those of r and
// [ErrNotConfirm].
func ReadConfirm(r io.Reader) (Confirm, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(r, header); err != nil {
		return Confirm{}, err
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	if header[0] != 3 || length < 11 || length > maxConfirm {
		return Confirm{}, ErrNotConfirm
	}
	body := make([]byte, length-len(header))
	if _, err := io.ReadFull(r, body); err != nil {
		return Confirm{}, err
	}
	return parse(body)
}

// parse reads an X.224 CC, with RDP_NEG_RSP or RDP_NEG_FAILURE if there is one.
func parse(b []byte) (Confirm, error) {
	if len(b) < 7 || int(b[0])+1 != len(b) || b[1]&0xf0 != 0xd0 {
		return Confirm{}, ErrNotConfirm
	}
	b = b[7:]
	if len(b) == 0 {
		return Confirm{}, nil
	}
	if len(b) != 8 || binary.LittleEndian.Uint16(b[2:]) != 8 {
		return Confirm{}, fmt.Errorf("%w: negotiation of %d bytes", ErrNotConfirm, len(b))
	}
	value := binary.LittleEndian.Uint32(b[4:])
	switch b[0] {
	case 2:
		return Confirm{Negotiates: true, Selected: value}, nil
	case 3:
		return Confirm{Negotiates: true, Failure: value}, nil
	}
	return Confirm{}, fmt.Errorf("%w: negotiation of type %d", ErrNotConfirm, b[0])
}
