// Package mllpwire reads the header of an HL7 version 2 message in a frame of
// the minimal lower layer protocol (HL7 v2.x appendix C; transport MLLP).
//
// It exists to identify systems, and it is the wall behind which patient data
// stays: of a message it returns the seven MSH fields of [Message] and the names
// of the segments, three characters each, and nothing else. No error text quotes
// the input. It writes no message, because a listener acts on what it is sent.
package mllpwire

import (
	"bytes"
	"errors"
	"slices"
)

// StartBlock begins a frame, EndBlock and a carriage return end it.
const (
	StartBlock = 0x0b
	EndBlock   = 0x1c
)

// Bounds of what is returned.
const (
	MaxField    = 227 // bytes of a field; the longest HD in HL7 v2.5
	MaxSegments = 64  // distinct segment names
)

const maxHeader = 4096 // bytes of the MSH segment

// Errors of [Parse].
var (
	// ErrNotHL7: the bytes are no frame with an MSH segment. More bytes do not help.
	ErrNotHL7 = errors.New("not an HL7 message in an MLLP frame")
	// ErrShort: the MSH segment is not complete yet. Call again with more bytes.
	ErrShort = errors.New("the HL7 header is not complete")
)

// Message is what is taken out of one message.
type Message struct {
	SendingApplication   string   // MSH-3
	SendingFacility      string   // MSH-4
	ReceivingApplication string   // MSH-5
	ReceivingFacility    string   // MSH-6
	MessageType          string   // MSH-9
	ProcessingID         string   // MSH-11
	VersionID            string   // MSH-12
	Segments             []string // names after MSH, each once, in order of appearance
}

// Parse reads the frame at the start of b. It needs the MSH segment only:
// complete says whether the end of the frame was seen too, so that Segments is
// the whole list.
func Parse(b []byte) (m Message, complete bool, err error) {
	if err := checkStart(b); err != nil {
		return Message{}, false, err
	}
	if end := bytes.IndexByte(b, EndBlock); end >= 0 {
		b, complete = b[:end], true
	}
	header, rest, found := bytes.Cut(b[1:], []byte{'\r'})
	switch {
	case len(header) > maxHeader:
		return Message{}, false, ErrNotHL7
	case !found && !complete:
		return Message{}, false, ErrShort
	}
	if m, err = parseHeader(header); err != nil {
		return Message{}, false, err
	}
	m.Segments = segmentNames(rest, complete)
	return m, complete, nil
}

// checkStart looks at the start of a frame as far as b reaches: the start block,
// "MSH" and a separator that is no letter, digit or control character.
func checkStart(b []byte) error {
	prefix := []byte{StartBlock, 'M', 'S', 'H'}
	n := min(len(b), len(prefix))
	if !bytes.Equal(b[:n], prefix[:n]) {
		return ErrNotHL7
	}
	if len(b) <= len(prefix) {
		return ErrShort
	}
	if c := b[len(prefix)]; c <= ' ' || c >= 0x7f || alphanumeric(c) {
		return ErrNotHL7
	}
	return nil
}

// parseHeader splits MSH. MSH-1 is the separator itself, so that field n is at
// index n-1 of the split.
func parseHeader(header []byte) (Message, error) {
	fields := bytes.SplitN(header, header[3:4], 14)
	if len(fields) < 3 || len(fields[1]) < 1 || len(fields[1]) > 5 {
		return Message{}, ErrNotHL7
	}
	field := func(n int) string {
		if n > len(fields) {
			return ""
		}
		f := fields[n-1]
		return string(f[:min(len(f), MaxField)])
	}
	return Message{
		SendingApplication: field(3), SendingFacility: field(4),
		ReceivingApplication: field(5), ReceivingFacility: field(6),
		MessageType: field(9), ProcessingID: field(11), VersionID: field(12),
	}, nil
}

// segmentNames returns the first three characters of every line that look like
// a segment name and are followed by a separator. The last line counts only if
// it is complete.
func segmentNames(b []byte, complete bool) []string {
	var out []string
	for line := range bytes.SplitSeq(b, []byte{'\r'}) {
		if len(line) < 4 && (!complete || len(line) < 3) {
			continue
		}
		name := line[:3]
		if name[0] < 'A' || name[0] > 'Z' || !upperOrDigit(name[1]) || !upperOrDigit(name[2]) ||
			len(line) > 3 && alphanumeric(line[3]) {
			continue
		}
		if len(out) < MaxSegments && !slices.Contains(out, string(name)) {
			out = append(out, string(name))
		}
	}
	return out
}

func upperOrDigit(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

func alphanumeric(c byte) bool { return upperOrDigit(c) || c >= 'a' && c <= 'z' }
