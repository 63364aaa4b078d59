// Package bacnetwire builds one ReadPropertyMultiple for the device object of a
// BACnet/IP device and reads its answer (ASHRAE 135 clauses 15.7 and 20, annex
// J).
//
// It asks for vendor name, model name, firmware revision and application version,
// sends nothing to a broadcast address, writes no property, and does no I/O.
//
// Invariant: every length and tag comes from an adversary; nothing is read beyond
// the bytes of one datagram.
package bacnetwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Property identifiers (clause 21, BACnetPropertyIdentifier).
const (
	propertyApplicationVersion = 12
	propertyFirmwareRevision   = 44
	propertyModelName          = 70
	propertyVendorName         = 121
)

const (
	bvlcIP           = 0x81 // annex J.2
	bvlcUnicast      = 0x0a // Original-Unicast-NPDU
	npduVersion      = 1
	npduExpectsReply = 0x04

	confirmedRequest = 0x00
	complexAck       = 0x30
	errorPDU         = 0x50
	rejectPDU        = 0x60
	abortPDU         = 0x70

	serviceReadPropertyMultiple = 14
	// anyDevice is the instance that every device takes for its own (clause 15.5.2).
	anyDevice = 8<<22 | 4194303
)

// ErrMalformed marks bytes that are no answer to the request.
var ErrMalformed = errors.New("no answer to ReadPropertyMultiple")

// ReadDevice returns the request with an invoke identifier.
func ReadDevice(invoke byte) []byte {
	apdu := []byte{confirmedRequest, 0x05, invoke, serviceReadPropertyMultiple} // up to 1476 bytes, no segments
	apdu = binary.BigEndian.AppendUint32(append(apdu, 0x0c), anyDevice)
	apdu = append(apdu, 0x1e)
	for _, p := range []byte{propertyVendorName, propertyModelName, propertyFirmwareRevision, propertyApplicationVersion} {
		apdu = append(apdu, 0x09, p)
	}
	apdu = append(apdu, 0x1f)
	b := []byte{bvlcIP, bvlcUnicast, 0, byte(4 + 2 + len(apdu)), npduVersion, npduExpectsReply}
	return append(b, apdu...)
}

// Device is what a device says of itself.
type Device struct {
	Instance                                            uint32 // of the device object
	VendorName, ModelName, Firmware, ApplicationVersion string
	// Refused is true if the device answered with an error, a reject or an abort.
	Refused bool
}

// ParseDevice reads the datagram that answers a request.
func ParseDevice(b []byte, invoke byte) (Device, error) {
	apdu, err := apduOf(b)
	if err != nil {
		return Device{}, err
	}
	if len(apdu) < 3 || apdu[1] != invoke {
		return Device{}, fmt.Errorf("%w: another invoke identifier", ErrMalformed)
	}
	switch apdu[0] & 0xf0 {
	case errorPDU, rejectPDU, abortPDU:
		return Device{Refused: true}, nil
	case complexAck:
	default:
		return Device{}, fmt.Errorf("%w: APDU of type %#x", ErrMalformed, apdu[0])
	}
	if apdu[0] != complexAck || apdu[2] != serviceReadPropertyMultiple { // segments are not asked for
		return Device{}, fmt.Errorf("%w: service %d", ErrMalformed, apdu[2])
	}
	return parseAck(apdu[3:])
}

// apduOf takes the headers off a datagram (annex J.2, clause 6.2).
func apduOf(b []byte) ([]byte, error) {
	if len(b) < 6 || b[0] != bvlcIP || b[1] != bvlcUnicast || int(binary.BigEndian.Uint16(b[2:])) != len(b) || b[4] != npduVersion {
		return nil, fmt.Errorf("%w: no BACnet/IP", ErrMalformed)
	}
	control, at := b[5], 6
	if control&0x80 != 0 {
		return nil, fmt.Errorf("%w: network message", ErrMalformed)
	}
	for _, flag := range []byte{0x20, 0x08} { // destination, source
		if control&flag == 0 {
			continue
		}
		if len(b) < at+3 {
			return nil, fmt.Errorf("%w: network header", ErrMalformed)
		}
		at += 3 + int(b[at+2])
	}
	if control&0x20 != 0 {
		at++ // hop count
	}
	if at > len(b) {
		return nil, fmt.Errorf("%w: network header", ErrMalformed)
	}
	return b[at:], nil
}

// tag is the head of an encoded value (clause 20.2.1).
type tag struct {
	number  byte
	context bool
	opening bool
	closing bool
	value   []byte
}

// next reads one tag with its value.
func next(b []byte) (tag, []byte, error) {
	if len(b) == 0 {
		return tag{}, nil, ErrMalformed
	}
	t := tag{number: b[0] >> 4, context: b[0]&8 != 0}
	length, rest := int(b[0]&7), b[1:]
	if t.number == 15 {
		return tag{}, nil, ErrMalformed // extended tag numbers are in no answer to us
	}
	switch {
	case t.context && length == 6:
		t.opening = true
		return t, rest, nil
	case t.context && length == 7:
		t.closing = true
		return t, rest, nil
	case length == 5:
		if len(rest) == 0 {
			return tag{}, nil, ErrMalformed
		}
		length, rest = int(rest[0]), rest[1:]
		switch {
		case length < 254:
		case length == 254 && len(rest) >= 2:
			length, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
		default:
			return tag{}, nil, ErrMalformed
		}
	}
	if length > len(rest) {
		return tag{}, nil, ErrMalformed
	}
	t.value = rest[:length]
	return t, rest[length:], nil
}

// parseAck reads the ReadPropertyMultiple-ACK of one object.
func parseAck(b []byte) (Device, error) {
	var d Device
	t, b, err := next(b)
	if err != nil || !t.context || t.number != 0 || len(t.value) != 4 {
		return d, fmt.Errorf("%w: no object", ErrMalformed)
	}
	d.Instance = binary.BigEndian.Uint32(t.value) & 0x3fffff
	property, depth, listed := uint32(0), 0, false
	for len(b) > 0 {
		if t, b, err = next(b); err != nil {
			return d, fmt.Errorf("%w: value is cut off", ErrMalformed)
		}
		switch {
		case t.opening:
			depth++
			listed = true
		case t.closing:
			depth--
		case t.context && t.number == 2 && depth == 1:
			property = number(t.value)
		case !t.context && t.number == 7 && depth == 2: // character string
			d.set(property, characters(t.value))
		}
		if depth < 0 || depth > 4 {
			return d, fmt.Errorf("%w: unbalanced", ErrMalformed)
		}
	}
	if depth != 0 || !listed {
		return d, fmt.Errorf("%w: unbalanced", ErrMalformed)
	}
	return d, nil
}

func (d *Device) set(property uint32, s string) {
	switch property {
	case propertyVendorName:
		d.VendorName = s
	case propertyModelName:
		d.ModelName = s
	case propertyFirmwareRevision:
		d.Firmware = s
	case propertyApplicationVersion:
		d.ApplicationVersion = s
	}
}

func number(b []byte) (v uint32) {
	for _, c := range b[:min(len(b), 4)] {
		v = v<<8 | uint32(c)
	}
	return v
}

// characters reads a string in UTF-8 (clause 20.2.9); of other character sets the
// printable ASCII.
func characters(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if b[0] == 0 {
		return strings.ToValidUTF8(string(b[1:]), "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b[1:]))
}
