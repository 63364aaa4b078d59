package tlswire

import (
	"crypto/md5" //nolint:gosec // JA3 is defined with it; it protects nothing
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// JA3 returns the JA3 fingerprint of a parsed hello: the MD5, in hexadecimal, of
// its version, suites, extensions, groups and point formats in the order offered
// (https://github.com/salesforce/ja3).
func (h ClientHello) JA3() string {
	decimals := func(list []uint16) string {
		var out []string
		for _, v := range list {
			if !IsGREASE(v) {
				out = append(out, strconv.Itoa(int(v)))
			}
		}
		return strings.Join(out, "-")
	}
	formats := make([]uint16, 0, len(h.PointFormats))
	for _, f := range h.PointFormats {
		formats = append(formats, uint16(f))
	}
	text := strings.Join([]string{strconv.Itoa(int(h.Version)), decimals(h.Suites), decimals(h.Extensions), decimals(h.Groups), decimals(formats)}, ",")
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// JA4 returns the JA4 fingerprint of a parsed hello, which does not change with
// the order of suites and extensions (https://github.com/FoxIO-LLC/ja4, JA4 for
// TLS clients). carrier is 't' for TCP, 'q' for QUIC, 'd' for DTLS.
func (h ClientHello) JA4(carrier byte) string {
	suites, extensions, schemes := hexList(h.Suites), hexList(h.Extensions), hexList(h.SignatureSchemes)
	name := byte('i')
	if slices.Contains(h.Extensions, extServerName) {
		name = 'd'
	}
	head := fmt.Sprintf("%c%s%c%02d%02d%s", carrier, ja4Version(h), name, min(len(suites), 99), min(len(extensions), 99), ja4ALPN(h.ALPN))
	slices.Sort(suites)
	extensions = slices.DeleteFunc(extensions, func(e string) bool { return e == hexOf(extServerName) || e == hexOf(extALPN) })
	slices.Sort(extensions)
	rest := strings.Join(extensions, ",")
	if len(schemes) > 0 {
		rest += "_" + strings.Join(schemes, ",")
	}
	return head + "_" + ja4Hash(strings.Join(suites, ",")) + "_" + ja4Hash(rest)
}

func hexOf(v uint16) string { return fmt.Sprintf("%04x", v) }

func hexList(list []uint16) []string {
	var out []string
	for _, v := range list {
		if !IsGREASE(v) {
			out = append(out, hexOf(v))
		}
	}
	return out
}

func ja4Hash(s string) string {
	if s == "" {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
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
