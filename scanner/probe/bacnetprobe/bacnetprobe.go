// Package bacnetprobe asks a building controller in a lab for its vendor, model
// and versions by one ReadPropertyMultiple of its device object, by unicast.
//
// It sends no Who-Is, which many devices answer by broadcast, and writes nothing.
// Outside of a lab the port table keeps it away from controllers.
//
// Invariant: one datagram is sent, and only what answers it becomes a fact.
package bacnetprobe

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/bacnetwire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	answerTime   = 3 * time.Second
	maxDatagram  = 1500
	maxDatagrams = 4 // that do not fit the request, before it gives up
	maxField     = 256
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-bacnet-sent"
	mediaReceived = "application/x-probity-bacnet-received"
)

// Prober implements [scanner.Prober] for BACnet/IP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "bacnet".
func (*Prober) Name() string { return "bacnet" }

// Transport returns UDP.
func (*Prober) Transport() evidence.Transport { return evidence.UDP }

// Exchanges lists the one datagram.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "BACnet ReadPropertyMultiple of the device object, by unicast", MaxBytes: int64(len(bacnetwire.ReadDevice(0))),
		Why: "vendor, model, firmware and application version",
	}}
}

// Probe sends the request and waits for the answer.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	var invoke [1]byte
	if _, err := rand.Read(invoke[:]); err != nil {
		return nil, fmt.Errorf("invoke identifier: %w", err)
	}
	obs := probe.Begin(s, evidence.KindIdentity)
	_, err := probe.Talk(ctx, s, &obs, answerTime, func(c net.Conn) error { return talk(c, invoke[0], &obs) })
	return probe.Observed(obs), err
}

func talk(c net.Conn, invoke byte, obs *evidence.Observation) error {
	request := bacnetwire.ReadDevice(invoke)
	if _, err := c.Write(request); err != nil {
		return err
	}
	buf := make([]byte, maxDatagram)
	var damage error
	for range maxDatagrams {
		n, err := c.Read(buf)
		if err != nil {
			if damage != nil {
				return damage
			}
			return err
		}
		answer := slices.Clone(buf[:n])
		obs.Raw = probe.Raw(mediaSent, request, mediaReceived, answer)
		device, err := bacnetwire.ParseDevice(answer, invoke)
		if err != nil {
			damage = fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
			continue
		}
		conclude(obs, device)
		return nil
	}
	return damage
}

func conclude(obs *evidence.Observation, d bacnetwire.Device) {
	if d.Refused {
		obs.Detail = "speaks BACnet, and refuses to identify itself by ReadPropertyMultiple"
	}
	obs.Facts.Identity = &evidence.IdentityFacts{
		Protocol: "bacnet", Manufacturer: safetext.CleanN(d.VendorName, maxField), Model: safetext.CleanN(d.ModelName, maxField),
		Version: safetext.CleanN(d.Firmware, maxField), Software: safetext.CleanN(d.ApplicationVersion, maxField),
	}
}
