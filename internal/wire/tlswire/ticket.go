package tlswire

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Ticket is what a server gives so that a session can be resumed.
type Ticket struct {
	Lifetime uint32 // seconds
	AgeAdd   uint32 // TLS 1.3 only
	Nonce    []byte // TLS 1.3 only
	Value    []byte // opaque
}

// ticketName is how many bytes a ticket begins with that name the key which it
// is encrypted with, where a server follows RFC 5077 section 4.
const ticketName = 16

// Name returns the name of the ticket's key, as far as it has one, or nil for a
// ticket that is shorter.
func (t Ticket) Name() []byte {
	if len(t.Value) < ticketName {
		return nil
	}
	return slices.Clone(t.Value[:ticketName])
}

// ParseTicket reads the body of a NewSessionTicket of TLS 1.3 (RFC 8446 section
// 4.6.1) or of a version below it (RFC 5077 section 3.3).
func ParseTicket(body []byte, version uint16) (Ticket, error) {
	var t Ticket
	var nonce, value cryptobyte.String
	s := cryptobyte.String(body)
	ok := s.ReadUint32(&t.Lifetime)
	if version >= VersionTLS13 {
		ok = ok && s.ReadUint32(&t.AgeAdd) && s.ReadUint8LengthPrefixed(&nonce)
	}
	if !ok || !s.ReadUint16LengthPrefixed(&value) {
		return Ticket{}, fmt.Errorf("NewSessionTicket: %w", errMalformed)
	}
	t.Nonce, t.Value = slices.Clone([]byte(nonce)), slices.Clone([]byte(value))
	return t, nil
}

// PSK is the one entry of a pre_shared_key extension (RFC 8446 section 4.2.11).
type PSK struct {
	Identity []byte // a ticket
	Age      uint32 // obfuscated
	Binder   []byte
}

// Trailer is how many bytes at the end of a hello hold its binders, which the
// binders themselves do not cover.
func (p PSK) Trailer() int { return 2 + 1 + len(p.Binder) }

func (p PSK) add(b *cryptobyte.Builder) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.Identity) })
		b.AddUint32(p.Age)
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.Binder) })
	})
}
