// Package modbusprobe asks a controller in a lab for its vendor, product code and
// revision by one Read Device Identification of Modbus.
//
// It reads no register and writes nothing. Outside of a lab the port table keeps
// it away from controllers.
//
// Invariant: Read Device Identification of the basic objects is the only request
// that leaves this package.
package modbusprobe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/modbuswire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	totalTime = 3 * time.Second
	maxField  = 256 // bytes
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-modbus-sent"
	mediaReceived = "application/x-probity-modbus-received"
)

// Prober implements [scanner.Prober] for Modbus over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "modbus".
func (*Prober) Name() string { return "modbus" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one request.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "Modbus Read Device Identification, basic objects", MaxBytes: int64(len(modbuswire.Identify(0))),
		Why: "vendor, product code and revision; no register is read",
	}}
}

// Probe has the one exchange.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	var random [2]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("transaction identifier: %w", err)
	}
	transaction := binary.BigEndian.Uint16(random[:])
	obs := probe.Begin(s, evidence.KindIdentity)
	_, err := probe.Talk(ctx, s, &obs, totalTime, func(c net.Conn) error { return talk(c, transaction, &obs) })
	return probe.Observed(obs), err
}

func talk(c net.Conn, transaction uint16, obs *evidence.Observation) error {
	request := modbuswire.Identify(transaction)
	if _, err := c.Write(request); err != nil {
		return err
	}
	header, err := probe.ReadFull(c, modbuswire.HeaderSize)
	obs.Raw = probe.Raw(mediaSent, request, mediaReceived, header)
	if err != nil {
		return err
	}
	size, err := modbuswire.BodySize(header, transaction)
	if err != nil {
		return fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
	}
	body, err := probe.ReadFull(c, size)
	obs.Raw = probe.Raw(mediaSent, request, mediaReceived, append(header, body...))
	if err != nil {
		return err
	}
	id, err := modbuswire.ParseIdentity(body)
	if err != nil {
		return fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
	}
	if id.Exception != 0 {
		obs.Detail = fmt.Sprintf("speaks Modbus; exception %d: it does not identify itself", id.Exception)
	}
	obs.Facts.Identity = &evidence.IdentityFacts{
		Protocol: "modbus", Manufacturer: safetext.CleanN(id.Vendor, maxField), Model: safetext.CleanN(id.Product, maxField),
		Version: safetext.CleanN(id.Revision, maxField),
	}
	return nil
}
