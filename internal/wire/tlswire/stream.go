package tlswire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind is the content type of a record (RFC 8446 section 5.1).
type Kind uint8

// The kinds of record content.
const (
	ChangeCipherSpec Kind = 20
	Alert            Kind = 21
	Handshake        Kind = 22
	ApplicationData  Kind = 23
)

// The handshake message types (RFC 5246 section 7.4, RFC 6066 section 8).
const (
	TypeHelloRequest       uint8 = 0
	TypeClientHello        uint8 = 1
	TypeServerHello        uint8 = 2
	TypeHelloVerifyRequest uint8 = 3 // RFC 6347 section 4.2.1
	TypeNewSessionTicket   uint8 = 4
	TypeCertificate        uint8 = 11
	TypeServerKeyExchange  uint8 = 12
	TypeCertificateRequest uint8 = 13
	TypeServerHelloDone    uint8 = 14
	TypeCertificateVerify  uint8 = 15
	TypeClientKeyExchange  uint8 = 16
	TypeCertificateStatus  uint8 = 22
)

// Limits bound what a [Stream] keeps. A zero field takes the default.
type Limits struct {
	Record      int // payload of one record; default 18,432 = 2^14 + 2,048 (RFC 5246 section 6.2.3)
	Handshake   int // body of one handshake message; default 64 KiB
	Certificate int // body of one Certificate message; default 256 KiB
}

const (
	defaultRecord      = 1<<14 + 2048
	defaultHandshake   = 64 << 10
	defaultCertificate = 256 << 10

	recordHeader    = 5
	handshakeHeader = 4
)

// Message is one handshake message, alert or change of cipher, or the fact that
// an application data record began.
type Message struct {
	Kind    Kind
	Version uint16 // of the record
	// Type is the handshake type; 0 for other kinds and for encrypted messages.
	Type uint8
	// Encrypted is true for what follows a change of cipher. Such a message has
	// no body.
	Encrypted bool
	// Body is the content without the handshake header. It is nil for
	// application data, which the stream skips and never keeps.
	Body []byte
	// Raw is the content with the handshake header.
	Raw []byte
}

// ErrNotTLS is returned by [Stream.Feed] where a record header was expected and
// other bytes came.
var ErrNotTLS = errors.New("not a TLS record")

// Stream cuts the bytes of one direction of a connection into messages. Bytes
// are pushed as they arrive; a stream keeps at most one incomplete record and
// one incomplete handshake message. It is not safe for concurrent use.
type Stream struct {
	limits    Limits
	record    []byte // incomplete record, header included
	skip      int    // bytes of an application data record still to come
	message   []byte // incomplete handshake message, header included
	encrypted bool   // a change of cipher was seen
	err       error
}

// NewStream returns a stream at the start of a connection.
func NewStream(l Limits) *Stream {
	if l.Record <= 0 {
		l.Record = defaultRecord
	}
	if l.Handshake <= 0 {
		l.Handshake = defaultHandshake
	}
	if l.Certificate <= 0 {
		l.Certificate = defaultCertificate
	}
	return &Stream{limits: l}
}

// Feed takes the next bytes and returns the messages that they complete, in
// order. The messages do not alias b. An error is final: it is returned together
// with what came before it, and again by every later call.
func (s *Stream) Feed(b []byte) ([]Message, error) {
	var out []Message
	for s.err == nil {
		if s.skip > 0 {
			n := min(s.skip, len(b))
			s.skip -= n
			b = b[n:]
		}
		if len(b) == 0 {
			break
		}
		var err error
		if b, out, err = s.step(b, out); err != nil {
			s.err = err
			s.Forget()
		}
	}
	return out, s.err
}

// step consumes bytes up to the end of one record header or one record. A record
// that lies whole in b is not copied.
func (s *Stream) step(b []byte, out []Message) ([]byte, []Message, error) {
	if len(s.record) == 0 {
		size, err := s.checkHeader(b[:min(len(b), recordHeader)])
		if err != nil {
			return nil, out, err
		}
		if size > 0 && Kind(b[0]) != ApplicationData && len(b) >= size {
			out, err = s.content(Kind(b[0]), binary.BigEndian.Uint16(b[1:]), b[recordHeader:size], out)
			return b[size:], out, err
		}
	}
	if len(s.record) < recordHeader {
		n := min(recordHeader-len(s.record), len(b))
		s.record = keep(s.record, b[:n])
		b = b[n:]
	}
	size, err := s.checkHeader(s.record[:min(len(s.record), recordHeader)])
	if err != nil || size == 0 {
		return b, out, err
	}
	version := binary.BigEndian.Uint16(s.record[1:3])
	if Kind(s.record[0]) == ApplicationData {
		s.skip = size - recordHeader
		s.record = s.record[:0]
		return b, append(out, Message{Kind: ApplicationData, Version: version}), nil
	}
	n := min(size-len(s.record), len(b))
	s.record = keep(s.record, b[:n])
	b = b[n:]
	if len(s.record) < size {
		return b, out, nil
	}
	out, err = s.content(Kind(s.record[0]), version, s.record[recordHeader:], out)
	clear(s.record)
	s.record = nil
	return b, out, err
}

// checkHeader returns the size of a record with its header h, 0 while h is not
// complete. It refuses a header as soon as its bytes show that it is none.
func (s *Stream) checkHeader(h []byte) (size int, err error) {
	if len(h) >= 1 && (h[0] < byte(ChangeCipherSpec) || h[0] > byte(ApplicationData)) {
		return 0, fmt.Errorf("%w: content type %d", ErrNotTLS, h[0])
	}
	if len(h) >= 2 && h[1] != 3 {
		return 0, fmt.Errorf("%w: major version %d", ErrNotTLS, h[1])
	}
	if len(h) < recordHeader {
		return 0, nil
	}
	length := int(binary.BigEndian.Uint16(h[3:5]))
	if length > s.limits.Record {
		return 0, fmt.Errorf("record of %d bytes: more than %d", length, s.limits.Record)
	}
	if length == 0 && Kind(h[0]) != ApplicationData {
		return 0, fmt.Errorf("record of type %d is empty (RFC 8446 section 5.1)", h[0])
	}
	return recordHeader + length, nil
}

// content appends the messages of one complete record.
func (s *Stream) content(k Kind, version uint16, body []byte, out []Message) ([]Message, error) {
	switch k {
	case Handshake:
		if s.encrypted && !helloAfterCipherChange(body) {
			return append(out, Message{Kind: k, Version: version, Encrypted: true}), nil
		}
		return s.handshake(version, body, out)
	case ChangeCipherSpec:
		if len(s.message) > 0 {
			return out, errors.New("change of cipher within a handshake message")
		}
		s.encrypted = true
		return append(out, Message{Kind: k, Version: version}), nil
	default: // alert; application data never comes here
		if s.encrypted {
			return append(out, Message{Kind: k, Version: version, Encrypted: true}), nil
		}
		raw := append([]byte(nil), body...)
		return append(out, Message{Kind: k, Version: version, Body: raw, Raw: raw}), nil
	}
}

// helloAfterCipherChange reports whether a record after a change of cipher is a
// clear hello: after a HelloRetryRequest, TLS 1.3 in middlebox compatibility
// mode sends a meaningless ChangeCipherSpec before the second hello (RFC 8446
// appendix D.4). An encrypted Finished does not have this shape.
func helloAfterCipherChange(b []byte) bool {
	return len(b) > 6 && (b[0] == TypeClientHello || b[0] == TypeServerHello) &&
		uint24(b[1:])+handshakeHeader == len(b) && b[4] == 3 && b[5] == 3
}

// handshake adds the fragment b and appends the messages it completes, which
// share one copy of their bytes.
func (s *Stream) handshake(version uint16, b []byte, out []Message) ([]Message, error) {
	if len(s.message) > 0 {
		s.message = keep(s.message, b)
		b = s.message
	}
	n, err := s.complete(b)
	for whole := bytes.Clone(b[:n]); len(whole) > 0; {
		size := handshakeHeader + uint24(whole[1:])
		raw := whole[:size:size]
		out = append(out, Message{Kind: Handshake, Version: version, Type: raw[0], Body: raw[handshakeHeader:], Raw: raw})
		whole = whole[size:]
	}
	if n == len(b) {
		clear(s.message)
		s.message = nil
	} else {
		rest := bytes.Clone(b[n:])
		clear(s.message)
		s.message = rest
	}
	return out, err
}

// complete returns the size of the complete messages at the begin of b, up to one
// that is too long.
func (s *Stream) complete(b []byte) (n int, err error) {
	for len(b)-n >= handshakeHeader {
		length, limit := uint24(b[n+1:]), s.limits.Handshake
		if b[n] == TypeCertificate {
			limit = s.limits.Certificate
		}
		if length > limit {
			return n, fmt.Errorf("handshake message of type %d and %d bytes: more than %d", b[n], length, limit)
		}
		if len(b)-n < handshakeHeader+length {
			break
		}
		n += handshakeHeader + length
	}
	return n, nil
}

// Buffered returns how many bytes of incomplete records and messages are kept.
func (s *Stream) Buffered() int { return len(s.record) + len(s.message) }

// Forget lets go of what is kept, and overwrites it.
func (s *Stream) Forget() {
	clear(s.record)
	clear(s.message)
	s.record, s.message = nil, nil
}

// keep appends to what is kept. Where that must move, the place that it had is
// overwritten: it is what others say to each other.
func keep(kept, more []byte) []byte {
	if len(more) <= cap(kept)-len(kept) {
		return append(kept, more...)
	}
	moved := append(append(make([]byte, 0, 2*len(kept)+len(more)), kept...), more...)
	clear(kept)
	return moved
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
