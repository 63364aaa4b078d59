// Package opcuawire has the messages of OPC UA over TCP that a client needs to
// ask for the endpoints of a server, and no other: Hello, a channel without
// security, GetEndpoints, and the end of the channel (OPC 10000-6 sections 5.2,
// 6.7 and 7.1; OPC 10000-4 section 5.5.4).
//
// It opens no session, reads no node and does no I/O.
//
// Invariant: every length and count comes from an adversary; no reader goes
// beyond the bytes it was given, nor allocates for a count that they cannot hold.
package opcuawire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"probity/internal/wire/idwire"
)

// ErrMalformed marks bytes that are not what was asked for.
var ErrMalformed = errors.New("no OPC UA answer to what was asked")

// HeaderSize is the length of the header of each chunk.
const HeaderSize = headerSize

// Header is the head of a chunk (OPC 10000-6 section 7.1.2.2).
type Header struct {
	Kind  string // three letters
	Final bool
	Size  int // of what follows the header
}

// ParseHeader reads the first [HeaderSize] bytes of a chunk.
func ParseHeader(b []byte) (Header, error) {
	if len(b) != headerSize {
		return Header{}, ErrMalformed
	}
	h := Header{Kind: string(b[:3]), Final: b[3] == chunkFinal}
	size := binary.LittleEndian.Uint32(b[4:])
	switch h.Kind {
	case messageAcknowledge, messageError, messageOpen, messageMessage:
	default:
		return Header{}, ErrMalformed
	}
	if b[3] != chunkFinal && b[3] != chunkPartial || size < headerSize || size > MaxChunk {
		return Header{}, fmt.Errorf("%w: chunk of %d bytes", ErrMalformed, size)
	}
	h.Size = int(size) - headerSize
	return h, nil
}

// CheckAcknowledge reads the answer to a Hello.
func CheckAcknowledge(h Header, body []byte) error {
	if err := failed(h, body); err != nil {
		return err
	}
	if h.Kind != messageAcknowledge || !h.Final || len(body) != 20 {
		return ErrMalformed
	}
	return nil
}

// failed turns an Error message into an error (section 7.1.2.5). Its text is not
// kept.
func failed(h Header, body []byte) error {
	if h.Kind != messageError {
		return nil
	}
	r := reader{b: body}
	status := r.u32()
	if r.bad {
		return ErrMalformed
	}
	return fmt.Errorf("%w: error %#08x", ErrMalformed, status)
}

// Channel names a channel and its token.
type Channel struct{ ID, Token uint32 }

// ParseOpenChannel reads the answer to OpenChannel.
func ParseOpenChannel(h Header, body []byte) (Channel, error) {
	if err := failed(h, body); err != nil {
		return Channel{}, err
	}
	r := reader{b: body}
	r.u32() // channel
	policy := r.str()
	r.str() // certificate: there is none without security
	r.str() // thumbprint
	r.skip(8)
	if h.Kind != messageOpen || !h.Final || r.bad || policy != policyNone {
		return Channel{}, fmt.Errorf("%w: no channel without security", ErrMalformed)
	}
	if err := r.response(idOpenChannelResponse); err != nil {
		return Channel{}, err
	}
	r.u32() // protocol version
	c := Channel{ID: r.u32(), Token: r.u32()}
	if r.bad {
		return Channel{}, fmt.Errorf("%w: no token", ErrMalformed)
	}
	return c, nil
}

// MessageBody takes the head off the body of one chunk of the answer to
// GetEndpoints. The bodies of all chunks, one after the other, are what
// [ParseEndpoints] reads.
func MessageBody(h Header, body []byte) ([]byte, error) {
	if err := failed(h, body); err != nil {
		return nil, err
	}
	const sequence = 16 // channel, token, sequence, request
	if h.Kind != messageMessage || len(body) < sequence {
		return nil, ErrMalformed
	}
	return body[sequence:], nil
}

// Server is what a server says of itself.
type Server struct {
	Time                             time.Time // of the answer, by the clock of the server; zero if it says none
	ApplicationURI, ProductURI, Name string
	Endpoints                        []Endpoint
}

// Endpoint is one way to reach a server (OPC 10000-4 section 7.14). Its address is
// passed over.
type Endpoint struct {
	Policy      string // URI
	Mode        uint32 // 1 none, 2 sign, 3 sign and encrypt
	Tokens      []uint32
	Level       uint8
	Certificate []byte // DER, perhaps with more behind it
}

// Bounds of one answer.
const (
	maxEndpoints = 64
	maxTokens    = 16
)

// ParseEndpoints reads the whole answer to GetEndpoints. Of more than 64 endpoints
// the first are returned.
func ParseEndpoints(b []byte) (Server, error) {
	var s Server
	r := reader{b: b}
	if err := r.response(idGetEndpointsResponse); err != nil {
		return s, err
	}
	s.Time = r.at
	count := r.count()
	for i := range count {
		if i == maxEndpoints {
			return s, nil
		}
		r.str() // URL
		application, product, name := r.application()
		e := Endpoint{Certificate: []byte(r.str()), Mode: r.u32(), Policy: r.str()}
		tokens := r.count()
		for range tokens {
			r.str() // identifier
			kind := r.u32()
			r.str() // issued type
			r.str() // issuer
			r.str() // policy
			if len(e.Tokens) < maxTokens && !r.bad {
				e.Tokens = append(e.Tokens, kind)
			}
			if r.bad {
				break
			}
		}
		r.str() // transport
		e.Level = r.u8()
		if r.bad {
			return Server{}, fmt.Errorf("%w: endpoint %d is cut off", ErrMalformed, i)
		}
		if i == 0 {
			s.ApplicationURI, s.ProductURI, s.Name = application, product, name
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	if r.bad {
		return Server{}, fmt.Errorf("%w: no list of endpoints", ErrMalformed)
	}
	return s, nil
}

// PolicyName is the part of a policy's URI that names it, or "" for one of
// another namespace.
func PolicyName(uri string) string {
	name, ok := strings.CutPrefix(uri, "http://opcfoundation.org/UA/SecurityPolicy#")
	if !ok || len(name) > 64 {
		return ""
	}
	return name
}

// reader walks binary encoded values (OPC 10000-6 section 5.2.2). After the first
// that does not fit, bad is set and every further read returns nothing.
type reader struct {
	b   []byte
	bad bool
	at  time.Time // of the response header
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) skip(n int) { r.take(n) }

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// str reads a String or ByteString; an absent one is empty.
func (r *reader) str() string {
	n := r.u32()
	if n == absent {
		return ""
	}
	if n > MaxMessage {
		r.bad = true
		return ""
	}
	return string(r.take(int(n)))
}

// count reads the length of an array; an absent one is empty. Each element has at
// least four bytes.
func (r *reader) count() int {
	n := r.u32()
	if n == absent {
		return 0
	}
	if int64(n)*4 > int64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// application reads an ApplicationDescription (OPC 10000-4 section 7.2).
func (r *reader) application() (uri, product, name string) {
	uri, product = r.str(), r.str()
	mask := r.u8() // LocalizedText
	if mask&1 != 0 {
		r.str()
	}
	if mask&2 != 0 {
		name = r.str()
	}
	if mask&^3 != 0 {
		r.bad = true
	}
	r.u32() // type
	r.str() // gateway
	r.str() // profile
	urls := r.count()
	for range urls {
		r.str()
		if r.bad {
			break
		}
	}
	return uri, product, name
}

// response reads the type of a body and its ResponseHeader (OPC 10000-4 section
// 7.34), and checks that it is the one that was asked for and good.
func (r *reader) response(want uint16) error {
	id := r.take(4)
	if r.bad || id[0] != 1 || id[1] != 0 {
		return fmt.Errorf("%w: no type", ErrMalformed)
	}
	kind := binary.LittleEndian.Uint16(id[2:])
	if b := r.take(8); b != nil {
		r.at = idwire.FileTime(binary.LittleEndian.Uint64(b))
	}
	r.skip(4) // handle
	status := r.u32()
	diagnostics := r.u8()
	table := r.count()
	for range table {
		r.str()
		if r.bad {
			break
		}
	}
	extension := r.take(3) // none
	switch {
	case r.bad || diagnostics != 0 || extension[0]|extension[1]|extension[2] != 0:
		return fmt.Errorf("%w: response header", ErrMalformed)
	case kind == idServiceFault || status != 0:
		return fmt.Errorf("%w: status %#08x", ErrMalformed, status)
	case kind != want:
		return fmt.Errorf("%w: type %d", ErrMalformed, kind)
	}
	return nil
}
