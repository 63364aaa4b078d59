package mtlsprobe

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/zmap/zcrypto/tls"
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
	"probity/scanner/probe"
)

// Media types of the raw bytes.
const (
	mediaSent        = "application/x-probity-tls-sent"
	mediaReceived    = "application/x-probity-tls-received"
	mediaCertificate = "application/pkix-cert"
)

const (
	maxHandshake = 128 << 10 // bytes kept of each direction of a handshake
	maxListed    = 128       // authorities and schemes of a certificate request
)

// trial is one connection with one certificate.
type trial struct {
	step    step
	version uint16
	number  int
}

// connection is what happens on the one connection of a trial.
type connection struct {
	run       *run
	facts     *evidence.MTLSFacts
	supplied  *Credential
	server    [][]byte // certificates of the server
	presented [][]byte // certificates of the client
	failed    error    // making the certificate
}

// try makes one trial. The error is that of a stopped probe; without a result
// nothing was sent.
func (r *run) try(ctx context.Context, t trial) (evidence.Observation, error) {
	obs := probe.Begin(r.session, evidence.KindMTLS)
	f := &evidence.MTLSFacts{
		Trial: t.number, Version: t.version, Certificate: t.step.kind, Supplied: t.step.supplied != nil,
		Control: t.step.control, Handshake: evidence.StageNone,
	}
	obs.Facts.MTLS = f
	c, err := r.session.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		f.End = evidence.EndUnreached
		return obs, nil
	}
	conn := &connection{run: r, facts: f, supplied: t.step.supplied}
	wire := probe.NewTap(c, maxHandshake)
	client := tls.Client(wire, conn.config())
	ended := client.Handshake()
	sent, received := wire.Seal() // what follows is the application's
	complete := ended == nil
	switch {
	case complete:
		f.Handshake = evidence.StageComplete
		f.Application = r.prober.application
		ended = speak(client, f.Application, r.session.Endpoint().HostPort(), r.session.Now, f)
		// close_notify, without waiting for the answer; Close reports only that the
		// peer was gone first.
		_ = client.Close()
	case f.Handshake == evidence.StageNone && client.GetHandshakeLog().ServerHello != nil:
		f.Handshake = evidence.StageServerHello
	}
	if err := c.Close(); err != nil && ended == nil && !complete {
		ended = err
	}
	conn.conclude(&obs, ended, sent, received)
	return obs, ctx.Err()
}

// config is the client's side: one version, ordinary suites, every certificate
// of the server taken.
func (c *connection) config() *tls.Config {
	s, version := c.run.session, c.facts.Version
	return &tls.Config{
		Time: s.Now, ServerName: s.Endpoint().Name, MinVersion: version, MaxVersion: version,
		InsecureSkipVerify: true,               // an observer
		RootCAs:            x509.NewCertPool(), // empty, or every handshake would build chains to the system's roots
		CipherSuites:       suites(version), ForceSuites: true,
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		SessionTicketsDisabled: true,
		VerifyPeerCertificate: func(chain [][]byte, _ []x509.CertificateChain) error {
			c.facts.Handshake, c.server = evidence.StageCertificate, chain
			return nil
		},
		GetClientCertificate: c.certificate,
	}
}

// suites are those that a server of medical equipment may have, the best first.
func suites(version uint16) []uint16 {
	if version == tls.VersionTLS13 {
		return []uint16{0x1301, 0x1303, 0x1302}
	}
	return []uint16{
		0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009e, 0x009f, // (EC)DHE with AEAD
		0xc023, 0xc027, 0xc009, 0xc013, 0xc00a, 0xc014, 0x0067, 0x0033, 0x0039, // (EC)DHE with CBC
		0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, // RSA
	}
}

// certificate is called when the server asks for one. An empty certificate is
// the answer of a client that has none.
func (c *connection) certificate(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.facts.Requested = true
	for _, name := range info.AcceptableCAs[:min(len(info.AcceptableCAs), maxListed)] {
		c.facts.Authorities = append(c.facts.Authorities, slices.Clone(name))
	}
	for _, scheme := range info.SignatureSchemes[:min(len(info.SignatureSchemes), maxListed)] {
		c.facts.Schemes = append(c.facts.Schemes, uint16(scheme))
	}
	cert := &tls.Certificate{}
	switch {
	case c.supplied != nil:
		cert.Certificate, cert.PrivateKey = c.supplied.Chain, c.supplied.Key
	case c.facts.Certificate != evidence.ClientCertNone:
		cert, c.failed = c.run.maker.make(c.facts.Certificate, request{info.AcceptableCAs, info.SignatureSchemes, c.server})
		if c.failed != nil {
			return nil, c.failed
		}
	}
	c.presented = cert.Certificate
	return cert, nil
}

// conclude writes what became of the connection.
func (c *connection) conclude(obs *evidence.Observation, ended error, sent, received []byte) {
	f := c.facts
	f.End = endOf(ended)
	var alert tls.Alert
	if f.End == evidence.EndAlert && errors.As(ended, &alert) {
		description := uint8(alert)
		f.Alert = &description
	}
	if f.End == evidence.EndOpen && ended != nil { // a time-out of the handshake
		f.End = evidence.EndTimeout
	}
	switch {
	case len(received) > 0:
		obs.Result = evidence.ResultData
		if ended != nil {
			obs.Detail = safetext.Clean("ended by: " + probe.Cause(ended))
		}
	case ended != nil:
		probe.Fail(obs, "no answer to the ClientHello", ended)
	}
	obs.Raw = probe.Raw(mediaSent, sent, mediaReceived, received)
	if f.Handshake != evidence.StageNone && len(c.presented) > 0 {
		f.Leaf = evidence.DigestOf(c.presented[0])
		for _, der := range c.presented {
			obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaCertificate, Data: der})
		}
	}
	if f.Certificate == evidence.ClientCertNone {
		for i, der := range c.server {
			if len(der) > 0 {
				obs.Certs = append(obs.Certs, evidence.Presented{Role: evidence.RoleServer, Position: i, DER: der})
			}
		}
	}
}

// endOf sorts what ended a connection. A time-out is [evidence.EndOpen]: nothing
// ended it.
func endOf(err error) evidence.End {
	var alert tls.Alert
	var op *net.OpError
	switch {
	case err == nil:
		return evidence.EndOpen
	case errors.As(err, &op) && op.Op == "remote error" && errors.As(err, &alert):
		return evidence.EndAlert
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return evidence.EndClosed
	}
	switch probe.ResultOf(err) {
	case evidence.ResultTimeout:
		return evidence.EndOpen
	case evidence.ResultReset:
		return evidence.EndReset
	case evidence.ResultRefused, evidence.ResultData, evidence.ResultError:
	}
	return evidence.EndLocal
}

// answered reports whether the server took part in the handshake far enough to
// say that it speaks the version.
func answered(obs evidence.Observation) bool {
	return obs.Facts.MTLS.Handshake != evidence.StageNone
}

// gone reports whether nothing at all came back: a server that is not well is
// left alone.
func gone(obs evidence.Observation) bool {
	return obs.Result != evidence.ResultData && obs.Result != evidence.ResultReset
}

// notTLS reports whether the first byte that came is of no TLS record.
func notTLS(obs evidence.Observation) bool {
	for _, b := range obs.Raw {
		if b.Media == mediaReceived {
			return b.Data[0] != 21 && b.Data[0] != 22
		}
	}
	return false
}

var _ scanner.Prober = (*Prober)(nil)
