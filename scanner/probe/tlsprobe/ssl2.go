package tlsprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// maxSSL2 bounds the answer to an SSL 2.0 hello: its record length has 15 bits.
const maxSSL2 = 1<<15 + 2

// maxSSL2Ciphers bounds what is kept of a SERVER-HELLO; the protocol has seven.
const maxSSL2Ciphers = 64

// askSSL2 sends an SSL 2.0 CLIENT-HELLO and reads the SERVER-HELLO.
func askSSL2(ctx context.Context, s scanner.Session) (evidence.Observation, error) {
	o := offer{name: evidence.OfferSSL2, version: tlswire.VersionSSL2}
	obs := probe.Begin(s, evidence.KindTLS)
	obs.Facts.TLS = o.facts()
	var challenge [16]byte
	if _, err := rand.Read(challenge[:]); err != nil {
		return obs, fmt.Errorf("challenge: %w", err)
	}
	hello := tlswire.SSL2ClientHello(challenge)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, nil
	}
	_, failure := c.Write(hello)
	var received []byte
	if failure == nil {
		received, failure = readSSL2(c)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	concludeSSL2(&obs, hello, received, failure)
	return obs, ctx.Err()
}

func readSSL2(c net.Conn) ([]byte, error) {
	var received []byte
	buf := make([]byte, 4096)
	for len(received) < maxSSL2 {
		n, err := c.Read(buf)
		received = append(received, buf[:n]...)
		if _, perr := tlswire.ParseSSL2ServerHello(received); perr == nil {
			return received, nil
		}
		if len(received) > 2 && received[0]&0x80 == 0 && (received[0] != byte(tlswire.Alert) || len(received) >= 7) {
			return received, nil // an alert, or no SSL 2.0 record at all
		}
		if err != nil {
			return received, err
		}
	}
	return received, errors.New("no SERVER-HELLO")
}

// concludeSSL2 writes what became of the SSL 2.0 hello. A server that refuses
// in TLS, by an alert, has answered.
func concludeSSL2(obs *evidence.Observation, hello, received []byte, failure error) {
	f := obs.Facts.TLS
	if h, err := tlswire.ParseSSL2ServerHello(received); err == nil {
		obs.Raw = probe.Raw(mediaSent, hello, mediaReceived, received)
		obs.Result, f.Version, f.Handshake = evidence.ResultData, tlswire.VersionSSL2, evidence.StageServerHello
		if len(h.Certificate) > 0 {
			f.Handshake = evidence.StageCertificate
			obs.Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: h.Certificate}}
		}
		f.SSL2Ciphers = h.Ciphers[:min(len(h.Ciphers), maxSSL2Ciphers)]
		if len(h.Ciphers) == 0 {
			obs.Detail = "the server knows SSL 2.0, and no cipher of it"
		}
		return
	}
	if failure != nil && len(received) > 0 && received[0]&0x80 != 0 {
		obs.Raw = probe.Raw(mediaSent, hello, mediaReceived, received)
		probe.Fail(obs, "the answer is cut off", failure)
		return
	}
	a := newAnswer()
	a.feed(received)
	if a.spoke() {
		a.hello = nil // an SSL 2.0 hello cannot be answered by a ServerHello of TLS
	}
	conclude(obs, hello, a, failure)
	if obs.Result == evidence.ResultData && f.NotTLS {
		obs.Result, f.NotTLS, f.Spoke = evidence.ResultError, false, ""
		obs.Detail = safetext.Clean("the answer is neither a SERVER-HELLO nor an alert")
	}
}
