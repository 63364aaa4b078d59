package tlswire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Extension code points (IANA "TLS ExtensionType Values") that the package
// reads or writes.
const (
	extServerName           uint16 = 0
	extStatusRequest        uint16 = 5
	extSupportedGroups      uint16 = 10
	extPointFormats         uint16 = 11
	extSignatureAlgorithms  uint16 = 13
	extHeartbeat            uint16 = 15
	extALPN                 uint16 = 16
	extSCT                  uint16 = 18
	extExtendedMasterSecret uint16 = 23
	extSessionTicket        uint16 = 35
	extPreSharedKey         uint16 = 41
	extSupportedVersions    uint16 = 43
	extCookie               uint16 = 44
	extPSKModes             uint16 = 45
	extKeyShare             uint16 = 51
	extRenegotiationInfo    uint16 = 0xff01
)

var errMalformed = errors.New("malformed")

// KeyShare is one entry of the TLS 1.3 key_share extension.
type KeyShare struct {
	Group uint16
	Data  []byte
}

// ClientHello is a client's offer, to be sent ([ClientHello.Marshal]) or as it
// was seen ([ParseClientHello]).
type ClientHello struct {
	// RecordVersion is the version in the record header of a hello to be sent;
	// 0 means TLS 1.0 (SSL 3.0 for an SSL 3.0 hello), as RFC 8446 section 5.1
	// recommends. A parsed hello does not have it.
	RecordVersion uint16
	// Version is legacy_version: the highest version up to TLS 1.2. An SSL 3.0
	// hello has no extensions.
	Version   uint16
	Random    [32]byte
	SessionID []byte // at most 32 bytes
	Suites    []uint16
	// Compression lists the methods offered; nil is written as {0}.
	Compression []byte

	// SupportedVersions, where present, replaces Version (RFC 8446 section 4.2.1).
	SupportedVersions []uint16
	Groups            []uint16
	SignatureSchemes  []uint16
	ServerName        string // an ASCII host name; never an address
	ALPN              []string
	// KeyShares are written when TLS 1.3 is among SupportedVersions. An empty
	// list asks the server to name its group in a HelloRetryRequest (RFC 8446
	// section 4.2.8), which costs neither side a key operation.
	KeyShares            []KeyShare
	ExtendedMasterSecret bool // RFC 7627
	// RenegotiationInfo is written as an extension, and as the signalling suite
	// in an SSL 3.0 hello (RFC 5746 section 3.4). Reading takes either.
	RenegotiationInfo bool
	// Renegotiated is the content of that extension in a second hello: the
	// verify_data of the client's last Finished. Only a hello to be sent has it.
	Renegotiated  []byte
	StatusRequest bool // RFC 6066 section 8
	// SessionTicket asks for a ticket without having one (RFC 5077 section 3.2).
	SessionTicket bool
	// Ticket is the content of that extension: a ticket from an earlier handshake.
	// Only a hello to be sent has it, and PSK, which comes last.
	Ticket []byte
	PSK    *PSK
	// PSKModes are the ways in which a ticket of TLS 1.3 may be used; without them
	// a server gives none (RFC 8446 section 4.2.9).
	PSKModes []byte
	SCT      bool // RFC 6962 section 3.3.1
	// Heartbeat says that the peer may send heartbeats (RFC 6520 section 2).
	Heartbeat bool
	Cookie    []byte // of a HelloRetryRequest, sent back (RFC 8446 section 4.2.2)

	// Extensions are the code points in the order seen, and PointFormats those of
	// RFC 8422 section 5.1.2. Only a parsed hello has them.
	Extensions   []uint16
	PointFormats []byte
}

// MaxVersion returns the highest version that the hello offers.
func (h ClientHello) MaxVersion() uint16 {
	highest := uint16(0)
	for _, v := range h.SupportedVersions {
		switch {
		case IsGREASE(v):
		case v>>8 == 0xfe && highest != 0: // DTLS counts down
			highest = min(highest, v)
		default:
			highest = max(highest, v)
		}
	}
	if highest == 0 {
		return h.Version
	}
	return highest
}

// IsGREASE reports whether v is one of the reserved values of RFC 8701, which a
// client sends at random and which mean nothing.
func IsGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// ParseClientHello reads the body of a ClientHello. Unknown extensions are
// passed over; a hello that ends after the compression methods (SSL 3.0) is
// well formed.
func ParseClientHello(body []byte) (ClientHello, error) {
	var (
		h                        ClientHello
		s                        = cryptobyte.String(body)
		session, suites, methods cryptobyte.String
	)
	if !s.ReadUint16(&h.Version) || !s.CopyBytes(h.Random[:]) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&methods) {
		return ClientHello{}, fmt.Errorf("ClientHello: %w", errMalformed)
	}
	var ok bool
	if h.Suites, ok = uint16s(suites); !ok {
		return ClientHello{}, fmt.Errorf("ClientHello: cipher suites: %w", errMalformed)
	}
	h.SessionID, h.Compression = slices.Clone([]byte(session)), slices.Clone([]byte(methods))
	h.RenegotiationInfo = slices.Contains(h.Suites, EmptyRenegotiationInfoSCSV)
	err := eachExtension(s, h.extension)
	if err != nil {
		return ClientHello{}, fmt.Errorf("ClientHello: %w", err)
	}
	return h, nil
}

// extension takes one extension of a ClientHello.
func (h *ClientHello) extension(id uint16, data cryptobyte.String) bool {
	var list cryptobyte.String
	ok := true
	h.Extensions = append(h.Extensions, id)
	switch id {
	case extServerName:
		h.ServerName, ok = serverName(data)
	case extStatusRequest:
		h.StatusRequest = true
	case extSupportedGroups:
		if ok = data.ReadUint16LengthPrefixed(&list); ok {
			h.Groups, ok = uint16s(list)
		}
	case extPointFormats:
		if ok = data.ReadUint8LengthPrefixed(&list); ok {
			h.PointFormats = slices.Clone([]byte(list))
		}
	case extSignatureAlgorithms:
		if ok = data.ReadUint16LengthPrefixed(&list); ok {
			h.SignatureSchemes, ok = uint16s(list)
		}
	case extALPN:
		h.ALPN, ok = protocolNames(data)
	case extExtendedMasterSecret:
		h.ExtendedMasterSecret = true
	case extRenegotiationInfo:
		h.RenegotiationInfo = true
	case extSupportedVersions:
		if ok = data.ReadUint8LengthPrefixed(&list); ok {
			h.SupportedVersions, ok = uint16s(list)
		}
	case extKeyShare:
		h.KeyShares, ok = keyShares(data)
	case extSessionTicket:
		h.SessionTicket = true
	case extPSKModes:
		if ok = data.ReadUint8LengthPrefixed(&list); ok {
			h.PSKModes = slices.Clone([]byte(list))
		}
	case extSCT:
		h.SCT = true
	case extHeartbeat:
		h.Heartbeat = true
	case extCookie:
		h.Cookie, ok = cookie(data)
	}
	return ok
}

// serverName reads the first host name of a server_name extension (RFC 6066
// section 3).
func serverName(data cryptobyte.String) (string, bool) {
	var list, name cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return "", false
	}
	for !list.Empty() {
		var kind uint8
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return "", false
		}
		if kind == 0 {
			return string(name), true
		}
	}
	return "", true
}

func protocolNames(data cryptobyte.String) ([]string, bool) {
	var list, name cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	var out []string
	for !list.Empty() {
		if !list.ReadUint8LengthPrefixed(&name) || len(name) == 0 {
			return nil, false
		}
		out = append(out, string(name))
	}
	return out, true
}

func keyShares(data cryptobyte.String) ([]KeyShare, bool) {
	var list, key cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	var out []KeyShare
	for !list.Empty() {
		var k KeyShare
		if !list.ReadUint16(&k.Group) || !list.ReadUint16LengthPrefixed(&key) {
			return nil, false
		}
		k.Data = slices.Clone([]byte(key))
		out = append(out, k)
	}
	return out, true
}

// ServerHello is a server's answer.
type ServerHello struct {
	// Version is what was negotiated: that of supported_versions if present, else
	// the legacy version.
	Version     uint16
	Random      [32]byte
	SessionID   []byte
	CipherSuite uint16
	Compression uint8
	// HelloRetryRequest: the server named Version, CipherSuite and Group, and
	// asks for another hello (RFC 8446 section 4.1.4).
	HelloRetryRequest    bool
	Group                uint16 // of key_share; 0 if absent
	KeyShare             []byte // of key_share; nil in a HelloRetryRequest
	Cookie               []byte // of a HelloRetryRequest
	SecureRenegotiation  bool   // RFC 5746
	ExtendedMasterSecret bool   // RFC 7627
	StatusRequest        bool   // a CertificateStatus may follow (RFC 6066 section 8)
	SessionTicket        bool   // a NewSessionTicket will follow (RFC 5077 section 3.2)
	Heartbeat            bool   // RFC 6520 section 2
	PSK                  bool   // the ticket of the hello was taken (RFC 8446 section 4.2.11)
	ServerName           bool   // the name of the hello was used (RFC 6066 section 3)
	SCTs                 int    // signed certificate timestamps of the extension (RFC 6962 section 3.3.1)
	ALPN                 string
	// DowngradeSentinel is "tls1.2" or "tls1.1" if the last eight bytes of the
	// random say that the server could have spoken a higher version (RFC 8446
	// section 4.1.3).
	DowngradeSentinel string
}

// ParseServerHello reads the body of a ServerHello or HelloRetryRequest.
func ParseServerHello(body []byte) (ServerHello, error) {
	var (
		h       ServerHello
		s       = cryptobyte.String(body)
		session cryptobyte.String
	)
	if !s.ReadUint16(&h.Version) || !s.CopyBytes(h.Random[:]) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16(&h.CipherSuite) || !s.ReadUint8(&h.Compression) {
		return ServerHello{}, fmt.Errorf("ServerHello: %w", errMalformed)
	}
	h.SessionID = slices.Clone([]byte(session))
	h.HelloRetryRequest = h.Random == helloRetryRandom()
	if err := eachExtension(s, h.extension); err != nil {
		return ServerHello{}, fmt.Errorf("ServerHello: %w", err)
	}
	if h.Version < VersionTLS13 {
		switch {
		case bytes.HasSuffix(h.Random[:], []byte("DOWNGRD\x01")):
			h.DowngradeSentinel = "tls1.2"
		case bytes.HasSuffix(h.Random[:], []byte("DOWNGRD\x00")):
			h.DowngradeSentinel = "tls1.1"
		}
	}
	return h, nil
}

// helloRetryRandom is the SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3).
func helloRetryRandom() [32]byte {
	return [32]byte{
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
		0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
	}
}

// extension takes one extension of a ServerHello.
func (h *ServerHello) extension(id uint16, data cryptobyte.String) bool {
	ok := true
	switch id {
	case extStatusRequest:
		h.StatusRequest = true
	case extALPN:
		var names []string
		if names, ok = protocolNames(data); ok && len(names) > 0 {
			h.ALPN = names[0]
		}
	case extExtendedMasterSecret:
		h.ExtendedMasterSecret = true
	case extRenegotiationInfo:
		h.SecureRenegotiation = true
	case extSupportedVersions:
		ok = data.ReadUint16(&h.Version)
	case extSessionTicket:
		h.SessionTicket = true
	case extHeartbeat:
		h.Heartbeat = true
	case extPreSharedKey:
		h.PSK = true
	case extServerName:
		h.ServerName = true
	case extSCT:
		h.SCTs, ok = CountSCTs(data)
	case extCookie:
		h.Cookie, ok = cookie(data)
	case extKeyShare: // a KeyShareEntry, or in a HelloRetryRequest the group alone
		var share cryptobyte.String
		if ok = data.ReadUint16(&h.Group); ok && !data.Empty() {
			ok = data.ReadUint16LengthPrefixed(&share)
			h.KeyShare = slices.Clone([]byte(share))
		}
	}
	return ok
}

// cookie reads a cookie extension (RFC 8446 section 4.2.2).
func cookie(data cryptobyte.String) ([]byte, bool) {
	var c cryptobyte.String
	ok := data.ReadUint16LengthPrefixed(&c)
	return slices.Clone([]byte(c)), ok
}

// CountSCTs counts the entries of a SignedCertificateTimestampList (RFC 6962
// section 3.3). It reports false if the list is malformed.
func CountSCTs(data []byte) (int, bool) {
	s := cryptobyte.String(data)
	var list, sct cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return 0, false
	}
	n := 0
	for ; !list.Empty(); n++ {
		if !list.ReadUint16LengthPrefixed(&sct) || len(sct) == 0 {
			return 0, false
		}
	}
	return n, true
}

// eachExtension calls take for every extension of a hello. No extensions at all
// is well formed.
func eachExtension(s cryptobyte.String, take func(id uint16, data cryptobyte.String) bool) error {
	if s.Empty() {
		return nil
	}
	var list, data cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return fmt.Errorf("extensions: %w", errMalformed)
	}
	for !list.Empty() {
		var id uint16
		if !list.ReadUint16(&id) || !list.ReadUint16LengthPrefixed(&data) {
			return fmt.Errorf("extensions: %w", errMalformed)
		}
		if !take(id, data) {
			return fmt.Errorf("extension %d: %w", id, errMalformed)
		}
	}
	return nil
}

// uint16s reads s as a list of two-byte numbers.
func uint16s(s cryptobyte.String) ([]uint16, bool) {
	if len(s)%2 != 0 {
		return nil, false
	}
	out := make([]uint16, 0, len(s)/2)
	for !s.Empty() {
		var v uint16
		s.ReadUint16(&v)
		out = append(out, v)
	}
	return out, true
}
