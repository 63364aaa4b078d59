package tlsprobe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // of the protocol
	"crypto/sha1" //nolint:gosec // of the protocol
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"probity/internal/wire/tlswire"
)

// master is the master secret of a connection of TLS 1.0 to 1.2, with what goes
// into its keys (RFC 5246 section 6.3).
type master struct {
	version, suite uint16
	secret         []byte
	client, server [32]byte // randoms
}

// hash12 is the hash of the PRF of TLS 1.2 with a suite (RFC 5246 section 5, RFC
// 5288 section 3).
func (m master) hash12() func() hash.Hash {
	if strings.HasSuffix(tlswire.SuiteName(m.suite), "_SHA384") {
		return sha512.New384
	}
	return sha256.New
}

// prf is the pseudorandom function of the version (RFC 5246 section 5, RFC 2246
// section 5).
func (m master) prf(label string, seed []byte, n int) []byte {
	seed = append([]byte(label), seed...)
	if m.version >= tlswire.VersionTLS12 {
		return expand(m.hash12(), m.secret, seed, n)
	}
	half := (len(m.secret) + 1) / 2
	out := expand(md5.New, m.secret[:half], seed, n)
	for i, b := range expand(sha1.New, m.secret[len(m.secret)-half:], seed, n) {
		out[i] ^= b
	}
	return out
}

// expand is P_hash of RFC 5246 section 5.
func expand(newHash func() hash.Hash, secret, seed []byte, n int) []byte {
	keyed := func(parts ...[]byte) []byte {
		mac := hmac.New(newHash, secret)
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var out []byte
	for a := keyed(seed); len(out) < n; a = keyed(a) {
		out = append(out, keyed(a, seed)...)
	}
	return out[:n]
}

// finished is the verify_data of the client (RFC 5246 section 7.4.9).
func (m master) finished(transcript []byte) []byte {
	const size = 12
	if m.version >= tlswire.VersionTLS12 {
		return m.prf("client finished", sum(m.hash12(), transcript), size)
	}
	return m.prf("client finished", slices.Concat(sum(md5.New, transcript), sum(sha1.New, transcript)), size)
}

// cipher12 is the record protection of one direction up to TLS 1.2, after the
// Finished message.
type cipher12 struct {
	version  uint16
	sequence uint64
	aead     cipher.AEAD // nil: block and mac
	iv       []byte      // of the AEAD; of TLS 1.0, the last block
	block    cipher.Block
	mac      hash.Hash
}

var errSuite = errors.New("no record protection for the suite")

// ciphers makes the protection of both directions.
func (m master) ciphers() (client, server *cipher12, err error) {
	name := tlswire.SuiteName(m.suite)
	has := func(part string) bool { return strings.Contains(name, part) }
	keyLen, ivLen, macLen := 16, 0, 0
	var newMAC func() hash.Hash
	if has("_256_") || has("CHACHA20") {
		keyLen = 32
	}
	switch {
	case has("_WITH_AES_") && strings.Contains(name, "_GCM_"):
		ivLen = 4
	case has("_WITH_CHACHA20_POLY1305_") && !strings.HasSuffix(name, "_OLD"):
		ivLen = chacha20poly1305.NonceSize
	case has("_WITH_AES_") && strings.HasSuffix(name, "_CBC_SHA"):
		newMAC, macLen = sha1.New, sha1.Size
	case has("_WITH_AES_") && strings.HasSuffix(name, "_CBC_SHA256"):
		newMAC, macLen = sha256.New, sha256.Size
	case has("_WITH_AES_") && strings.HasSuffix(name, "_CBC_SHA384"):
		newMAC, macLen = sha512.New384, sha512.Size384
	default:
		return nil, nil, fmt.Errorf("%w %s", errSuite, name)
	}
	if newMAC != nil && m.version == tlswire.VersionTLS10 {
		ivLen = aes.BlockSize // of the first record (RFC 2246 section 6.3)
	}
	keys := m.prf("key expansion", slices.Concat(m.server[:], m.client[:]), 2*(macLen+keyLen+ivLen))
	take := func(n int) []byte {
		out := keys[:n]
		keys = keys[n:]
		return out
	}
	macs := [2][]byte{take(macLen), take(macLen)}
	secrets := [2][]byte{take(keyLen), take(keyLen)}
	ivs := [2][]byte{take(ivLen), take(ivLen)}
	var out [2]*cipher12
	for i := range out {
		c := &cipher12{version: m.version, sequence: 1, iv: ivs[i]}
		if c.block, err = aes.NewCipher(secrets[i]); err != nil {
			return nil, nil, err
		}
		switch {
		case macLen > 0:
			c.mac = hmac.New(newMAC, macs[i])
		case ivLen == chacha20poly1305.NonceSize:
			c.aead, err = chacha20poly1305.New(secrets[i])
		default:
			c.aead, err = cipher.NewGCM(c.block)
		}
		if err != nil {
			return nil, nil, err
		}
		out[i] = c
	}
	return out[0], out[1], nil
}

// prefix is what a record is authenticated with besides its content.
func (c *cipher12) prefix(kind byte, length int) []byte {
	out := binary.BigEndian.AppendUint64(nil, c.sequence)
	return append(out, kind, byte(c.version>>8), byte(c.version), byte(length>>8), byte(length))
}

// nonce returns the nonce of an AEAD, and the part of it that is sent.
func (c *cipher12) nonce(explicit []byte) (nonce, sent []byte) {
	number := binary.BigEndian.AppendUint64(nil, c.sequence)
	if len(c.iv) == 4 { // GCM (RFC 5288 section 3)
		if explicit == nil {
			explicit = number
		}
		return slices.Concat(c.iv, explicit), explicit
	}
	nonce = slices.Clone(c.iv) // RFC 7905 section 2
	for i, b := range number {
		nonce[4+i] ^= b
	}
	return nonce, nil
}

func (c *cipher12) sum(kind byte, content []byte) []byte {
	c.mac.Reset()
	c.mac.Write(c.prefix(kind, len(content)))
	c.mac.Write(content)
	return c.mac.Sum(nil)
}

// seal returns a record, header included. random is a fresh block.
func (c *cipher12) seal(kind byte, content []byte, random [aes.BlockSize]byte) []byte {
	var body []byte
	if c.aead != nil {
		nonce, sent := c.nonce(nil)
		body = c.aead.Seal(sent, nonce, content, c.prefix(kind, len(content)))
	} else {
		iv := random[:]
		if c.version > tlswire.VersionTLS10 {
			body = slices.Clone(iv)
		} else {
			iv = c.iv
		}
		text := append(slices.Clone(content), c.sum(kind, content)...)
		pad := aes.BlockSize - 1 - len(text)%aes.BlockSize
		text = append(text, slices.Repeat([]byte{byte(pad)}, pad+1)...)
		cipher.NewCBCEncrypter(c.block, iv).CryptBlocks(text, text)
		body = append(body, text...)
		if c.version == tlswire.VersionTLS10 {
			c.iv = slices.Clone(text[len(text)-aes.BlockSize:])
		}
	}
	c.sequence++
	return append([]byte{kind, byte(c.version >> 8), byte(c.version), byte(len(body) >> 8), byte(len(body))}, body...)
}

var errSealed = errors.New("a record does not open")

// open returns the content of a record.
func (c *cipher12) open(kind byte, body []byte) ([]byte, error) {
	defer func() { c.sequence++ }()
	if c.aead != nil {
		explicit := 0
		if len(c.iv) == 4 {
			explicit = 8
		}
		if len(body) < explicit+c.aead.Overhead() {
			return nil, errSealed
		}
		nonce, _ := c.nonce(body[:explicit:explicit])
		content := body[explicit:]
		return c.aead.Open(nil, nonce, content, c.prefix(kind, len(content)-c.aead.Overhead()))
	}
	iv := c.iv
	if c.version > tlswire.VersionTLS10 {
		if len(body) < aes.BlockSize {
			return nil, errSealed
		}
		iv, body = body[:aes.BlockSize], body[aes.BlockSize:]
	}
	if len(body) == 0 || len(body)%aes.BlockSize != 0 || len(iv) != aes.BlockSize {
		return nil, errSealed
	}
	text := make([]byte, len(body))
	cipher.NewCBCDecrypter(c.block, iv).CryptBlocks(text, body)
	if c.version == tlswire.VersionTLS10 {
		c.iv = slices.Clone(body[len(body)-aes.BlockSize:])
	}
	end := len(text) - 1 - int(text[len(text)-1]) - c.mac.Size()
	if end < 0 || !hmac.Equal(c.sum(kind, text[:end]), text[end:end+c.mac.Size()]) {
		return nil, errSealed
	}
	return text[:end], nil
}
