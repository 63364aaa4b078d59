// Package quicwire reads QUIC Initial packets of versions 1 and 2 (RFC 9000
// section 17.2.2, RFC 9369). Their keys follow from a connection identifier that
// travels in the clear, so that anyone on the path can read the hellos in them;
// nothing else of QUIC can be read.
//
// It does no I/O and keeps no state but keys. Every length comes from an
// adversary: no parser panics, and what is not an Initial packet that decrypts is
// refused.
package quicwire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Versions.
const (
	Version1 uint32 = 1          // RFC 9000
	Version2 uint32 = 0x6b3343cf // RFC 9369
)

// MinClient is the least size of a datagram with a client's Initial packet (RFC
// 9000 section 14.1).
const MinClient = 1200

var (
	errMalformed = errors.New("malformed QUIC")
	// ErrNotInitial says that a packet is no Initial packet of a version that is read.
	ErrNotInitial = errors.New("not a QUIC Initial packet")
)

// Header is what is in the clear of a packet with a long header.
type Header struct {
	Version     uint32
	Destination []byte // connection identifiers, 0 to 20 bytes
	Source      []byte
	number      int // where the packet number begins
	end         int // where the packet ends
	initial     bool
}

// ParseHeader reads the header of the first packet of a datagram, of which
// several packets may be a part.
func ParseHeader(b []byte) (Header, error) {
	const long, fixed, least, maxID = 0x80, 0x40, 7, 20
	if len(b) < least || b[0]&(long|fixed) != long|fixed {
		return Header{}, ErrNotInitial
	}
	h := Header{Version: binary.BigEndian.Uint32(b[1:])}
	kind := b[0] >> 4 & 3
	switch h.Version {
	case Version1:
		h.initial = kind == 0
	case Version2:
		h.initial = kind == 1
	default:
		return Header{}, ErrNotInitial
	}
	retry := h.Version == Version1 && kind == 3 || h.Version == Version2 && kind == 0
	if retry { // has no length and no packet number
		return Header{}, ErrNotInitial
	}
	r := reader{b: b, at: 5}
	h.Destination = r.bytes(uint64(r.byte()), maxID)
	h.Source = r.bytes(uint64(r.byte()), maxID)
	if h.initial {
		r.bytes(r.varint(), uint64(len(b))) // token
	}
	n := r.varint()
	if r.bad || n > uint64(len(b)-r.at) {
		return Header{}, fmt.Errorf("long header: %w", errMalformed)
	}
	h.number, h.end = r.at, r.at+int(n)
	return h, nil
}

// Keys open the Initial packets of one direction.
type Keys struct {
	aead   cipher.AEAD
	iv     []byte
	header cipher.Block
}

// NewKeys derives the keys of the client and the server from the destination of
// the client's first Initial packet (RFC 9001 section 5.2).
func NewKeys(version uint32, destination []byte) (client, server *Keys, err error) {
	salt, prefix := []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"), "quic "
	if version == Version2 {
		salt, prefix = []byte("\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"), "quicv2 "
	}
	initial, err := hkdf.Extract(sha256.New, destination, salt)
	if err != nil {
		return nil, nil, fmt.Errorf("QUIC keys: %w", err)
	}
	if client, err = newKeys(initial, "client in", prefix); err != nil {
		return nil, nil, err
	}
	server, err = newKeys(initial, "server in", prefix)
	return client, server, err
}

func newKeys(initial []byte, label, prefix string) (*Keys, error) {
	secret, err := expand(initial, label, sha256.Size)
	if err != nil {
		return nil, err
	}
	var parts [3][]byte
	for i, name := range []string{"key", "iv", "hp"} {
		size := aes.BlockSize
		if name == "iv" {
			size = 12
		}
		if parts[i], err = expand(secret, prefix+name, size); err != nil {
			return nil, err
		}
	}
	block, err := aes.NewCipher(parts[0])
	if err != nil {
		return nil, fmt.Errorf("QUIC keys: %w", err)
	}
	k := &Keys{iv: parts[1]}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("QUIC keys: %w", err)
	}
	if k.header, err = aes.NewCipher(parts[2]); err != nil {
		return nil, fmt.Errorf("QUIC keys: %w", err)
	}
	return k, nil
}

// expand is HKDF-Expand-Label of RFC 8446 section 7.1 without context.
func expand(secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(size >> 8), byte(size), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
	if err != nil {
		return nil, fmt.Errorf("QUIC keys: %w", err)
	}
	return out, nil
}

// Crypto is a part of the handshake.
type Crypto struct {
	Offset uint64
	Data   []byte
}

// Open decrypts the Initial packets of a datagram with k and returns the CRYPTO
// frames in them. Other packets are passed over. An error means that no packet
// could be opened.
func (k *Keys) Open(datagram []byte) ([]Crypto, error) {
	var out []Crypto
	opened := false
	for b := datagram; len(b) > 0; {
		h, err := ParseHeader(b)
		if err != nil {
			break // a short header or padding: the rest of the datagram
		}
		if h.initial {
			if plain, err := k.open(h, b[:h.end]); err == nil {
				opened = true
				out = append(out, cryptoFrames(plain)...)
			}
		}
		b = b[h.end:]
	}
	if !opened {
		return nil, ErrNotInitial
	}
	return out, nil
}

// open removes the protection of header (RFC 9001 section 5.4) and payload.
func (k *Keys) open(h Header, packet []byte) ([]byte, error) {
	const longest = 4 // bytes of a packet number
	if len(packet) < h.number+longest+aes.BlockSize {
		return nil, errMalformed
	}
	var mask [aes.BlockSize]byte
	k.header.Encrypt(mask[:], packet[h.number+longest:h.number+longest+aes.BlockSize])
	head := slices.Clone(packet[:h.number+longest])
	head[0] ^= mask[0] & 0x0f
	size := int(head[0]&3) + 1
	head = head[:h.number+size]
	nonce := slices.Clone(k.iv)
	for i := range size {
		c := &head[h.number+i]
		*c ^= mask[1+i]
		nonce[len(nonce)-size+i] ^= *c
	}
	plain, err := k.aead.Open(nil, nonce, packet[h.number+size:], head)
	if err != nil {
		return nil, errMalformed
	}
	return plain, nil
}

// cryptoFrames reads the frames of an Initial packet up to the first that does
// not belong there (RFC 9000 section 12.4).
func cryptoFrames(b []byte) []Crypto {
	const padding, ping, ack, ackECN, crypto = 0, 1, 2, 3, 6
	var out []Crypto
	r := reader{b: b}
	for r.at < len(b) && !r.bad {
		switch kind := r.byte(); kind {
		case padding, ping:
		case ack, ackECN:
			r.varint()
			r.varint()
			ranges := r.varint()
			r.varint()
			for ; ranges > 0 && !r.bad; ranges-- {
				r.varint()
				r.varint()
			}
			if kind == ackECN {
				r.varint()
				r.varint()
				r.varint()
			}
		case crypto:
			c := Crypto{Offset: r.varint()}
			c.Data = r.bytes(r.varint(), uint64(len(b)))
			if !r.bad {
				out = append(out, c)
			}
		default:
			return out
		}
	}
	return out
}

// reader reads numbers; bad is set at the first that is not there.
type reader struct {
	b   []byte
	at  int
	bad bool
}

func (r *reader) byte() byte {
	if r.bad || r.at >= len(r.b) {
		r.bad = true
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// varint reads a number of RFC 9000 section 16.
func (r *reader) varint() uint64 {
	first := r.byte()
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		v = v<<8 | uint64(r.byte())
	}
	return v
}

func (r *reader) bytes(n, most uint64) []byte {
	if r.bad || n > most || n > uint64(len(r.b)-r.at) {
		r.bad = true
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}
