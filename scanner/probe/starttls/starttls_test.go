package starttls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// step is what a server wants to hear, and what it then says.
type step struct{ hears, says string }

// serve plays a server. It reports what it heard instead of what it wanted.
func serve(t *testing.T, c net.Conn, steps []step, hangUp bool) {
	defer c.Close()
	for _, s := range steps {
		heard := make([]byte, len(s.hears))
		if _, err := io.ReadFull(c, heard); err != nil {
			return
		}
		if string(heard) != s.hears {
			t.Errorf("the server heard %q, want %q", heard, s.hears)
			return
		}
		if _, err := io.WriteString(c, s.says); err != nil {
			return
		}
	}
	if !hangUp {
		_, _ = io.Copy(io.Discard, c)
	}
}

const (
	mysqlRequest = " \x00\x00\x01\x00\x8a\x00\x00\x00\x00\x00\x01\x21" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	xmppOpen     = "<?xml version='1.0'?><stream:stream to='192.0.2.1' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
	xmppAsk      = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	rdpAsk       = "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"
)

func mysqlGreeting(capabilities string) string {
	body := "\x0a8.0.1\x00" + "\x01\x00\x00\x00" + "saltsalt" + "\x00" + capabilities + "\x21\x02\x00"
	return string(rune(len(body))) + "\x00\x00\x00" + body
}

func TestPreludes(t *testing.T) {
	for name, tt := range map[string]struct {
		port  uint16
		steps []step
		err   error // nil: TLS begins
	}{
		"smtp":               {25, []step{{"", "220-hello\r\n220 mail\r\n"}, {"EHLO probity.invalid\r\n", "250-mail\r\n250-starttls\r\n250 HELP\r\n"}, {"STARTTLS\r\n", "220 go\r\n"}}, nil},
		"smtp without":       {25, []step{{"", "220 mail\r\n"}, {"EHLO probity.invalid\r\n", "250 mail\r\n"}}, errRefused},
		"smtp refuses":       {25, []step{{"", "554 go away\r\n"}}, errRefused},
		"smtp too early":     {25, []step{{"", "220 mail\r\n"}, {"EHLO probity.invalid\r\n", "250 STARTTLS\r\n"}, {"STARTTLS\r\n", "220 go\r\n250 injected\r\n"}}, errRefused},
		"smtp hangs up":      {25, []step{{"", "220 mail\r\n"}, {"EHLO probity.invalid\r\n", ""}}, io.EOF},
		"ftp":                {21, []step{{"", "220-Welcome\r\n to ward 3\r\n220 ready\r\n"}, {"AUTH TLS\r\n", "234 go\r\n"}}, nil},
		"ftp without":        {21, []step{{"", "220 ready\r\n"}, {"AUTH TLS\r\n", "500 what\r\n"}}, errRefused},
		"imap":               {143, []step{{"", "* OK ready\r\n"}, {"a1 STARTTLS\r\n", "* CAPABILITY x\r\na1 OK go\r\n"}}, nil},
		"imap without":       {143, []step{{"", "* OK ready\r\n"}, {"a1 STARTTLS\r\n", "a1 BAD what\r\n"}}, errRefused},
		"pop3":               {110, []step{{"", "+OK ready\r\n"}, {"STLS\r\n", "+OK go\r\n"}}, nil},
		"pop3 without":       {110, []step{{"", "+OK ready\r\n"}, {"STLS\r\n", "-ERR\r\n"}}, errRefused},
		"ldap":               {389, []step{{ldapRequest, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"}}, nil},
		"ldap long form":     {389, []step{{ldapRequest, "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}}, nil},
		"ldap without":       {389, []step{{ldapRequest, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"}}, errRefused},
		"xmpp":               {5222, []step{{xmppOpen, "<?xml version='1.0'?><stream:stream><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"}, {xmppAsk, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, nil},
		"xmpp long proceed":  {5222, []step{{xmppOpen, "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"}, {xmppAsk, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"}}, nil},
		"xmpp without":       {5222, []step{{xmppOpen, "<stream:stream><stream:features/>"}}, errRefused},
		"postgresql":         {5432, []step{{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "S"}}, nil},
		"postgresql without": {5432, []step{{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "N"}}, errRefused},
		"mysql":              {3306, []step{{"", mysqlGreeting("\x00\x88")}, {mysqlRequest, ""}}, nil},
		"mysql without":      {3306, []step{{"", mysqlGreeting("\x00\x80")}}, errRefused},
		"mysql refuses":      {3306, []step{{"", "\x05\x00\x00\x00\xff\x6a\x04no"}}, errRefused},
		"rdp":                {3389, []step{{rdpAsk, "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00"}}, nil},
		"rdp standard only":  {3389, []step{{rdpAsk, "\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00"}}, errRefused},
		"tds":                {1433, []step{{string(tdsRequest()), "\x04\x01\x00\x0f\x00\x00\x01\x00\x01\x00\x06\x00\x01\xff\x01"}}, nil},
		"tds without":        {1433, []step{{string(tdsRequest()), "\x04\x01\x00\x0f\x00\x00\x01\x00\x01\x00\x06\x00\x01\xff\x02"}}, errRefused},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close()
				go serve(t, server, tt.steps, errors.Is(tt.err, io.EOF))
				proto, ok := protocolOf("", tt.port)
				if !ok {
					t.Fatalf("no protocol for port %d", tt.port)
				}
				talk := &conversation{Conn: client}
				ready, err := proto.ask(talk, "192.0.2.1")
				if err == nil && len(talk.early) > 0 {
					err = errRefused
				}
				if !errors.Is(err, tt.err) || (err == nil) != (ready != nil && tt.err == nil) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
			})
		})
	}
}

func TestTDSConn(t *testing.T) {
	var sent bytes.Buffer
	payload := bytes.Repeat([]byte("x"), tdsPayload+10)
	w := &tdsConn{Conn: fake{Writer: &sent}}
	if n, err := w.Write(payload); n != len(payload) || err != nil {
		t.Fatal(n, err)
	}
	if got := sent.Len(); got != len(payload)+2*tdsHeader {
		t.Errorf("%d bytes sent", got)
	}
	r := &tdsConn{Conn: fake{Reader: &slow{sent.Bytes()}}}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("%d bytes read, %v", len(got), err)
	}
	other := &tdsConn{Conn: fake{Reader: strings.NewReader("\x16\x03\x01\x00\x00\x00\x00\x00")}}
	if _, err := other.Read(make([]byte, 8)); !errors.Is(err, errRefused) {
		t.Errorf("TLS outside of TDS: %v", err)
	}
}

type fake struct {
	net.Conn
	io.Reader
	io.Writer
}

func (f fake) Read(p []byte) (int, error)  { return f.Reader.Read(p) }
func (f fake) Write(p []byte) (int, error) { return f.Writer.Write(p) }

// slow gives three bytes at a time.
type slow struct{ b []byte }

func (s *slow) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 3)], s.b)
	s.b = s.b[n:]
	return n, nil
}

func FuzzPreludes(f *testing.F) {
	for _, port := range []uint16{21, 25, 110, 143, 389, 1433, 3306, 3389, 5222, 5432} {
		f.Add(port, []byte("220 x\r\n250 STARTTLS\r\n220 y\r\n"))
		f.Add(port, []byte("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"))
	}
	f.Fuzz(func(t *testing.T, port uint16, b []byte) {
		proto, ok := protocolOf("", port)
		if !ok {
			return
		}
		talk := &conversation{Conn: fake{Reader: bytes.NewReader(b), Writer: io.Discard}}
		if _, err := proto.ask(talk, "host"); err == nil && talk.total == 0 {
			t.Errorf("%s began TLS without an answer", proto.name)
		}
		if talk.total > maxPrelude+2048 {
			t.Errorf("%d bytes read", talk.total)
		}
	})
}
