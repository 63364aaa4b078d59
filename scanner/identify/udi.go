package identify

import (
	"strings"

	"probity/evidence"
)

// udi is a unique device identifier as devices carry it.
type udi struct {
	text   string // as it was presented, without what stood around it
	serial string // of the unit; empty where it has none
}

// identifier claims a unique device identifier, if a text is one, and the serial
// number in it. It reports whether it is.
func (d *drawing) identifier(layer, text string, confidence int) bool {
	u, ok := readUDI(text)
	if ok {
		d.say(evidence.AttrUDI, u.text, confidence, layer)
		d.say(evidence.AttrSerial, u.serial, confidence, layer)
	}
	return ok
}

// serial claims a serial number. Some devices give their unique device identifier
// where it belongs.
func (d *drawing) serial(layer, text string, confidence int) {
	if !d.identifier(layer, text, confidence) {
		d.say(evidence.AttrSerial, text, confidence, layer)
	}
}

// maxUDI bounds what is looked at.
const maxUDI = 256

// readUDI reads a unique device identifier in the form of one of the issuing
// agencies that the FDA accredits (21 CFR 830.100; the forms are those of "UDI
// formats by FDA-accredited issuing agency"): GS1, HIBCC or ICCBBA. It may stand at
// the end of a URI. It reports false for what is none; where a form has a check
// character, it must be right.
func readUDI(s string) (udi, bool) {
	if len(s) > maxUDI {
		return udi{}, false
	}
	for _, r := range s {
		if r < ' ' || r > '~' {
			return udi{}, false
		}
	}
	if i := strings.Index(s, "(01)"); i >= 0 {
		return readGS1(s[i:])
	}
	if i := strings.IndexAny(s, "+="); i > 0 && strings.Contains(s[:i], ":") {
		s = s[i:] // urn:udi:+...
	}
	switch {
	case strings.HasPrefix(s, "+"):
		return readHIBCC(s)
	case strings.HasPrefix(s, "=/"):
		return readICCBBA(s)
	}
	return udi{}, false
}

// readGS1 reads application identifiers in brackets: 01 GTIN, 11 day of
// manufacture, 17 day of expiry, 10 lot, 21 serial number (GS1 General
// Specifications section 3).
func readGS1(s string) (udi, bool) {
	u := udi{text: s}
	rest := s
	for rest != "" {
		if len(rest) < 5 || rest[0] != '(' || rest[3] != ')' {
			return udi{}, false
		}
		identifier, after := rest[1:3], rest[4:]
		value, next := after, ""
		if i := strings.IndexByte(after, '('); i >= 0 {
			value, next = after[:i], after[i:]
		}
		switch identifier {
		case "01":
			if len(value) != 14 || !digits(value) || !gtinCheck(value) {
				return udi{}, false
			}
		case "11", "17":
			if len(value) != 6 || !digits(value) {
				return udi{}, false
			}
		case "10", "21":
			if value == "" || len(value) > 20 {
				return udi{}, false
			}
			if identifier == "21" {
				u.serial = value
			}
		default:
			return udi{}, false
		}
		rest = next
	}
	return u, true
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// gtinCheck compares the last digit with the others (GS1 General Specifications
// section 7.9).
func gtinCheck(s string) bool {
	sum := 0
	for i := range len(s) - 1 {
		n := int(s[i] - '0')
		if i%2 == 0 {
			n *= 3
		}
		sum += n
	}
	return (10-sum%10)%10 == int(s[len(s)-1]-'0')
}

// readHIBCC reads the form of ANSI/HIBC 2: a labeller code that begins with a
// letter, product, unit of measure, and data with slashes between, of which S
// begins a serial number; the last character checks all others, modulo 43.
func readHIBCC(s string) (udi, bool) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"
	if len(s) < 8 || s[1] < 'A' || s[1] > 'Z' {
		return udi{}, false
	}
	sum := 0
	for i := range len(s) - 1 {
		n := strings.IndexByte(alphabet, s[i])
		if n < 0 {
			return udi{}, false
		}
		sum += n
	}
	if alphabet[sum%len(alphabet)] != s[len(s)-1] {
		return udi{}, false
	}
	u := udi{text: s}
	for part := range strings.SplitSeq(s[1:len(s)-1], "/") {
		if serial, ok := strings.CutPrefix(part, "S"); ok && part != s[1:] {
			u.serial = serial
		}
	}
	return u, true
}

// readICCBBA reads the form of ISBT 128: a processor's product identification code
// of 16 characters behind "=/", then data structures of which "=," holds a serial
// number. It has no check character.
func readICCBBA(s string) (udi, bool) {
	const code = 16
	body := s[2:]
	if len(body) < code || strings.Trim(strings.ToUpper(body[:code]), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return udi{}, false
	}
	u := udi{text: s}
	rest := body[code:]
	if rest == "" {
		return u, true
	}
	if !strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "&") {
		return udi{}, false
	}
	if serial, ok := strings.CutPrefix(rest, "=,"); ok {
		u.serial, _, _ = strings.Cut(serial, "=")
	}
	return u, true
}
