package passive

import (
	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/dicomwire"
)

const (
	mediaDICOM         = "application/x-probity-dicom-association"
	maxAbstractSyntax  = 128 // PS3.8 section 9.3.2.2: odd identifiers of one byte
	abstractSyntaxSize = 64
)

// dicomSession reads the first message of each side: the request of the client
// and the answer, rejection or abort of the server.
type dicomSession struct {
	sides [2]dicomSide
}

type dicomSide struct {
	buffer []byte // message so far, header included
	kind   dicomwire.Type
	facts  *evidence.DICOMFacts
	raw    []byte
}

func newDICOMSession() session { return &dicomSession{} }

func (s *dicomSession) held() int {
	n := 0
	for i := range s.sides {
		n += len(s.sides[i].buffer) + len(s.sides[i].raw)
	}
	return n
}

func (s *dicomSession) feed(side int, b []byte) (done bool) {
	d := &s.sides[side]
	// Of a data message, which would hold a data set, not even the begin is kept.
	if len(d.buffer) == 0 && len(b) > 0 && dicomwire.Type(b[0]) == dicomwire.DataTF {
		return true
	}
	if room := dicomwire.HeaderSize - len(d.buffer); room > 0 {
		n := min(room, len(b))
		d.buffer, b = keep(d.buffer, b[:n]), b[n:]
	}
	if len(d.buffer) < dicomwire.HeaderSize {
		return false
	}
	kind, length, err := dicomwire.Header(d.buffer)
	if err != nil || kind == dicomwire.DataTF {
		d.stop()
		return true
	}
	n := min(dicomwire.HeaderSize+length-len(d.buffer), len(b))
	d.buffer = keep(d.buffer, b[:n])
	if len(d.buffer) < dicomwire.HeaderSize+length {
		return false
	}
	d.take(kind, d.buffer[dicomwire.HeaderSize:])
	d.stop()
	return true
}

// stop lets go of the message.
func (d *dicomSide) stop() {
	forget(d.buffer)
	d.buffer = nil
}

// take reads one message.
func (d *dicomSide) take(kind dicomwire.Type, body []byte) {
	d.kind = kind
	switch kind {
	case dicomwire.AssociateRQ, dicomwire.AssociateAC:
		a, err := dicomwire.ParseAssociate(kind, body)
		if err != nil {
			return
		}
		d.facts = associateFacts(kind, a)
		body = dicomwire.Redact(body)
	case dicomwire.AssociateRJ:
		r, err := dicomwire.ParseReject(body)
		if err != nil {
			return
		}
		d.facts = &evidence.DICOMFacts{PDU: "rj", RejectResult: r.Result, RejectSource: r.Source, RejectReason: r.Reason}
	case dicomwire.Abort:
		source, reason, err := dicomwire.ParseAbort(body)
		if err != nil {
			return
		}
		d.facts = &evidence.DICOMFacts{PDU: "abort", RejectSource: source, RejectReason: reason}
	case dicomwire.DataTF, dicomwire.ReleaseRQ, dicomwire.ReleaseRP:
		return
	}
	d.raw = append(append([]byte(nil), d.buffer[:dicomwire.HeaderSize]...), body...)
}

func associateFacts(kind dicomwire.Type, a dicomwire.Associate) *evidence.DICOMFacts {
	f := &evidence.DICOMFacts{
		PDU: "rq", CalledAE: safetext.Clean(a.CalledAE), CallingAE: safetext.Clean(a.CallingAE),
		ImplementationUID: safetext.Clean(a.ImplementationUID), Implementation: safetext.Clean(a.ImplementationVersion), MaxPDU: a.MaxPDU,
	}
	if kind == dicomwire.AssociateAC {
		f.PDU, f.Accepted = "ac", a.Accepted()
		return f
	}
	for _, c := range a.Contexts[:min(len(a.Contexts), maxAbstractSyntax)] {
		f.AbstractSyntaxes = append(f.AbstractSyntaxes, safetext.CleanN(c.AbstractSyntax, abstractSyntaxSize))
	}
	return f
}

func (s *dicomSession) server(f *flow) int {
	for i := range s.sides {
		switch s.sides[i].kind {
		case dicomwire.AssociateRQ:
			return 1 - i
		case dicomwire.AssociateAC, dicomwire.AssociateRJ:
			return i
		case dicomwire.DataTF, dicomwire.ReleaseRQ, dicomwire.ReleaseRP, dicomwire.Abort:
		}
	}
	return serverOf(f, unknownSide)
}

// conclude returns the request first. A rejection or abort is told whom it was
// for, which its bytes do not say.
func (s *dicomSession) conclude(f *flow) []evidence.Observation {
	server := s.server(f)
	request := s.sides[1-server].facts
	var out []evidence.Observation
	for _, i := range []int{1 - server, server} {
		s.sides[i].stop()
		d := s.sides[i]
		if d.facts == nil {
			continue
		}
		if i == server && request != nil && d.facts.PDU != "ac" {
			d.facts.CalledAE, d.facts.CallingAE = request.CalledAE, request.CallingAE
		}
		out = append(out, evidence.Observation{
			Kind: evidence.KindDICOM, Detail: ambiguity(f), Facts: evidence.Facts{DICOM: d.facts},
			Raw: []evidence.Blob{{Media: mediaDICOM, Data: d.raw}},
		})
	}
	return out
}

// ambiguity is the qualification of an observation of a connection with bytes
// that disagree.
func ambiguity(f *flow) string {
	if f.ambiguous {
		return "overlapping bytes of the connection disagree"
	}
	return ""
}
