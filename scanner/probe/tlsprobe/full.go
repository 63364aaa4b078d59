package tlsprobe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/zmap/zcrypto/tls"
	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/probe"
)

// lateAlert is how long a TLS 1.3 server that asked for a client certificate is
// given to refuse the empty one: its own Finished comes before it judges.
const lateAlert = 300 * time.Millisecond

// fullSuites are all suites that the full client can complete a handshake with,
// and the DSS ones, with which it gets at least the certificate.
func fullSuites() []uint16 {
	return []uint16{
		suiteAES128, suiteChaCha, suiteAES256,
		0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, // ECDHE with AEAD
		0x009e, 0x009f, 0xccaa, // DHE with AEAD
		0xc023, 0xc027, 0xc009, 0xc013, 0xc00a, 0xc014, // ECDHE with CBC
		0x0067, 0x006b, 0x0033, 0x0039, // DHE with CBC
		0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, // RSA
		0x00a2, 0x00a3, 0x0040, 0x006a, 0x0032, 0x0038, // DHE with DSS
		0xc008, 0xc012, 0x0016, 0x000a, 0x0013, // 3DES
		0xc007, 0xc011, 0x0005, 0x0066, // RC4
	}
}

// handshake makes the full handshake: TLS 1.0 to 1.3, every suite of the client,
// no client certificate, no judgement of the server's.
func handshake(ctx context.Context, s scanner.Session) (evidence.Observation, *answer, error) {
	o := offer{name: evidence.OfferFull, version: tlswire.VersionTLS13, suites: fullSuites()}
	obs := probe.Begin(s, evidence.KindTLS)
	obs.Facts.TLS = o.facts(s.Endpoint().Name)
	a := newAnswer()
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, a, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, a, nil
	}
	wire := probe.NewTap(c, maxFlight)
	var keyLog bytes.Buffer
	client := tls.Client(wire, config(s, o.suites, &keyLog))
	failure := client.Handshake()
	sent, received := wire.Seal() // what follows may be application data
	complete := failure == nil
	var late error
	if complete && client.ConnectionState().Version == tlswire.VersionTLS13 {
		// Only a server that asked will judge the empty certificate.
		if a.readSealed(received, keyLog.Bytes()); a.asked13 {
			late = awaitAlert(client, s.Now)
		}
	} else {
		a.readSealed(received, keyLog.Bytes())
	}
	if a.notTLS() {
		readName(c, a, s.Now)
	}
	if complete {
		// close_notify, without waiting for the answer; Close reports only that
		// the peer was gone first.
		_ = client.Close()
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	conclude(&obs, sent, a, failure)
	if line, _ := secretLine(keyLog.Bytes()); line != nil {
		obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaSecret, Data: line})
	}
	a.finish(&obs, complete, failure, late)
	return obs, a, ctx.Err()
}

func config(s scanner.Session, suites []uint16, keyLog io.Writer) *tls.Config {
	return &tls.Config{
		Time:               s.Now,
		ServerName:         s.Endpoint().Name,
		MinVersion:         tlswire.VersionTLS10,
		MaxVersion:         tlswire.VersionTLS13,
		InsecureSkipVerify: true,               // an observer: every certificate is taken
		RootCAs:            x509.NewCertPool(), // empty, or every handshake would build chains to the system's roots
		CipherSuites:       suites,
		ForceSuites:        true, // else suites outside a built-in list are dropped from the hello
		// One share and no lattice hybrid: the hello stays small enough for old stacks.
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		SessionTicketsDisabled: true,
		KeyLogWriter:           keyLog,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{}, nil // an empty one: never more
		},
	}
}

// readSealed reads the bytes of a full handshake, decrypting what TLS 1.3 hides.
func (a *answer) readSealed(received, keyLog []byte) {
	a.feed(received)
	if a.hello == nil || a.hello.Version < tlswire.VersionTLS13 || a.hello.HelloRetryRequest {
		return
	}
	if _, secret := secretLine(keyLog); secret != nil {
		a.note(a.decrypt(secret))
	}
}

// awaitAlert waits a moment for the server to refuse. It returns what ended the
// connection, or nil if the server kept it open or spoke first.
func awaitAlert(client *tls.Conn, now func() time.Time) error {
	if err := client.SetReadDeadline(now().Add(lateAlert)); err != nil {
		return err
	}
	_, err := client.Read(make([]byte, 1))
	if err != nil && probe.ResultOf(err) == evidence.ResultTimeout {
		return nil
	}
	return err
}

// finish adds what only a full handshake shows: that it completed, and what the
// server thinks of a client without a certificate.
func (a *answer) finish(obs *evidence.Observation, complete bool, failure, late error) {
	f := obs.Facts.TLS
	if a.hello == nil {
		return
	}
	f.ExtendedMasterSecret = nil // not offered
	if complete {
		f.Handshake = evidence.StageComplete
	} else if failure != nil && obs.Detail == "" {
		obs.Detail = safetext.Clean("the handshake did not complete: " + probe.Cause(failure))
	}
	seenFlight := a.done || a.read13
	var alert tls.Alert
	switch {
	case a.request == nil && seenFlight:
		f.ClientAuth = evidence.ClientAuthNotAsked
	case a.request == nil:
	case errors.As(late, &alert):
		description := uint8(alert)
		f.Alert, f.ClientAuth = &description, evidence.ClientAuthRequired
	case late != nil && !errors.Is(late, io.EOF): // io.EOF is an orderly end
		f.ClientAuth = evidence.ClientAuthRequired
		obs.Detail = safetext.Clean("closed by the server after an empty client certificate: " + probe.Cause(late))
	case !complete && a.refusesClient(failure):
		f.ClientAuth = evidence.ClientAuthRequired
	default:
		f.ClientAuth = evidence.ClientAuthRequested
	}
}

// refusesClient reports whether a handshake that did not complete was ended by
// the server after the client had no certificate to send. Stacks differ in the
// alert (RFC 5246 section 7.4.6 says handshake_failure).
func (a *answer) refusesClient(failure error) bool {
	if !a.done && !a.read13 {
		return false
	}
	if a.alert == nil {
		return probe.ResultOf(failure) == evidence.ResultReset
	}
	refusals := []uint8{40, 41, 42, 43, 44, 45, 46, 48, 49, 80, 116}
	return slices.Contains(refusals, *a.alert)
}
