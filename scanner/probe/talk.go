package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
)

// ErrNotUnderstood marks an answer that came, but not in the protocol that was
// asked for.
var ErrNotUnderstood = errors.New("the answer is not of the protocol that was asked")

// Talk opens the next connection of s, lets talk speak on it for at most limit,
// and closes it. An attempt that fails becomes the result of obs; an error means
// that the probe ends (see [Stopped]), and leaves obs without a result if nothing
// was sent. ok is true if talk came to its end: then it has set facts, and Talk
// the result.
func Talk(ctx context.Context, s scanner.Session, obs *evidence.Observation, limit time.Duration, talk func(net.Conn) error) (ok bool, err error) {
	c, err := s.Dial(ctx)
	if Stopped(ctx, err) {
		return false, err
	}
	if err != nil {
		Fail(obs, "connect", err)
		return false, nil
	}
	failure := c.SetDeadline(s.Now().Add(limit))
	if failure == nil {
		failure = talk(c)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	switch {
	case failure == nil:
		obs.Result = evidence.ResultData
	case errors.Is(failure, ErrNotUnderstood):
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(failure.Error())
	default:
		Fail(obs, "no answer", failure)
	}
	return failure == nil, ctx.Err()
}

// Observed returns obs if it has a result: that of a probe that was stopped
// before anything was sent has none.
func Observed(obs evidence.Observation) []evidence.Observation {
	if obs.Result == "" {
		return nil
	}
	return []evidence.Observation{obs}
}

// ReadFull reads exactly n bytes; what came of them is returned with the error.
func ReadFull(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	m, err := io.ReadFull(r, b)
	return b[:m], err
}
