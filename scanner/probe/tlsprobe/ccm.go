package tlsprobe

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// ccm is counter mode with CBC-MAC (RFC 3610) as TLS 1.3 uses it: nonces of 12
// bytes, and so three bytes of length, with tags of 16 or 8 bytes (RFC 5116
// section 5.3, RFC 6655).
type ccm struct {
	block cipher.Block
	tag   int
}

const (
	ccmNonce  = 12
	ccmLength = 15 - ccmNonce // L of RFC 3610
)

var errTag = errors.New("message authentication failed")

func (c ccm) NonceSize() int { return ccmNonce }
func (c ccm) Overhead() int  { return c.tag }

// Seal implements [cipher.AEAD].
func (c ccm) Seal(dst, nonce, plaintext, data []byte) []byte {
	tag := c.mac(nonce, plaintext, data)
	out := make([]byte, len(plaintext), len(plaintext)+c.tag)
	c.stream(nonce).XORKeyStream(out, plaintext)
	return append(append(dst, out...), tag...)
}

// Open implements [cipher.AEAD].
func (c ccm) Open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	if len(ciphertext) < c.tag {
		return nil, errTag
	}
	text, tag := ciphertext[:len(ciphertext)-c.tag], ciphertext[len(ciphertext)-c.tag:]
	out := make([]byte, len(text))
	c.stream(nonce).XORKeyStream(out, text)
	if subtle.ConstantTimeCompare(c.mac(nonce, out, data), tag) != 1 {
		return nil, errTag
	}
	return append(dst, out...), nil
}

// stream is the key stream for the message; block 0 is for the tag.
func (c ccm) stream(nonce []byte) cipher.Stream {
	counter := c.counter(nonce)
	counter[15] = 1
	return cipher.NewCTR(c.block, counter)
}

func (c ccm) counter(nonce []byte) []byte {
	counter := make([]byte, 16)
	counter[0] = ccmLength - 1
	copy(counter[1:], nonce)
	return counter
}

// mac is the encrypted tag (RFC 3610 sections 2.2 and 2.3). data has less than
// 2^16 - 2^8 bytes.
func (c ccm) mac(nonce, text, data []byte) []byte {
	first := make([]byte, 16)
	first[0] = byte((c.tag-2)/2<<3 | ccmLength - 1)
	if len(data) > 0 {
		first[0] |= 1 << 6
	}
	copy(first[1:], nonce)
	first[13], first[14], first[15] = byte(len(text)>>16), byte(len(text)>>8), byte(len(text))
	sum := make([]byte, 16)
	c.absorb(sum, first)
	if len(data) > 0 {
		c.absorb(sum, append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...))
	}
	c.absorb(sum, text)
	pad := make([]byte, 16)
	c.block.Encrypt(pad, c.counter(nonce))
	subtle.XORBytes(sum, sum, pad)
	return sum[:c.tag]
}

// absorb takes b, padded with zeros, into the CBC-MAC.
func (c ccm) absorb(sum, b []byte) {
	for len(b) > 0 {
		n := subtle.XORBytes(sum, sum, b[:min(16, len(b))])
		b = b[n:]
		c.block.Encrypt(sum, sum)
	}
}
