package starttls

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"probity/internal/safetext"
)

// maxLines bounds the lines of one reply.
const maxLines = 64

// line consumes one line, without its end.
func (c *conversation) line() (string, error) {
	for {
		if i := bytes.IndexByte(c.early, '\n'); i >= 0 {
			line := string(bytes.TrimRight(c.early[:i], "\r"))
			c.early = c.early[i+1:]
			return line, nil
		}
		if err := c.fill(); err != nil {
			return "", err
		}
	}
}

// reply reads a reply of SMTP or FTP to its last line, and wants its code.
func (c *conversation) reply(code string) ([]string, error) {
	var lines []string
	for range maxLines {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
		if len(line) >= 4 && line[3] == '-' || len(line) < 3 || line[0] < '1' || line[0] > '5' {
			continue // more follows, or the middle of a reply of FTP
		}
		if !strings.HasPrefix(line, code) {
			return nil, refused(line)
		}
		return lines, nil
	}
	return nil, fmt.Errorf("%w: a reply of more than %d lines", errRefused, maxLines)
}

// refused is what the server said instead of beginning TLS.
func refused(line string) error {
	return fmt.Errorf("%w: it says %q", errRefused, safetext.CleanN(line, 128))
}

// askSMTP is RFC 3207 section 4.
func askSMTP(c *conversation, _ string) (net.Conn, error) {
	if _, err := c.reply("220"); err != nil {
		return nil, err
	}
	if err := c.say("EHLO probity.invalid\r\n"); err != nil {
		return nil, err
	}
	lines, err := c.reply("250")
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		if len(line) > 4 && strings.EqualFold(strings.TrimSpace(line[4:]), "STARTTLS") {
			if err := c.say("STARTTLS\r\n"); err != nil {
				return nil, err
			}
			_, err := c.reply("220")
			return c.Conn, err
		}
	}
	return nil, fmt.Errorf("%w: STARTTLS is not among its extensions", errRefused)
}

// askFTP is RFC 4217 section 4.
func askFTP(c *conversation, _ string) (net.Conn, error) {
	if _, err := c.reply("220"); err != nil {
		return nil, err
	}
	if err := c.say("AUTH TLS\r\n"); err != nil {
		return nil, err
	}
	_, err := c.reply("234")
	return c.Conn, err
}

// askPOP3 is RFC 2595 section 4.
func askPOP3(c *conversation, _ string) (net.Conn, error) {
	for _, command := range []string{"", "STLS\r\n"} {
		if command != "" {
			if err := c.say(command); err != nil {
				return nil, err
			}
		}
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(line, "+OK") {
			return nil, refused(line)
		}
	}
	return c.Conn, nil
}

// askIMAP is RFC 9051 section 6.2.1.
func askIMAP(c *conversation, _ string) (net.Conn, error) {
	greeting, err := c.line()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(strings.ToUpper(greeting), "* OK") {
		return nil, refused(greeting)
	}
	if err := c.say("a1 STARTTLS\r\n"); err != nil {
		return nil, err
	}
	for range maxLines {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		switch {
		case strings.HasPrefix(strings.ToUpper(line), "A1 OK"):
			return c.Conn, nil
		case !strings.HasPrefix(line, "* "):
			return nil, refused(line)
		}
	}
	return nil, fmt.Errorf("%w: more than %d lines", errRefused, maxLines)
}

// askXMPP is RFC 6120 section 5.4.2.
func askXMPP(c *conversation, host string) (net.Conn, error) {
	if strings.ContainsAny(host, `'<>&"`) {
		return nil, fmt.Errorf("%w: %q cannot be asked for", errRefused, safetext.CleanN(host, 128))
	}
	err := c.say("<?xml version='1.0'?><stream:stream to='" + host + "' xmlns='jabber:client'" +
		" xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
	if err != nil {
		return nil, err
	}
	features, err := c.until("</stream:features>", "<stream:features/>", "</stream:stream>")
	if err != nil {
		return nil, err
	}
	if !strings.Contains(features, "urn:ietf:params:xml:ns:xmpp-tls") {
		return nil, fmt.Errorf("%w: it is not among its stream features", errRefused)
	}
	if err := c.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return nil, err
	}
	answer, err := c.until(">")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(strings.TrimSpace(answer), "<proceed") {
		return nil, refused(answer)
	}
	if !strings.HasSuffix(answer, "/>") { // <proceed ...></proceed>
		_, err = c.until("</proceed>")
	}
	return c.Conn, err
}

// until consumes what comes up to and with the first of the ends.
func (c *conversation) until(ends ...string) (string, error) {
	for {
		for _, end := range ends {
			if i := bytes.Index(c.early, []byte(end)); i >= 0 {
				text := string(c.early[:i+len(end)])
				c.early = c.early[i+len(end):]
				return text, nil
			}
		}
		if err := c.fill(); err != nil {
			return "", err
		}
	}
}
