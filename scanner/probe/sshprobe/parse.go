package sshprobe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/sigwire"
)

// Bounds of what is read of a server. RFC 4253 section 4.2 allows 255 bytes of
// identification and any lines before it; section 6.1 35,000 bytes a packet.
const (
	maxLine   = 1024
	maxLines  = 64
	maxPacket = 35000
	maxNames  = 128 // of one list
	maxName   = 64  // RFC 4251 section 6
)

// Messages of RFC 4253 section 12, RFC 5656 section 7.1 and RFC 4419 section 5.
const (
	msgKexInit    = 20
	msgReply      = 31 // of a group exchange it is the group, which has no key in it
	msgGroupReply = 33
)

// parseServer reads the identification and the first packet, SSH_MSG_KEXINIT, of
// a server. If the packet is damaged, the facts hold the identification and the
// error says why the rest is missing; without identification they are nil.
func parseServer(b []byte) (*evidence.SSHFacts, error) {
	version, rest, err := identification(b)
	if err != nil {
		return nil, err
	}
	f := &evidence.SSHFacts{Version: safetext.CleanN(version, 255)}
	lists, err := kexInit(rest)
	if err != nil {
		return f, err
	}
	// The order of RFC 4253 section 7.1.
	f.KEX, f.HostKeys, f.Ciphers, f.MACs = lists[0], lists[1], lists[3], lists[5]
	return f, nil
}

// identification finds the line that begins with "SSH-".
func identification(b []byte) (version string, rest []byte, err error) {
	for range maxLines {
		line, after, found := bytes.Cut(b, []byte("\n"))
		if len(line) > maxLine || !found {
			break
		}
		if bytes.HasPrefix(line, []byte("SSH-")) {
			return strings.TrimSuffix(string(line), "\r"), after, nil
		}
		b = after
	}
	return "", nil, errors.New("the answer has no SSH identification")
}

// kexInit reads the ten name-lists of SSH_MSG_KEXINIT (RFC 4253 section 7.1) out
// of an unencrypted binary packet (section 6).
func kexInit(b []byte) ([10][]string, error) {
	var lists [10][]string
	if len(b) < 5 {
		return lists, errors.New("no key exchange packet followed the identification")
	}
	length, padding := binary.BigEndian.Uint32(b), int(b[4])
	if length > maxPacket || length < uint32(padding)+2 || uint64(len(b)) < uint64(length)+4 {
		return lists, fmt.Errorf("key exchange packet of %d bytes is cut off or malformed", length)
	}
	payload := b[5 : 4+int(length)-padding]
	if payload[0] != msgKexInit || len(payload) < 17 {
		return lists, fmt.Errorf("first packet is message %d, not SSH_MSG_KEXINIT", payload[0])
	}
	payload = payload[17:] // message and cookie
	for i := range lists {
		if len(payload) < 4 {
			return lists, fmt.Errorf("name-list %d of SSH_MSG_KEXINIT is missing", i)
		}
		n := binary.BigEndian.Uint32(payload)
		if uint64(n) > uint64(len(payload)-4) {
			return lists, fmt.Errorf("name-list %d of SSH_MSG_KEXINIT is cut off", i)
		}
		lists[i] = names(payload[4 : 4+n])
		payload = payload[4+n:]
	}
	return lists, nil
}

// signature is that of the server over the key exchange, where it is one of DSA or
// ECDSA, out of the first reply of the key exchange with the host key. It comes in
// clear, after SSH_MSG_KEXINIT.
func signature(b, hostKey []byte) *evidence.Signature {
	_, rest, err := identification(b)
	for err == nil && len(rest) >= 5 {
		length, padding := int(binary.BigEndian.Uint32(rest)), int(rest[4])
		if length > maxPacket || length < padding+2 || len(rest) < 4+length {
			return nil
		}
		payload := rest[5 : 4+length-padding]
		rest = rest[4+length:]
		if payload[0] != msgReply && payload[0] != msgGroupReply {
			continue
		}
		if key, value, ok := sigwire.SSHReply(payload[1:]); ok && bytes.Equal(key, hostKey) {
			return sigwire.ParseSSH(value)
		}
	}
	return nil
}

func names(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	var out []string
	for name := range strings.SplitSeq(string(b), ",") {
		if len(out) == maxNames {
			break
		}
		out = append(out, safetext.CleanN(name, maxName))
	}
	return out
}
