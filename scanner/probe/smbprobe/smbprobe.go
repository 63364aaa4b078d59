// Package smbprobe asks an SMB server for its dialect by one negotiation and, at
// [scanner.Standard], by a second one that offers SMB 1 only.
//
// It opens no session and no share: the connection ends after the answer.
//
// Invariant: negotiations are the only requests that leave this package; they
// name no user.
package smbprobe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/idwire"
	"probity/scanner"
	"probity/scanner/probe"
)

const (
	totalTime = 3 * time.Second
	maxAnswer = 8 << 10 // a negotiation with a security blob has some hundred bytes
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-smb-sent"
	mediaReceived = "application/x-probity-smb-received"
)

// The offers of [evidence.SMBFacts].
const (
	offerSMB2 = "smb2"
	offerSMB1 = "smb1"
)

// Prober implements [scanner.Prober] for SMB over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "smb".
func (*Prober) Name() string { return "smb" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the negotiations of a level.
func (*Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	out := []scanner.Exchange{{
		What: "SMB 2 negotiation, dialects 2.0.2 to 3.0.2", MaxBytes: int64(len(negotiate2())), Why: "dialect and signing",
	}}
	if level == scanner.Gentle {
		return out
	}
	return append(out, scanner.Exchange{
		What: "SMB 1 negotiation, dialect NT LM 0.12", MaxBytes: int64(len(negotiate1())),
		When: "unless the first was not answered in time", Why: "whether SMB 1 is accepted",
	})
}

// Probe negotiates and hangs up.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	first, err := ask(ctx, s, offerSMB2, negotiate2())
	if first.Result == "" {
		return nil, err
	}
	out := []evidence.Observation{first}
	again := first.Result == evidence.ResultData || first.Result == evidence.ResultReset && len(first.Raw) > 0
	if err != nil || s.Level() == scanner.Gentle || !again {
		return out, err
	}
	second, err := ask(ctx, s, offerSMB1, negotiate1())
	if second.Result != "" {
		out = append(out, second)
	}
	return out, err
}

// ask has one negotiation. A result of "" means that nothing was sent.
func ask(ctx context.Context, s scanner.Session, offer string, request []byte) (evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindSMB)
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return obs, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return obs, nil
	}
	failure := c.SetDeadline(s.Now().Add(totalTime))
	if failure == nil {
		_, failure = c.Write(request)
	}
	var answer []byte
	if failure == nil {
		answer, failure = readMessage(c)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	obs.Raw = probe.Raw(mediaSent, request, mediaReceived, answer)
	var facts *evidence.SMBFacts
	if failure == nil {
		facts, failure = parse(answer)
	}
	switch {
	case failure == nil:
		facts.Offer = offer
		if facts.Clock != nil {
			facts.Clock.Seen = s.Now().UTC()
		}
		obs.Result, obs.Facts.SMB = evidence.ResultData, facts
	case errors.Is(failure, errNotUnderstood):
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(failure.Error())
	default:
		probe.Fail(&obs, "no answer to the "+offer+" negotiation", failure)
	}
	return obs, ctx.Err()
}

// errNotUnderstood marks an answer that is no negotiation.
var errNotUnderstood = errors.New("the answer is no SMB negotiation")

// readMessage reads one message after its direct TCP header (MS-SMB2 section
// 2.1).
func readMessage(c net.Conn) ([]byte, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(c, header); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(header))
	if header[0] != 0 || length < 32 || length > maxAnswer {
		return nil, errNotUnderstood
	}
	message := make([]byte, length)
	_, err := io.ReadFull(c, message)
	return message, err
}

// framed puts the direct TCP header before a message.
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// negotiate2 is SMB2 NEGOTIATE (MS-SMB2 section 2.2.3). Dialect 3.1.1 is left
// out: it would need contexts, and a server that has it has an older one, too.
func negotiate2() []byte {
	header := make([]byte, 64)
	copy(header, "\xfeSMB")
	binary.LittleEndian.PutUint16(header[4:], 64)  // StructureSize
	binary.LittleEndian.PutUint16(header[14:], 1)  // CreditRequest
	body := make([]byte, 36)                       // ClientGuid and ClientStartTime stay zero
	binary.LittleEndian.PutUint16(body, 36)        // StructureSize
	binary.LittleEndian.PutUint16(body[2:], 4)     // DialectCount
	binary.LittleEndian.PutUint16(body[4:], 0x001) // SecurityMode: signing enabled
	for _, dialect := range []uint16{0x0202, 0x0210, 0x0300, 0x0302} {
		body = binary.LittleEndian.AppendUint16(body, dialect)
	}
	return framed(append(header, body...))
}

// negotiate1 is SMB_COM_NEGOTIATE (MS-CIFS section 2.2.4.52.1).
func negotiate1() []byte {
	header := make([]byte, 32)
	copy(header, "\xffSMB\x72")
	header[9] = 0x18                                   // Flags: case-insensitive, canonical paths
	binary.LittleEndian.PutUint16(header[10:], 0xc801) // Flags2: Unicode, NT status, extended security, long names
	const dialect = "\x02NT LM 0.12\x00"
	body := append([]byte{0}, binary.LittleEndian.AppendUint16(nil, uint16(len(dialect)))...)
	return framed(append(append(header, body...), dialect...))
}

// parse reads the answer of a server to either offer.
func parse(b []byte) (*evidence.SMBFacts, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\xfeSMB")):
		return parse2(b)
	case bytes.HasPrefix(b, []byte("\xffSMB\x72")):
		return parse1(b)
	}
	return nil, errNotUnderstood
}

// parse2 reads the SMB2 NEGOTIATE response (MS-SMB2 section 2.2.4). A refusal
// has a status, and no dialect.
func parse2(b []byte) (*evidence.SMBFacts, error) {
	if len(b) < 64+6 || binary.LittleEndian.Uint16(b[12:]) != 0 {
		return nil, fmt.Errorf("%w: SMB 2 message of %d bytes", errNotUnderstood, len(b))
	}
	if status := binary.LittleEndian.Uint32(b[8:]); status != 0 {
		return &evidence.SMBFacts{}, nil
	}
	mode := binary.LittleEndian.Uint16(b[66:])
	f := &evidence.SMBFacts{
		Dialect:        binary.LittleEndian.Uint16(b[68:]),
		SigningEnabled: mode&1 != 0, SigningRequired: mode&2 != 0,
	}
	// SystemTime follows the GUID, the capabilities and three sizes.
	const systemTime = 64 + 40
	if len(b) >= systemTime+8 {
		if says := idwire.FileTime(binary.LittleEndian.Uint64(b[systemTime:])); !says.IsZero() {
			f.Clock = &evidence.Clock{Says: says}
		}
	}
	return f, nil
}

// parse1 reads SMB_COM_NEGOTIATE (MS-CIFS section 2.2.4.52.2): the index of the
// dialect, 0xffff for none.
func parse1(b []byte) (*evidence.SMBFacts, error) {
	if len(b) < 35 {
		return nil, fmt.Errorf("%w: SMB 1 message of %d bytes", errNotUnderstood, len(b))
	}
	f := &evidence.SMBFacts{}
	words := b[32]
	if words == 0 || binary.LittleEndian.Uint16(b[33:]) == 0xffff {
		return f, nil
	}
	f.SMB1 = true
	if len(b) > 35 {
		f.SigningEnabled, f.SigningRequired = b[35]&4 != 0, b[35]&8 != 0
	}
	return f, nil
}
