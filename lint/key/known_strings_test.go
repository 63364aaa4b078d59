package key

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudflare/circl/dh/x448"

	"probity/fixtures/peer"
	"probity/lint"
)

// TestKnownStrings_published looks up the public keys that RFC 7748 section 6 prints.
func TestKnownStrings_published(t *testing.T) {
	for public, algorithm := range map[string]lint.KeyAlgorithm{
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a":                                                 lint.X25519,
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f":                                                 lint.X25519,
		"9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0": lint.X448,
		"3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b43027d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609": lint.X448,
	} {
		key, err := hex.DecodeString(public)
		if err != nil {
			t.Fatal(err)
		}
		if got := knownStrings(algorithm)[string(key)]; !strings.Contains(got, "RFC 7748") {
			t.Errorf("%s %s: %q", algorithm, public, got)
		}
		key[0] ^= 1
		if got := knownStrings(algorithm)[string(key)]; got != "" {
			t.Errorf("another %s key: %q", algorithm, got)
		}
	}
}

// TestPeer_knownStrings lets OpenSSL compute the public keys of a string of bytes
// (RFC 8410 section 7).
func TestPeer_knownStrings(t *testing.T) {
	peer.Require(t, "openssl")
	for algorithm, oid := range map[lint.KeyAlgorithm]byte{lint.X25519: 110, lint.X448: 111, lint.Ed25519: 112, lint.Ed448: 113} {
		n := stringSize(algorithm)
		der := append([]byte{0x30, byte(14 + n), 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, oid, 4, byte(n + 2), 4, byte(n)}, bytes.Repeat([]byte{0x42}, n)...)
		file := filepath.Join(t.TempDir(), "k.der")
		if err := os.WriteFile(file, der, 0o600); err != nil {
			t.Fatal(err)
		}
		spki, err := exec.CommandContext(t.Context(), "openssl", "pkey", "-inform", "DER", "-in", file, "-pubout", "-outform", "DER").Output()
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if got := knownStrings(algorithm)[string(spki[12:])]; got != "every byte is 0x42" {
			t.Errorf("%s: %q", algorithm, got)
		}
	}
}

// TestSmallOrders_448 takes what RFC 7748 section 6 warns of: points whose shared
// secret is zero whatever the private key is.
func TestSmallOrders_448(t *testing.T) {
	s, ok := smallOrders(lint.X448)
	if !ok {
		t.Fatal("no curve")
	}
	for _, u := range s.coord {
		if !s.holds(littleEndian(u, 56)) {
			t.Errorf("u = %v is not known", u)
		}
		if !sharesNothing(littleEndian(u, 56)) {
			t.Errorf("u = %v has a shared secret", u)
		}
	}
	if base := append([]byte{5}, make([]byte, 55)...); s.holds(base) || sharesNothing(base) {
		t.Error("the base point is of small order")
	}
}

// sharesNothing reports whether CIRCL refuses to share a secret with the public key.
func sharesNothing(public []byte) bool {
	var shared, secret, key x448.Key
	copy(secret[:], publishedScalar(lint.X448, 0))
	copy(key[:], public)
	return !x448.Shared(&shared, &secret, &key)
}
