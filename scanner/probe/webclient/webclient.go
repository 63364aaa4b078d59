// Package webclient has one HTTP/1.1 exchange on one connection of a session, in
// clear or over TLS.
//
// It follows no redirect, keeps no cookie, sends no credential and no client
// certificate, and trusts nobody: every certificate is taken, because it is an
// observer. What the response says is judged by its callers.
//
// Invariant: one call makes at most one connection, which is closed when it
// returns, and holds at most [MaxResponse] bytes of the answer.
package webclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/zmap/zcrypto/tls"
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	// MaxResponse bounds the bytes read of one response, header and body.
	MaxResponse = 64 << 10
	// MaxSent bounds what one exchange sends, the TLS handshake included.
	MaxSent = 4096
	// totalTime bounds one exchange from the connection to its end.
	totalTime = 3 * time.Second
	// maxInterim bounds the 1xx responses before the final one (RFC 9110 section
	// 15.2).
	maxInterim = 3
)

// userAgent says honestly who asks.
const userAgent = "probity"

// Request is what is asked. Path begins with a slash; Body is nil for a GET.
type Request struct {
	Path        string
	Accept      string
	ContentType string
	Body        []byte
}

// Response is what came back. Body is cut where the budget ended.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// Clock is what the Date header says (RFC 9110 section 6.6.1); nil without one,
	// and where a cache answered (section 5.1 of RFC 9111).
	Clock *evidence.Clock
}

// ErrNotHTTP marks an answer that is no HTTP response.
var ErrNotHTTP = errors.New("the answer is no HTTP response")

// Do has one exchange. A nil response with a nil error means that obs holds the
// failure as its result; an error means that the probe ends (see
// [probe.Stopped]) and that nothing was sent. The bytes of the request, without
// TLS, become a blob of obs; those of the response never do.
func Do(ctx context.Context, s scanner.Session, overTLS bool, r Request, obs *evidence.Observation) (*Response, error) {
	request := r.bytes(s.Endpoint(), overTLS)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return nil, err
	}
	if err != nil {
		probe.Fail(obs, "connect", err)
		return nil, nil
	}
	response, what, failure := exchange(c, s, overTLS, request)
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	obs.Raw = probe.Raw("application/x-probity-http-request", request, "", nil)
	switch {
	case response != nil:
		return response, nil
	case errors.Is(failure, ErrNotHTTP):
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(failure.Error())
	default:
		probe.Fail(obs, what, failure)
	}
	return nil, nil
}

// exchange returns the response, or what failed.
func exchange(c net.Conn, s scanner.Session, overTLS bool, request []byte) (response *Response, what string, err error) {
	if err := c.SetDeadline(s.Now().Add(totalTime)); err != nil {
		return nil, "deadline", err
	}
	var stream io.ReadWriter = c
	if overTLS {
		client := tls.Client(c, config(s))
		if err := client.Handshake(); err != nil {
			return nil, "TLS handshake", err
		}
		stream = client
	}
	if _, err := stream.Write(request); err != nil {
		return nil, "request", err
	}
	response, err = read(stream, s.Now)
	if overTLS && response != nil {
		// close_notify; its error says only that the peer was gone first.
		_ = stream.(*tls.Conn).CloseWrite()
	}
	return response, "no HTTP response", err
}

// read takes one final response from r. The body may be cut; a damaged header is
// [ErrNotHTTP].
func read(r io.Reader, now func() time.Time) (*Response, error) {
	limited := &counter{r: io.LimitReader(r, MaxResponse)}
	buffered := bufio.NewReader(limited)
	for range maxInterim {
		h, err := http.ReadResponse(buffered, nil)
		if err != nil {
			if limited.err != nil && !limited.full() && !errors.Is(limited.err, io.EOF) || limited.n == 0 {
				return nil, limited.cause(err)
			}
			return nil, fmt.Errorf("%w: %w", ErrNotHTTP, err)
		}
		if h.StatusCode >= 100 && h.StatusCode < 200 {
			continue
		}
		clock := clockOf(h.Header, now())
		// What was read of a body that ends early is kept.
		body, _ := io.ReadAll(h.Body)
		_ = h.Body.Close() // reads on within the limit; nothing is learned from its error
		return &Response{Status: h.StatusCode, Header: h.Header, Body: body, Clock: clock}, nil
	}
	return nil, fmt.Errorf("%w: more than %d interim responses", ErrNotHTTP, maxInterim)
}

// clockOf reads the clock of the server.
func clockOf(h http.Header, seen time.Time) *evidence.Clock {
	says, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" {
		return nil
	}
	return &evidence.Clock{Says: says.UTC(), Seen: seen.UTC()}
}

// counter notes how much came, and the error that ended it.
type counter struct {
	r   io.Reader
	n   int
	err error
}

// Read implements [io.Reader].
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	if err != nil {
		c.err = err
	}
	return n, err
}

func (c *counter) full() bool { return c.n >= MaxResponse }

// cause prefers the error of the network to what the parser made of it.
func (c *counter) cause(err error) error {
	if c.err != nil {
		return c.err
	}
	return err
}

func config(s scanner.Session) *tls.Config {
	return &tls.Config{
		Time:               s.Now,
		ServerName:         s.Endpoint().Name,
		NextProtos:         []string{"http/1.1"},
		MinVersion:         tls.VersionTLS10,
		MaxVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // an observer: every certificate is taken
		RootCAs:            x509.NewCertPool(),
		// One share, as the TLS prober sends: the hello stays small.
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384},
		SessionTicketsDisabled: true,
	}
}

// bytes is the request on the wire.
func (r Request) bytes(at evidence.Endpoint, overTLS bool) []byte {
	var b bytes.Buffer
	method := http.MethodGet
	if r.Body != nil {
		method = http.MethodPost
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: %s\r\nAccept-Encoding: identity\r\nConnection: close\r\n",
		method, r.Path, hostOf(at, overTLS), userAgent, r.Accept)
	if r.Body != nil {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", r.ContentType, len(r.Body))
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes()
}

// hostOf is the Host of RFC 9110 section 7.2: without a zone, and without the
// port where it is the scheme's own.
func hostOf(at evidence.Endpoint, overTLS bool) string {
	host := at.Name
	if host == "" {
		host = at.Addr.WithZone("").Unmap().String()
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if at.Port == 443 && overTLS || at.Port == 80 && !overTLS {
		return host
	}
	return fmt.Sprintf("%s:%d", host, at.Port)
}

// OverTLS reports whether what was observed at an endpoint before shows a TLS
// server.
func OverTLS(prior []evidence.Observation) bool {
	for _, o := range prior {
		if t := o.Facts.TLS; t != nil && t.Version != 0 {
			return true
		}
	}
	return false
}

// MediaType is the media type of the response in lower case without parameters,
// at most 64 bytes, or "".
func (r *Response) MediaType() string {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || len(media) > 64 {
		return ""
	}
	return media
}
