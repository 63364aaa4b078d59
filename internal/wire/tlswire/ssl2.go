package tlswire

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// SSL2ClientHello returns an SSL 2.0 CLIENT-HELLO that offers every cipher kind
// of the protocol (draft-hickman-netscape-ssl-00 section 2.5), record header
// included. challenge is sent as it is and makes the hello recognisable.
func SSL2ClientHello(challenge [16]byte) []byte {
	kinds := []byte{
		0x01, 0x00, 0x80, // RC4_128_WITH_MD5
		0x02, 0x00, 0x80, // RC4_128_EXPORT40_WITH_MD5
		0x03, 0x00, 0x80, // RC2_128_CBC_WITH_MD5
		0x04, 0x00, 0x80, // RC2_128_CBC_EXPORT40_WITH_MD5
		0x05, 0x00, 0x80, // IDEA_128_CBC_WITH_MD5
		0x06, 0x00, 0x40, // DES_64_CBC_WITH_MD5
		0x07, 0x00, 0xc0, // DES_192_EDE3_CBC_WITH_MD5
	}
	body := []byte{1, 0, 2, 0, byte(len(kinds)), 0, 0, 0, byte(len(challenge))}
	body = append(body, kinds...)
	body = append(body, challenge[:]...)
	return append([]byte{0x80, byte(len(body))}, body...)
}

// SSL2ServerHello is the answer of a server that speaks SSL 2.0.
type SSL2ServerHello struct {
	Version     uint16
	Certificate []byte   // DER; empty if a session was resumed
	Ciphers     []uint32 // cipher kinds that both sides know, 24 bits each
}

// ParseSSL2ServerHello reads an SSL 2.0 SERVER-HELLO, record header included
// (draft-hickman-netscape-ssl-00 section 2.6). Bytes after it are ignored.
func ParseSSL2ServerHello(b []byte) (SSL2ServerHello, error) {
	const typeServerHello = 4
	var (
		h                                   SSL2ServerHello
		s                                   = cryptobyte.String(b)
		first, second                       uint8
		kind, hit, certificateType          uint8
		certificateLen, kindsLen, sessionID uint16
		body                                []byte
	)
	if !s.ReadUint8(&first) || !s.ReadUint8(&second) || first&0x80 == 0 || !s.ReadBytes(&body, int(first&0x7f)<<8|int(second)) {
		return h, fmt.Errorf("SSL 2.0 SERVER-HELLO: record: %w", errMalformed)
	}
	s = cryptobyte.String(body)
	if !s.ReadUint8(&kind) || kind != typeServerHello || !s.ReadUint8(&hit) || !s.ReadUint8(&certificateType) ||
		!s.ReadUint16(&h.Version) || !s.ReadUint16(&certificateLen) || !s.ReadUint16(&kindsLen) || !s.ReadUint16(&sessionID) {
		return SSL2ServerHello{}, fmt.Errorf("SSL 2.0 SERVER-HELLO: %w", errMalformed)
	}
	var certificate, kinds []byte
	if !s.ReadBytes(&certificate, int(certificateLen)) || !s.ReadBytes(&kinds, int(kindsLen)) || len(kinds)%3 != 0 || !s.Skip(int(sessionID)) {
		return SSL2ServerHello{}, fmt.Errorf("SSL 2.0 SERVER-HELLO: %w", errMalformed)
	}
	h.Certificate = slices.Clone(certificate)
	for k := range slices.Chunk(kinds, 3) {
		h.Ciphers = append(h.Ciphers, uint32(uint24(k)))
	}
	return h, nil
}
