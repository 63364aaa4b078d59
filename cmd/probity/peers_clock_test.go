//go:build cgo

package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_clock scans two servers of lighttpd with mbedTLS, one of which lives two
// hours ago. Both tell the time in HTTP and, below TLS 1.3, in the random of their
// handshakes.
func TestPeer_clock(t *testing.T) {
	paths := peer.Require(t, "lighttpd", "faketime", "openssl")
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	tool(t, paths["openssl"], "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=pump")
	serve := func(program string, args ...string) string {
		host := device(t, "443")
		conf := writeFile(t, filepath.Join(t.TempDir(), "conf"), fmt.Sprintf(`server.document-root = %q
server.bind = %q
server.port = 443
server.modules = ("mod_mbedtls")
ssl.engine = "enable"
ssl.pemfile = %q
ssl.privkey = %q
`, dir, host, cert, key))
		start(t, []string{host + ":443"}, program, append(args, "-D", "-f", conf)...)
		return host
	}
	right := serve(paths["lighttpd"])
	// The program faketime would be a parent, and its child outlive the test.
	libraries, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(libraries) == 0 {
		t.Fatalf("the library of faketime is missing: %v", err)
	}
	wrong := serve("/usr/bin/env", "LD_PRELOAD="+libraries[0], "FAKETIME=-2h", paths["lighttpd"])
	db := scanned(t, exitOK, right+":443", wrong+":443", "--fail-on", "none")
	db.want(`SELECT DISTINCT (facts->>'$.tls.unix_time' - at_ms/1000 + 30) / 60 FROM observation
		WHERE address='`+right+`' AND facts->>'$.tls.unix_time' > 0`, "0")
	db.want(`SELECT DISTINCT (facts->>'$.tls.unix_time' - at_ms/1000 - 30) / 60 FROM observation
		WHERE address='`+wrong+`' AND facts->>'$.tls.unix_time' > 0`, "-120")
	db.want(`SELECT v_asset_stay.address, outcome FROM v_finding JOIN v_asset_stay USING (asset)
		WHERE rule='MD-LIFE-007' ORDER BY outcome`, right+"|pass", wrong+"|warn")
}
