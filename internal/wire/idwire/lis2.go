package idwire

import (
	"bytes"
	"strings"

	"probity/evidence"
)

// Bytes of the frames that carry records (LIS01-A2 section 6), and of MLLP, in
// which some analysers send the same records.
const (
	startOfText  = 0x02
	endOfText    = 0x04 // of a transmission
	enquiry      = 0x05
	acknowledged = 0x06
	startBlock   = 0x0b
	refused      = 0x15
)

// LIS2Header finds the header record of a message of LIS2 (ASTM E1394) at the
// start of what one side says: after what it said to get the line (enquiries, and
// answers to the other side), in a frame with or without a number, in one of MLLP,
// or bare, as some analysers send it over TCP. rest begins with the delimiters.
// more asks for more bytes.
func LIS2Header(b []byte) (rest []byte, is, more bool) {
	b = bytes.TrimLeft(b, string([]byte{endOfText, enquiry, acknowledged, refused}))
	framed := len(b) > 0 && (b[0] == startOfText || b[0] == startBlock)
	if framed {
		b = b[1:]
	}
	if framed && len(b) > 0 && b[0] >= '0' && b[0] <= '7' {
		b = b[1:]
	}
	if len(b) == 0 {
		return nil, false, true
	}
	// LIS02-A2 section 5.4.6: H, then the delimiters of fields, repeats, components
	// and escapes, each another one, then that of fields again.
	const delimiters = 4
	for i, c := range b[:min(len(b), 2+delimiters)] {
		switch {
		case i == 0:
			is = c == 'H'
		case i <= delimiters:
			is = c > ' ' && c < 0x7f && !alphanumeric(c) && bytes.IndexByte(b[1:i], c) < 0
		default:
			is = c == b[1]
		}
		if !is {
			return nil, false, false
		}
	}
	if len(b) < 2+delimiters {
		return nil, false, true
	}
	return b[1:], true, false
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// LIS2 reads the sender of a header record (LIS02-A2 section 6: field 5), and no
// other record. The standard leaves open what its components mean, and analysers
// put name, maker, model, version and serial number in any order. So the first is
// taken for the model, and of the others what has the form of a version or of a
// serial number; the description is all of them as they were sent.
func LIS2(b []byte) (evidence.IdentityFacts, bool) {
	const sender, component = 4, 2 // the first field is before the first separator
	f := evidence.IdentityFacts{Protocol: "lis2", Experimental: true}
	record, _, whole := bytes.Cut(b, []byte("\r"))
	record, is, _ := LIS2Header(record)
	if !whole || !is {
		return f, false
	}
	fields := bytes.Split(record, record[:1])
	if len(fields) <= sender {
		return f, false
	}
	var parts []string
	for part := range bytes.SplitSeq(fields[sender], record[component:component+1]) {
		if len(parts) == maxComponents {
			break
		}
		parts = append(parts, text(part))
	}
	f.Model = parts[0]
	for _, part := range parts[1:] {
		switch {
		case f.Version == "" && isVersion(part):
			f.Version = part
		case f.Serial == "" && isSerial(part):
			f.Serial = part
		}
	}
	f.Description = text([]byte(strings.TrimRight(strings.Join(parts, "^"), "^")))
	return f, f.Model != ""
}

const maxComponents = 8

// isVersion knows groups of digits with full stops or hyphens between them, perhaps
// with a letter at the ends: 4.8, V1.00, 00-27, 2.2.2.2b, 4.4a.
func isVersion(s string) bool {
	s = strings.TrimLeft(s, "Vv")
	if n := len(s); n > 0 && !isDigit(s[n-1]) {
		s = s[:n-1]
	}
	groups := strings.FieldsFunc(s, func(r rune) bool { return r == '.' || r == '-' })
	for _, group := range groups {
		if strings.Trim(group, "0123456789") != "" {
			return false
		}
	}
	return len(groups) >= 2 && isDigit(s[0])
}

// isSerial knows five digits or more with letters among them.
func isSerial(s string) bool {
	digits := 0
	for i := range len(s) {
		switch {
		case isDigit(s[i]):
			digits++
		case !alphanumeric(s[i]):
			return false
		}
	}
	return digits >= 5
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
