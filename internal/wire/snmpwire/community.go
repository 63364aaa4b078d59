package snmpwire

import (
	"bytes"
	"fmt"
)

// Version is a version of SNMP that knows communities, as it is on the wire.
type Version byte

// The versions.
const (
	V1  Version = 0 // RFC 1157
	V2c Version = 1 // RFC 1901
)

// MaxCommunity is the longest community that is taken.
const MaxCommunity = 128

const (
	tagNull       = 0x05
	tagOID        = 0x06
	tagResponse   = 0xa2
	errorStatuses = 18 // of RFC 3416 section 3
)

// Get returns a get request for sysDescr.0, sysObjectID.0 and sysName.0 (RFC 3418)
// with a community of at most [MaxCommunity] bytes.
func Get(v Version, community []byte, id int32) []byte {
	system := []byte{0x2b, 6, 1, 2, 1, 1}
	var list []byte
	for _, variable := range []byte{1, 2, 5} {
		list = append(list, element(tagSequence, element(tagOID, system, []byte{variable, 0}), element(tagNull))...)
	}
	pdu := element(tagGetRequest, integer(id), integer(0), integer(0), element(tagSequence, list))
	return element(tagSequence, element(tagInteger, []byte{byte(v)}), element(tagOctetString, community), pdu)
}

// Response is the head of what answers a get request.
type Response struct {
	ID     int32 // of the request
	Status uint8 // error-status (RFC 3416 section 3); 0 without an error
}

// ParseResponse reads the head of a response of version 1 or 2c. What it holds is
// for others to read.
func ParseResponse(b []byte) (Response, error) {
	var r Response
	if len(b) > MaxMessage {
		return r, fmt.Errorf("SNMP response of %d bytes: %w", len(b), errMalformed)
	}
	p := reader{b: b}
	message := p.enter(tagSequence)
	version := message.integer()
	message.value(tagOctetString)
	pdu := message.enter(tagResponse)
	r.ID = int32(pdu.integer())
	status := pdu.integer()
	if p.bad || message.bad || pdu.bad || version > int64(V2c) || status > errorStatuses {
		return Response{}, fmt.Errorf("SNMP response: %w", errMalformed)
	}
	r.Status = uint8(status)
	return r, nil
}

// Redact returns a message of version 1 or 2c with an empty community. ok is
// false if it is none, or if the bytes of the community are elsewhere in it, too:
// then no part of it may be kept.
func Redact(b, community []byte) (redacted []byte, ok bool) {
	p := reader{b: b}
	message := p.enter(tagSequence)
	version := message.value(tagInteger)
	message.value(tagOctetString)
	rest := message.b
	if p.bad || message.bad || len(b) > MaxMessage-4 {
		return nil, false
	}
	redacted = element(tagSequence, element(tagInteger, version), element(tagOctetString), rest)
	if len(community) > 0 && bytes.Contains(redacted, community) {
		return nil, false
	}
	return redacted, true
}
