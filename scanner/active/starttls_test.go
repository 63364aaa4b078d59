package active

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/bannerprobe"
	"probity/scanner/probe/rdpprobe"
	"probity/scanner/probe/starttls"
	"probity/scanner/probe/tlsprobe"
)

// script plays a server's part: what it says, after each thing that it hears up
// to a mark. An empty mark is heard at once.
type script []struct{ mark, says string }

func (s script) play(c net.Conn) bool {
	r := bufio.NewReaderSize(c, 1) // nothing of TLS is read ahead
	for _, line := range s {
		var heard strings.Builder
		for line.mark != "" && !strings.HasSuffix(heard.String(), line.mark) {
			b, err := r.ReadByte()
			if err != nil {
				return false
			}
			heard.WriteByte(b)
		}
		if line.says == "" {
			continue
		}
		if _, err := io.WriteString(c, line.says); err != nil {
			return false
		}
	}
	return true
}

// tdsServer unpacks and packs the TLS handshake of TDS.
type tdsServer struct {
	net.Conn
	left int
}

func (c *tdsServer) Read(p []byte) (int, error) {
	if c.left == 0 {
		header := make([]byte, 8)
		if _, err := io.ReadFull(c.Conn, header); err != nil {
			return 0, err
		}
		c.left = int(header[2])<<8 + int(header[3]) - 8
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *tdsServer) Write(p []byte) (int, error) {
	n := len(p) + 8
	_, err := c.Conn.Write(append([]byte{0x12, 1, byte(n >> 8), byte(n), 0, 0, 0, 0}, p...))
	return len(p), err
}

// TestRun_startTLS asks for TLS in every protocol that has a request for it, at
// ports that are named with their service, and over TLS itself. The servers are
// written from the standards; each answers the handshake.
func TestRun_startTLS(t *testing.T) {
	const mysql = "\x0a8.0.1\x00" + "\x01\x00\x00\x00" + "saltsalt" + "\x00" + "\x00\x88" + "\x21\x02\x00"
	scripts := map[string]struct {
		carrier string
		script  script
	}{
		"smtp":        {"smtp", script{{"", "220 mail\r\n"}, {"invalid\r\n", "250-mail\r\n250 STARTTLS\r\n"}, {"STARTTLS\r\n", "220 go\r\n"}}},
		"submission":  {"smtp", script{{"", "220 mail\r\n"}, {"invalid\r\n", "250-mail\r\n250 STARTTLS\r\n"}, {"STARTTLS\r\n", "220 go\r\n"}}},
		"imap":        {"imap", script{{"", "* OK ready\r\n"}, {"STARTTLS\r\n", "a1 OK go\r\n"}}},
		"pop3":        {"pop3", script{{"", "+OK ready\r\n"}, {"STLS\r\n", "+OK go\r\n"}}},
		"ldap":        {"ldap", script{{"20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}}},
		"xmpp-client": {"xmpp", script{{"version='1.0'>", "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"}, {"xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}},
		"postgresql":  {"postgresql", script{{"\x04\xd2\x16\x2f", "S"}}},
		"mysql":       {"mysql", script{{"", string(rune(len(mysql))) + "\x00\x00\x00" + mysql}, {"\x01\x21" + strings.Repeat("\x00", 23), ""}}},
		"ms-sql-s":    {"tds", script{{"\xff\x00\x00\x00\x00\x00\x00\x01", "\x04\x01\x00\x0f\x00\x00\x01\x00\x01\x00\x06\x00\x01\xff\x01"}}},
		"ms-wbt-server": {"rdp", script{{
			"\x01\x00\x08\x00\x03\x00\x00\x00",
			"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00",
		}}},
		"mqtts": {"", nil},
		"amqps": {"", nil},
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificateOf(t)}}
	for service, tt := range scripts {
		t.Run(service, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				serve := func(_ string, c net.Conn) {
					if !tt.script.play(c) {
						return
					}
					if tt.carrier == "tds" {
						c = &tdsServer{Conn: c}
					}
					buffered(func(c net.Conn) { io.Copy(io.Discard, tls.Server(c, config)) })("", c)
				}
				probers := []scanner.Prober{tlsprobe.New(), starttls.New(tlsprobe.New()), bannerprobe.New(), rdpprobe.New()}
				p, b := planAt(t, scanner.Gentle, service+"/12345", probers), &book{}
				if _, err := Run(t.Context(), p, options(b, &network{serve: serve}, probers...)); err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(b.obs, func(o evidence.Observation) bool {
					f := o.Facts.TLS
					return f != nil && f.Carrier == tt.carrier && f.Handshake == evidence.StageComplete && len(o.Certs) == 1
				}) {
					t.Errorf("no handshake: %+v", b.rows)
					for _, o := range b.obs {
						t.Logf("%s %s %q", o.Kind, o.Result, o.Detail)
					}
				}
				time.Sleep(time.Hour)
			})
		})
	}
}
