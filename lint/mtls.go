package lint

import (
	"cmp"
	"fmt"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// Enforcement is what the trials of one certificate amount to.
type Enforcement string

// The answers. A difference is needed for each of the first two: a server that
// fails whatever is tried enforces nothing.
const (
	EnforcedInHandshake   Enforcement = "enforced in the handshake"
	EnforcedInApplication Enforcement = "enforced in the application"
	NotEnforced           Enforcement = "not enforced"
	EnforcementUnknown    Enforcement = "inconclusive"
	ControlAccepted       Enforcement = "accepted" // the good certificate, as it should be
)

// ClientCertCell is the answer for one certificate in one version of TLS.
type ClientCertCell struct {
	Version     uint16                     `json:"version"`
	Certificate evidence.ClientCertificate `json:"certificate"`
	Supplied    bool                       `json:"supplied"`
	Enforcement Enforcement                `json:"enforcement"`
	Why         string                     `json:"why"`
	// Silent is true when the handshake was completed and nothing was heard of
	// the application: an inconclusive answer that a further question may settle.
	Silent      bool  `json:"silent,omitzero"`
	Observation int64 `json:"observation"`
}

// ClientCertCells computes the cells from the trials of one probe: by version
// and in the order of the trials. A version that the server does not speak has
// none. Observations of other kinds are passed over.
func ClientCertCells(obs []*evidence.Observation) []ClientCertCell {
	byVersion := map[uint16][]trial{}
	var versions []uint16
	for _, o := range obs {
		f := o.Facts.MTLS
		if f == nil {
			continue
		}
		if byVersion[f.Version] == nil {
			versions = append(versions, f.Version)
		}
		byVersion[f.Version] = append(byVersion[f.Version], trial{f, o.ID, reactionOf(f)})
	}
	slices.Sort(versions)
	var out []ClientCertCell
	for _, v := range versions {
		trials := byVersion[v]
		slices.SortStableFunc(trials, func(a, b trial) int { return cmp.Compare(a.Trial, b.Trial) })
		if trials[0].Handshake == evidence.StageNone {
			continue
		}
		out = append(out, cells(trials)...)
	}
	return out
}

// trial is one connection and what the server did on it.
type trial struct {
	*evidence.MTLSFacts
	observation int64
	reaction    reaction
}

// reaction is what a server did on one connection, as far as it can be told from
// that connection alone.
type reaction int

const (
	unclear         reaction = iota // time-out, no connection, or the client's own fault
	brokenOff                       // the handshake was broken off after the certificate request, or where TLS 1.3 shows it
	refusedByName                   // broken off with an alert that speaks of the certificate
	refusedInWords                  // the application says that the certificate is the reason
	refusedByStatus                 // the application refuses, for a reason that it does not say
	hungUp                          // the handshake was completed, then the server closed
	appAnswered                     // the application answered
	heardNothing                    // the handshake was completed, and then there was silence
)

// aboutCertificate are the alerts that speak of the client's certificate (RFC
// 5246 section 7.2.2, RFC 8446 section 6.2): no_certificate (SSL 3.0; some stacks
// use it for certificate_required), bad, unsupported, revoked, expired and unknown
// certificate, unknown_ca, certificate_required.
func aboutCertificate(alert uint8) bool {
	return alert >= 41 && alert <= 46 || alert == 48 || alert == 116
}

// maySayNo are further alerts with which servers refuse a client: handshake_failure,
// access_denied, decrypt_error (OpenSSL, for a certificate with an accepted name
// that another key signed), internal_error.
func maySayNo(alert uint8) bool { return slices.Contains([]uint8{40, 49, 51, 80}, alert) }

func reactionOf(f *evidence.MTLSFacts) reaction {
	late := f.Version >= tlswire.VersionTLS13 && f.Handshake == evidence.StageComplete && !f.Answered
	broken := f.Requested && f.Handshake != evidence.StageComplete || late
	switch f.End {
	case evidence.EndAlert:
		switch {
		case f.Alert == nil:
		case broken && aboutCertificate(*f.Alert):
			return refusedByName
		case broken && maySayNo(*f.Alert):
			return brokenOff
		case f.Handshake == evidence.StageComplete && !f.Answered:
			return hungUp
		}
		return unclear
	case evidence.EndClosed, evidence.EndReset:
		switch {
		case broken:
			return brokenOff
		case f.Handshake == evidence.StageComplete:
			return hungUp
		}
		return unclear
	case evidence.EndOpen:
		if f.Handshake == evidence.StageComplete {
			return applied(f)
		}
	case evidence.EndUnreached, evidence.EndTimeout, evidence.EndLocal:
	}
	return unclear
}

// applied sorts the answer of the application. The statuses 495 and 496 are
// nginx's own for a certificate that does not verify and for none; to clients it
// says 400, with words.
func applied(f *evidence.MTLSFacts) reaction {
	switch {
	case !f.Answered:
		return heardNothing
	case f.HTTPStatus == 495, f.HTTPStatus == 496, f.HTTPCertificate:
		return refusedInWords
	case f.HTTPStatus == 400, f.HTTPStatus == 401, f.HTTPStatus == 403, f.DICOM == "rj", f.DICOM == "abort":
		return refusedByStatus
	}
	return appAnswered
}

// same reports whether the server treated two trials alike.
func (t trial) same(o trial) bool {
	return t.reaction == o.reaction && t.HTTPStatus == o.HTTPStatus && t.DICOM == o.DICOM
}

// cells judges the trials of one version.
func cells(trials []trial) []ClientCertCell {
	j := judgeOf(trials)
	var out []ClientCertCell
	for _, t := range trials {
		if t.Control == evidence.ControlAfter {
			continue // it backs the others
		}
		c := ClientCertCell{Version: t.Version, Certificate: t.Certificate, Supplied: t.Supplied, Observation: t.observation}
		c.Enforcement, c.Why = j.judge(t)
		c.Silent = t.reaction == heardNothing && c.Enforcement == EnforcementUnknown
		out = append(out, c)
	}
	return out
}

// judge knows what the controls of a version say.
type judge struct {
	flaw     string // why nothing can be concluded; empty: the controls agree
	good     *trial // the good certificate, accepted before and after
	judges   bool   // the server was seen to accept somebody, or to speak of certificates
	accepted bool   // the application answered somebody
}

func judgeOf(trials []trial) judge {
	var j judge
	var before, after *trial
	asked := false
	for i := range trials {
		t := &trials[i]
		switch t.Control {
		case evidence.ControlBefore:
			before = t
		case evidence.ControlAfter:
			after = t
		}
		asked = asked || t.Requested
		switch t.reaction {
		case appAnswered:
			j.judges, j.accepted = true, true
		case heardNothing, refusedByName, refusedInWords:
			j.judges = true
		case unclear, brokenOff, refusedByStatus, hungUp:
		}
	}
	switch {
	case !asked: // no certificate was presented; there is one trial, and no control is needed to see what it got
	case before == nil || after == nil:
		j.flaw = "the control before or after the trials is missing"
	case !before.same(*after):
		j.flaw = "the server treated the control differently after the trials than before"
	case before.Certificate == evidence.ClientCertGood:
		if j.good = before; !taken(before.reaction) {
			j.good, j.flaw = nil, "the good certificate was not accepted: "+before.saw()
		}
	}
	return j
}

// taken reports whether a reaction to the good certificate shows that it was
// accepted. A status that refuses may be about the page.
func taken(r reaction) bool { return r == appAnswered || r == heardNothing || r == refusedByStatus }

func (j judge) judge(t trial) (Enforcement, string) {
	switch {
	case j.flaw != "":
		return EnforcementUnknown, j.flaw
	case t.Certificate == evidence.ClientCertGood:
		return ControlAccepted, t.saw()
	case j.good != nil && t.same(*j.good) && t.reaction != unclear:
		return NotEnforced, t.saw() + ", as with the good certificate"
	}
	switch t.reaction {
	case refusedByName:
		return EnforcedInHandshake, t.saw()
	case brokenOff:
		if j.judges {
			return EnforcedInHandshake, t.saw()
		}
		return EnforcementUnknown, t.saw() + "; so are all others, which shows no judgement of certificates"
	case refusedInWords:
		return EnforcedInApplication, t.saw()
	case refusedByStatus, hungUp:
		if j.accepted || j.good != nil {
			return EnforcedInApplication, t.saw() + ", and others not"
		}
		return EnforcementUnknown, t.saw() + "; nobody is treated better, so the certificate need not be the reason"
	case appAnswered:
		return NotEnforced, t.saw()
	case heardNothing:
		return EnforcementUnknown, t.saw()
	case unclear:
	}
	return EnforcementUnknown, t.saw()
}

// saw says what was seen on the connection.
func (t trial) saw() string {
	switch {
	case t.HTTPCertificate:
		return fmt.Sprintf("HTTP status %d with words about the certificate", t.HTTPStatus)
	case t.HTTPStatus != 0:
		return fmt.Sprintf("HTTP status %d", t.HTTPStatus)
	case t.DICOM != "":
		return map[string]string{"ac": "association accepted", "rj": "association rejected", "abort": "association aborted"}[t.DICOM]
	case t.Answered:
		return "the application answered"
	}
	stage := "the handshake was broken off"
	if t.Handshake == evidence.StageComplete {
		stage = "the handshake was completed"
	}
	switch t.End {
	case evidence.EndAlert:
		if t.Alert != nil {
			return fmt.Sprintf("alert %d", *t.Alert)
		}
	case evidence.EndClosed:
		return stage + ", then the server closed the connection"
	case evidence.EndReset:
		return stage + ", then the server reset the connection"
	case evidence.EndOpen:
		return stage + " and the application said nothing"
	case evidence.EndTimeout:
		return "no answer in time"
	case evidence.EndUnreached:
		return "no connection"
	case evidence.EndLocal:
		return "the client could not go on"
	}
	return stage
}
