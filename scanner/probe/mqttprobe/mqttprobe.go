// Package mqttprobe asks an MQTT broker in a lab whether it takes a client
// without credentials, in clear, by one CONNECT.
//
// It subscribes to nothing and publishes nothing: a broker that accepts gets a
// DISCONNECT at once. Outside of a lab the port table keeps it away from brokers.
//
// Invariant: CONNECT without user, password and will, and DISCONNECT, are the only
// messages that leave this package.
package mqttprobe

import (
	"context"
	"fmt"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/wire/mqttwire"
	"probity/scanner"
	"probity/scanner/probe"
)

const totalTime = 3 * time.Second

// client is the identifier under which the broker logs the connection.
const client = "probity"

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-mqtt-sent"
	mediaReceived = "application/x-probity-mqtt-received"
)

// Prober implements [scanner.Prober] for MQTT over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "mqtt".
func (*Prober) Name() string { return "mqtt" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one connection.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "MQTT CONNECT without credentials, and DISCONNECT", MaxBytes: int64(len(mqttwire.Connect(client)) + len(mqttwire.Disconnect())),
		Why: "whether the broker takes a stranger in clear",
	}}
}

// Probe connects, takes the answer and leaves.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindMQTT)
	_, err := probe.Talk(ctx, s, &obs, totalTime, func(c net.Conn) error { return talk(c, &obs) })
	return probe.Observed(obs), err
}

func talk(c net.Conn, obs *evidence.Observation) error {
	request := mqttwire.Connect(client)
	if _, err := c.Write(request); err != nil {
		return err
	}
	answer, err := probe.ReadFull(c, mqttwire.ConnAckSize)
	obs.Raw = probe.Raw(mediaSent, request, mediaReceived, answer)
	if err != nil {
		return err
	}
	code, err := mqttwire.ParseConnAck(answer)
	if err != nil {
		return fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
	}
	obs.Facts.MQTT = &evidence.MQTTFacts{Code: code}
	if code == 0 {
		// That the broker is gone before it could be told changes nothing.
		_, _ = c.Write(mqttwire.Disconnect())
	}
	return nil
}
