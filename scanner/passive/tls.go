package passive

import (
	"errors"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/ocspwire"
	"probity/internal/wire/tlswire"
)

const (
	// mediaTLS are the handshake messages in clear that the client sent and then
	// those of the server, which begin with its hello. Of a Certificate message it
	// has the header: its body is the list of the certificates presented. What may
	// name a user is zero.
	mediaTLS    = "application/x-probity-tls-handshake"
	mediaStaple = "application/ocsp-response" // RFC 6960 appendix C.2

	maxOfferedSuites = 256
	maxTLSRaw        = 512 << 10 // bytes of handshake messages kept of a side
	maxTLSMessages   = 32        // of them
	maxOffered       = 64        // groups and schemes
	maxVersions      = 16
)

// What a handshake travels in, in the letters of JA4.
const (
	carrierTCP  = 't'
	carrierDTLS = 'd'
	carrierQUIC = 'q'
)

// tlsSession reads a handshake. The two sides are told apart by their hellos.
type tlsSession struct {
	sides [2]tlsSide
}

// tlsSide is one direction: what it said, as far as it is in clear.
type tlsSide struct {
	stream    *tlswire.Stream
	fed       bool
	client    *tlswire.ClientHello // the last one
	server    *tlswire.ServerHello // the last one
	certs     [][]byte
	presented bool // a Certificate message came, perhaps an empty one
	request   []byte
	asked     bool
	helloDone bool
	odd       bool // a message that is not kept came before the end of the hellos
	kex       []byte
	verify    []byte // body of a CertificateVerify
	staple    []byte // DER of an OCSP response
	carrier   byte   // as JA4 has it
	ja3, ja4  string // of the first hello
	alert     *uint8 // of a fatal alert in clear
	finished  bool   // encrypted handshake bytes came
	notTLS    bool
	spoke     string
	detail    string   // why reading ended early
	raw       [][]byte // messages, as they came
	said      [][]byte // the same, and whole: what a client signs
	rawBytes  int      // in them
}

func newTLSSession() session {
	s := &tlsSession{}
	for i := range s.sides {
		s.sides[i].stream, s.sides[i].carrier = tlswire.NewStream(tlswire.Limits{}), carrierTCP
	}
	return s
}

func (s *tlsSession) held() int {
	n := 0
	for i := range s.sides {
		n += s.sides[i].stream.Buffered() + s.sides[i].rawBytes
	}
	return n
}

func (s *tlsSession) feed(side int, b []byte) (done bool) {
	t := &s.sides[side]
	list, err := t.stream.Feed(b)
	if slices.ContainsFunc(list, t.message) { // up to the message that ends the part in clear
		return true
	}
	if err != nil {
		t.notTLS = errors.Is(err, tlswire.ErrNotTLS) && !t.fed
		if t.notTLS {
			t.spoke = spoken(b)
		} else {
			t.detail = "reading ended early: " + err.Error()
		}
		return true
	}
	t.fed = true
	return t.rawBytes > maxTLSRaw
}

// message takes one message and reports whether the side's part in clear is over.
func (t *tlsSide) message(m tlswire.Message) (done bool) {
	t.fed = true
	switch m.Kind {
	case tlswire.ApplicationData: // in TLS 1.3 everything after the hellos comes as this
		return true
	case tlswire.Alert:
		level, description, err := tlswire.ParseAlert(m.Body)
		if m.Encrypted || err != nil {
			return true
		}
		if level == tlswire.AlertFatal {
			t.alert = &description
			return true
		}
	case tlswire.ChangeCipherSpec:
	case tlswire.Handshake:
		if m.Encrypted {
			t.finished = true
			return true
		}
		if raw := t.handshake(m); raw != nil && len(t.raw) < maxTLSMessages {
			t.raw, t.said = append(t.raw, raw), append(t.said, m.Raw)
			t.rawBytes += len(m.Raw)
		}
	}
	return false
}

// handshake takes one handshake message and returns what of its bytes is kept as
// evidence: all, or nothing. Of a Certificate or CertificateStatus message the
// header is enough, because what it carries is recorded beside it.
func (t *tlsSide) handshake(m tlswire.Message) (keep []byte) {
	keep = m.Raw
	var err error
	switch m.Type {
	case tlswire.TypeClientHello:
		var h tlswire.ClientHello
		if h, err = tlswire.ParseClientHello(m.Body); err == nil {
			t.hello(&h)
		}
		if tlswire.RedactClientHello(m.Raw[min(t.header(), len(m.Raw)):], t.carrier == carrierDTLS) {
			tlswire.RedactClientHello(m.Body, false) // of DTLS, where it is a copy
			t.odd = true
		}
	case tlswire.TypeServerHello:
		var h tlswire.ServerHello
		if h, err = tlswire.ParseServerHello(m.Body); err == nil {
			h.Version = tlsVersion(h.Version)
			t.server = &h
		}
	case tlswire.TypeCertificate:
		if t.presented {
			t.detail = "a second Certificate message came"
			break
		}
		t.presented = true
		if t.certs, err = tlswire.ParseCertificate(m.Body); err == nil {
			keep = m.Raw[:len(m.Raw)-len(m.Body)]
		}
	case tlswire.TypeCertificateStatus:
		if t.staple, err = tlswire.ParseCertificateStatus(m.Body); err == nil {
			keep = m.Raw[:len(m.Raw)-len(t.staple)]
		}
	case tlswire.TypeServerKeyExchange:
		t.kex = m.Body
	case tlswire.TypeCertificateRequest:
		t.asked, t.request = true, m.Body
	case tlswire.TypeServerHelloDone:
		t.helloDone = true
	case tlswire.TypeCertificateVerify:
		t.verify = m.Body
	case tlswire.TypeClientKeyExchange: // in between, and signed
	case tlswire.TypeHelloRequest, tlswire.TypeHelloVerifyRequest: // which nobody signs
		return nil
	default:
		t.odd = t.odd || !t.helloDone
		return nil
	}
	if err != nil {
		t.detail = err.Error()
	}
	return keep
}

// hello takes a ClientHello. A second one, after a HelloRetryRequest or with a
// cookie, says what the client then asked for; its fingerprint is that of the
// first.
func (t *tlsSide) hello(h *tlswire.ClientHello) {
	if t.client == nil {
		t.ja3, t.ja4 = h.JA3(), h.JA4(t.carrier)
	}
	h.Version = tlsVersion(h.Version)
	for i, v := range h.SupportedVersions {
		h.SupportedVersions[i] = tlsVersion(v)
	}
	t.client = h
}

// tlsVersion returns the version of TLS that a version of DTLS is made from (RFC
// 4347, RFC 6347, RFC 9147), so that a rule need not know both.
func tlsVersion(v uint16) uint16 {
	switch v {
	case tlswire.VersionDTLS10:
		return tlswire.VersionTLS11
	case tlswire.VersionDTLS12:
		return tlswire.VersionTLS12
	case tlswire.VersionDTLS13:
		return tlswire.VersionTLS13
	}
	return v
}

func (s *tlsSession) server(f *flow) int {
	for i := range s.sides {
		switch {
		case s.sides[i].server != nil:
			return i
		case s.sides[i].client != nil:
			return 1 - i
		}
	}
	return serverOf(f, unknownSide)
}

// forgetIdentities clears what names a client in an exchange with a shared key. The
// suite says whether it is one; without an answer, what the client offers.
func forgetIdentities(offer, answer *tlsSide) {
	shared := offer.client != nil && slices.ContainsFunc(offer.client.Suites, tlswire.SharesKey)
	if answer.server != nil {
		shared = tlswire.SharesKey(answer.server.CipherSuite)
	}
	if !shared {
		return
	}
	offer.odd = true
	for _, t := range []*tlsSide{offer, answer} {
		for _, m := range t.raw {
			if m[0] == tlswire.TypeClientKeyExchange || m[0] == tlswire.TypeServerKeyExchange {
				tlswire.RedactIdentity(m[min(t.header(), len(m)):])
			}
		}
	}
}

// header is the size of what is before a handshake message (RFC 5246 section 7.4, RFC
// 6347 section 4.2.2).
func (t *tlsSide) header() int {
	if t.carrier == carrierDTLS {
		return 12
	}
	return 4
}

func (s *tlsSession) conclude(f *flow) []evidence.Observation {
	server := s.server(f)
	answer, offer := &s.sides[server], &s.sides[1-server]
	if answer.server == nil && offer.client == nil && answer.alert == nil {
		return nil // bytes that looked like TLS
	}
	forgetIdentities(offer, answer)
	offer.stream.Forget()
	answer.stream.Forget()
	facts := &evidence.TLSFacts{Offer: evidence.OfferPassive, Handshake: evidence.StageNone, Ambiguous: f.ambiguous}
	offer.describeOffer(facts)
	answer.describeAnswer(facts)
	answer.describeAuth(facts)
	f.pledges = func() []*pledge {
		var out []*pledge
		if p, ok := serverProof(answer, offer); ok {
			out = append(out, &pledge{proof: p, held: &facts.Possession, signature: &facts.Signature})
		}
		if p, ok := clientProof(answer, offer); ok {
			out = append(out, &pledge{proof: p, held: &facts.ClientPossession, signature: &facts.ClientSignature})
		}
		return out
	}
	facts.Handshake = stage(answer, offer)

	o := evidence.Observation{Kind: evidence.KindTLS, Facts: evidence.Facts{TLS: facts}}
	for i, der := range answer.certs {
		o.Certs = append(o.Certs, evidence.Presented{Role: evidence.RoleServer, Position: i, DER: der})
	}
	for i, der := range offer.certs {
		o.Certs = append(o.Certs, evidence.Presented{Role: evidence.RoleClient, Position: i, DER: der})
	}
	if raw := slices.Concat(slices.Concat(offer.raw, answer.raw)...); len(raw) > 0 {
		o.Raw = []evidence.Blob{{Media: mediaTLS, Data: raw}} // one, because a row of the store costs more than its bytes
	}
	if len(answer.staple) > 0 {
		o.Raw = append(o.Raw, evidence.Blob{Media: mediaStaple, Data: answer.staple})
	}
	switch {
	case answer.detail != "" || offer.detail != "":
		o.Detail = safetext.Clean(strings.Trim(answer.detail+"; "+offer.detail, "; "))
	case !f.sides[server].spoke && f.reset == server:
		o.Result, o.Detail = evidence.ResultReset, "the server reset the connection after the hello"
	case !f.sides[server].spoke:
		o.Detail = "no answer of the server was captured"
	case !f.sides[1-server].spoke:
		o.Detail = "no byte of the client was captured"
	}
	return []evidence.Observation{o}
}

// describeOffer fills in what the client offered.
func (t *tlsSide) describeOffer(f *evidence.TLSFacts) {
	if t.client == nil {
		return
	}
	f.OfferedMax = t.client.MaxVersion()
	f.JA3, f.JA4 = t.ja3, t.ja4
	f.OfferedSuites = offered(t.client.Suites, maxOfferedSuites)
	f.OfferedVersions = offered(t.client.SupportedVersions, maxVersions)
	f.OfferedGroups, f.OfferedSchemes = offered(t.client.Groups, maxOffered), offered(t.client.SignatureSchemes, maxOffered)
	f.ServerName = safetext.Clean(t.client.ServerName)
	for _, name := range t.client.ALPN[:min(len(t.client.ALPN), 32)] {
		f.ClientALPN = append(f.ClientALPN, safetext.Clean(name))
	}
}

// offered returns the first values of a list that mean something.
func offered(list []uint16, most int) []uint16 {
	var out []uint16
	for _, v := range list {
		if len(out) < most && !tlswire.IsGREASE(v) {
			out = append(out, v)
		}
	}
	return out
}

// describeAnswer fills in what the server chose.
func (t *tlsSide) describeAnswer(f *evidence.TLSFacts) {
	f.Alert, f.NotTLS, f.Spoke = t.alert, t.notTLS, t.spoke
	h := t.server
	if h == nil {
		return
	}
	f.Version, f.CipherSuite, f.Group = h.Version, h.CipherSuite, h.Group
	f.ALPN, f.DowngradeSentinel = safetext.Clean(h.ALPN), h.DowngradeSentinel
	f.CertificateHidden = h.Version >= tlswire.VersionTLS13
	f.Retry, f.SCTs = h.HelloRetryRequest, h.SCTs
	if len(t.staple) > 0 {
		f.OCSPStaple = true
		if ocsp, err := ocspwire.Parse(t.staple); err == nil {
			f.OCSP = &ocsp
		}
	}
	if f.CertificateHidden {
		return
	}
	f.Compression = h.Compression
	f.SecureRenegotiation, f.ExtendedMasterSecret = &h.SecureRenegotiation, &h.ExtendedMasterSecret
	if k, err := tlswire.ParseServerKeyExchange(t.kex, h.CipherSuite, h.Version); err == nil {
		f.Group, f.DHBits, f.SignatureScheme = k.Group, k.DHBits, k.SignatureScheme
	}
}

// describeAuth says whether the server asked for a client certificate. A resumed
// session and TLS 1.3 do not show it.
func (t *tlsSide) describeAuth(f *evidence.TLSFacts) {
	if t.server == nil {
		return
	}
	switch {
	case t.asked:
		f.ClientAuth = evidence.ClientAuthRequested
		if r, err := tlswire.ParseCertificateRequest(t.request, t.server.Version); err == nil {
			f.Authorities = slices.Clone(r.Authorities)
			f.RequestSchemes = r.SignatureSchemes[:min(len(r.SignatureSchemes), maxOffered)]
		}
	case t.helloDone:
		f.ClientAuth = evidence.ClientAuthNotAsked
	}
}

// stage says how far the handshake got.
func stage(answer, offer *tlsSide) evidence.HandshakeStage {
	switch {
	case answer.server == nil || answer.server.HelloRetryRequest:
		return evidence.StageNone
	case answer.finished && (offer.finished || answer.presented):
		// In a full handshake the server finishes last.
		return evidence.StageComplete
	case len(answer.certs) > 0:
		return evidence.StageCertificate
	}
	return evidence.StageServerHello
}
