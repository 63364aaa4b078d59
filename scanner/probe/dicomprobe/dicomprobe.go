// Package dicomprobe asks a DICOM application for one association and gives it
// back at once (DICOM PS3.8 section 9.3).
//
// The answer to the association request holds all that identifies the
// application; no command and no data set is ever sent, and none is read.
//
// Invariant: at most one connection of at most three seconds, on which the
// request is sent at once and which ends in a release or an abort: an idle
// association blocks servers that have one only.
package dicomprobe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/dicomwire"
	"probity/scanner"
	"probity/scanner/probe"
)

// What the prober says of itself. The UID is derived from a UUID (PS3.5 annex
// B.2) and belongs to this program: it poses as no other implementation.
const (
	callingAE             = "PROBITY"
	calledAE              = "ANY-SCP"
	implementationUID     = "2.25.44322105097376164620263518766017941148"
	implementationVersion = "PROBITY"
	maxPDU                = 16384
)

const (
	totalTime   = 3 * time.Second // from the connection to its end
	releaseTime = time.Second     // for the answer to the release
	maxAnswer   = 64 << 10        // bytes of an association answer
)

// Media types of the raw bytes.
const (
	mediaSent     = "application/x-probity-dicom-sent"
	mediaReceived = "application/x-probity-dicom-received"
)

// Prober implements [scanner.Prober] for DICOM over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "dicom".
func (*Prober) Name() string { return "dicom" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one association.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "A-ASSOCIATE-RQ for verification from " + callingAE + ", then A-RELEASE-RQ or A-ABORT", MaxBytes: 512,
		Why: "implementation of the DICOM application; whether it answers in clear",
	}}
}

// Probe asks for one association.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindDICOM)
	request, err := dicomwire.Associate{
		Version: 1, CalledAE: calledAE, CallingAE: callingAE, ApplicationContext: dicomwire.ApplicationContext,
		Contexts: []dicomwire.Context{{
			ID: 1, AbstractSyntax: dicomwire.Verification, TransferSyntaxes: []string{dicomwire.ImplicitVRLittle},
		}},
		MaxPDU: maxPDU, ImplementationUID: implementationUID, ImplementationVersion: implementationVersion,
	}.MarshalRequest()
	if err != nil {
		return nil, fmt.Errorf("probe %q: %w", "dicom", err)
	}
	c, err := s.Dial(ctx)
	if probe.Stopped(ctx, err) {
		return nil, err
	}
	if err != nil {
		probe.Fail(&obs, "connect", err)
		return []evidence.Observation{obs}, nil
	}
	deadline := s.Now().Add(totalTime)
	wire := probe.NewTap(c, maxAnswer)
	failure := c.SetDeadline(deadline)
	if failure == nil {
		failure = associate(wire, request, deadline, &obs, s.Now)
	}
	if err := c.Close(); err != nil && failure == nil {
		failure = err
	}
	sent, received := wire.Seal()
	obs.Raw = probe.Raw(mediaSent, sent, mediaReceived, received)
	switch {
	case obs.Facts.DICOM != nil:
		obs.Result = evidence.ResultData
	case errors.Is(failure, errNotUnderstood):
		obs.Result, obs.Detail = evidence.ResultError, safetext.Clean(failure.Error())
	case failure != nil:
		probe.Fail(&obs, "no answer to the association request", failure)
	}
	return []evidence.Observation{obs}, ctx.Err()
}

// errNotUnderstood marks an answer that is no association answer.
var errNotUnderstood = errors.New("the answer is no DICOM association answer")

// associate sends the request, reads the answer and gives the association back.
// Facts are set as soon as there is an answer.
func associate(c net.Conn, request []byte, deadline time.Time, obs *evidence.Observation, now func() time.Time) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	kind, body, err := readPDU(c)
	if err != nil {
		if errors.Is(err, errNotUnderstood) {
			abort(c)
		}
		return err
	}
	switch kind {
	case dicomwire.AssociateAC:
		a, err := dicomwire.ParseAssociate(kind, body)
		if err != nil {
			abort(c)
			return fmt.Errorf("%w: %w", errNotUnderstood, err)
		}
		// The titles of an answer only repeat the request's.
		obs.Facts.DICOM = &evidence.DICOMFacts{
			PDU: "ac", ImplementationUID: safetext.CleanN(a.ImplementationUID, 64),
			Implementation: safetext.CleanN(a.ImplementationVersion, 64), MaxPDU: a.MaxPDU, Accepted: a.Accepted(),
		}
		release(c, deadline, obs, now)
		return nil
	case dicomwire.AssociateRJ:
		r, err := dicomwire.ParseReject(body)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotUnderstood, err)
		}
		obs.Facts.DICOM = &evidence.DICOMFacts{PDU: "rj", RejectResult: r.Result, RejectSource: r.Source, RejectReason: r.Reason}
		return nil
	case dicomwire.Abort:
		obs.Facts.DICOM = &evidence.DICOMFacts{PDU: "abort"}
		return nil
	case dicomwire.AssociateRQ, dicomwire.DataTF, dicomwire.ReleaseRQ, dicomwire.ReleaseRP:
	}
	abort(c)
	return fmt.Errorf("%w: protocol data unit of type %d", errNotUnderstood, kind)
}

// readPDU reads one protocol data unit of at most [maxAnswer] bytes. The content
// of a data set is never read.
func readPDU(c io.Reader) (dicomwire.Type, []byte, error) {
	header := make([]byte, dicomwire.HeaderSize)
	if _, err := io.ReadFull(c, header); err != nil {
		return 0, nil, err
	}
	kind, length, err := dicomwire.Header(header)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errNotUnderstood, err)
	}
	if kind == dicomwire.DataTF {
		return kind, nil, nil
	}
	if length > maxAnswer-dicomwire.HeaderSize {
		return 0, nil, fmt.Errorf("%w: %d bytes long", errNotUnderstood, length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil, err
	}
	return kind, body, nil
}

// release gives the association back; a peer that does not confirm is aborted.
// What goes wrong here changes nothing in what was learned, and is noted.
func release(c net.Conn, deadline time.Time, obs *evidence.Observation, now func() time.Time) {
	confirm := now().Add(releaseTime)
	if confirm.After(deadline) {
		confirm = deadline
	}
	_, err := c.Write(dicomwire.ReleaseRequest())
	if err == nil {
		err = c.SetReadDeadline(confirm)
	}
	var kind dicomwire.Type
	if err == nil {
		kind, _, err = readPDU(c)
	}
	switch {
	case err != nil:
		obs.Detail = safetext.Clean("release not confirmed: " + probe.Cause(err))
		abort(c)
	case kind != dicomwire.ReleaseRP:
		obs.Detail = fmt.Sprintf("release answered by a protocol data unit of type %d", kind)
		abort(c)
	}
}

// abort tells the peer that the association is over. It is the last thing sent;
// the peer may be gone.
func abort(c net.Conn) { _, _ = c.Write(dicomwire.AbortRequest()) }
