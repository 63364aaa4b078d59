// Package ocspwire reads what an OCSP response says (RFC 6960 section 4.2): the
// status of certificates and the times of it. It verifies no signature, looks at
// no certificate in the response and does no I/O, so that a response of an
// adversary costs no more than its bytes.
//
// Invariant: every length comes from an adversary. No parser panics, and none
// returns more than [MaxStatuses] statuses.
package ocspwire

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
)

// MaxStatuses is how many statuses of a response are read.
const MaxStatuses = 8

const maxSerial = 64 // bytes; RFC 5280 section 4.1.2.2 allows 20

var errMalformed = errors.New("malformed OCSP response")

func basicResponse() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1} // id-pkix-ocsp-basic
}

// Parse reads the DER of an OCSPResponse. With an error it returns what was read
// before the damage.
func Parse(der []byte) (evidence.OCSPFacts, error) {
	var (
		f                         evidence.OCSPFacts
		in                        = cryptobyte.String(der)
		outer, wrapped, body      cryptobyte.String
		basic, response, elements cryptobyte.String
		kind                      asn1.ObjectIdentifier
		has                       bool
	)
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.ReadASN1Enum(&f.Response) || f.Response < 0 ||
		!outer.ReadOptionalASN1(&wrapped, &has, context(0)) {
		return evidence.OCSPFacts{}, errMalformed
	}
	if !has {
		if f.Response == 0 {
			return evidence.OCSPFacts{}, fmt.Errorf("%w: successful without a response", errMalformed)
		}
		return f, nil
	}
	if !wrapped.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(basicResponse()) ||
		!body.ReadASN1(&basic, cbasn1.OCTET_STRING) || !basic.ReadASN1(&response, cbasn1.SEQUENCE) || !response.ReadASN1(&elements, cbasn1.SEQUENCE) {
		return evidence.OCSPFacts{}, errMalformed
	}
	err := data(elements, &f)
	return f, err
}

// data reads a ResponseData.
func data(s cryptobyte.String, f *evidence.OCSPFacts) error {
	var responder, list, single cryptobyte.String
	var tag cbasn1.Tag
	if !s.SkipOptionalASN1(context(0)) || !s.ReadAnyASN1(&responder, &tag) || !s.ReadASN1GeneralizedTime(&f.Produced) || !s.ReadASN1(&list, cbasn1.SEQUENCE) {
		return errMalformed
	}
	f.Produced = f.Produced.UTC()
	for !list.Empty() && len(f.Statuses) < MaxStatuses {
		if !list.ReadASN1(&single, cbasn1.SEQUENCE) {
			return errMalformed
		}
		status, ok := readStatus(single)
		if !ok {
			return errMalformed
		}
		f.Statuses = append(f.Statuses, status)
	}
	return nil
}

// readStatus reads a SingleResponse.
func readStatus(s cryptobyte.String) (evidence.OCSPStatus, bool) {
	var out evidence.OCSPStatus
	var id, algorithm, name, key, serial, status, next cryptobyte.String
	var tag cbasn1.Tag
	var has bool
	if !s.ReadASN1(&id, cbasn1.SEQUENCE) || !id.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !id.ReadASN1(&name, cbasn1.OCTET_STRING) ||
		!id.ReadASN1(&key, cbasn1.OCTET_STRING) || !id.ReadASN1(&serial, cbasn1.INTEGER) || len(serial) > maxSerial || !s.ReadAnyASN1(&status, &tag) {
		return out, false
	}
	out.Serial = hex.EncodeToString(serial)
	switch tag { // the tags of CHOICE CertStatus are implicit
	case cbasn1.Tag(0).ContextSpecific():
		out.Status = "good"
	case context(1):
		out.Status = "revoked"
		if !status.ReadASN1GeneralizedTime(&out.RevokedAt) {
			return out, false
		}
	case cbasn1.Tag(2).ContextSpecific():
		out.Status = "unknown"
	default:
		return out, false
	}
	if !s.ReadASN1GeneralizedTime(&out.ThisUpdate) || !s.ReadOptionalASN1(&next, &has, context(0)) || has && !next.ReadASN1GeneralizedTime(&out.NextUpdate) {
		return out, false
	}
	out.ThisUpdate, out.NextUpdate, out.RevokedAt = out.ThisUpdate.UTC(), out.NextUpdate.UTC(), out.RevokedAt.UTC()
	return out, true
}

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
