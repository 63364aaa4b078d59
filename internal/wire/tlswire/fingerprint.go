package tlswire

import (
	"crypto/md5" //nolint:gosec // JA3 is defined with it; it protects nothing
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// JA3 returns the JA3 fingerprint of a parsed hello: the MD5, in hexadecimal, of
// its version, suites, extensions, groups and point formats in the order offered
// (https://github.com/salesforce/ja3).
func (h ClientHello) JA3() string {
	formats := make([]uint16, 0, len(h.PointFormats))
	for _, f := range h.PointFormats {
		formats = append(formats, uint16(f))
	}
	text := make([]byte, 0, 512)
	text = strconv.AppendUint(text, uint64(h.Version), 10)
	for _, list := range [][]uint16{h.Suites, h.Extensions, h.Groups, formats} {
		text = append(text, ',')
		for i, v := range withoutGREASE(list) {
			if i > 0 {
				text = append(text, '-')
			}
			text = strconv.AppendUint(text, uint64(v), 10)
		}
	}
	sum := md5.Sum(text)
	return hex.EncodeToString(sum[:])
}

// JA4 returns the JA4 fingerprint of a parsed hello, which does not change with
// the order of suites and extensions (https://github.com/FoxIO-LLC/ja4, JA4 for
// TLS clients). carrier is 't' for TCP, 'q' for QUIC, 'd' for DTLS.
func (h ClientHello) JA4(carrier byte) string {
	suites, extensions := withoutGREASE(h.Suites), withoutGREASE(h.Extensions)
	name := byte('i')
	if slices.Contains(h.Extensions, extServerName) {
		name = 'd'
	}
	out := append(make([]byte, 0, 36), carrier)
	out = append(append(out, ja4Version(h)...), name)
	out = append(twoDigits(twoDigits(out, len(suites)), len(extensions)), ja4ALPN(h.ALPN)...)

	// Hexadecimal of four digits sorts as the numbers do.
	slices.Sort(suites)
	text := appendHex(make([]byte, 0, 512), suites)
	out = appendJA4Hash(append(out, '_'), text)
	extensions = slices.DeleteFunc(extensions, func(v uint16) bool { return v == extServerName || v == extALPN })
	slices.Sort(extensions)
	text = appendHex(text[:0], extensions)
	if schemes := withoutGREASE(h.SignatureSchemes); len(schemes) > 0 {
		text = appendHex(append(text, '_'), schemes)
	}
	return string(appendJA4Hash(append(out, '_'), text))
}

// withoutGREASE returns a copy of list without the values that mean nothing.
func withoutGREASE(list []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), IsGREASE)
}

// twoDigits appends a count, at most 99.
func twoDigits(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHex appends numbers of four digits with commas between them.
func appendHex(b []byte, list []uint16) []byte {
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, []byte{byte(v >> 8), byte(v)})
	}
	return b
}

// appendJA4Hash appends the first twelve digits of the SHA-256 of text, zeros for
// an empty one.
func appendJA4Hash(b, text []byte) []byte {
	if len(text) == 0 {
		return append(b, "000000000000"...)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:6])
}

func ja4Version(h ClientHello) string {
	v := h.MaxVersion()
	switch v {
	case VersionTLS13:
		return "13"
	case VersionTLS12:
		return "12"
	case VersionTLS11:
		return "11"
	case VersionTLS10:
		return "10"
	case VersionSSL3:
		return "s3"
	case VersionSSL2:
		return "s2"
	case VersionDTLS10:
		return "d1"
	case VersionDTLS12:
		return "d2"
	case VersionDTLS13:
		return "d3"
	}
	return "00"
}

// ja4ALPN returns the first and last character of the first protocol or, where
// one is no letter or digit, of its hexadecimal form.
func ja4ALPN(list []string) string {
	if len(list) == 0 || list[0] == "" {
		return "00"
	}
	s := list[0]
	word := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }
	if !word(s[0]) || !word(s[len(s)-1]) {
		s = hex.EncodeToString([]byte(s))
	}
	return s[:1] + s[len(s)-1:]
}
