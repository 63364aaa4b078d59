// Package snmpwire builds the engine discovery request of SNMP version 3 and
// reads the report that answers it (RFC 3412 section 6, RFC 3414 section 4). With
// a community it builds one get request of versions 1 and 2c for the description,
// the product and the name of a system, and takes the community out of messages.
//
// Discovery needs no credentials and names no user: it shows the identifier of
// an engine, how often it booted and for how long it runs. The package sets
// nothing and does no I/O. Its BER reader takes definite lengths of
// at most four octets and never looks beyond the bytes it was given.
package snmpwire

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// MaxMessage is the longest message that is read: what fits a UDP datagram.
const MaxMessage = 65507

const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagSequence    = 0x30
	tagGetRequest  = 0xa0
	tagReport      = 0xa8

	version3       = 3
	securityUSM    = 3    // User-based Security Model
	flagReportable = 0x04 // noAuthNoPriv, reportable
)

var errMalformed = errors.New("malformed")

// Discovery returns a get request without authentication, privacy, engine
// identifier, user and variables, which every engine answers with a report (RFC
// 3414 section 4). id is the message and request identifier, 0 to 2^31-1.
func Discovery(id int32) []byte {
	security := element(tagSequence,
		element(tagOctetString), // authoritative engine
		integer(0),              // boots
		integer(0),              // time
		element(tagOctetString), // user
		element(tagOctetString), // authentication
		element(tagOctetString)) // privacy
	pdu := element(tagGetRequest, integer(id), integer(0), integer(0), element(tagSequence))
	return element(tagSequence,
		integer(version3),
		element(tagSequence, integer(id), integer(MaxMessage), element(tagOctetString, []byte{flagReportable}), integer(securityUSM)),
		element(tagOctetString, security),
		element(tagSequence, element(tagOctetString), element(tagOctetString), pdu))
}

// Report is what an engine says of itself.
type Report struct {
	ID       int32  // message identifier of the request
	EngineID []byte // 5 to 32 octets (RFC 3411 section 5, SnmpEngineID)
	Boots    uint32
	Time     uint32 // seconds since the last boot
}

// ParseReport reads the datagram that answers a discovery. It is an error if it
// is no SNMPv3 report in clear or has no engine identifier.
func ParseReport(b []byte) (Report, error) {
	var r Report
	if len(b) > MaxMessage {
		return r, fmt.Errorf("SNMP report of %d bytes: %w", len(b), errMalformed)
	}
	p := reader{b: b}
	message := p.enter(tagSequence)
	version := message.integer()
	header := message.enter(tagSequence)
	r.ID = int32(header.integer())
	header.integer() // largest message
	header.value(tagOctetString)
	model := header.integer()
	security := message.enter(tagOctetString)
	parameters := security.enter(tagSequence)
	r.EngineID = slices.Clone(parameters.value(tagOctetString))
	r.Boots = uint32(parameters.integer())
	r.Time = uint32(parameters.integer())
	scoped := message.enter(tagSequence)
	scoped.value(tagOctetString) // context engine
	scoped.value(tagOctetString) // context name
	scoped.value(tagReport)
	if p.bad || message.bad || header.bad || security.bad || parameters.bad || scoped.bad {
		return Report{}, fmt.Errorf("SNMP report: %w", errMalformed)
	}
	if version != version3 || model != securityUSM {
		return Report{}, fmt.Errorf("SNMP report: version %d, security model %d: want version 3, model 3", version, model)
	}
	if n := len(r.EngineID); n < 5 || n > 32 {
		return Report{}, fmt.Errorf("SNMP report: engine identifier of %d bytes: want 5 to 32", n)
	}
	return r, nil
}

// reader walks BER elements. After the first that does not fit, bad is set and
// every further read returns nothing.
type reader struct {
	b   []byte
	bad bool
}

// value returns the content of the next element, which must have the tag.
func (r *reader) value(tag byte) []byte {
	if r.bad || len(r.b) < 2 || r.b[0] != tag {
		r.bad = true
		return nil
	}
	length, rest := int(r.b[1]), r.b[2:]
	if length >= 0x80 {
		octets := length & 0x7f
		if octets == 0 || octets > 4 || octets > len(rest) {
			r.bad = true
			return nil
		}
		length = 0
		for _, c := range rest[:octets] {
			length = length<<8 | int(c)
		}
		rest = rest[octets:]
	}
	if length > len(rest) {
		r.bad = true
		return nil
	}
	r.b = rest[length:]
	return rest[:length]
}

// enter returns a reader of the content of the next element.
func (r *reader) enter(tag byte) *reader {
	content := r.value(tag)
	return &reader{b: content, bad: r.bad}
}

// integer returns a number from 0 to 2^31-1; all integers of a report are in
// this range (RFC 3412 section 6).
func (r *reader) integer() int64 {
	content := r.value(tagInteger)
	if len(content) == 0 || len(content) > 5 || content[0]&0x80 != 0 {
		r.bad = true
		return 0
	}
	var v int64
	for _, c := range content {
		v = v<<8 | int64(c)
	}
	if v > math.MaxInt32 {
		r.bad = true
		return 0
	}
	return v
}

// element returns a BER element with the contents one after the other, in the
// shortest form. No element has more than 65535 bytes.
func element(tag byte, contents ...[]byte) []byte {
	body := slices.Concat(contents...)
	head := []byte{tag, byte(len(body))}
	switch {
	case len(body) >= 1<<8:
		head = []byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}
	case len(body) >= 0x80:
		head = []byte{tag, 0x81, byte(len(body))}
	}
	return append(head, body...)
}

// integer returns v, not negative, in the shortest form.
func integer(v int32) []byte {
	b := []byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	for len(b) > 1 && b[0] == 0 && b[1]&0x80 == 0 {
		b = b[1:]
	}
	return element(tagInteger, b)
}
