// Package starttls reaches TLS servers that begin in another protocol: it has the
// prelude that asks for TLS, and leaves the rest to the TLS prober.
//
// A prelude greets and asks for TLS; it logs in nowhere, sends no mail, opens no
// database. SMTP (RFC 3207), IMAP (RFC 9051), POP3 (RFC 2595), FTP (RFC 4217),
// LDAP (RFC 4511), XMPP (RFC 6120), PostgreSQL, MySQL, RDP (MS-RDPBCGR) and TDS
// (MS-TDS) are known.
//
// Invariant: what a server says before TLS is bounded, and a byte of it that
// came too early never becomes a byte of the TLS handshake.
package starttls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"probity/evidence"
	"probity/scanner"
)

const (
	preludeTime = 5 * time.Second // some mail servers greet late
	maxPrelude  = 16 << 10        // bytes received before TLS
	maxSent     = 512             // bytes sent before TLS, and those that frame it
)

// prelude asks for TLS on c. The connection it returns carries TLS.
type prelude func(c *conversation, host string) (net.Conn, error)

// protocol is a prelude with its name.
type protocol struct {
	name string
	ask  prelude
}

// protocolOf is which protocol a port has: that of its service, or the one that
// is usual there.
func protocolOf(service string, port uint16) (protocol, bool) {
	for _, known := range []struct {
		services []string
		ports    []uint16
		protocol protocol
	}{
		{[]string{"ftp"}, []uint16{21}, protocol{"ftp", askFTP}},
		{[]string{"smtp", "submission"}, []uint16{25, 587}, protocol{"smtp", askSMTP}},
		{[]string{"pop3"}, []uint16{110}, protocol{"pop3", askPOP3}},
		{[]string{"imap"}, []uint16{143}, protocol{"imap", askIMAP}},
		{[]string{"ldap"}, []uint16{389}, protocol{"ldap", askLDAP}},
		{[]string{"ms-sql-s"}, []uint16{1433}, protocol{"tds", askTDS}},
		{[]string{"mysql"}, []uint16{3306}, protocol{"mysql", askMySQL}},
		{[]string{"ms-wbt-server"}, []uint16{3389}, protocol{"rdp", askRDP}},
		{[]string{"xmpp-client"}, []uint16{5222}, protocol{"xmpp", askXMPP}},
		{[]string{"postgresql"}, []uint16{5432}, protocol{"postgresql", askPostgreSQL}},
	} {
		if slices.Contains(known.services, service) || service == "" && slices.Contains(known.ports, port) {
			return known.protocol, true
		}
	}
	return protocol{}, false
}

// Prober implements [scanner.Prober] for TLS after a prelude over TCP.
type Prober struct {
	inner      scanner.Prober
	protocolOf func(service string, port uint16) (protocol, bool)
}

// New returns a prober that runs inner, the prober of TLS, after the prelude of
// the port's protocol.
func New(inner scanner.Prober) *Prober { return &Prober{inner: inner, protocolOf: protocolOf} }

// Name returns [scanner.StartTLSProbe].
func (*Prober) Name() string { return scanner.StartTLSProbe }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists those of the inner prober, each after a prelude.
func (p *Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	out := p.inner.Exchanges(level)
	for i := range out {
		out[i].What = "request for TLS in the port's protocol, then " + out[i].What
		out[i].MaxBytes += maxSent
	}
	return out
}

// Probe runs the inner prober on connections that are ready for TLS.
func (p *Prober) Probe(ctx context.Context, s scanner.Session, prior []evidence.Observation) ([]evidence.Observation, error) {
	service := ""
	if served, ok := s.(scanner.Served); ok {
		service = served.Service()
	}
	proto, ok := p.protocolOf(service, s.Endpoint().Port)
	if !ok {
		return nil, fmt.Errorf("probe %q: no protocol is known for port %d", p.Name(), s.Endpoint().Port)
	}
	out, err := p.inner.Probe(ctx, &session{Session: s, protocol: proto}, prior)
	for i := range out {
		if f := out[i].Facts.TLS; f != nil {
			f.Carrier = proto.name
		}
	}
	return out, err
}

// session hands out connections on which the prelude is over.
type session struct {
	scanner.Session
	protocol protocol
}

// Dial implements [scanner.Session]. A prelude that fails is an error of the
// connection, which is closed.
func (s *session) Dial(ctx context.Context) (net.Conn, error) {
	c, err := s.Session.Dial(ctx)
	if err != nil {
		return nil, err
	}
	ready, err := s.upgrade(c)
	if err != nil && ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), c.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("request for TLS in %s: %w", s.protocol.name, err), c.Close())
	}
	return ready, nil
}

func (s *session) upgrade(c net.Conn) (net.Conn, error) {
	if err := c.SetDeadline(s.Now().Add(preludeTime)); err != nil {
		return nil, err
	}
	host := s.Endpoint().Name
	if host == "" {
		host = s.Endpoint().Addr.String()
	}
	talk := &conversation{Conn: c}
	ready, err := s.protocol.ask(talk, host)
	if err != nil {
		return nil, err
	}
	if len(talk.early) > 0 {
		return nil, fmt.Errorf("%w: %d bytes came before TLS began", errRefused, len(talk.early))
	}
	return ready, c.SetDeadline(time.Time{}) // the budget of the session stays in force
}

// errRefused marks a server that answered, and has no TLS on offer.
var errRefused = errors.New("the server does not begin TLS")

// conversation reads what a server says before TLS.
type conversation struct {
	net.Conn
	early []byte // read and not yet consumed
	total int
}

// fill reads on.
func (c *conversation) fill() error {
	if c.total >= maxPrelude {
		return fmt.Errorf("%w: more than %d bytes before TLS", errRefused, maxPrelude)
	}
	buf := make([]byte, 2048)
	n, err := c.Conn.Read(buf)
	c.early = append(c.early, buf[:n]...)
	c.total += n
	if n > 0 {
		return nil
	}
	return err
}

// take consumes n bytes.
func (c *conversation) take(n int) ([]byte, error) {
	for len(c.early) < n {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	out := c.early[:n:n]
	c.early = c.early[n:]
	return out, nil
}

// Read implements [io.Reader] on what comes before TLS.
func (c *conversation) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}

// say sends a text.
func (c *conversation) say(text string) error {
	_, err := c.Write([]byte(text))
	return err
}
