package flawprobe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// messages is how many forms of a premaster secret are compared.
const messages = 5

// Bounds of an RSA key that a message is encrypted for, in bytes: the messages
// need room, and keys over 16,384 bits are never used in a computation.
const (
	minKey = 64
	maxKey = 2048
)

// robot compares the answers to premaster secrets with right and wrong padding
// (Böck, Somorovsky, Young, "Return Of Bleichenbacher's Oracle Threat", section
// 4.1): followed by ChangeCipherSpec and Finished, and where all are answered
// alike, without them. What differs is asked again.
func (r *run) robot(ctx context.Context) error {
	for _, followed := range []bool{true, false} {
		first, err := r.round(ctx, followed, 1)
		if err != nil || first == nil {
			return err
		}
		if !alike(first) {
			_, err := r.round(ctx, followed, 2)
			return err
		}
	}
	return nil
}

func alike(answers []string) bool {
	return len(slices.Compact(slices.Clone(answers))) == 1
}

// round sends the five messages, each on a connection. It returns no answers if
// the trial has to end.
func (r *run) round(ctx context.Context, followed bool, number int) ([]string, error) {
	var answers []string
	for n := 1; n <= messages; n++ {
		f := &evidence.FlawFacts{Flaw: evidence.FlawROBOT, Message: n, Round: number, Followed: followed}
		well, err := r.one(ctx, f, func(c *connection) (evidence.Shown, string) {
			if err := c.premaster(n, followed); err != nil {
				return evidence.ShownUnknown, err.Error()
			}
			f.Answer = c.hear().String()
			return evidence.ShownUnknown, "one of several answers to be compared"
		})
		if err != nil || !well || f.Answer == "" {
			return nil, err
		}
		answers = append(answers, f.Answer)
	}
	return answers, nil
}

// premaster sends the n-th form of the premaster secret.
func (c *connection) premaster(n int, followed bool) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	plain, err := padded(n, key.Size())
	if err != nil {
		return err
	}
	e := new(big.Int).SetBytes(plain)
	e.Exp(e, big.NewInt(int64(key.E)), key.N)
	size := key.Size()
	body := append([]byte{tlswire.TypeClientKeyExchange, 0, byte((size + 2) >> 8), byte(size + 2), byte(size >> 8), byte(size)}, e.FillBytes(make([]byte, size))...)
	flight := c.record(byte(tlswire.Handshake), body...)
	if followed {
		flight = append(flight, c.record(byte(tlswire.ChangeCipherSpec), 1)...)
		finished := bytes.Repeat([]byte{0xa5}, 64) // as long as an encrypted one, and none
		flight = append(flight, c.record(byte(tlswire.Handshake), finished...)...)
	}
	return c.say(flight)
}

// key returns the RSA key of the server's certificate.
func (c *connection) key() (*rsa.PublicKey, error) {
	if len(c.certs) == 0 {
		return nil, errors.New("the server showed no certificate")
	}
	cert, err := x509.ParseCertificate(c.certs[0])
	if err != nil {
		return nil, fmt.Errorf("the server's certificate: %w", err)
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || key.Size() < minKey || key.Size() > maxKey || key.E < 3 {
		return nil, errors.New("the server's certificate has no usable RSA key")
	}
	return key, nil
}

// padded is the n-th form of the block that is encrypted: the right one, wrong
// first bytes, a zero in the wrong place, no zero, and a wrong version.
func padded(n, size int) ([]byte, error) {
	secret := make([]byte, 48)
	if _, err := io.ReadFull(rand.Reader, secret); err != nil {
		return nil, fmt.Errorf("premaster secret: %w", err)
	}
	secret[0], secret[1] = 3, 3 // of the hello
	for i, b := range secret {
		if b == 0 {
			secret[i] = 0x5c
		}
	}
	block := bytes.Repeat([]byte{0x7b}, size)
	block[0], block[1] = 0, 2
	at := size - len(secret)
	copy(block[at:], secret)
	block[at-1] = 0
	switch n {
	case 2:
		block[0], block[1] = 0x41, 0x17
	case 3:
		block[at-1], block[size-2], block[size-1] = 0x11, 0, 0x11
	case 4:
		block[at-1], block[at], block[at+1] = 0x11, 0x11, 0x11
	case 5:
		block[at], block[at+1] = 2, 2
	}
	return block, nil
}
