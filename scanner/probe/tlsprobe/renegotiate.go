package tlsprobe

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner/probe"
)

// keyLog takes the master secret that a client library logs (RFC 9850 section
// 2.2). It is never recorded.
type keyLog struct{ secret []byte }

// Write implements [io.Writer].
func (k *keyLog) Write(line []byte) (int, error) {
	if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "CLIENT_RANDOM" {
		secret, err := hex.DecodeString(string(fields[2]))
		if err != nil {
			return 0, err
		}
		k.secret = secret
	}
	return len(line), nil
}

// renegotiateTime bounds the wait for the answer to a second hello.
const renegotiateTime = time.Second

// renegotiation asks for a second handshake within a connection up to TLS 1.2.
type renegotiation struct {
	conn           *frugal
	client, server *cipher12
	received       []byte // after the server's Finished
	verify         []byte // of the client's Finished
	secure         bool   // RFC 5746
	version, suite uint16
}

// renegotiate asks for a second handshake on a connection whose first is done, and
// closes it in order. It reports false if the suite is none that it can go on
// with; the connection is as it was then.
func renegotiate(conn *frugal, a *answer, obs *evidence.Observation, sent, received, secret []byte, now func() time.Time) (asked bool, err error) {
	r, err := newRenegotiation(conn, a, sent, received, secret)
	if err != nil {
		return false, nil //nolint:nilerr // whether the server renegotiates stays unknown
	}
	begun, why, err := r.ask(now)
	if err != nil {
		return true, err
	}
	obs.Facts.TLS.ClientRenegotiation = begun
	if why != "" {
		obs.Detail = safetext.Clean("second handshake within the first: " + why)
	}
	if begun == nil || *begun || why == "alert 100" { // the connection is still there
		var block [aes.BlockSize]byte
		if _, err := rand.Read(block[:]); err != nil {
			return true, fmt.Errorf("initialisation vector: %w", err)
		}
		// Without waiting for the answer; that the peer was gone first is no news.
		_, _ = conn.Write(r.client.seal(byte(tlswire.Alert), []byte{1, alertCloseNotify}, block))
	}
	return true, nil
}

// newRenegotiation takes a connection over after its handshake. sent and received
// are all bytes so far.
func newRenegotiation(conn *frugal, a *answer, sent, received, secret []byte) (*renegotiation, error) {
	h := a.hello
	m := master{version: h.Version, suite: h.CipherSuite, secret: secret, server: h.Random}
	ours, _, err := clear12(sent)
	if err != nil || len(ours) == 0 || len(ours[0]) < 38 {
		return nil, errors.Join(errors.New("the handshake cannot be read again"), err)
	}
	copy(m.client[:], ours[0][6:])
	theirs, rest, err := clear12(received)
	if err != nil {
		return nil, err
	}
	client, server, err := m.ciphers()
	if err != nil {
		return nil, err
	}
	if h.Version == tlswire.VersionTLS10 && client.aead == nil { // IVs go on where the Finished messages ended
		if len(sent) < aes.BlockSize || len(rest) < recordHeader+aes.BlockSize {
			return nil, errSealed
		}
		client.iv = sent[len(sent)-aes.BlockSize:]
	}
	r := &renegotiation{conn: conn, client: client, server: server, version: h.Version, suite: h.CipherSuite, secure: h.SecureRenegotiation}
	// The server's Finished was read: it only moves the state on.
	server.sequence = 0
	r.received = rest
	if _, _, ok := r.next(); !ok {
		return nil, errSealed
	}
	transcript := slices.Concat(ours[0], slices.Concat(theirs...), slices.Concat(ours[1:]...))
	r.verify = m.finished(transcript)
	return r, nil
}

// clear12 cuts the handshake messages of one direction out of its bytes, up to
// the change of cipher, without tickets, which are not part of what a client's
// Finished covers. rest is what follows the change of cipher.
func clear12(b []byte) (messages [][]byte, rest []byte, err error) {
	stream := tlswire.NewStream(tlswire.Limits{})
	for len(b) >= recordHeader {
		n := recordHeader + int(b[3])<<8 + int(b[4])
		if len(b) < n {
			break
		}
		if tlswire.Kind(b[0]) == tlswire.ChangeCipherSpec {
			return messages, b[n:], nil
		}
		list, err := stream.Feed(b[:n])
		if err != nil {
			return nil, nil, err
		}
		for _, m := range list {
			const helloRequest = 0
			if m.Kind == tlswire.Handshake && m.Type != tlswire.TypeNewSessionTicket && m.Type != helloRequest {
				messages = append(messages, m.Raw)
			}
		}
		b = b[n:]
	}
	return nil, nil, io.ErrUnexpectedEOF
}

// ask sends the second hello and returns what the server makes of it: whether it
// begins a handshake, and in words why it does not; nil if it does not say.
func (r *renegotiation) ask(now func() time.Time) (*bool, string, error) {
	var random [32]byte
	var block [aes.BlockSize]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, "", fmt.Errorf("client random: %w", err)
	}
	if _, err := rand.Read(block[:]); err != nil {
		return nil, "", fmt.Errorf("initialisation vector: %w", err)
	}
	hello := tlswire.ClientHello{
		Version: r.version, Random: random, Suites: []uint16{r.suite}, Groups: computed(),
		RenegotiationInfo: r.secure, Renegotiated: r.verify,
	}
	if r.version >= tlswire.VersionTLS12 {
		hello.SignatureSchemes = schemes()
	}
	b, err := hello.Marshal()
	if err != nil {
		return nil, "", err
	}
	if _, err := r.conn.Write(r.client.seal(byte(tlswire.Handshake), b[recordHeader:], block)); err != nil {
		return nil, "the server had closed the connection", nil //nolint:nilerr // what the peer does is an observation
	}
	if err := r.conn.SetReadDeadline(now().Add(renegotiateTime)); err != nil {
		return nil, "", err
	}
	begun, why := r.answer()
	return begun, why, nil
}

// answer reads up to the first word on the second hello.
func (r *renegotiation) answer() (*bool, string) {
	yes, no := true, false
	buf := make([]byte, readSize)
	for total := 0; total < maxFlight; {
		for {
			kind, content, ok := r.next()
			if !ok {
				break
			}
			switch {
			case content == nil:
				return nil, errSealed.Error()
			case kind == tlswire.Handshake && len(content) > 0 && content[0] == tlswire.TypeServerHello:
				return &yes, ""
			case kind == tlswire.Alert && len(content) == 2:
				return &no, fmt.Sprintf("alert %d", content[1])
			}
		}
		n, err := r.conn.Read(buf)
		r.received = append(r.received, buf[:n]...)
		total += n
		switch {
		case err == nil || n > 0:
		case probe.ResultOf(err) == evidence.ResultTimeout:
			return nil, "no answer to a second hello"
		default:
			return &no, "closed"
		}
	}
	return nil, "too much before an answer to a second hello"
}

// next opens the next record. Its content is nil if it does not open.
func (r *renegotiation) next() (kind tlswire.Kind, content []byte, ok bool) {
	b := r.received
	if len(b) < recordHeader {
		return 0, nil, false
	}
	n := recordHeader + int(b[3])<<8 + int(b[4])
	if len(b) < n {
		return 0, nil, false
	}
	content, err := r.server.open(b[0], b[recordHeader:n])
	r.received = b[n:]
	if err != nil {
		return tlswire.Kind(b[0]), nil, true
	}
	return tlswire.Kind(b[0]), append([]byte{}, content...), true
}
