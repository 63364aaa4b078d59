// Package sigwire reads DSA and ECDSA signatures as X.509, TLS and SSH carry them:
// as the two numbers that such a signature is. It verifies nothing and does no I/O.
//
// Invariant: every length comes from an adversary. No parser panics, and none
// returns a number of more than [MaxNumber] bytes.
package sigwire

import (
	"bytes"
	"encoding/binary"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
)

// MaxNumber bounds r and s in bytes; those of P-521 and of sect571 have up to 72.
const MaxNumber = 72

// ParseDER reads Dss-Sig-Value and Ecdsa-Sig-Value, which are the same structure
// (RFC 3279 sections 2.2.2 and 2.2.3; RFC 5246 section 4.7 for TLS). It returns nil for
// anything else.
func ParseDER(der []byte) *evidence.Signature {
	in := cryptobyte.String(der)
	var body, r, s cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() ||
		!body.ReadASN1(&r, cbasn1.INTEGER) || !body.ReadASN1(&s, cbasn1.INTEGER) || !body.Empty() {
		return nil
	}
	return signature(r, s)
}

// signature is that of two big-endian numbers in two's complement; nil unless both
// are positive and of a size that a signature can have.
func signature(r, s []byte) *evidence.Signature {
	for _, n := range []*[]byte{&r, &s} {
		if len(*n) == 0 || (*n)[0]&0x80 != 0 {
			return nil
		}
		if *n = bytes.TrimLeft(*n, "\x00"); len(*n) == 0 || len(*n) > MaxNumber {
			return nil
		}
	}
	return &evidence.Signature{R: bytes.Clone(r), S: bytes.Clone(s)}
}

// ParseSSH reads a signature blob of ssh-dss (RFC 4253 section 6.6) or of ECDSA (RFC
// 5656 section 3.1.2). It returns nil for anything else.
func ParseSSH(blob []byte) *evidence.Signature {
	name, rest, ok := sshString(blob)
	if !ok {
		return nil
	}
	value, rest, ok := sshString(rest)
	if !ok || len(rest) > 0 {
		return nil
	}
	if string(name) == "ssh-dss" {
		const half = 20 // r and s are 160 bits each, unsigned
		if len(value) != 2*half {
			return nil
		}
		return signature(append([]byte{0}, value[:half]...), append([]byte{0}, value[half:]...))
	}
	if !strings.HasPrefix(string(name), "ecdsa-sha2-") {
		return nil
	}
	r, value, ok := sshString(value)
	if !ok {
		return nil
	}
	s, value, ok := sshString(value)
	if !ok || len(value) > 0 {
		return nil
	}
	return signature(r, s)
}

// SSHReply splits the payload of an SSH_MSG_KEXDH_REPLY, SSH_MSG_KEX_ECDH_REPLY or
// SSH_MSG_KEX_DH_GEX_REPLY after its number into host key and signature (RFC 4253
// section 8, RFC 5656 section 4, RFC 4419 section 3).
func SSHReply(payload []byte) (hostKey, signature []byte, ok bool) {
	hostKey, rest, ok := sshString(payload)
	if !ok {
		return nil, nil, false
	}
	if _, rest, ok = sshString(rest); !ok { // the server's share
		return nil, nil, false
	}
	signature, _, ok = sshString(rest)
	return hostKey, signature, ok
}

// sshString reads a string of RFC 4251 section 5.
func sshString(b []byte) (s, rest []byte, ok bool) {
	const length = 4
	if len(b) < length || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-length) {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint32(b))
	return b[length : length+n], b[length+n:], true
}
