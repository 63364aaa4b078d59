package tlswire

import (
	"encoding/binary"
	"slices"
	"strings"
)

// textless are the extensions whose content is numbers, keys, and what a server made
// itself or is called by. Others may name who uses the client: the user of SRP (RFC
// 5054 section 2.8.1), the identity of a shared key (RFC 8446 section 4.2.11), or
// whatever a client thinks of.
func textless(id uint16) bool {
	return slices.Contains([]uint16{
		0, 1, 4, 5, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28, 34, 35, 42, 43, 44, 45, 47, 48, 49, 50, 51, 57,
		13172, 17513, 17613, 0xfe0d, 0xff01,
	}, id)
}

// RedactClientHello clears the content of extensions that may name a user, in the
// body of a ClientHello of TLS, or of DTLS, which has a cookie. A body that is
// damaged is zero from the damage on. Hellos that name nobody stay as they are, and it
// reports false for them.
func RedactClientHello(body []byte, datagram bool) (changed bool) {
	const beforeSession = 2 + 32
	sizes := []int{1, 2, 1} // of the lengths before session, suites and compression
	if datagram {
		sizes = []int{1, 1, 2, 1}
	}
	rest := body[min(beforeSession, len(body)):]
	for _, size := range sizes {
		n, ok := length(rest, size)
		if !ok {
			return wipe(rest)
		}
		rest = rest[size+n:]
	}
	n, ok := length(rest, 2)
	if !ok {
		return wipe(rest)
	}
	list := rest[2 : 2+n]
	changed = wipe(rest[2+n:])
	for len(list) >= 4 {
		id, n := binary.BigEndian.Uint16(list), int(binary.BigEndian.Uint16(list[2:]))
		if n > len(list)-4 {
			break
		}
		if !textless(id) {
			changed = wipe(list[4:4+n]) || changed
		}
		list = list[4+n:]
	}
	return wipe(list) || changed
}

// RedactIdentity clears the first field of a message of key exchange with a shared
// key: the identity in that of the client, the hint in that of the server (RFC 4279
// section 2, RFC 5489 section 2).
func RedactIdentity(body []byte) {
	if len(body) < 2 {
		clear(body)
		return
	}
	clear(body[2:min(2+int(binary.BigEndian.Uint16(body)), len(body))])
}

// length reads a length of size bytes, and reports whether that many follow it.
func length(b []byte, size int) (n int, ok bool) {
	if len(b) < size {
		return 0, false
	}
	for _, c := range b[:size] {
		n = n<<8 | int(c)
	}
	return n, n <= len(b)-size
}

// wipe clears b and reports whether it was not clear.
func wipe(b []byte) (changed bool) {
	for i, c := range b {
		changed = changed || c != 0
		b[i] = 0
	}
	return changed
}

// SharesKey reports whether a suite takes a key that both sides had before, which
// they name in clear.
func SharesKey(id uint16) bool {
	i, ok := slices.BinarySearchFunc(suiteNames[:], id, func(r suiteRow, id uint16) int { return int(r.id) - int(id) })
	return ok && strings.Contains(suiteNames[i].name, "PSK_")
}
