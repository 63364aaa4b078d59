package opcuawire

import (
	"encoding/binary"
	"slices"
)

// Limits that a client tells the server in its Hello (OPC 10000-6 section
// 7.1.2.3).
const (
	MaxChunk   = 64 << 10
	MaxMessage = 512 << 10
	MaxChunks  = 16
)

// MaxURL is the longest endpoint URL (section 7.1.2.3).
const MaxURL = 4096

const (
	policyNone = "http://opcfoundation.org/UA/SecurityPolicy#None"
	lifetime   = 10_000 // of the channel, in milliseconds: it is closed long before
)

// Identifiers of binary encodings (OPC 10000-6 annex A).
const (
	idServiceFault           = 397
	idGetEndpointsRequest    = 428
	idGetEndpointsResponse   = 431
	idOpenChannelRequest     = 446
	idOpenChannelResponse    = 449
	idCloseChannelRequest    = 452
	securityModeNone         = 1
	sequenceOfOpen           = 1
	sequenceOfGetEndpoints   = 2
	sequenceOfClose          = 3
	timeoutHint              = 3000 // milliseconds
	absent                   = ^uint32(0)
	requestTypeIssue         = 0
	headerSize               = 8
	messageHello             = "HEL"
	messageAcknowledge       = "ACK"
	messageError             = "ERR"
	messageOpen              = "OPN"
	messageMessage           = "MSG"
	messageClose             = "CLO"
	chunkFinal, chunkPartial = 'F', 'C'
)

func u32(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func str(s string) []byte { return append(u32(uint32(len(s))), s...) }

// typeID is a NodeId in four-byte form (section 5.2.2.9).
func typeID(id uint16) []byte { return []byte{1, 0, byte(id), byte(id >> 8)} }

// requestHeader has no session, no diagnostics and no audit entry (OPC 10000-4
// section 7.33).
func requestHeader(handle uint32) []byte {
	return slices.Concat([]byte{0, 0}, make([]byte, 8), u32(handle, 0, absent, timeoutHint), []byte{0, 0, 0})
}

func chunk(kind string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat([]byte(kind), []byte{chunkFinal}, u32(uint32(headerSize+len(body))), body)
}

// Hello begins a connection; url is at most [MaxURL] bytes.
func Hello(url string) []byte {
	return chunk(messageHello, u32(0, MaxChunk, MaxChunk, MaxMessage, MaxChunks), str(url))
}

// OpenChannel asks for a channel without security (section 6.7.4).
func OpenChannel() []byte {
	return chunk(messageOpen, u32(0), str(policyNone), u32(absent, absent), u32(sequenceOfOpen, sequenceOfOpen),
		typeID(idOpenChannelRequest), requestHeader(sequenceOfOpen), u32(0, requestTypeIssue, securityModeNone, absent, lifetime))
}

// GetEndpoints asks for all endpoints (OPC 10000-4 section 5.5.4).
func GetEndpoints(c Channel, url string) []byte {
	return chunk(messageMessage, u32(c.ID, c.Token), u32(sequenceOfGetEndpoints, sequenceOfGetEndpoints),
		typeID(idGetEndpointsRequest), requestHeader(sequenceOfGetEndpoints), str(url), u32(absent, absent))
}

// CloseChannel ends a channel; it is not answered.
func CloseChannel(c Channel) []byte {
	return chunk(messageClose, u32(c.ID, c.Token), u32(sequenceOfClose, sequenceOfClose),
		typeID(idCloseChannelRequest), requestHeader(sequenceOfClose))
}
