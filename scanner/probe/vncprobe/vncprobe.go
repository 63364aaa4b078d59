// Package vncprobe asks a remote framebuffer server (VNC) which version it
// speaks and which security types it offers.
//
// It chooses no type: the connection ends where authentication would begin.
//
// Invariant: a version, which answers the server's own, is the only message that
// leaves this package.
package vncprobe

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/wire/rfbwire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	totalTime = 3 * time.Second
	maxTypes  = 32
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-rfb-sent"
	mediaReceived = "application/x-probity-rfb-received"
)

// Prober implements [scanner.Prober] for RFB over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "vnc".
func (*Prober) Name() string { return "vnc" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one connection.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "RFB version, in answer to the server's", MaxBytes: rfbwire.VersionSize,
		Why: "whether remote control asks for authentication and encrypts; none is tried",
	}}
}

// Probe reads version and security types and hangs up.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindVNC)
	_, err := probe.Talk(ctx, s, &obs, totalTime, func(c net.Conn) error { return talk(c, &obs) })
	return probe.Observed(obs), err
}

func talk(c net.Conn, obs *evidence.Observation) error {
	received, err := probe.ReadFull(c, rfbwire.VersionSize)
	if err != nil {
		return err
	}
	version, err := rfbwire.ParseVersion(received)
	if err != nil {
		return fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
	}
	answer := version.Answer()
	if _, err := io.WriteString(c, answer); err != nil {
		return err
	}
	offer := []byte{}
	security, more, err := rfbwire.ParseSecurity(answer, offer)
	for err == nil && more > 0 {
		var b []byte
		if b, err = probe.ReadFull(c, more); err != nil {
			return err
		}
		offer = append(offer, b...)
		security, more, err = rfbwire.ParseSecurity(answer, offer)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
	}
	obs.Raw = probe.Raw(mediaSent, []byte(answer), mediaReceived, append(received, offer...))
	obs.Facts.VNC = &evidence.VNCFacts{Version: version.String(), Refused: security.Refused}
	for _, kind := range security.Types[:min(len(security.Types), maxTypes)] {
		obs.Facts.VNC.Types = append(obs.Facts.VNC.Types, int(kind))
	}
	return nil
}
