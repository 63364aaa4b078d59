package passive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"probity/evidence"
	"probity/internal/wire/dicomwire"
	"probity/internal/wire/mllpwire"
	"probity/internal/wire/tlswire"
)

// session reads the two directions of a connection whose protocol is known.
type session interface {
	// feed takes the next bytes of a side, which it must not keep, and reports
	// whether it wants no more of that side.
	feed(side int, b []byte) (done bool)
	// held returns how many bytes it keeps.
	held() int
	// conclude returns what was seen. It is called once, at the end.
	conclude(f *flow) []evidence.Observation
	// server returns the side of the server. It is called after conclude.
	server(f *flow) int
}

// classifier knows a protocol by its first bytes.
type classifier struct {
	match func([]byte) (is, more bool)
	start func() session
}

// classifiers is made once, because it is asked for every connection.
var classifiers = sync.OnceValue(func() []classifier {
	return []classifier{
		{isTLS, newTLSSession},
		{isDICOM, newDICOMSession},
		{isHL7, newHL7Session},
		{isSSH, newSSHSession},
		{anyPrefix("HTTP/1."), newHTTPSession},
		{anyPrefix("GET ", "POST ", "PUT ", "HEAD ", "OPTIONS "), newHTTPSession},
		{isTelnet, newTelnetSession},
		{isMQTT, newMQTTSession},
		{anyPrefix("HELF", "ACKF"), newOPCUASession},
		{isPOCT1, newPOCT1Session},
		{isLIS2, newLIS2Session},
	}
})

// classify tells the protocol of a direction by its first bytes. more asks for
// more of them; a nil function means that the protocol is not read.
func classify(b []byte) (newSession func() session, more bool) {
	for _, c := range classifiers() {
		is, undecided := c.match(b)
		if is {
			return c.start, false
		}
		more = more || undecided
	}
	newSession, undecided := classifyPrelude(b)
	more = more || undecided
	if newSession == nil && !more {
		newSession = classifyModbus(b)
	}
	return newSession, newSession == nil && more
}

// prefix compares the bytes of b that are there with want.
func prefix(b []byte, want string) (is, more bool) {
	n := min(len(b), len(want))
	same := string(b[:n]) == want[:n]
	return same && n == len(want), same && n < len(want)
}

// isTLS knows a record of SSL 3.0 or TLS with a hello or an alert, and a hello in
// the form of SSL 2.0, which old clients send to speak TLS (RFC 5246 appendix E.2).
func isTLS(b []byte) (is, more bool) {
	const need = 6
	if len(b) > 0 && b[0]&0x80 != 0 {
		ssl2 := len(b) >= 5 && b[2] == 1 && (b[3] == 3 && b[4] <= 4 || b[3] == 0 && b[4] == 2)
		return ssl2, len(b) < 5
	}
	kind := tlswire.Handshake
	if len(b) > 0 {
		kind = tlswire.Kind(b[0])
	}
	if kind != tlswire.Handshake && kind != tlswire.Alert || len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return false, false
	}
	if len(b) < need {
		return false, true
	}
	if kind == tlswire.Alert {
		return b[3] == 0 && b[4] == 2 && (b[5] == 1 || b[5] == 2), false
	}
	return b[5] == tlswire.TypeClientHello || b[5] == tlswire.TypeServerHello, false
}

// isDICOM knows an association message (PS3.8 section 9.3): a request or an
// answer by its header and version, a rejection or an abort by its whole content.
func isDICOM(b []byte) (is, more bool) {
	const need = 10
	if len(b) > 0 && (b[0] == 0 || b[0] > byte(dicomwire.Abort)) || len(b) > 1 && b[1] != 0 {
		return false, false
	}
	if len(b) < need {
		return false, true
	}
	kind, _, err := dicomwire.Header(b)
	if err != nil {
		return false, false
	}
	switch kind {
	case dicomwire.AssociateRQ, dicomwire.AssociateAC:
		return binary.BigEndian.Uint16(b[6:]) == 1, false // protocol version: bit 0
	case dicomwire.AssociateRJ:
		return b[6] == 0 && b[7] >= 1 && b[7] <= 2 && b[8] >= 1 && b[8] <= 3, false
	case dicomwire.Abort:
		return b[6] == 0 && b[7] == 0 && b[8] <= 2 && b[9] <= 6, false
	case dicomwire.DataTF, dicomwire.ReleaseRQ, dicomwire.ReleaseRP:
	}
	return false, false
}

func isHL7(b []byte) (is, more bool) {
	_, _, err := mllpwire.Parse(b[:min(len(b), 5)])
	if len(b) < 5 {
		return false, errors.Is(err, mllpwire.ErrShort)
	}
	return errors.Is(err, mllpwire.ErrShort), false
}

func isSSH(b []byte) (is, more bool) { return prefix(b, "SSH-") }

// spoken names the protocol of an answer that is not the one asked for, where its
// first bytes tell; "" where they do not.
func spoken(b []byte) string {
	if is, _ := isDICOM(b); is {
		return "dicom"
	}
	if is, _ := isHL7(b); is {
		return "hl7"
	}
	switch {
	case bytes.HasPrefix(b, []byte("SSH-")):
		return "ssh"
	case bytes.HasPrefix(b, []byte("HTTP/")):
		return "http"
	}
	return ""
}

// serverOf finds the server of a connection by who opened it. Where the beginning
// was not seen, guess decides; without a guess, the lower port.
func serverOf(f *flow, guess int) int {
	switch {
	case f.opener != unknownSide:
		return 1 - f.opener
	case guess != unknownSide:
		return guess
	case f.ends[1].Port() < f.ends[0].Port():
		return 1
	}
	return 0
}
