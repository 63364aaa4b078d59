package flawprobe

import (
	"fmt"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// kindHeartbeat is the content type of heartbeats (RFC 6520 section 3).
const kindHeartbeat = 24

// heartbleed sends a heartbeat whose payload is said to be longer than it is. A
// server that keeps to RFC 6520 section 4 discards it.
func (c *connection) heartbleed() (evidence.Shown, string) {
	if !c.hello.Heartbeat {
		return evidence.ShownNo, "the server takes no heartbeats"
	}
	const request, response, brought, asked, padding = 1, 2, 2, 6, 16
	if err := c.say(c.record(kindHeartbeat, request, 0, asked, 'o', 'k')); err != nil {
		return evidence.ShownUnknown, "the heartbeat could not be sent"
	}
	from := c.at
	switch a := c.hear(); {
	case a.kind == kindHeartbeat && len(a.body) > 3+brought && a.body[0] == response && int(a.body[1])<<8+int(a.body[2]) > brought:
		c.blank = func(received []byte) { clear(received[from+5+3+brought:]) } // of the server's memory
		return evidence.ShownYes, fmt.Sprintf("a heartbeat of %d bytes was answered with %d", brought, int(a.body[1])<<8+int(a.body[2]))
	case a.kind == kindHeartbeat:
		return evidence.ShownNo, "the heartbeat was answered with no more than it brought"
	case a.ended != "silence":
		return evidence.ShownNo, "the malformed heartbeat was refused: " + a.String()
	}
	// Silence is the right answer to it, and that of a server which takes no
	// heartbeats now: a well-formed one tells.
	whole := append([]byte{request, 0, brought, 'o', 'k'}, make([]byte, padding)...)
	if err := c.say(c.record(kindHeartbeat, whole...)); err != nil {
		return evidence.ShownUnknown, "the second heartbeat could not be sent"
	}
	if a := c.hear(); a.kind == kindHeartbeat {
		return evidence.ShownNo, "the malformed heartbeat was discarded, a well-formed one answered"
	}
	return evidence.ShownUnknown, "the server announces heartbeats and answers none during the handshake"
}

// changeCipher sends a ChangeCipherSpec before there is a key, and if it is
// taken, one more: it is then read under keys that nobody has, and so refused for
// another reason than its place.
func (c *connection) changeCipher() (evidence.Shown, string) {
	const unexpectedMessage = 10
	change := c.record(byte(tlswire.ChangeCipherSpec), 1)
	if err := c.say(change); err != nil {
		return evidence.ShownUnknown, "ChangeCipherSpec could not be sent"
	}
	if a := c.hear(); a.ended != "silence" {
		return evidence.ShownNo, "the early ChangeCipherSpec was refused: " + a.String()
	}
	if err := c.say(change); err != nil {
		return evidence.ShownUnknown, "the second ChangeCipherSpec could not be sent"
	}
	switch a := c.hear(); {
	case a.alert() == unexpectedMessage:
		return evidence.ShownNo, "the second ChangeCipherSpec was refused for its place"
	case a.alert() >= 0:
		return evidence.ShownYes, fmt.Sprintf("the early ChangeCipherSpec was taken, and what followed it read as encrypted: alert %d", a.alert())
	default:
		return evidence.ShownUnknown, "the early ChangeCipherSpec was not refused, and the server says nothing more: " + a.String()
	}
}
