// Package probe holds what the probers share: how an attempt becomes an
// observation, how an error of the network is sorted, and a tap on the bytes of
// a connection.
//
// It speaks no protocol; each prober is a package of its own below this one.
//
// Invariant: a failure of the network or of the peer becomes a result of an
// observation, with its cause in words; only the gate and the context end a
// probe with an error.
package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
)

// Begin returns an observation of the session's endpoint, begun now and without
// a result.
func Begin(s scanner.Session, kind evidence.Kind) evidence.Observation {
	return evidence.Observation{Method: evidence.Active, Kind: kind, Endpoint: s.Endpoint(), At: s.Now()}
}

// Stopped reports whether an error of [scanner.Session.Dial] ends the probe: the
// gate withdrew its permission or the context ended. Every other error is an
// observation.
func Stopped(ctx context.Context, err error) bool {
	return errors.Is(err, scanner.ErrVetoed) || err != nil && ctx.Err() != nil
}

// Fail writes a failed attempt to connect or to exchange into obs.
func Fail(obs *evidence.Observation, what string, err error) {
	obs.Result, obs.Detail = ResultOf(err), safetext.Clean(what+": "+strings.TrimPrefix(Cause(err), what+": "))
}

// ResultOf sorts an error of the network.
func ResultOf(err error) evidence.Result {
	var ne net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return evidence.ResultRefused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return evidence.ResultTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return evidence.ResultReset
	}
	return evidence.ResultError
}

// Cause is the text of err without the addresses that [net.OpError] repeats.
func Cause(err error) string {
	var oe *net.OpError
	if errors.As(err, &oe) && oe.Err != nil {
		return oe.Err.Error()
	}
	return err.Error()
}

// Tap keeps the first bytes of both directions of a connection until it is
// sealed. It is safe for concurrent use.
type Tap struct {
	net.Conn
	limit int

	mu       sync.Mutex
	sealed   bool
	sent     []byte
	received []byte
}

// NewTap returns a tap on c that keeps at most limit bytes of each direction.
func NewTap(c net.Conn, limit int) *Tap { return &Tap{Conn: c, limit: limit} }

// Read implements [io.Reader].
func (t *Tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.sealed {
		t.received = append(t.received, p[:min(n, t.limit-len(t.received))]...)
	}
	return n, err
}

// Write implements [io.Writer].
func (t *Tap) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.sealed {
		t.sent = append(t.sent, p[:min(n, t.limit-len(t.sent))]...)
	}
	return n, err
}

// Seal ends the keeping and returns what was kept.
func (t *Tap) Seal() (sent, received []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sealed = true
	return t.sent, t.received
}

// Raw returns the kept bytes of both directions as blobs; a direction without
// bytes has none.
func Raw(sentType string, sent []byte, receivedType string, received []byte) []evidence.Blob {
	var out []evidence.Blob
	for _, b := range []evidence.Blob{{Media: sentType, Data: sent}, {Media: receivedType, Data: received}} {
		if len(b.Data) > 0 {
			out = append(out, b)
		}
	}
	return out
}
