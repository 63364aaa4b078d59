package tlsprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"probity/internal/wire/tlswire"
)

// serverSecretLabel is the line of a key log that opens the server's handshake
// flight (RFC 9850 section 2.1).
const serverSecretLabel = "SERVER_HANDSHAKE_TRAFFIC_SECRET"

// secretLine is one line of a key log: the secret of the server's handshake
// flight and nothing that would open application data.
func secretLine(random [32]byte, secret []byte) []byte {
	return fmt.Appendf(nil, "%s %x %x\n", serverSecretLabel, random, secret)
}

// unseal opens the server's records that have come since the last time. It
// stops at the Finished message, after which other keys hold.
func (a *answer) unseal(p *protection) {
	for !a.finished && a.alert == nil && a.damage == nil {
		header, record, ok := a.nextRecord()
		if !ok {
			return
		}
		if tlswire.Kind(header[0]) != tlswire.ApplicationData {
			continue
		}
		kind, text, err := p.open(header, record)
		switch {
		case err != nil:
			a.note(fmt.Errorf("the encrypted flight: %w", err))
		case kind == tlswire.Alert && len(text) == 2:
			a.alert = &text[1]
		case kind == tlswire.Handshake:
			a.sealed = append(a.sealed, text...)
			a.note(a.flight())
		default:
			a.note(fmt.Errorf("the encrypted flight: a record of type %d", kind))
		}
	}
}

// nextRecord takes the next complete record out of the bytes received.
func (a *answer) nextRecord() (header, record []byte, ok bool) {
	b := a.received[a.opened:]
	if len(b) < 5 || len(b) < 5+int(binary.BigEndian.Uint16(b[3:5])) {
		return nil, nil, false
	}
	n := 5 + int(binary.BigEndian.Uint16(b[3:5]))
	a.opened += n
	return b[:5], b[5:n], true
}

// Handshake types that occur only in the encrypted flight (RFC 8446 section 4).
const (
	typeEncryptedExtensions uint8 = 8
	typeFinished            uint8 = 20
)

// flight reads the messages of the encrypted flight that are complete and not
// yet read, up to Finished. It needs nothing of the handshake to succeed, so a
// chain that a client library refuses is still seen.
func (a *answer) flight() error {
	for !a.finished {
		s := cryptobyte.String(a.sealed[a.parsed:])
		var kind uint8
		var length uint32
		var message []byte
		if !s.ReadUint8(&kind) || !s.ReadUint24(&length) || !s.ReadBytes(&message, int(length)) {
			if length > maxFlight {
				return fmt.Errorf("encrypted handshake message of %d bytes", length)
			}
			return nil
		}
		a.parsed += 4 + len(message)
		body := cryptobyte.String(message)
		switch kind {
		case typeEncryptedExtensions:
			a.encryptedExtensions(body)
		case tlswire.TypeCertificateRequest:
			a.certificateRequest13(body)
		case tlswire.TypeCertificate:
			if err := a.certificate13(body); err != nil {
				return err
			}
			a.read13 = true
		case tlswire.TypeCertificateVerify:
			var proof cryptobyte.String
			if !body.ReadUint16(&a.scheme) || !body.ReadUint16LengthPrefixed(&proof) {
				return errors.New("CertificateVerify is malformed")
			}
			a.proof, a.before = slices.Clone([]byte(proof)), a.parsed-4-len(message)
		case typeFinished:
			a.finished = true
		}
	}
	return nil
}

// extensions calls use for every extension of a list with a two-byte length.
func extensions(s *cryptobyte.String, use func(id uint16, data cryptobyte.String)) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var id uint16
		var data cryptobyte.String
		if !list.ReadUint16(&id) || !list.ReadUint16LengthPrefixed(&data) {
			return false
		}
		use(id, data)
	}
	return true
}

// Extensions of the encrypted flight (RFC 8446 section 4.2).
const (
	extServerName             uint16 = 0
	extStatusRequest          uint16 = 5
	extSupportedGroups        uint16 = 10
	extSignatureAlgorithms    uint16 = 13
	extALPN                   uint16 = 16
	extSCT                    uint16 = 18
	extCertificateAuthorities uint16 = 47
)

func (a *answer) encryptedExtensions(body cryptobyte.String) {
	ok := extensions(&body, func(id uint16, data cryptobyte.String) {
		var list, name cryptobyte.String
		a.named = a.named || id == extServerName
		if id != extALPN && id != extSupportedGroups || !data.ReadUint16LengthPrefixed(&list) {
			return
		}
		if id == extALPN && list.ReadUint8LengthPrefixed(&name) {
			a.alpn = string(name)
		}
		for v := uint16(0); id == extSupportedGroups && len(a.groups) < maxGroups && list.ReadUint16(&v); {
			a.groups = append(a.groups, v)
		}
	})
	if !ok {
		a.note(errors.New("EncryptedExtensions is malformed"))
	}
}

// certificateRequest13 reads RFC 8446 section 4.3.2. That it was asked is known
// even if the wish is damaged.
func (a *answer) certificateRequest13(body cryptobyte.String) {
	a.asked13 = true
	a.request = &tlswire.CertificateRequest{}
	var context cryptobyte.String
	ok := body.ReadUint8LengthPrefixed(&context) && extensions(&body, func(id uint16, data cryptobyte.String) {
		var list, name cryptobyte.String
		if id != extCertificateAuthorities && id != extSignatureAlgorithms || !data.ReadUint16LengthPrefixed(&list) {
			return
		}
		if id == extSignatureAlgorithms {
			for v := uint16(0); len(a.request.SignatureSchemes) < maxSchemes && list.ReadUint16(&v); {
				a.request.SignatureSchemes = append(a.request.SignatureSchemes, v)
			}
			return
		}
		for len(a.request.Authorities) < maxAuthorities && list.ReadUint16LengthPrefixed(&name) {
			a.request.Authorities = append(a.request.Authorities, slices.Clone([]byte(name)))
		}
	})
	a.context = slices.Clone([]byte(context))
	if !ok {
		a.note(errors.New("CertificateRequest is malformed"))
	}
}

// certificate13 reads RFC 8446 section 4.4.2, within the bounds of tlswire.
// What was read before the damage is kept.
func (a *answer) certificate13(body cryptobyte.String) error {
	var context, list cryptobyte.String
	if !body.ReadUint8LengthPrefixed(&context) || !body.ReadUint24LengthPrefixed(&list) {
		return errors.New("certificate message is malformed")
	}
	a.certs = nil
	for !list.Empty() {
		var der cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || len(der) > tlswire.MaxCertificateSize || len(a.certs) == tlswire.MaxCertificates {
			return fmt.Errorf("certificate %d of the chain is malformed, too large or one too many", len(a.certs))
		}
		a.certs = append(a.certs, slices.Clone([]byte(der)))
		if !extensions(&list, func(id uint16, data cryptobyte.String) {
			if len(a.certs) == 1 { // of the leaf
				a.certificateExtension(id, data)
			}
		}) {
			return fmt.Errorf("extensions of certificate %d are malformed", len(a.certs)-1)
		}
	}
	return nil
}

// certificateExtension reads what comes with a certificate (RFC 8446 section
// 4.4.2.1).
func (a *answer) certificateExtension(id uint16, data cryptobyte.String) {
	switch id {
	case extStatusRequest:
		response, err := tlswire.ParseCertificateStatus(data)
		a.staple = response
		a.note(err)
	case extSCT:
		n, ok := tlswire.CountSCTs(data)
		if a.scts = n; !ok {
			a.note(errors.New("timestamps are malformed"))
		}
	}
}
