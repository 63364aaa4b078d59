// Package dtlswire reads the part of DTLS 1.0 and 1.2 that travels in the clear:
// records and handshake messages, which are put together out of fragments (RFC
// 6347 section 4). Messages come out in the form of TLS, without the cookie of
// the ClientHello, so that package tlswire reads their bodies. It builds the one
// message of a client that stops at the server's first flight: its hello.
//
// It has no keys, decrypts nothing and does no I/O. Every length comes from an
// adversary: no parser panics, and a stream keeps no more than its bounds.
package dtlswire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"probity/internal/wire/tlswire"
)

// Bounds of a [Stream].
const (
	maxMessage  = 256 << 10 // of a Certificate message
	maxOther    = 64 << 10  // of any other
	maxMessages = 64        // sequence numbers of a handshake
	maxOpen     = 8         // messages put together at once
	maxPieces   = 512       // of one message
)

const (
	recordHeader    = 13
	handshakeHeader = 12
)

var errMalformed = errors.New("malformed DTLS")

// IsHello reports whether a datagram begins with a record in clear that holds a
// ClientHello, ServerHello or HelloVerifyRequest.
func IsHello(b []byte) bool {
	if len(b) < recordHeader+handshakeHeader || b[0] != byte(tlswire.Handshake) || !isVersion(b[1:]) ||
		b[3] != 0 || b[4] != 0 {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[11:]))
	kind := b[recordHeader]
	return n >= handshakeHeader && n <= len(b)-recordHeader && (kind == tlswire.TypeClientHello || kind == tlswire.TypeServerHello || kind == tlswire.TypeHelloVerifyRequest)
}

func isVersion(b []byte) bool { return b[0] == 0xfe && (b[1] == 0xff || b[1] == 0xfd || b[1] == 0xfc) }

// Stream puts the messages of one direction together. It is not safe for
// concurrent use.
type Stream struct {
	open  map[uint16]*message
	given [maxMessages]bool
	bytes int
}

type message struct {
	kind   uint8
	length int
	pieces []piece // by offset, not overlapping
	have   int
}

type piece struct {
	offset int
	data   []byte
}

// Buffered returns how many bytes of incomplete messages are kept.
func (s *Stream) Buffered() int { return s.bytes }

// Forget lets go of what is kept, and overwrites it.
func (s *Stream) Forget() {
	for _, m := range s.open {
		for _, p := range m.pieces {
			clear(p.data)
		}
	}
	s.open, s.bytes = nil, 0
}

// Feed takes one datagram and returns the messages that it completes. A message
// that was returned is not returned again. An error says that the datagram is not
// DTLS from some place on; later datagrams may be.
func (s *Stream) Feed(b []byte) ([]tlswire.Message, error) {
	var out []tlswire.Message
	for len(b) > 0 {
		if len(b) < recordHeader || !isVersion(b[1:]) {
			return out, fmt.Errorf("record: %w", errMalformed)
		}
		kind, version, epoch := tlswire.Kind(b[0]), binary.BigEndian.Uint16(b[1:]), binary.BigEndian.Uint16(b[3:])
		n := int(binary.BigEndian.Uint16(b[11:]))
		if n > len(b)-recordHeader {
			return out, fmt.Errorf("record of %d bytes: %w", n, errMalformed)
		}
		body := b[recordHeader : recordHeader+n]
		b = b[recordHeader+n:]
		m := tlswire.Message{Kind: kind, Version: version, Encrypted: epoch != 0}
		switch {
		case kind == tlswire.Handshake && epoch == 0:
			var err error
			if out, err = s.handshake(version, body, out); err != nil {
				return out, err
			}
			continue
		case kind == tlswire.Alert && epoch == 0:
			m.Body = slices.Clone(body)
			m.Raw = m.Body
		case kind < tlswire.ChangeCipherSpec || kind > tlswire.ApplicationData:
			return out, fmt.Errorf("content type %d: %w", kind, errMalformed)
		}
		out = append(out, m)
	}
	return out, nil
}

// handshake takes the fragments of one record.
func (s *Stream) handshake(version uint16, b []byte, out []tlswire.Message) ([]tlswire.Message, error) {
	for len(b) > 0 {
		if len(b) < handshakeHeader {
			return out, fmt.Errorf("handshake header: %w", errMalformed)
		}
		kind, length, seq := b[0], uint24(b[1:]), binary.BigEndian.Uint16(b[4:])
		offset, n := uint24(b[6:]), uint24(b[9:])
		limit := maxOther
		if kind == tlswire.TypeCertificate {
			limit = maxMessage
		}
		if length > limit || offset+n > length || n > len(b)-handshakeHeader {
			return out, fmt.Errorf("handshake message of %d bytes: %w", length, errMalformed)
		}
		data := b[handshakeHeader : handshakeHeader+n]
		b = b[handshakeHeader+n:]
		body, ok := s.add(seq, kind, length, offset, data)
		if !ok {
			continue
		}
		header := []byte{kind, byte(length >> 16), byte(length >> 8), byte(length), byte(seq >> 8), byte(seq), 0, 0, 0, byte(length >> 16), byte(length >> 8), byte(length)}
		raw := append(header, body...)
		if kind == tlswire.TypeClientHello {
			body = withoutCookie(body)
		}
		out = append(out, tlswire.Message{Kind: tlswire.Handshake, Version: version, Type: kind, Body: body, Raw: raw})
	}
	return out, nil
}

// add takes one fragment and returns the message if it is complete. Where
// fragments overlap, the first bytes stay.
func (s *Stream) add(seq uint16, kind uint8, length, offset int, data []byte) ([]byte, bool) {
	if int(seq) >= maxMessages || s.given[seq] {
		return nil, false
	}
	m := s.open[seq]
	if m == nil {
		if offset == 0 && len(data) == length { // the ordinary case
			s.given[seq] = true
			return slices.Clone(data), true
		}
		if len(s.open) >= maxOpen {
			return nil, false
		}
		if s.open == nil {
			s.open = make(map[uint16]*message)
		}
		m = &message{kind: kind, length: length}
		s.open[seq] = m
	}
	if m.kind != kind || m.length != length || len(m.pieces) >= maxPieces {
		return nil, false
	}
	s.bytes += m.add(offset, data)
	if m.have < m.length {
		return nil, false
	}
	body := make([]byte, 0, m.length)
	for _, p := range m.pieces {
		body = append(body, p.data...)
		clear(p.data)
	}
	s.bytes -= m.have
	s.given[seq] = true
	delete(s.open, seq)
	return body, true
}

// add keeps the bytes that are new and returns how many.
func (m *message) add(offset int, data []byte) int {
	before := m.have
	i, _ := slices.BinarySearchFunc(m.pieces, offset, func(p piece, at int) int { return p.offset + len(p.data) - at - 1 })
	for ; len(data) > 0; i++ {
		n := len(data)
		if i < len(m.pieces) {
			p := m.pieces[i]
			if offset >= p.offset {
				known := min(n, p.offset+len(p.data)-offset)
				offset, data = offset+known, data[known:]
				continue
			}
			n = min(n, p.offset-offset)
		}
		m.pieces = slices.Insert(m.pieces, i, piece{offset, slices.Clone(data[:n])})
		m.have += n
		offset, data = offset+n, data[n:]
	}
	return m.have - before
}

// withoutCookie takes the cookie out of a ClientHello (RFC 6347 section 4.2.1).
// A body too short for one stays as it is, and is refused by its reader.
func withoutCookie(body []byte) []byte {
	const session = 34
	if len(body) <= session {
		return body
	}
	at := session + 1 + int(body[session])
	if len(body) <= at {
		return body
	}
	end := at + 1 + int(body[at])
	if len(body) < end {
		return body
	}
	return slices.Concat(body[:at], body[end:])
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
