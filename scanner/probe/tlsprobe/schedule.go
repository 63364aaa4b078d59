package tlsprobe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"probity/internal/wire/tlswire"
)

// Suites of TLS 1.3 (RFC 8446 appendix B.4) that can be completed.
const (
	suiteAES128 uint16 = 0x1301
	suiteAES256 uint16 = 0x1302
	suiteChaCha uint16 = 0x1303
	suiteCCM    uint16 = 0x1304
	suiteCCM8   uint16 = 0x1305
)

// hashOf returns the hash of a TLS 1.3 suite and the length of its key.
func hashOf(suite uint16) (newHash func() hash.Hash, keyLen int, err error) {
	switch suite {
	case suiteAES128, suiteCCM, suiteCCM8:
		return sha256.New, 16, nil
	case suiteAES256:
		return sha512.New384, 32, nil
	case suiteChaCha:
		return sha256.New, 32, nil
	}
	return nil, 0, fmt.Errorf("suite %s was not offered for TLS 1.3", tlswire.SuiteName(suite))
}

func sum(newHash func() hash.Hash, b []byte) []byte {
	h := newHash()
	h.Write(b)
	return h.Sum(nil)
}

// schedule is the key schedule of one TLS 1.3 connection (RFC 8446 section 7.1).
type schedule struct {
	suite   uint16
	newHash func() hash.Hash
	secret  []byte // Handshake Secret
	client  []byte // client_handshake_traffic_secret
	server  []byte // server_handshake_traffic_secret
}

// newSchedule derives the handshake secrets. transcript holds the messages up to
// the ServerHello.
func newSchedule(suite uint16, shared, transcript []byte) (*schedule, error) {
	newHash, _, err := hashOf(suite)
	if err != nil {
		return nil, err
	}
	s := &schedule{suite: suite, newHash: newHash}
	zero := make([]byte, newHash().Size())
	early, err := hkdf.Extract(newHash, zero, nil)
	if err != nil {
		return nil, fmt.Errorf("early secret: %w", err)
	}
	salt, err := s.derive(early, "derived", nil)
	if err != nil {
		return nil, err
	}
	if s.secret, err = hkdf.Extract(newHash, shared, salt); err != nil {
		return nil, fmt.Errorf("handshake secret: %w", err)
	}
	var err1, err2 error
	digest := sum(newHash, transcript)
	s.client, err1 = s.expand(s.secret, "c hs traffic", digest)
	s.server, err2 = s.expand(s.secret, "s hs traffic", digest)
	return s, errors.Join(err1, err2)
}

// derive is Derive-Secret of RFC 8446 section 7.1.
func (s *schedule) derive(secret []byte, label string, transcript []byte) ([]byte, error) {
	return s.expand(secret, label, sum(s.newHash, transcript))
}

// expand is the same with the hash of the transcript.
func (s *schedule) expand(secret []byte, label string, digest []byte) ([]byte, error) {
	return expandLabel(s.newHash, secret, label, digest, len(digest))
}

// master is the Master Secret.
func (s *schedule) master() ([]byte, error) {
	salt, err := s.derive(s.secret, "derived", nil)
	if err != nil {
		return nil, err
	}
	master, err := hkdf.Extract(s.newHash, make([]byte, s.newHash().Size()), salt)
	if err != nil {
		return nil, fmt.Errorf("master secret: %w", err)
	}
	return master, nil
}

// application derives the traffic secrets of both sides. transcript holds the
// messages up to the server's Finished.
func (s *schedule) application(transcript []byte) (client, server []byte, err error) {
	master, err := s.master()
	if err != nil {
		return nil, nil, err
	}
	digest := sum(s.newHash, transcript)
	client, err1 := s.expand(master, "c ap traffic", digest)
	server, err2 := s.expand(master, "s ap traffic", digest)
	return client, server, errors.Join(err1, err2)
}

// resumption derives the key of a ticket (RFC 8446 section 4.6.1). transcript
// holds the messages up to the client's Finished.
func (s *schedule) resumption(transcript, nonce []byte) ([]byte, error) {
	master, err := s.master()
	if err != nil {
		return nil, err
	}
	secret, err := s.derive(master, "res master", transcript)
	if err != nil {
		return nil, err
	}
	return expandLabel(s.newHash, secret, "resumption", nonce, s.newHash().Size())
}

// finished returns the client's verify_data (RFC 8446 section 4.4.4).
func (s *schedule) finished(transcript []byte) ([]byte, error) {
	key, err := expandLabel(s.newHash, s.client, "finished", nil, s.newHash().Size())
	if err != nil {
		return nil, err
	}
	mac := hmac.New(s.newHash, key)
	mac.Write(sum(s.newHash, transcript))
	return mac.Sum(nil), nil
}

// expandLabel is HKDF-Expand-Label of RFC 8446 section 7.1.
func expandLabel(newHash func() hash.Hash, secret []byte, label string, context []byte, length int) ([]byte, error) {
	const prefix = "tls13 "
	info := make([]byte, 0, 4+len(prefix)+len(label)+len(context))
	info = append(info, byte(length>>8), byte(length), byte(len(prefix)+len(label)))
	info = append(append(info, prefix...), label...)
	info = append(append(info, byte(len(context))), context...)
	out, err := hkdf.Expand(newHash, secret, string(info), length)
	if err != nil {
		return nil, fmt.Errorf("label %q: %w", label, err)
	}
	return out, nil
}

// protection is the record protection of one direction (RFC 8446 section 5.2).
type protection struct {
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
}

func newProtection(suite uint16, secret []byte) (*protection, error) {
	newHash, keyLen, err := hashOf(suite)
	if err != nil {
		return nil, err
	}
	key, err1 := expandLabel(newHash, secret, "key", nil, keyLen)
	iv, err2 := expandLabel(newHash, secret, "iv", nil, 12)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("traffic keys: %w", err)
	}
	aead, err := newAEAD(suite, key)
	if err != nil {
		return nil, fmt.Errorf("traffic keys: %w", err)
	}
	return &protection{aead: aead, iv: iv}, nil
}

func newAEAD(suite uint16, key []byte) (cipher.AEAD, error) {
	if suite == suiteChaCha {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	switch suite {
	case suiteCCM:
		return ccm{block, 16}, nil
	case suiteCCM8:
		return ccm{block, 8}, nil
	}
	return cipher.NewGCM(block)
}

// nonce returns the nonce of the next record and counts it.
func (p *protection) nonce() []byte {
	n := slices.Clone(p.iv)
	for i := range 8 {
		n[4+i] ^= byte(p.sequence >> (56 - 8*i))
	}
	p.sequence++
	return n
}

// open returns type and content of a record. A record that does not open leaves
// the protection as it was.
func (p *protection) open(header, record []byte) (tlswire.Kind, []byte, error) {
	text, err := p.aead.Open(nil, p.nonce(), record, header)
	if err != nil {
		p.sequence--
		return 0, nil, err
	}
	end := len(text)
	for end > 0 && text[end-1] == 0 { // padding
		end--
	}
	if end == 0 {
		return 0, nil, errors.New("record without content type")
	}
	return tlswire.Kind(text[end-1]), text[:end-1], nil
}

// seal returns a record, header included.
func (p *protection) seal(kind tlswire.Kind, content []byte) []byte {
	text := append(slices.Clone(content), byte(kind))
	n := len(text) + p.aead.Overhead()
	header := []byte{byte(tlswire.ApplicationData), 3, 3, byte(n >> 8), byte(n)}
	return p.aead.Seal(header, p.nonce(), text, header)
}
