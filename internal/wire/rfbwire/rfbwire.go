// Package rfbwire reads what a server of the remote framebuffer protocol (VNC)
// says before authentication: its version and the security types on offer (RFC
// 6143 sections 7.1.1 and 7.1.2).
//
// It builds the answer with a version and nothing else, and does no I/O.
//
// Invariant: every count comes from an adversary; no reader allocates more than
// 255 bytes for one.
package rfbwire

import (
	"errors"
	"fmt"
	"strings"
)

// VersionSize is the length of a ProtocolVersion message.
const VersionSize = 12

// The versions that a client may answer with (section 7.1.1).
const (
	Version33 = "RFB 003.003\n"
	Version37 = "RFB 003.007\n"
	Version38 = "RFB 003.008\n"
)

var errMalformed = errors.New("malformed")

// Version is the version of a server.
type Version struct{ Major, Minor int }

// String returns "3.8".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// ParseVersion reads a ProtocolVersion message.
func ParseVersion(b []byte) (Version, error) {
	var v Version
	s, ok := strings.CutPrefix(string(b), "RFB ")
	if !ok || len(b) != VersionSize || s[3] != '.' || s[7] != '\n' {
		return v, fmt.Errorf("RFB version: %w", errMalformed)
	}
	for _, part := range []struct {
		text string
		out  *int
	}{{s[:3], &v.Major}, {s[4:7], &v.Minor}} {
		for _, c := range part.text {
			if c < '0' || c > '9' {
				return Version{}, fmt.Errorf("RFB version: %w", errMalformed)
			}
			*part.out = *part.out*10 + int(c-'0')
		}
	}
	return v, nil
}

// Answer is the version that a client answers a server's with: the highest of
// RFC 6143 that is not above it.
func (v Version) Answer() string {
	switch {
	case v.Major > 3 || v.Major == 3 && v.Minor >= 8:
		return Version38
	case v.Major == 3 && v.Minor == 7:
		return Version37
	}
	return Version33
}

// Security is what a server offers.
type Security struct {
	Types   []byte
	Refused bool // none; the reason that follows is not read
}

// ParseSecurity reads the security handshake that follows an answer. more is the
// number of bytes that are missing; 0 if s is complete.
func ParseSecurity(answer string, b []byte) (s Security, more int, err error) {
	if answer == Version33 {
		if len(b) < 4 {
			return s, 4 - len(b), nil
		}
		if b[0]|b[1]|b[2] != 0 {
			return s, 0, fmt.Errorf("RFB security type: %w", errMalformed)
		}
		if b[3] == 0 {
			return Security{Refused: true}, 0, nil
		}
		return Security{Types: []byte{b[3]}}, 0, nil
	}
	if len(b) == 0 {
		return s, 1, nil
	}
	n := int(b[0])
	if n == 0 {
		return Security{Refused: true}, 0, nil
	}
	if len(b) < 1+n {
		return s, 1 + n - len(b), nil
	}
	return Security{Types: append([]byte(nil), b[1:1+n]...)}, 0, nil
}
