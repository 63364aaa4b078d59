package tlswire

import (
	"bytes"
	"strings"
	"testing"
)

// helloOf returns the body of a ClientHello with the extensions, each as the bytes of
// its code point and its content.
func helloOf(cookie string, extensions ...string) []byte {
	var list string
	for _, e := range extensions {
		list += e[:2] + string([]byte{0, byte(len(e) - 2)}) + e[2:]
	}
	return []byte("\x03\x03" + strings.Repeat("R", 32) + "\x04SESS" + cookie + "\x00\x02\x13\x01\x01\x00" + string([]byte{0, byte(len(list))}) + list)
}

func TestRedactClientHello(t *testing.T) {
	const server, groups, schemes = "\x00\x00\x00\x0b\x00\x00\x08pump.lan", "\x00\x0a\x00\x02\x00\x1d", "\x00\x0d\x00\x02\x04\x03"
	for _, cookie := range []string{"", "\x03COO"} {
		whole := helloOf(cookie, server, groups, schemes, "\x0a\x0a\x00", "\x00\x15\x00\x00\x00")
		got := bytes.Clone(whole)
		if RedactClientHello(got, cookie != ""); !bytes.Equal(got, whole) {
			t.Errorf("a hello that names nobody was changed:\n%q\n%q", whole, got)
		}
		got = helloOf(cookie, server, "\x00\x0c\x06MARKER", groups, "\x55\x55MARKER", "\x00\x15MARKER", "\x00\x29\x00\x0c\x00\x06MARKER\x00\x00\x00\x00MARKER")
		size := len(got)
		if RedactClientHello(got, cookie != ""); bytes.Contains(got, []byte("MARK")) || len(got) != size || !bytes.Contains(got, []byte("pump.lan")) || !bytes.Contains(got, []byte(groups[2:])) {
			t.Errorf("%q", got)
		}
	}
	for _, damaged := range []string{
		"\x03\x03" + strings.Repeat("R", 32) + "\x20MARKER",
		"\x03\x03" + strings.Repeat("R", 32) + "\x00\x00\x20MARKER",
		string(helloOf("", groups)[:45]) + "\x00\x20\x00\x00\x00\x30MARKER",
		string(helloOf("", groups)) + "MARKER",
	} {
		got := []byte(damaged)
		if RedactClientHello(got, false); bytes.Contains(got, []byte("MARK")) {
			t.Errorf("%q", got)
		}
	}
}

func TestRedactIdentity(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x06MARKER":       "\x00\x06\x00\x00\x00\x00\x00\x00",
		"\x00\x06MARKER\x00Y":  "\x00\x06\x00\x00\x00\x00\x00\x00\x00Y",
		"\xff\xffMARKER":       "\xff\xff\x00\x00\x00\x00\x00\x00",
		"M":                    "\x00",
		"\x00\x00public value": "\x00\x00public value",
	} {
		b := []byte(in)
		if RedactIdentity(b); string(b) != want {
			t.Errorf("%q gives %q", in, b)
		}
	}
	for id, want := range map[uint16]bool{0x008c: true, 0xc037: true, 0x00ad: true, 0xd001: true, 0xc02b: false, 0x1301: false, 0xffff: false} {
		if got := SharesKey(id); got != want {
			t.Errorf("%04x: %v", id, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(helloOf("", "\x00\x0c\x06MARKER"), false)
	f.Add(helloOf("\x03COO", "\x00\x29MARKER"), true)
	f.Fuzz(func(t *testing.T, b []byte, datagram bool) {
		once := bytes.Clone(b)
		RedactClientHello(once, datagram)
		twice := bytes.Clone(once)
		if RedactClientHello(twice, datagram); !bytes.Equal(once, twice) {
			t.Fatalf("%x becomes %x", once, twice)
		}
		RedactIdentity(b)
	})
}
