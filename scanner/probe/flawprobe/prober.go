package flawprobe

import (
	"context"
	"slices"

	"probity/evidence"
	"probity/scanner"
)

// Prober implements [scanner.Prober] for trials of known flaws.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns [scanner.FlawProbe].
func (*Prober) Name() string { return scanner.FlawProbe }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Bounds of what is sent on one connection.
const (
	helloBytes   = 256
	triedBytes   = helloBytes + 64   // with a few small records
	messageBytes = helloBytes + 2200 // with a message encrypted for the largest key
)

// Exchanges lists the trials. They belong on a bench: below the exhaustive level
// there are none.
func (*Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	if level != scanner.Exhaustive {
		return nil
	}
	message := scanner.Exchange{
		What: "ClientHello of RSA suites, then a premaster secret with wrong padding", MaxBytes: messageBytes,
		Why: "whether the answers tell how the padding is wrong (ROBOT)", When: "only if the server takes RSA key transport",
	}
	again := message
	again.What, again.When = "the same, without ChangeCipherSpec and Finished; or again", "only if the answers to all five were the same, or to confirm that they were not"
	out := []scanner.Exchange{
		{
			What: "ClientHello with heartbeat, then a heartbeat that asks for four bytes more than it brings", MaxBytes: triedBytes,
			Why: "whether memory is given out (Heartbleed)",
		},
		{
			What: "ClientHello, then ChangeCipherSpec before there is a key, twice", MaxBytes: triedBytes,
			Why: "whether it is taken (CCS injection)",
		},
	}
	out = append(out, slices.Repeat([]scanner.Exchange{message}, messages)...)
	return append(out, slices.Repeat([]scanner.Exchange{again}, 2*messages)...)
}

// run is one probe under way.
type run struct {
	session scanner.Session
	out     []evidence.Observation
}

// Probe makes the trials, one after the other. It stops when the server does not
// answer at all.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	r := &run{session: s}
	if s.Level() != scanner.Exhaustive {
		return nil, nil
	}
	for _, trial := range []struct {
		flaw evidence.Flaw
		try  func(*connection) (evidence.Shown, string)
	}{
		{evidence.FlawHeartbleed, (*connection).heartbleed},
		{evidence.FlawCCS, (*connection).changeCipher},
	} {
		if well, err := r.one(ctx, &evidence.FlawFacts{Flaw: trial.flaw}, trial.try); err != nil || !well {
			return r.out, err
		}
	}
	err := r.robot(ctx)
	return r.out, err
}
