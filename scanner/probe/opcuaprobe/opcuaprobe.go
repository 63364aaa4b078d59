// Package opcuaprobe asks an OPC UA server for its endpoints, on a channel
// without security: the policies and modes on offer, how users are authenticated,
// and the certificates that the server presents.
//
// It opens no session, logs in nowhere and reads no node.
//
// Invariant: Hello, OpenSecureChannel without security, GetEndpoints and
// CloseSecureChannel are the only messages that leave this package, each once.
package opcuaprobe

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/opcuawire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	totalTime = 3 * time.Second
	maxField  = 256 // bytes
	maxChain  = 8   // certificates in one value
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-opcua-sent"
	mediaReceived = "application/x-probity-opcua-received"
)

// maxSent bounds a connection: of the messages only the address varies.
const maxSent = 640

// Prober implements [scanner.Prober] for OPC UA over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "opcua".
func (*Prober) Name() string { return "opcua" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one connection.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "OPC UA Hello, channel without security, GetEndpoints, end of the channel", MaxBytes: maxSent,
		Why: "security policies and modes, user authentication, server certificates; no session",
	}}
}

// Probe has the one conversation.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindOPCUA)
	var server opcuawire.Server
	ok, err := probe.Talk(ctx, s, &obs, totalTime, func(c net.Conn) error {
		tap := probe.NewTap(c, opcuawire.MaxMessage)
		var err error
		server, err = talk(tap, urlOf(s.Endpoint()))
		sent, received := tap.Seal()
		obs.Raw = probe.Raw(mediaSent, sent, mediaReceived, received)
		if errors.Is(err, opcuawire.ErrMalformed) {
			return fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
		}
		return err
	})
	out := probe.Observed(obs)
	if ok {
		out = conclude(obs, server)
		if !server.Time.IsZero() {
			out[0].Facts.OPCUA.Clock = &evidence.Clock{Says: server.Time, Seen: s.Now().UTC()}
		}
	}
	return out, err
}

// urlOf is the address that a client would use.
func urlOf(at evidence.Endpoint) string {
	if at.Name != "" {
		return fmt.Sprintf("opc.tcp://%s:%d", at.Name, at.Port)
	}
	plain := at
	plain.Addr = at.Addr.WithZone("")
	return "opc.tcp://" + plain.HostPort()
}

func talk(c net.Conn, url string) (opcuawire.Server, error) {
	var none opcuawire.Server
	h, body, err := ask(c, opcuawire.Hello(url))
	if err != nil {
		return none, err
	}
	if err := opcuawire.CheckAcknowledge(h, body); err != nil {
		return none, err
	}
	if h, body, err = ask(c, opcuawire.OpenChannel()); err != nil {
		return none, err
	}
	channel, err := opcuawire.ParseOpenChannel(h, body)
	if err != nil {
		return none, err
	}
	if h, body, err = ask(c, opcuawire.GetEndpoints(channel, url)); err != nil {
		return none, err
	}
	var whole []byte
	for range opcuawire.MaxChunks {
		part, err := opcuawire.MessageBody(h, body)
		if err != nil {
			return none, err
		}
		if whole = append(whole, part...); len(whole) > opcuawire.MaxMessage {
			break
		}
		if h.Final {
			// That the server is gone before it could be told changes nothing.
			_, _ = c.Write(opcuawire.CloseChannel(channel))
			return opcuawire.ParseEndpoints(whole)
		}
		if h, body, err = read(c); err != nil {
			return none, err
		}
	}
	return none, fmt.Errorf("%w: the answer is longer than was allowed", opcuawire.ErrMalformed)
}

func ask(c net.Conn, request []byte) (opcuawire.Header, []byte, error) {
	if _, err := c.Write(request); err != nil {
		return opcuawire.Header{}, nil, err
	}
	return read(c)
}

func read(c net.Conn) (opcuawire.Header, []byte, error) {
	b, err := probe.ReadFull(c, opcuawire.HeaderSize)
	if err != nil {
		return opcuawire.Header{}, nil, err
	}
	h, err := opcuawire.ParseHeader(b)
	if err != nil {
		return h, nil, err
	}
	b, err = probe.ReadFull(c, h.Size)
	return h, b, err
}

// conclude writes facts and certificates. A server may present another
// certificate for each policy: each has an observation of its own, with the
// endpoints in the first.
func conclude(obs evidence.Observation, server opcuawire.Server) []evidence.Observation {
	facts := &evidence.OPCUAFacts{
		Application: safetext.CleanN(server.ApplicationURI, maxField), Product: safetext.CleanN(server.ProductURI, maxField),
		Name: safetext.CleanN(server.Name, maxField),
	}
	var chains [][]evidence.Presented
	for _, e := range server.Endpoints {
		out := evidence.OPCUAEndpoint{Policy: opcuawire.PolicyName(e.Policy), Level: e.Level, Tokens: tokens(e.Tokens)}
		if out.Policy == "" {
			out.Policy = safetext.CleanN(e.Policy, maxField)
		}
		out.Mode = map[uint32]string{1: "none", 2: "sign", 3: "sign-and-encrypt"}[e.Mode]
		if chain := chainOf(e.Certificate); len(chain) > 0 {
			out.Certificate = evidence.DigestOf(chain[0].DER)
			known := slices.ContainsFunc(chains, func(c []evidence.Presented) bool { return slices.Equal(c[0].DER, chain[0].DER) })
			if !known {
				chains = append(chains, chain)
			}
		}
		facts.Endpoints = append(facts.Endpoints, out)
	}
	obs.Facts.OPCUA = facts
	all := []evidence.Observation{obs}
	for i, chain := range chains {
		if i > 0 {
			another := obs
			another.Raw, another.Facts = nil, evidence.Facts{}
			another.Detail = "another certificate of the same answer"
			all = append(all, another)
		}
		all[i].Certs = chain
	}
	return all
}

// chainOf takes the certificates apart, of which a value may hold several (OPC
// 10000-6 section 6.2.3).
func chainOf(b []byte) []evidence.Presented {
	var out []evidence.Presented
	for len(b) > 0 && len(out) < maxChain {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(b, &value)
		if err != nil {
			rest, value.FullBytes = nil, b // as it came
		}
		out = append(out, evidence.Presented{Role: evidence.RoleServer, Position: len(out), DER: value.FullBytes})
		b = rest
	}
	return out
}

func tokens(kinds []uint32) []string {
	var out []string
	for _, k := range kinds {
		if name := map[uint32]string{0: "anonymous", 1: "username", 2: "certificate", 3: "issued"}[k]; name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
