// Package rdpprobe asks a Remote Desktop server which security it chooses, by
// the one connection request that comes before everything else (MS-RDPBCGR
// section 2.2.1.1).
//
// It starts no session: the connection ends after the confirm.
//
// Invariant: one connection request of 19 bytes leaves this package, which names
// no user.
package rdpprobe

import (
	"context"
	"errors"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/rdpwire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	totalTime = 3 * time.Second
	maxAnswer = 512
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-rdp-sent"
	mediaReceived = "application/x-probity-rdp-received"
)

// Prober implements [scanner.Prober] for RDP over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "rdp".
func (*Prober) Name() string { return "rdp" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one request.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "X.224 connection request that offers TLS and CredSSP", MaxBytes: int64(len(rdpwire.Request())),
		Why: "whether remote desktop asks for authentication before a session",
	}}
}

// Probe sends the request and reads the confirm.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindRDP)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return nil, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return []evidence.Observation{obs}, nil
	}
	wire := probe.NewTap(c, maxAnswer)
	failure := c.SetDeadline(s.Now().Add(totalTime))
	if failure == nil {
		_, failure = wire.Write(rdpwire.Request())
	}
	var answer rdpwire.Confirm
	if failure == nil {
		answer, failure = rdpwire.ReadConfirm(wire)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	sent, received := wire.Seal()
	obs.Raw = probe.Raw(mediaSent, sent, mediaReceived, received)
	switch {
	case failure == nil:
		obs.Result = evidence.ResultData
		obs.Facts.RDP = &evidence.RDPFacts{Negotiates: answer.Negotiates, Selected: answer.Selected, Failure: answer.Failure}
	case errors.Is(failure, rdpwire.ErrNotConfirm):
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(failure.Error())
	default:
		probe.Fail(&obs, "no connection confirm", failure)
	}
	return []evidence.Observation{obs}, ctx.Err()
}
