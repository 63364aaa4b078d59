package tlsprobe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/tlswire"
)

// maxFlight bounds the bytes kept of one direction: the largest Certificate
// message that tlswire takes, with room for the rest of a flight.
const maxFlight = 384 << 10

// maxWarnings bounds the warning alerts before a ServerHello; one is usual
// (RFC 6066 section 3).
const maxWarnings = 16

// answer is what a server's clear bytes say, and what decryption added.
type answer struct {
	stream   *tlswire.Stream
	received []byte
	hello    *tlswire.ServerHello
	certs    [][]byte
	certSeen bool
	keys     *tlswire.ServerKeyExchange
	request  *tlswire.CertificateRequest
	staple   []byte // DER of an OCSP response
	scts     int
	retried  bool // a second hello was sent
	done     bool // ServerHelloDone: the flight is complete
	alert    *uint8
	warning  *uint8 // the last
	warnings int
	random   [32]byte // of the client; zero: look at what was sent
	scheme   uint16   // of CertificateVerify (TLS 1.3)
	proof    []byte   // the signature in it
	before   int      // bytes of sealed up to the end of the Certificate, which are signed
	alpn     string   // of EncryptedExtensions (TLS 1.3)
	named    bool     // the server used the name, by EncryptedExtensions (TLS 1.3)
	groups   []uint16 // of EncryptedExtensions (TLS 1.3)
	asked13  bool     // a CertificateRequest of TLS 1.3 was read
	read13   bool     // the encrypted flight was read up to the Certificate
	finished bool     // the server's Finished of TLS 1.3 was read
	opened   int      // bytes of received that unseal is past
	sealed   []byte   // what unseal opened
	parsed   int      // bytes of sealed that flight is past
	context  []byte   // of the CertificateRequest of TLS 1.3
	ticket   bool     // a NewSessionTicket was read
	lifetime uint32   // of the ticket, in seconds
	damage   error    // the first thing that did not parse
	// transcript holds the hellos in the clear, as RFC 8446 section 4.4.1 hashes
	// them.
	transcript []byte
}

func newAnswer() *answer { return &answer{stream: tlswire.NewStream(tlswire.Limits{})} }

// feed takes the next bytes of the server. It reports whether the answer is
// complete: nothing that follows in the clear would add to it.
func (a *answer) feed(b []byte) (complete bool) {
	b = b[:min(len(b), maxFlight-len(a.received))]
	a.received = append(a.received, b...)
	messages, err := a.stream.Feed(b)
	for _, m := range messages {
		a.message(m)
	}
	if err != nil {
		a.note(err)
	}
	hopeless := a.hello == nil && a.damage != nil
	retry := a.hello != nil && a.hello.HelloRetryRequest && !a.retried
	return err != nil || hopeless || retry || a.done || a.alert != nil || len(a.received) >= maxFlight
}

// note keeps the first damage; what was read before stays.
func (a *answer) note(err error) {
	if a.damage == nil && err != nil {
		a.damage = err
	}
}

func (a *answer) message(m tlswire.Message) {
	switch {
	case m.Encrypted:
	case m.Kind == tlswire.Alert:
		a.alerted(m.Body)
	case m.Kind == tlswire.ApplicationData && a.hello == nil:
		a.note(errors.New("application data before the ServerHello"))
	case m.Kind == tlswire.Handshake:
		a.note(a.handshake(m))
	}
}

func (a *answer) alerted(body []byte) {
	for pair := range slices.Chunk(body, 2) { // two alerts may share a record
		level, description, err := tlswire.ParseAlert(pair)
		switch {
		case err != nil:
			a.note(err)
		case level == tlswire.AlertFatal && a.alert == nil:
			a.alert = &description
		default:
			a.warning = &description
			if a.warnings++; a.warnings > maxWarnings {
				a.note(fmt.Errorf("more than %d warning alerts", maxWarnings))
			}
		}
	}
}

func (a *answer) handshake(m tlswire.Message) error {
	if a.hello == nil && m.Type != tlswire.TypeServerHello {
		return fmt.Errorf("handshake message of type %d before the ServerHello", m.Type)
	}
	switch m.Type {
	case tlswire.TypeServerHello:
		h, err := tlswire.ParseServerHello(m.Body)
		if err == nil && (a.hello == nil || a.hello.HelloRetryRequest) {
			a.hello = &h
			a.transcript = append(a.transcript, m.Raw...)
		}
		return err
	case tlswire.TypeCertificate:
		if a.certSeen {
			return errors.New("a second Certificate message")
		}
		certs, err := tlswire.ParseCertificate(m.Body)
		a.certs, a.certSeen = certs, true
		return err
	case tlswire.TypeServerKeyExchange:
		k, err := tlswire.ParseServerKeyExchange(m.Body, a.hello.CipherSuite, a.hello.Version)
		if err == nil {
			a.keys = &k
		}
		return err
	case tlswire.TypeCertificateRequest:
		r, err := tlswire.ParseCertificateRequest(m.Body, a.hello.Version)
		a.request = &r // that it was asked is known even if the wish is damaged
		return err
	case tlswire.TypeCertificateStatus:
		response, err := tlswire.ParseCertificateStatus(m.Body)
		a.staple = response
		return err
	case tlswire.TypeNewSessionTicket:
		return a.ticketed(m.Body)
	case tlswire.TypeServerHelloDone:
		a.done = true
	}
	return nil
}

func (a *answer) ticketed(body []byte) error {
	lifetime, err := tlswire.ParseNewSessionTicket(body)
	if err == nil {
		a.ticket, a.lifetime = true, lifetime
	}
	return err
}

// notTLS reports that the very first bytes were those of another protocol.
func (a *answer) notTLS() bool {
	return a.hello == nil && a.alert == nil && a.warning == nil && errors.Is(a.damage, tlswire.ErrNotTLS)
}

// damaged reports that something did not parse.
func (a *answer) damaged() bool { return a.damage != nil }

// spoke reports whether the peer answered in TLS at all.
func (a *answer) spoke() bool { return a.hello != nil || a.alert != nil }

// What is kept of the server's lists, at most.
const (
	maxAuthorities = 64
	maxSchemes     = 64
	maxGroups      = 64
)

// fill writes into f what the answer shows.
func (a *answer) fill(f *evidence.TLSFacts) {
	f.Alert, f.Handshake = a.alert, evidence.StageNone
	if a.notTLS() {
		f.NotTLS, f.Spoke = true, protocolOf(a.received)
	}
	h := a.hello
	if h == nil {
		return
	}
	f.Handshake = evidence.StageServerHello
	if len(a.certs) > 0 {
		f.Handshake = evidence.StageCertificate
	}
	f.Version, f.CipherSuite, f.Compression = h.Version, h.CipherSuite, h.Compression
	f.Group, f.DowngradeSentinel, f.ALPN = h.Group, h.DowngradeSentinel, h.ALPN
	f.OCSPStaple, f.SCTs, f.Retry = len(a.staple) > 0, a.scts+h.SCTs, h.HelloRetryRequest
	if len(h.KeyShare) > 0 {
		f.KeyShare = evidence.DigestOf(h.KeyShare)
	}
	if a.ticket {
		f.SessionTicket, f.TicketLifetime = &a.ticket, a.lifetime
	}
	if a.keys != nil {
		if len(a.keys.Key) > 0 {
			f.KeyShare = evidence.DigestOf(a.keys.Key)
		}
		f.Group, f.DHBits, f.SignatureScheme = a.keys.Group, a.keys.DHBits, a.keys.SignatureScheme
	}
	if h.Version >= tlswire.VersionTLS13 {
		f.SignatureScheme, f.ServerGroups = a.scheme, a.groups
		if a.alpn != "" {
			f.ALPN = a.alpn
		}
	} else if h.Version >= tlswire.VersionTLS10 {
		f.SecureRenegotiation = &h.SecureRenegotiation
		f.UnixTime = binary.BigEndian.Uint32(h.Random[:])
	}
	f.ALPN = safetext.CleanN(f.ALPN, 64)
	if a.request != nil {
		f.RequestSchemes = a.request.SignatureSchemes[:min(len(a.request.SignatureSchemes), maxSchemes)]
		f.Authorities = a.request.Authorities[:min(len(a.request.Authorities), maxAuthorities)]
	}
}

// presented lists the chain as the server sent it.
func (a *answer) presented() []evidence.Presented {
	out := make([]evidence.Presented, 0, len(a.certs))
	for i, der := range a.certs {
		out = append(out, evidence.Presented{Role: evidence.RoleServer, Position: i, DER: der})
	}
	return out
}

// protocolOf names the protocol of a peer's first bytes, or "" if they do not
// tell.
func protocolOf(b []byte) string {
	has := func(prefix string) bool { return bytes.HasPrefix(b, []byte(prefix)) }
	switch {
	case has("SSH-"):
		return "ssh"
	case has("HTTP/"), has("<!DOCTYPE"), has("<html"):
		return "http"
	case len(b) >= 6 && (b[0] == 2 || b[0] == 3 || b[0] == 7) && b[1] == 0 && b[2] == 0: // A-ASSOCIATE-AC, -RJ, A-ABORT (DICOM PS3.8 section 9.3)
		return "dicom"
	case has("\x0bMSH"): // MLLP
		return "hl7"
	}
	return ""
}
