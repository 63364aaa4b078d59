package passive

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tds"
)

// TestPeer_freetds reads the conversation of a client of SQL Server, the one of
// FreeTDS, which wraps its handshake.
func TestPeer_freetds(t *testing.T) {
	paths := peer.Require(t, "openssl", "tsql")
	cert, key := keys(t, paths["openssl"], t.TempDir(), "sql", "rsa:2048")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	shaken := make(chan error, 1)
	go tds.Serve(l, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}, func(err error) { shaken <- err })
	p := tapTCP(t, l.Addr().String())
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "freetds.conf")
	if err := os.WriteFile(config, []byte("[ward]\nhost = 127.0.0.1\nport = "+port+"\ntds version = 7.3\nencryption = require\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FREETDSCONF", config)
	out := run(t, paths["tsql"], "-S", "ward", "-U", "MARKER", "-P", "MARKER")
	if err := <-shaken; err != nil {
		t.Fatalf("the handshake with tsql: %v; it says %s", err, out)
	}
	list, _ := readFile(t, p.save(t))
	if len(list) != 1 || list[0].Facts.TLS == nil || list[0].Facts.TLS.Carrier != "tds" || len(list[0].Certs) != 1 || list[0].Facts.TLS.Possession != evidence.PossessionVerified {
		t.Fatalf("%q", summaries(list))
	}
}
