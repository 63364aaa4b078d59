package passive

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/sigwire"
)

const (
	mediaSSH     = "application/x-probity-ssh-identification"
	mediaSSHKeys = "application/x-probity-ssh-key-exchange"

	maxSSHBanner = 255   // RFC 4253 section 4.2
	maxSSHPacket = 35000 // RFC 4253 section 6.1
	maxSSHRead   = 64 << 10
	maxSSHNames  = 128 // of one list
	maxSSHName   = 64  // RFC 4251 section 6
	maxHostKey   = 16 << 10
)

// Messages of RFC 4253 section 12, RFC 5656 section 7.1 and RFC 4419 section 5.
const (
	sshKexInit  = 20
	sshNewKeys  = 21
	sshKexReply = 31 // of a group exchange it is the group, which has no key in it
	sshGexReply = 33
)

// sshSession reads what a server says before encryption begins: identification,
// algorithms and host key, and the client's identification and algorithms.
type sshSession struct {
	sides [2]sshSide
}

// sshSide is one direction.
type sshSide struct {
	buffer []byte
	read   int // bytes in all
	line   []byte
	lists  [][]string // of SSH_MSG_KEXINIT
	keys   []evidence.HostKey
	proof  *evidence.Signature // of the host key; only the two sides can check it
	raw    []byte              // of the messages that were read
}

func newSSHSession() session { return &sshSession{} }

func (s *sshSession) held() int {
	n := 0
	for i := range s.sides {
		n += len(s.sides[i].buffer) + len(s.sides[i].raw)
	}
	return n
}

func (s *sshSession) feed(side int, b []byte) (done bool) {
	t := &s.sides[side]
	b = b[:min(len(b), maxSSHRead-t.read)]
	t.read += len(b)
	t.buffer = keep(t.buffer, b)
	done = t.step() || t.read >= maxSSHRead
	if done {
		t.stop()
	}
	return done
}

// stop lets go of what was not read.
func (t *sshSide) stop() {
	forget(t.buffer)
	t.buffer = nil
}

// pass goes on in the buffer after n bytes.
func (t *sshSide) pass(n int) {
	clear(t.buffer[:n])
	t.buffer = t.buffer[n:]
}

// step takes what is complete and reports whether the side's part in clear is
// over.
func (t *sshSide) step() (done bool) {
	for t.line == nil {
		end := bytes.IndexByte(t.buffer, '\n')
		if end < 0 || end > maxSSHBanner {
			return len(t.buffer) > maxSSHBanner
		}
		if bytes.HasPrefix(t.buffer, []byte("SSH-")) { // others may come before it (RFC 4253 section 4.2)
			t.line = bytes.Clone(t.buffer[:end+1])
		}
		t.pass(end + 1)
	}
	for len(t.buffer) >= 5 {
		length, padding := int(binary.BigEndian.Uint32(t.buffer)), int(t.buffer[4])
		if length > maxSSHPacket || length < padding+2 {
			return true
		}
		if len(t.buffer) < 4+length {
			return false
		}
		done = t.message(t.buffer[5 : 4+length-padding])
		if t.pass(4 + length); done {
			return true
		}
	}
	return false
}

// message takes one message and reports whether it is the last one in clear.
func (t *sshSide) message(payload []byte) (last bool) {
	switch payload[0] {
	case sshKexInit:
		t.lists = sshLists(payload)
		t.raw = append(t.raw, payload...)
	case sshKexReply, sshGexReply:
		if t.hostKey(payload[1:]) {
			t.raw = append(t.raw, payload...)
			return true
		}
	case sshNewKeys:
		return true
	}
	return false
}

// sshString reads a string of RFC 4251 section 5.
func sshString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint32(b))
	return b[4 : 4+n], b[4+n:], true
}

// sshLists reads the ten name-lists of SSH_MSG_KEXINIT (RFC 4253 section 7.1);
// nil if they are damaged.
func sshLists(b []byte) [][]string {
	const cookie, lists = 17, 10
	if len(b) < cookie {
		return nil
	}
	var out [][]string
	for b = b[cookie:]; len(out) < lists; {
		s, rest, ok := sshString(b)
		if !ok {
			return nil
		}
		var names []string
		for name := range strings.SplitSeq(string(s), ",") {
			if name != "" && len(names) < maxSSHNames {
				names = append(names, safetext.CleanN(name, maxSSHName))
			}
		}
		out, b = append(out, names), rest
	}
	return out
}

// hostKey takes the key out of a reply. Its own name of its algorithm (RFC 4253
// section 6.6) tells it from other messages with the number.
func (t *sshSide) hostKey(b []byte) bool {
	blob, _, ok := sshString(b)
	if !ok || len(blob) > maxHostKey {
		return false
	}
	name, _, ok := sshString(blob)
	known := slices.ContainsFunc([]string{"ssh-", "ecdsa-", "sk-", "rsa-"}, func(p string) bool { return strings.HasPrefix(string(name), p) })
	if !ok || !known {
		return false
	}
	t.keys = []evidence.HostKey{{Algorithm: safetext.CleanN(string(name), maxSSHName), Blob: bytes.Clone(blob)}}
	if _, signature, ok := sigwire.SSHReply(b); ok {
		t.proof = sigwire.ParseSSH(signature)
	}
	return true
}

func (s *sshSession) server(f *flow) int {
	for i := range s.sides {
		if len(s.sides[i].keys) > 0 { // only a server has one
			return i
		}
	}
	return serverOf(f, unknownSide)
}

func (t *sshSide) version() string { return safetext.Clean(strings.TrimRight(string(t.line), "\r\n")) }

// client returns what the side said as a client; nil if it was not captured.
func (t *sshSide) client() *evidence.SSHClient {
	if !bytes.HasPrefix(t.line, []byte("SSH-")) {
		return nil
	}
	c := &evidence.SSHClient{Version: t.version()}
	if t.lists != nil {
		c.KEX, c.HostKeys, c.Ciphers, c.MACs = t.lists[0], t.lists[1], t.lists[2], t.lists[4]
	}
	return c
}

func (s *sshSession) conclude(f *flow) []evidence.Observation {
	s.sides[0].stop()
	s.sides[1].stop()
	t := &s.sides[s.server(f)]
	if !bytes.HasPrefix(t.line, []byte("SSH-")) {
		return nil
	}
	facts := &evidence.SSHFacts{Version: t.version(), Signature: t.proof, Client: s.sides[1-s.server(f)].client()}
	if t.lists != nil { // in the order of RFC 4253 section 7.1
		facts.KEX, facts.HostKeys, facts.Ciphers, facts.MACs = t.lists[0], t.lists[1], t.lists[3], t.lists[5]
	}
	o := evidence.Observation{
		Kind: evidence.KindSSH, Detail: ambiguity(f), Keys: t.keys,
		Raw: []evidence.Blob{{Media: mediaSSH, Data: t.line}}, Facts: evidence.Facts{SSH: facts},
	}
	if len(t.raw) > 0 {
		o.Raw = append(o.Raw, evidence.Blob{Media: mediaSSHKeys, Data: t.raw})
	}
	return []evidence.Observation{o}
}
