// Package bannerprobe reads what an FTP or telnet server says before anything is
// sent to it.
//
// It sends nothing at all: it neither logs in nor answers a telnet negotiation.
//
// Invariant: no byte leaves this package; a connection ends after two seconds or
// 512 bytes.
package bannerprobe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	totalTime = 2 * time.Second
	maxBanner = 512
)

const mediaReceived = "application/x-probity-banner-received"

const portTelnet = 23

// Prober implements [scanner.Prober] for FTP and telnet over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "banner".
func (*Prober) Name() string { return "banner" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one connection.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "TCP connection that sends nothing, at most 2 s", MaxBytes: 0,
		Why: "whether an FTP or telnet server answers, and which",
	}}
}

// Probe listens.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindBanner)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return nil, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return []evidence.Observation{obs}, nil
	}
	telnet := s.Endpoint().Port == portTelnet
	failure := c.SetReadDeadline(s.Now().Add(totalTime))
	var received []byte
	if failure == nil {
		received, failure = listen(c, telnet)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	conclude(&obs, received, telnet, failure)
	return []evidence.Observation{obs}, ctx.Err()
}

// listen reads until the banner is complete: a reply of FTP (RFC 959 section
// 4.2), or the first bytes of telnet.
func listen(c net.Conn, telnet bool) ([]byte, error) {
	buf := make([]byte, maxBanner)
	n := 0
	for n < len(buf) {
		m, err := c.Read(buf[n:])
		n += m
		if telnet && console(buf[:n]) > 0 || !telnet && completeReply(buf[:n]) {
			return buf[:n], nil
		}
		if err != nil {
			return buf[:n], err
		}
	}
	return buf[:n], nil
}

// completeReply reports whether b ends in the last line of a reply.
func completeReply(b []byte) bool {
	if !bytes.HasSuffix(b, []byte("\n")) {
		return false
	}
	lines := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
	last := lines[len(lines)-1]
	return len(last) >= 4 && isCode(last[:3]) && last[3] == ' '
}

func isCode(s string) bool {
	return s[0] >= '1' && s[0] <= '5' && s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9'
}

// errOther marks a peer that is neither.
var errOther = errors.New("the peer speaks another protocol")

// conclude writes what was heard. Of telnet, where a console may greet a person,
// the negotiation bytes only are kept.
func conclude(obs *evidence.Observation, received []byte, telnet bool, failure error) {
	kept := received
	var facts *evidence.BannerFacts
	var err error
	if telnet {
		facts, kept, err = ofTelnet(received)
	} else {
		facts, err = ofFTP(received)
	}
	if err != nil {
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(err.Error())
		return
	}
	if facts == nil {
		if failure == nil {
			failure = errOther
		}
		probe.Fail(obs, "no banner", failure)
		return
	}
	obs.Result, obs.Facts.Banner = evidence.ResultData, facts
	obs.Raw = probe.Raw("", nil, mediaReceived, kept)
}

// ofFTP reads a greeting (RFC 959 section 5.4: 220, 120 or 421).
func ofFTP(b []byte) (*evidence.BannerFacts, error) {
	if len(b) == 0 {
		return nil, nil
	}
	for _, code := range []string{"220", "120", "421"} {
		if bytes.HasPrefix(b, []byte(code+" ")) || bytes.HasPrefix(b, []byte(code+"-")) {
			line, _, _ := strings.Cut(string(b), "\n")
			return &evidence.BannerFacts{Protocol: "ftp", Text: safetext.CleanN(strings.TrimRight(line, "\r"), maxBanner)}, nil
		}
	}
	return nil, fmt.Errorf("%w: no FTP greeting", errOther)
}

// iac begins a command of telnet (RFC 854).
const iac = 0xff

// prompt is what a login of telnet ends in.
var prompt = regexp.MustCompile(`(?i)(login|username|user name|password)[^\n]{0,20}:\s*$`)

// console returns the length of what shows a telnet server: its option
// negotiation at the beginning (WILL, WONT, DO, DONT), or the prompt of a login
// at the end. 0 means that nothing does.
func console(b []byte) int {
	n := 0
	for n+3 <= len(b) && b[n] == iac && b[n+1] >= 0xfb && b[n+1] <= 0xfe {
		n += 3
	}
	if n == 0 {
		n = len(prompt.Find(b))
	}
	return n
}

// ofTelnet returns what shows a telnet server, without the rest of what it says.
func ofTelnet(b []byte) (*evidence.BannerFacts, []byte, error) {
	n := console(b)
	switch {
	case len(b) == 0:
		return nil, nil, nil
	case n == 0:
		return nil, nil, fmt.Errorf("%w: neither a negotiation nor a login prompt", errOther)
	case b[0] == iac:
		return &evidence.BannerFacts{Protocol: "telnet", Options: true}, b[:n], nil
	}
	return &evidence.BannerFacts{Protocol: "telnet"}, bytes.TrimSpace(b[len(b)-n:]), nil
}
