package passive

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
)

// TestPeer_freetds reads the conversation of a client of SQL Server, the one of
// FreeTDS, which wraps its handshake. There is no such server in Debian: the one
// here answers PRELOGIN and leaves the rest to crypto/tls.
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
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		w := &tdsWrapped{Conn: c}
		if _, err := io.ReadFull(w, make([]byte, 1)); err != nil { // PRELOGIN
			shaken <- err
			return
		}
		_, _ = io.CopyN(io.Discard, w, int64(w.left))
		const reply = "\x04\x01\x00\x1a\x00\x00\x01\x00" + "\x00\x00\x0b\x00\x06\x01\x00\x11\x00\x01\xff" + "\x0f\x00\x07\xd0\x00\x00" + "\x01"
		_, _ = c.Write([]byte(reply))
		s := tls.Server(w, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
		shaken <- s.Handshake()
	}()
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

// tdsWrapped is a connection whose records are in packets of TDS (MS-TDS section
// 2.2.3), until the handshake is over.
type tdsWrapped struct {
	net.Conn
	left int
}

func (c *tdsWrapped) Read(p []byte) (int, error) {
	if c.left == 0 {
		header := make([]byte, 8)
		if _, err := io.ReadFull(c.Conn, header); err != nil {
			return 0, err
		}
		c.left = int(binary.BigEndian.Uint16(header[2:])) - len(header)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *tdsWrapped) Write(p []byte) (int, error) {
	n := len(p) + 8
	_, err := c.Conn.Write(append([]byte{0x12, 1, byte(n >> 8), byte(n), 0, 0, 0, 0}, p...))
	return len(p), err
}
