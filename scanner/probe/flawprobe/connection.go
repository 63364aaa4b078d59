package flawprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-tls-sent"
	mediaReceived = "application/x-probity-tls-received"
)

const (
	maxReceived = 128 << 10 // of one connection
	patience    = time.Second
)

// connection is one trial: a hello, the server's flight, and what is tried then.
type connection struct {
	net.Conn
	now      func() time.Time
	suites   []uint16
	beats    bool // heartbeats are offered
	sent     []byte
	received []byte
	at       int // received that was read as records
	hello    *tlswire.ServerHello
	certs    [][]byte
	done     bool
	alert    *uint8
	blank    func(received []byte) // takes out what is not to be kept; nil: nothing
}

// one makes one trial and records it. It reports whether the server is well: it
// answered something.
func (r *run) one(ctx context.Context, f *evidence.FlawFacts, try func(*connection) (evidence.Shown, string)) (well bool, err error) {
	obs := probe.Begin(r.session, evidence.KindFlaw)
	f.Trial, f.Shown = len(r.out)+1, evidence.ShownUnknown
	obs.Facts.Flaw = f
	nc, err := r.session.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return false, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		f.Reason = "no connection"
		r.out = append(r.out, obs)
		return false, nil
	}
	c := &connection{Conn: nc, now: r.session.Now, suites: ordinarySuites(), beats: f.Flaw == evidence.FlawHeartbleed}
	if f.Flaw == evidence.FlawROBOT {
		c.suites = rsaSuites()
	}
	failure := c.open(r.session)
	if failure == nil {
		f.Shown, f.Reason = try(c)
	} else {
		f.Shown, f.Reason = c.refusal(f.Flaw, failure)
	}
	failure = errors.Join(failure, c.Close())
	if c.hello != nil {
		f.Version, f.CipherSuite = c.hello.Version, c.hello.CipherSuite
	}
	if c.blank != nil {
		c.blank(c.received)
	}
	obs.Raw = probe.Raw(mediaSent, c.sent, mediaReceived, c.received)
	f.Reason = safetext.Clean(f.Reason)
	obs.Result = evidence.ResultData
	if len(c.received) == 0 {
		probe.Fail(&obs, "no answer to the ClientHello", errors.Join(failure, io.ErrUnexpectedEOF))
	}
	r.out = append(r.out, obs)
	return obs.Result == evidence.ResultData, ctx.Err()
}

// refusal says what a hello that was not answered by a flight shows.
func (c *connection) refusal(flaw evidence.Flaw, failure error) (evidence.Shown, string) {
	const handshakeFailure, protocolVersion = 40, 70
	switch {
	case c.alert != nil && *c.alert == protocolVersion:
		return evidence.ShownNo, "the server refuses TLS 1.2 and below, to which the flaw belongs"
	case c.alert != nil && *c.alert == handshakeFailure && flaw == evidence.FlawROBOT:
		return evidence.ShownNo, "the server takes no RSA key transport"
	case c.alert != nil:
		return evidence.ShownUnknown, fmt.Sprintf("the server refused the hello by alert %d", *c.alert)
	}
	return evidence.ShownUnknown, "the server sent no complete flight: " + probe.Cause(failure)
}

// ordinarySuites are what common servers up to TLS 1.2 have.
func ordinarySuites() []uint16 {
	return append([]uint16{
		0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc023, 0xc027, 0xc009, 0xc013, 0xc00a, 0xc014,
		0x009e, 0x009f, 0x0067, 0x0033, 0x0039, 0x0032, 0x0016,
	}, rsaSuites()...)
}

// rsaSuites are those with RSA key transport.
func rsaSuites() []uint16 {
	return []uint16{0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0x000a, 0x0005}
}

// errNoFlight says that a server's answer is no flight of TLS 1.2 or below.
var errNoFlight = errors.New("the answer is no flight of TLS 1.2 or below")

// open sends the hello and reads the server's flight.
func (c *connection) open(s scanner.Session) error {
	h := tlswire.ClientHello{
		Version: tlswire.VersionTLS12, Suites: c.suites, RenegotiationInfo: true, Heartbeat: c.beats,
		Groups: []uint16{29, 23, 24, 25},
		SignatureSchemes: []uint16{
			0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201, 0x0202,
		},
	}
	if name := s.Endpoint().Name; len(name) <= 64 {
		h.ServerName = name
	}
	if _, err := rand.Read(h.Random[:]); err != nil {
		return fmt.Errorf("client random: %w", err)
	}
	b, err := h.Marshal()
	if err != nil {
		return err
	}
	if err := c.say(b); err != nil {
		return err
	}
	stream := tlswire.NewStream(tlswire.Limits{})
	for !c.done && c.alert == nil {
		fresh, err := c.more()
		list, damage := stream.Feed(fresh)
		for _, m := range list {
			if err := c.message(m); err != nil {
				return err
			}
		}
		if err := errors.Join(damage, err); err != nil && !c.done {
			return err
		}
	}
	if c.alert != nil {
		return errNoFlight
	}
	c.at = len(c.received)
	return nil
}

func (c *connection) message(m tlswire.Message) error {
	switch {
	case m.Kind == tlswire.Alert:
		level, description, err := tlswire.ParseAlert(m.Body)
		if err == nil && level == tlswire.AlertFatal {
			c.alert = &description
		}
		return err
	case m.Kind != tlswire.Handshake || m.Encrypted:
		return errNoFlight
	}
	switch m.Type {
	case tlswire.TypeServerHello:
		h, err := tlswire.ParseServerHello(m.Body)
		if err != nil || h.Version > tlswire.VersionTLS12 {
			return errors.Join(errNoFlight, err)
		}
		c.hello = &h
	case tlswire.TypeCertificate:
		certs, err := tlswire.ParseCertificate(m.Body)
		c.certs = certs
		return err
	case tlswire.TypeServerHelloDone:
		c.done = c.hello != nil
	}
	return nil
}

// say sends bytes and keeps them.
func (c *connection) say(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	c.sent = append(c.sent, b...)
	return nil
}

// more reads on and returns what came.
func (c *connection) more() ([]byte, error) {
	if len(c.received) >= maxReceived {
		return nil, errors.New("more bytes than a handshake has")
	}
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	c.received = append(c.received, buf[:n]...)
	return buf[:n], err
}

// answer is what came back to something that was tried.
type answer struct {
	kind  byte   // of the record; 0: none came
	body  []byte // of the record
	ended string // "closed", "reset" or "silence"; empty: a record came
}

// alert returns the description of an alert, or -1.
func (a answer) alert() int {
	if a.kind != byte(tlswire.Alert) || len(a.body) != 2 {
		return -1
	}
	return int(a.body[1])
}

func (a answer) String() string {
	switch {
	case a.ended != "":
		return a.ended
	case a.alert() >= 0:
		return fmt.Sprintf("alert %d", a.alert())
	}
	return "data"
}

// hear waits a moment for the next record.
func (c *connection) hear() answer {
	if err := c.SetReadDeadline(c.now().Add(patience)); err != nil {
		return answer{ended: "reset"}
	}
	for {
		const header = 5
		if b := c.received[c.at:]; len(b) >= header {
			if n := header + int(b[3])<<8 + int(b[4]); len(b) >= n {
				c.at += n
				return answer{kind: b[0], body: slices.Clone(b[header:n])}
			}
		}
		fresh, err := c.more()
		switch {
		case err == nil || len(fresh) > 0:
		case errors.Is(err, io.EOF):
			return answer{ended: "closed"}
		case probe.ResultOf(err) == evidence.ResultTimeout:
			return answer{ended: "silence"}
		default:
			return answer{ended: "reset"}
		}
	}
}

// record frames a few bytes.
func (c *connection) record(kind byte, body ...byte) []byte {
	v := c.hello.Version
	return append([]byte{kind, byte(v >> 8), byte(v), byte(len(body) >> 8), byte(len(body))}, body...)
}
