package tlsprobe

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"probity/internal/wire/tlswire"
)

// Suites of TLS 1.3 (RFC 8446 appendix B.4) that the full handshake offers.
const (
	suiteAES128 uint16 = 0x1301
	suiteAES256 uint16 = 0x1302
	suiteChaCha uint16 = 0x1303
)

// serverSecretLabel is the line of a key log that opens the server's handshake
// flight (RFC 9850 section 2.1).
const serverSecretLabel = "SERVER_HANDSHAKE_TRAFFIC_SECRET"

// secretLine returns the one line of a key log that is needed, and its secret.
// Lines that would open application data are dropped.
func secretLine(keyLog []byte) (line, secret []byte) {
	for l := range bytes.Lines(keyLog) {
		fields := bytes.Fields(l)
		if len(fields) != 3 || string(fields[0]) != serverSecretLabel {
			continue
		}
		if s, err := hex.DecodeString(string(fields[2])); err == nil {
			return l, s
		}
	}
	return nil, nil
}

// decrypt reads the server's encrypted handshake flight out of the bytes
// received, up to the Finished message: encrypted extensions, certificate
// request, chain and signature scheme. It needs nothing of the handshake to have
// succeeded, so a chain that a client library refuses is still seen.
func (a *answer) decrypt(secret []byte) error {
	open, err := newOpener(a.hello.CipherSuite, secret)
	if err != nil {
		return err
	}
	var flight []byte
	for b := a.received; len(b) >= 5; {
		n := int(binary.BigEndian.Uint16(b[3:5]))
		if len(b) < 5+n {
			break
		}
		if tlswire.Kind(b[0]) == tlswire.ApplicationData {
			kind, text, err := open(b[:5], b[5:5+n])
			if err != nil {
				break // past the handshake, under another key
			}
			if kind == tlswire.Alert && len(text) == 2 && a.alert == nil {
				a.alert = &text[1]
			}
			if kind == tlswire.Handshake {
				flight = append(flight, text...)
			}
		}
		b = b[5+n:]
	}
	return a.flight(flight)
}

// newOpener returns the record protection of RFC 8446 section 5.2 in the
// direction of the server.
func newOpener(suite uint16, secret []byte) (func(header, record []byte) (tlswire.Kind, []byte, error), error) {
	var newHash func() hash.Hash
	keyLen := 32
	switch suite {
	case suiteAES128:
		newHash, keyLen = sha256.New, 16
	case suiteAES256:
		newHash = sha512.New384
	case suiteChaCha:
		newHash = sha256.New
	default:
		return nil, fmt.Errorf("suite %s was not offered for TLS 1.3", tlswire.SuiteName(suite))
	}
	key, err1 := expandLabel(newHash, secret, "key", keyLen)
	iv, err2 := expandLabel(newHash, secret, "iv", 12)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("handshake keys: %w", err)
	}
	aead, err := newAEAD(suite, key)
	if err != nil {
		return nil, fmt.Errorf("handshake keys: %w", err)
	}
	var sequence uint64
	return func(header, record []byte) (tlswire.Kind, []byte, error) {
		nonce := slices.Clone(iv)
		for i := range 8 {
			nonce[4+i] ^= byte(sequence >> (56 - 8*i))
		}
		text, err := aead.Open(nil, nonce, record, header)
		if err != nil {
			return 0, nil, err
		}
		sequence++
		text = bytes.TrimRight(text, "\x00") // padding
		if len(text) == 0 {
			return 0, nil, errors.New("record without content type")
		}
		return tlswire.Kind(text[len(text)-1]), text[:len(text)-1], nil
	}, nil
}

func newAEAD(suite uint16, key []byte) (cipher.AEAD, error) {
	if suite == suiteChaCha {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expandLabel is HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context.
func expandLabel(newHash func() hash.Hash, secret []byte, label string, length int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(length))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	b.AddUint8(0)
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(newHash, secret, string(info), length)
}

// Handshake types that occur only in the encrypted flight (RFC 8446 section 4).
const (
	typeEncryptedExtensions uint8 = 8
	typeFinished            uint8 = 20
)

// flight reads the messages of a decrypted flight.
func (a *answer) flight(b []byte) error {
	s := cryptobyte.String(b)
	for !s.Empty() {
		var kind uint8
		var body cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint24LengthPrefixed(&body) {
			return errors.New("the encrypted flight is cut off")
		}
		switch kind {
		case typeEncryptedExtensions:
			a.encryptedExtensions(body)
		case tlswire.TypeCertificateRequest:
			a.certificateRequest13(body)
		case tlswire.TypeCertificate:
			if err := a.certificate13(body); err != nil {
				return err
			}
			a.read13 = true
		case tlswire.TypeCertificateVerify:
			if !body.ReadUint16(&a.scheme) {
				return errors.New("CertificateVerify is malformed")
			}
		case typeFinished:
			return nil
		}
	}
	return nil
}

// extensions calls use for every extension of a list with a two-byte length.
func extensions(s *cryptobyte.String, use func(id uint16, data cryptobyte.String)) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var id uint16
		var data cryptobyte.String
		if !list.ReadUint16(&id) || !list.ReadUint16LengthPrefixed(&data) {
			return false
		}
		use(id, data)
	}
	return true
}

// Extensions of the encrypted flight (RFC 8446 section 4.2).
const (
	extStatusRequest          uint16 = 5
	extALPN                   uint16 = 16
	extCertificateAuthorities uint16 = 47
)

func (a *answer) encryptedExtensions(body cryptobyte.String) {
	ok := extensions(&body, func(id uint16, data cryptobyte.String) {
		var names, name cryptobyte.String
		if id == extALPN && data.ReadUint16LengthPrefixed(&names) && names.ReadUint8LengthPrefixed(&name) {
			a.alpn = string(name)
		}
	})
	if !ok {
		a.note(errors.New("EncryptedExtensions is malformed"))
	}
}

// certificateRequest13 reads RFC 8446 section 4.3.2. That it was asked is known
// even if the wish is damaged.
func (a *answer) certificateRequest13(body cryptobyte.String) {
	a.asked13 = true
	a.request = &tlswire.CertificateRequest{}
	var context cryptobyte.String
	ok := body.ReadUint8LengthPrefixed(&context) && extensions(&body, func(id uint16, data cryptobyte.String) {
		var list, name cryptobyte.String
		if id != extCertificateAuthorities || !data.ReadUint16LengthPrefixed(&list) {
			return
		}
		for len(a.request.Authorities) < maxAuthorities && list.ReadUint16LengthPrefixed(&name) {
			a.request.Authorities = append(a.request.Authorities, slices.Clone([]byte(name)))
		}
	})
	if !ok {
		a.note(errors.New("CertificateRequest is malformed"))
	}
}

// certificate13 reads RFC 8446 section 4.4.2, within the bounds of tlswire.
// What was read before the damage is kept.
func (a *answer) certificate13(body cryptobyte.String) error {
	var context, list cryptobyte.String
	if !body.ReadUint8LengthPrefixed(&context) || !body.ReadUint24LengthPrefixed(&list) {
		return errors.New("certificate message is malformed")
	}
	a.certs = nil
	for !list.Empty() {
		var der cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || len(der) > tlswire.MaxCertificateSize || len(a.certs) == tlswire.MaxCertificates {
			return fmt.Errorf("certificate %d of the chain is malformed, too large or one too many", len(a.certs))
		}
		a.certs = append(a.certs, slices.Clone([]byte(der)))
		if !extensions(&list, func(id uint16, data cryptobyte.String) {
			a.staple = a.staple || id == extStatusRequest && len(data) > 4
		}) {
			return fmt.Errorf("extensions of certificate %d are malformed", len(a.certs)-1)
		}
	}
	return nil
}
