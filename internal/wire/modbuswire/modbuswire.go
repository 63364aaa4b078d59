// Package modbuswire builds one request of Modbus over TCP, Read Device
// Identification (MODBUS Application Protocol 1.1b3 section 6.21), and reads its
// answer.
//
// It knows no register and no coil, writes nothing, and does no I/O.
//
// Invariant: every length comes from an adversary and is checked before it is
// used.
package modbuswire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of the MBAP header (MODBUS Messaging on TCP/IP 1.0b section 3.1.3) and of
// the longest message behind its length field.
const (
	HeaderSize = 6
	MaxBody    = 254
)

const (
	function  = 0x2b // Encapsulated Interface Transport
	mei       = 0x0e // Read Device Identification
	basic     = 0x01 // VendorName, ProductCode, MajorMinorRevision
	anyUnit   = 0xff // of a device that is no gateway (MODBUS Messaging on TCP/IP section 4.4.1.2)
	exception = 0x80
)

// ErrMalformed marks bytes that are no answer to the request.
var ErrMalformed = errors.New("no answer to Read Device Identification")

// Identify returns the request for the basic objects.
func Identify(transaction uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, transaction)
	return append(b, 0, 0, 0, 5, anyUnit, function, mei, basic, 0)
}

// BodySize returns how many bytes follow a header that answers a transaction.
func BodySize(header []byte, transaction uint16) (int, error) {
	if len(header) != HeaderSize || binary.BigEndian.Uint16(header) != transaction || header[2]|header[3] != 0 {
		return 0, ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(header[4:]))
	if n < 3 || n > MaxBody {
		return 0, fmt.Errorf("%w: length %d", ErrMalformed, n)
	}
	return n, nil
}

// Identity is what a device says of itself.
type Identity struct {
	Vendor, Product, Revision string
	// Exception is the code of a device that does not know the request; 0 if it does.
	Exception uint8
}

// ParseIdentity reads the bytes behind a header.
func ParseIdentity(b []byte) (Identity, error) {
	var id Identity
	if len(b) == 3 && b[1] == function|exception && b[2] != 0 {
		return Identity{Exception: b[2]}, nil
	}
	const fixed = 8 // unit, function, MEI, code, conformity, more, next, count
	if len(b) < fixed || b[1] != function || b[2] != mei {
		return id, ErrMalformed
	}
	count, rest := int(b[7]), b[fixed:]
	for range count {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return id, fmt.Errorf("%w: object is cut off", ErrMalformed)
		}
		value := string(rest[2 : 2+int(rest[1])])
		switch rest[0] {
		case 0:
			id.Vendor = value
		case 1:
			id.Product = value
		case 2:
			id.Revision = value
		}
		rest = rest[2+int(rest[1]):]
	}
	return id, nil
}
