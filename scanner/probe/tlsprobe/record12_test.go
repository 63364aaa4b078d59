package tlsprobe

import (
	"bytes"
	"crypto/aes"
	"testing"

	"probity/internal/wire/tlswire"
)

// protections are suites of every kind of record protection, with a version each.
func protections() []master {
	var out []master
	for _, v := range []struct{ version, suite uint16 }{
		{tlswire.VersionTLS12, 0xc02f},
		{tlswire.VersionTLS12, 0xc030},
		{tlswire.VersionTLS12, 0xcca8},
		{tlswire.VersionTLS12, 0xc027},
		{tlswire.VersionTLS12, 0x003d},
		{tlswire.VersionTLS11, 0xc014},
		{tlswire.VersionTLS10, 0x002f},
	} {
		out = append(out, master{version: v.version, suite: v.suite, secret: bytes.Repeat([]byte{7}, 48)})
	}
	return out
}

// TestCipher12 seals and opens records with the same keys; changed ones do not
// open. That the keys are those of the standard is shown by real servers.
func TestCipher12(t *testing.T) {
	for _, m := range protections() {
		name := tlswire.SuiteName(m.suite)
		one, _, err := m.ciphers()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		other, _, _ := m.ciphers()
		for n := range 40 {
			text := bytes.Repeat([]byte{byte(n)}, n)
			record := one.seal(22, text, [aes.BlockSize]byte{byte(n)})
			got, err := other.open(22, record[recordHeader:])
			if err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s, %d bytes: % x, %v", name, n, got, err)
			}
		}
		record := one.seal(22, []byte("hello"), [aes.BlockSize]byte{})
		record[len(record)-1] ^= 1
		if _, err := other.open(22, record[recordHeader:]); err == nil {
			t.Errorf("%s: a changed record opens", name)
		}
	}
	if _, _, err := (master{version: tlswire.VersionTLS12, suite: 0x000a}).ciphers(); err == nil {
		t.Error("3DES has keys")
	}
}

// FuzzRenegotiation takes over connections of any bytes.
func FuzzRenegotiation(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 4, 2, 0, 0, 0, 20, 3, 3, 0, 1, 1, 22, 3, 3, 0, 40}, uint8(0))
	f.Add(append([]byte{20, 3, 1, 0, 1, 1, 22, 3, 1, 0, 48}, make([]byte, 48)...), uint8(6))
	f.Fuzz(func(_ *testing.T, b []byte, which uint8) {
		all := protections()
		m := all[int(which)%len(all)]
		a := newAnswer()
		a.hello = &tlswire.ServerHello{Version: m.version, CipherSuite: m.suite}
		hello := append([]byte{22, 3, 3, 0, 44, 1, 0, 0, 40}, make([]byte, 40)...)
		sent := append(hello, 20, 3, 3, 0, 1, 1)
		r, err := newRenegotiation(nil, a, sent, b, m.secret)
		for ok := err == nil; ok; {
			_, _, ok = r.next()
		}
	})
}
