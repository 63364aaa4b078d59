package mtlsprobe

import (
	"context"
	"errors"
	"fmt"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// Options say what the prober has to try with.
type Options struct {
	// Application is the protocol to ask after the handshake, one of the
	// constants; where it is [ApplicationNone] the prober only listens.
	Application string
	// Supplied are the operator's certificates. One of a kind replaces the one
	// that would be made.
	Supplied []Credential
	// Seed makes the keys of the certificates that are made.
	Seed [32]byte
}

// maxChain bounds a supplied chain, in bytes.
const maxChain = 16 << 10

// Prober implements [scanner.Prober] for trials of client certificates.
type Prober struct {
	application string
	supplied    map[evidence.ClientCertificate]*Credential
	seed        [32]byte
	chainBytes  int64
}

// New returns a prober. The error names the credential that cannot be used.
func New(o Options) (*Prober, error) {
	p := &Prober{application: o.Application, supplied: map[evidence.ClientCertificate]*Credential{}, seed: o.Seed}
	for _, c := range o.Supplied {
		size := int64(0)
		for _, der := range c.Chain {
			size += int64(len(der))
		}
		switch {
		case c.Kind == evidence.ClientCertNone, c.Kind == evidence.ClientCertSelfSigned, c.Kind == evidence.ClientCertUnknownCA:
			return nil, fmt.Errorf("the %s certificate cannot be supplied", c.Kind)
		case len(c.Chain) == 0 || c.Key == nil:
			return nil, fmt.Errorf("the %s certificate needs a certificate and its key", c.Kind)
		case size > maxChain:
			return nil, fmt.Errorf("the chain of the %s certificate has %d bytes; give at most %d", c.Kind, size, maxChain)
		}
		p.supplied[c.Kind] = &c
		p.chainBytes = max(p.chainBytes, size)
	}
	return p, nil
}

// Name returns [scanner.BenchProbe].
func (*Prober) Name() string { return scanner.BenchProbe }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// step is one trial of the plan, for each version.
type step struct {
	kind     evidence.ClientCertificate
	supplied *Credential
	control  evidence.Control
}

// steps are the trials of one version, in order: no certificate first, because
// its answer shows whether the server asks for one at all; the control last.
func (p *Prober) steps() []step {
	good := p.supplied[evidence.ClientCertGood]
	control := step{kind: evidence.ClientCertNone, control: evidence.ControlBefore}
	out := []step{control}
	if good != nil {
		out[0].control = ""
		control = step{kind: evidence.ClientCertGood, supplied: good, control: evidence.ControlBefore}
		out = append(out, control)
	}
	for _, kind := range []evidence.ClientCertificate{
		evidence.ClientCertSelfSigned, evidence.ClientCertUnknownCA, evidence.ClientCertExpired,
		evidence.ClientCertNotYetValid, evidence.ClientCertWrongPurpose, evidence.ClientCertRevoked,
	} {
		if kind != evidence.ClientCertRevoked || p.supplied[kind] != nil {
			out = append(out, step{kind: kind, supplied: p.supplied[kind]})
		}
	}
	control.control = evidence.ControlAfter
	return append(out, control)
}

// what a step sends, in words.
func (s step) what() string {
	if s.kind == evidence.ClientCertNone {
		return "no client certificate"
	}
	if s.supplied != nil {
		return "the supplied " + string(s.kind) + " certificate"
	}
	return "a made " + string(s.kind) + " certificate"
}

func versions() []uint16 { return []uint16{tlswire.VersionTLS12, tlswire.VersionTLS13} }

// Exchanges lists the trials. There are none below the exhaustive level: this
// prober belongs on a bench.
func (p *Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	if level != scanner.Exhaustive {
		return nil
	}
	after := "then one second of listening"
	switch p.application {
	case ApplicationHTTP:
		after = "then one GET /"
	case ApplicationDICOM:
		after = "then one A-ASSOCIATE-RQ and its release"
	}
	var out []scanner.Exchange
	for _, v := range versions() {
		for i, s := range p.steps() {
			x := scanner.Exchange{
				What:     fmt.Sprintf("%s handshake with %s, %s", tlswire.VersionName(v), s.what(), after),
				MaxBytes: 8192 + p.chainBytes, Why: "whether the server refuses it",
			}
			if s.control != "" {
				x.Why = fmt.Sprintf("control %s the other trials: whether the server is well", s.control)
			}
			if i == 0 {
				x.Why += "; whether the server asks for a certificate"
			} else {
				x.When = "only if the server asks for a certificate in this version"
			}
			out = append(out, x)
		}
	}
	return out
}

// run is one probe under way.
type run struct {
	prober  *Prober
	session scanner.Session
	maker   *maker
}

// Probe makes the trials. It leaves a version out that the server does not speak
// or does not ask for a certificate in, and stops when the server does not
// answer at all.
func (p *Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	if s.Level() != scanner.Exhaustive {
		return nil, errors.New("trials of client certificates need the exhaustive level")
	}
	r := &run{prober: p, session: s, maker: newMaker(p.seed, s.Now())}
	var out []evidence.Observation
	for _, v := range versions() {
		for i, st := range p.steps() {
			obs, err := r.try(ctx, trial{step: st, version: v, number: len(out) + 1})
			if obs.Result != "" {
				out = append(out, obs)
			}
			if err != nil || gone(obs) || notTLS(obs) {
				return out, err
			}
			if i == 0 && (!answered(obs) || !obs.Facts.MTLS.Requested) {
				break
			}
		}
	}
	return out, nil
}
