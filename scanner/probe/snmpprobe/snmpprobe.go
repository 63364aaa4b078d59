// Package snmpprobe asks an SNMPv3 agent who it is, by the engine discovery that
// comes before authentication (RFC 3414 section 4).
//
// With a community that the operator gave, [Getter] reads the description, the
// product and the name of the system by one request of version 1 or 2c; nothing
// else is read, nothing is set, and no community is guessed.
//
// Invariant: a probe sends one datagram, never a second, and only what answers it
// becomes a fact; no community is ever in an observation.
package snmpprobe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/snmpwire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	answerTime   = 3 * time.Second
	maxDatagram  = 4096 // a report has less than 200 bytes
	maxDatagrams = 4    // that do not fit the request, before it gives up
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-snmp-sent"
	mediaReceived = "application/x-probity-snmp-received"
)

// Prober implements [scanner.Prober] for SNMPv3 over UDP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "snmp".
func (*Prober) Name() string { return "snmp" }

// Transport returns UDP.
func (*Prober) Transport() evidence.Transport { return evidence.UDP }

// Exchanges lists the one datagram.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "SNMPv3 engine discovery, one datagram without user", MaxBytes: 128,
		Why: "engine id, boots and time of the agent: they identify the device",
	}}
}

// Probe sends the discovery and waits for the report.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindSNMP)
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("message id: %w", err)
	}
	id := int32(binary.BigEndian.Uint32(random[:]) >> 1)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return nil, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return []evidence.Observation{obs}, nil
	}
	request := snmpwire.Discovery(id)
	failure := c.SetDeadline(s.Now().Add(answerTime))
	if failure == nil {
		_, failure = c.Write(request)
	}
	var report snmpwire.Report
	var answer []byte
	if failure == nil {
		report, answer, failure = await(c, id)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	obs.Raw = probe.Raw(mediaSent, request, mediaReceived, answer)
	switch {
	case failure == nil:
		obs.Result = evidence.ResultData
		obs.Facts.SNMP = &evidence.SNMPFacts{EngineID: report.EngineID, EngineBoots: report.Boots, EngineTime: report.Time}
	case errors.Is(failure, errNotUnderstood):
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(failure.Error())
	default:
		probe.Fail(&obs, "no report", failure)
	}
	return []evidence.Observation{obs}, ctx.Err()
}

// errNotUnderstood marks datagrams that are no report to the request.
var errNotUnderstood = errors.New("the answer is no report to the discovery")

// await reads datagrams until one is the report asked for.
func await(c net.Conn, id int32) (snmpwire.Report, []byte, error) {
	buf := make([]byte, maxDatagram)
	var last []byte
	var damage error
	for range maxDatagrams {
		n, err := c.Read(buf)
		if err != nil {
			if damage != nil {
				return snmpwire.Report{}, last, damage
			}
			return snmpwire.Report{}, last, err
		}
		last = append([]byte(nil), buf[:n]...)
		report, err := snmpwire.ParseReport(last)
		switch {
		case err != nil:
			damage = fmt.Errorf("%w: %w", errNotUnderstood, err)
		case report.ID != id:
			damage = fmt.Errorf("%w: it answers message %d, not %d", errNotUnderstood, report.ID, id)
		default:
			return report, last, nil
		}
	}
	return snmpwire.Report{}, last, damage
}
