// Package sshprobe reads what an SSH server shows before authentication: its
// identification, its algorithms and its host keys (RFC 4253 sections 4.2, 7
// and 8).
//
// It never authenticates and ends every connection as soon as the host key is
// there.
//
// Invariant: no authentication request leaves this package; the key exchange is
// ended in the callback that receives the host key.
package sshprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
	"probity/scanner/probe"
)

// maxKept bounds the bytes kept of each direction: a key exchange has a few
// kilobytes.
const maxKept = 64 << 10

// maxMoreKeys is how many host keys beside the preferred one are fetched at
// [scanner.Standard] and above.
const maxMoreKeys = 2

// maxHostKey bounds a host key as it is recorded; an RSA key of 16,384 bits has
// about 2 KiB.
const maxHostKey = 16 << 10

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-ssh-sent"
	mediaReceived = "application/x-probity-ssh-received"
)

// errSeen ends the key exchange once the host key is known.
var errSeen = errors.New("host key seen")

// Prober implements [scanner.Prober] for SSH over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "ssh".
func (*Prober) Name() string { return "ssh" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the key exchanges of a level.
func (*Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	out := []scanner.Exchange{{
		What: "SSH identification and key exchange, ended at the host key", MaxBytes: 8192,
		Why: "identification, algorithms, preferred host key",
	}}
	if level == scanner.Gentle {
		return out
	}
	for range maxMoreKeys {
		out = append(out, scanner.Exchange{
			What: "SSH key exchange that asks for another type of host key", MaxBytes: 8192,
			When: "only if the server has one more", Why: "every host key identifies the device",
		})
	}
	return out
}

// Probe fetches the host key that the server gives to an ordinary client and,
// above [scanner.Gentle], up to two of the other types it offers.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs, err := fetch(ctx, s, hostKeyAlgorithms())
	if obs.Result == "" {
		return nil, err
	}
	out := []evidence.Observation{obs}
	if err != nil || s.Level() == scanner.Gentle || len(obs.Keys) == 0 {
		return out, err
	}
	for _, algorithms := range otherTypes(obs.Facts.SSH.HostKeys, obs.Keys[0].Algorithm) {
		more, err := fetch(ctx, s, algorithms)
		if more.Result != "" {
			out = append(out, more)
		}
		if err != nil || more.Result != evidence.ResultData {
			return out, err
		}
	}
	return out, nil
}

// hostKeyAlgorithms are all that the client can verify, certificates left out:
// their key is what counts.
func hostKeyAlgorithms() []string {
	all := slices.Concat(ssh.SupportedAlgorithms().HostKeys, ssh.InsecureAlgorithms().HostKeys)
	return slices.DeleteFunc(all, func(a string) bool { return strings.Contains(a, "-cert-") })
}

// otherTypes groups the server's algorithms by the type of key they use, without
// the type seen already, at most [maxMoreKeys].
func otherTypes(offered []string, seen string) [][]string {
	known := hostKeyAlgorithms()
	var order []string
	byType := map[string][]string{}
	for _, a := range offered {
		t := keyType(a)
		if t == seen || !slices.Contains(known, a) {
			continue
		}
		if byType[t] == nil {
			order = append(order, t)
		}
		byType[t] = append(byType[t], a)
	}
	var out [][]string
	for _, t := range order[:min(len(order), maxMoreKeys)] {
		out = append(out, byType[t])
	}
	return out
}

// keyType is the key format of a signature algorithm (RFC 8332 section 2).
func keyType(algorithm string) string {
	if strings.HasPrefix(algorithm, "rsa-sha2-") {
		return ssh.KeyAlgoRSA
	}
	return algorithm
}

// fetch makes one key exchange. A result of "" means that nothing was sent.
func fetch(ctx context.Context, s scanner.Session, algorithms []string) (evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindSSH)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, nil
	}
	wire := probe.NewTap(c, maxKept)
	var key ssh.PublicKey
	// An error is certain: at the latest, the callback makes one.
	client, _, _, failure := ssh.NewClientConn(wire, s.Endpoint().HostPort(), clientConfig(algorithms, &key))
	if client != nil {
		failure = errors.Join(errors.New("the key exchange went on past the host key"), client.Close())
	}
	sent, received := wire.Seal()
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	obs.Raw = probe.Raw(mediaSent, sent, mediaReceived, received)
	conclude(&obs, received, key, failure)
	return obs, ctx.Err()
}

func clientConfig(algorithms []string, key *ssh.PublicKey) *ssh.ClientConfig {
	sound, old := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	return &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: slices.Concat(sound.KeyExchanges, old.KeyExchanges),
			Ciphers:      slices.Concat(sound.Ciphers, old.Ciphers),
			MACs:         slices.Concat(sound.MACs, old.MACs),
		},
		ClientVersion:     "SSH-2.0-probity",
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			*key = k
			return errSeen
		},
	}
}

// conclude writes what the bytes show. Damage after the identification leaves it
// a fact.
func conclude(obs *evidence.Observation, received []byte, key ssh.PublicKey, failure error) {
	facts, err := parseServer(received)
	switch {
	case facts != nil:
		obs.Result, obs.Facts.SSH = evidence.ResultData, facts
		if key == nil && failure != nil {
			obs.Detail = safetext.Clean("no host key: " + probe.Cause(failure))
		} else if err != nil {
			obs.Detail = safetext.Clean(err.Error())
		}
	case len(received) > 0 && probe.ResultOf(failure) != evidence.ResultTimeout:
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(err.Error())
	default:
		probe.Fail(obs, "no identification", failure)
	}
	if key == nil || facts == nil {
		return
	}
	if blob := key.Marshal(); len(blob) <= maxHostKey {
		obs.Keys = []evidence.HostKey{{Algorithm: key.Type(), Blob: blob}}
		if facts.Signature = signature(received, blob); facts.Signature != nil {
			facts.Signature.Verified = true // the client checks it before it hands out the key
		}
	} else {
		obs.Detail = fmt.Sprintf("the host key of %d bytes is too long to be kept", len(blob))
	}
}
