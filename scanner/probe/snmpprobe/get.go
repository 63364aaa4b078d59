package snmpprobe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"slices"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/idwire"
	"probity/internal/wire/snmpwire"
	"probity/scanner"
	"probity/scanner/probe"
)

// Community is what the operator gave. It is not printed.
type Community struct{ secret []byte }

// NewCommunity takes the bytes of a community, of which there are at most
// [snmpwire.MaxCommunity].
func NewCommunity(b []byte) (Community, error) {
	if len(b) == 0 || len(b) > snmpwire.MaxCommunity || bytes.ContainsAny(b, "\r\n\x00") {
		return Community{}, fmt.Errorf("community of %d bytes: want one line of 1 to %d bytes", len(b), snmpwire.MaxCommunity)
	}
	return Community{slices.Clone(b)}, nil
}

// String hides the community.
func (Community) String() string { return "(not shown)" }

// GoString hides the community.
func (Community) GoString() string { return "(not shown)" }

// Getter implements [scanner.Prober] for SNMP versions 1 and 2c with a community
// of the operator's: one get request for sysDescr, sysObjectID and sysName. The
// community leaves the process in that request only; of all raw bytes that are
// kept it is taken out.
type Getter struct {
	version   snmpwire.Version
	community Community
}

// NewGetter returns the prober for version "1" or "2c".
func NewGetter(version string, c Community) (*Getter, error) {
	v, ok := map[string]snmpwire.Version{"1": snmpwire.V1, "2c": snmpwire.V2c}[version]
	if !ok {
		return nil, fmt.Errorf("SNMP version %q: want 1 or 2c; version 3 is asked without any community", safetext.Clean(version))
	}
	return &Getter{v, c}, nil
}

// Name returns "snmp-get".
func (*Getter) Name() string { return scanner.SNMPGetProbe }

// Transport returns UDP.
func (*Getter) Transport() evidence.Transport { return evidence.UDP }

// Exchanges lists the one datagram. How long the community is does not show.
func (g *Getter) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What:     fmt.Sprintf("SNMP %s get of sysDescr, sysObjectID and sysName, one datagram with the operator's community, which is not recorded", g.label()),
		MaxBytes: int64(len(snmpwire.Get(g.version, make([]byte, snmpwire.MaxCommunity), 1<<30))),
		Why:      "description, product and name of the device; that it takes a community in clear",
	}}
}

func (g *Getter) label() string {
	if g.version == snmpwire.V1 {
		return "version 1"
	}
	return "version 2c"
}

// Probe sends the request and waits for the response.
func (g *Getter) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("request id: %w", err)
	}
	id := int32(binary.BigEndian.Uint32(random[:]) >> 1)
	obs := probe.Begin(s, evidence.KindIdentity)
	_, err := probe.Talk(ctx, s, &obs, answerTime, func(c net.Conn) error { return g.talk(c, id, &obs) })
	return probe.Observed(obs), err
}

func (g *Getter) talk(c net.Conn, id int32, obs *evidence.Observation) error {
	request := snmpwire.Get(g.version, g.community.secret, id)
	if _, err := c.Write(request); err != nil {
		return err
	}
	answer, response, err := awaitResponse(c, id)
	g.keep(obs, request, answer)
	if err != nil {
		return err
	}
	if response.Status != 0 {
		return fmt.Errorf("%w: error status %d", probe.ErrNotUnderstood, response.Status)
	}
	facts, _, ok := idwire.SNMP(answer)
	if !ok {
		return fmt.Errorf("%w: no description, product or name in it", probe.ErrNotUnderstood)
	}
	for _, text := range append([]string{facts.Description}, facts.Hostnames...) {
		if len(g.community.secret) > 2 && bytes.Contains([]byte(text), g.community.secret) {
			facts.Description, facts.Hostnames = "", nil // an agent that echoes the community
		}
	}
	obs.Facts.Identity = &facts
	return nil
}

// awaitResponse reads datagrams until one answers the request.
func awaitResponse(c net.Conn, id int32) (last []byte, r snmpwire.Response, err error) {
	buf := make([]byte, maxDatagram)
	var damage error
	for range maxDatagrams {
		n, err := c.Read(buf)
		if err != nil {
			return last, r, cmpError(damage, err)
		}
		last = slices.Clone(buf[:n])
		r, err = snmpwire.ParseResponse(last)
		switch {
		case err != nil:
			damage = fmt.Errorf("%w: %w", probe.ErrNotUnderstood, err)
		case r.ID != id:
			damage = fmt.Errorf("%w: it answers request %d, not %d", probe.ErrNotUnderstood, r.ID, id)
		default:
			return last, r, nil
		}
	}
	return last, r, damage
}

// cmpError prefers what came to that nothing more did.
func cmpError(damage, end error) error {
	if damage != nil {
		return damage
	}
	return end
}

// keep takes the raw bytes without the community into obs, and says so.
func (g *Getter) keep(obs *evidence.Observation, request, answer []byte) {
	var blobs [2][]byte
	for i, b := range [][]byte{request, answer} {
		if redacted, ok := snmpwire.Redact(b, g.community.secret); ok {
			blobs[i] = redacted
		}
	}
	obs.Raw = probe.Raw(mediaSent+"-redacted", blobs[0], mediaReceived+"-redacted", blobs[1])
	obs.Detail = g.label() + "; the community was taken out of the raw bytes"
	if len(answer) > 0 && blobs[1] == nil {
		obs.Detail = g.label() + "; the raw answer is not kept: it may hold the community"
	}
}
