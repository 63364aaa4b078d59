package tlsprobe

import (
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// timestamp is a signed certificate timestamp of a log that does not exist (RFC
// 6962 section 3.2).
func timestamp(log byte) []byte {
	out := append([]byte{0}, strings.Repeat(string([]byte{log}), 32)...)
	out = binary.BigEndian.AppendUint64(out, 1_700_000_000_000)
	out = append(out, 0, 0, 4, 3, 0, 8) // no extensions; SHA-256 with ECDSA
	return append(out, 0x30, 6, 2, 1, log, 2, 1, log)
}

// TestPeer_timestamps reads signed certificate timestamps that OpenSSL sends: in
// the ServerHello of TLS 1.2 and with the certificate in TLS 1.3.
func TestPeer_timestamps(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	cert, key := keyPair(t, openssl, "rsa", "-newkey", "rsa:2048")
	var list []byte
	for log := range byte(3) {
		sct := timestamp(log + 1)
		list = append(binary.BigEndian.AppendUint16(list, uint16(len(sct))), sct...)
	}
	list = append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
	// Where it is sent (SSL_CTX_use_serverinfo_ex(3)): in answer to a ClientHello, in
	// the ServerHello of TLS 1.2 and the Certificate of TLS 1.3.
	info := append([]byte{0, 0, 0x11, 0x80, 0, 18}, binary.BigEndian.AppendUint16(nil, uint16(len(list)))...)
	file := filepath.Join(t.TempDir(), "serverinfo.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "SERVERINFOV2 FOR signed_certificate_timestamp", Bytes: append(info, list...)})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, level := range []scanner.Level{scanner.Gentle, scanner.Exhaustive} {
		port := freePort(t)
		m := start(t, port, openssl, "s_server", "-quiet", "-accept", "127.0.0.1:"+port, "-cert", cert, "-key", key, "-serverinfo", file)
		m.level = level
		obs, err := New().Probe(t.Context(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[uint16]int{}
		for _, o := range obs {
			f := o.Facts.TLS
			shown[f.Version] = max(shown[f.Version], f.SCTs)
		}
		if shown[tlswire.VersionTLS12] != 3 || shown[tlswire.VersionTLS13] != 3 {
			t.Errorf("%s: timestamps by version: %v, want 3 each\n%s", level, shown, describe(obs))
		}
	}
}
