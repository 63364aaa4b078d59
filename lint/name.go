package lint

import (
	"bytes"
	stdasn1 "encoding/asn1"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// SameDN reports whether two DER names are equal as RFC 5280 section 7.1 compares
// them: strings of whatever type without regard to case and to the number of
// blanks, everything else byte by byte.
func SameDN(a, b []byte) bool {
	return bytes.Equal(a, b) || plainName(a) == plainName(b)
}

// plainName is a text that is the same for names that are equal. Of what is no name
// it is the bytes themselves.
func plainName(der []byte) string {
	var name []rdnSET
	if rest, err := stdasn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return string(der)
	}
	var text strings.Builder
	for _, set := range name {
		parts := make([]string, len(set))
		for i, a := range set {
			parts[i] = a.Type.String() + "=" + strconv.Quote(plainValue(a.Value)) // no value may look like two
		}
		slices.Sort(parts) // a set has no order
		for _, p := range parts {
			text.WriteString(p)
			text.WriteByte(0)
		}
		text.WriteByte(1)
	}
	return text.String()
}

type rdnSET []struct {
	Type  stdasn1.ObjectIdentifier
	Value stdasn1.RawValue
}

// plainValue is the text of a value with one form for all that are equal (RFC 4518
// sections 2.3 and 2.6.1, without the mapping of compatible characters).
func plainValue(v stdasn1.RawValue) string {
	text := string(v.Bytes)
	switch {
	case v.Class != stdasn1.ClassUniversal:
		return string(v.FullBytes)
	case v.Tag == stdasn1.TagBMPString && len(v.Bytes)%2 == 0:
		units := make([]uint16, len(v.Bytes)/2)
		for i := range units {
			units[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		text = string(utf16.Decode(units))
	case v.Tag == stdasn1.TagPrintableString, v.Tag == stdasn1.TagUTF8String, v.Tag == stdasn1.TagIA5String,
		v.Tag == stdasn1.TagT61String:
	default:
		return string(v.FullBytes)
	}
	return plainText(text)
}

// plainText folds case and blanks. What is not UTF-8 is taken for Latin-1, as most
// put it into a TeletexString.
func plainText(s string) string {
	if !utf8.ValidString(s) {
		runes := make([]rune, len(s))
		for i := range len(s) {
			runes[i] = rune(s[i])
		}
		s = string(runes)
	}
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}
