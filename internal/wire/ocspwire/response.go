package ocspwire

import (
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of a response that is read whole.
const (
	MaxSingles      = 1024
	MaxCertificates = 16
)

// Response is an OCSP response with what it takes to verify it (RFC 6960 section
// 4.2.1). Byte slices are parts of what was parsed.
type Response struct {
	Status    int    // OCSPResponseStatus; all but 0, successful, come without the rest
	TBS       []byte // ResponseData, which is signed
	Algorithm []byte // DER of the AlgorithmIdentifier of the signature
	Signature []byte
	// ResponderName is the DER of the responder's name, ResponderKey the SHA-1 of its
	// key; one of them is set.
	ResponderName []byte
	ResponderKey  []byte
	Produced      time.Time
	Singles       []Single
	Certificates  [][]byte // DER, of the responder
	// Unknown are critical extensions, which are all not read.
	Unknown []string
}

// Single is what a response says of one certificate, which it names by issuer and
// serial number (section 4.1.1).
type Single struct {
	Hash                   string // object identifier of the hash of the two that follow
	NameHash, KeyHash      []byte // of the issuer
	Serial                 []byte // content of the DER INTEGER
	Status                 string // "good", "revoked" or "unknown"
	Revoked                time.Time
	Reason                 int // CRLReason; -1 without one
	ThisUpdate, NextUpdate time.Time
}

// Read reads the DER of an OCSPResponse whole.
func Read(der []byte) (*Response, error) {
	var outer, wrapped, body, basic, response, data, algorithm cryptobyte.String
	var kind asn1.ObjectIdentifier
	var has bool
	r := &Response{}
	in := cryptobyte.String(der)
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Enum(&r.Status) || r.Status < 0 ||
		!outer.ReadOptionalASN1(&wrapped, &has, context(0)) {
		return nil, errMalformed
	}
	if !has {
		if r.Status == 0 {
			return nil, fmt.Errorf("%w: successful without a response", errMalformed)
		}
		return r, nil
	}
	if !wrapped.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(basicResponse()) ||
		!body.ReadASN1(&basic, cbasn1.OCTET_STRING) || !basic.ReadASN1(&response, cbasn1.SEQUENCE) ||
		!response.ReadASN1Element(&data, cbasn1.SEQUENCE) || !response.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!response.ReadASN1BitStringAsBytes(&r.Signature) {
		return nil, fmt.Errorf("%w: no basic response", errMalformed)
	}
	r.TBS, r.Algorithm = data, algorithm
	if err := r.certificates(response); err != nil {
		return nil, err
	}
	return r, r.data(data)
}

func (r *Response) certificates(rest cryptobyte.String) error {
	var wrapped, list cryptobyte.String
	var has bool
	if !rest.ReadOptionalASN1(&wrapped, &has, context(0)) || has && !wrapped.ReadASN1(&list, cbasn1.SEQUENCE) {
		return fmt.Errorf("%w: certificates", errMalformed)
	}
	for !list.Empty() && len(r.Certificates) < MaxCertificates {
		var one cryptobyte.String
		if !list.ReadASN1Element(&one, cbasn1.SEQUENCE) {
			return fmt.Errorf("%w: certificate %d", errMalformed, len(r.Certificates)+1)
		}
		r.Certificates = append(r.Certificates, one)
	}
	return nil
}

// data reads a ResponseData.
func (r *Response) data(tbs cryptobyte.String) error {
	var body, responder, list, single, extensions cryptobyte.String
	var tag cbasn1.Tag
	var has bool
	if !tbs.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipOptionalASN1(context(0)) || !body.ReadAnyASN1(&responder, &tag) {
		return fmt.Errorf("%w: responder", errMalformed)
	}
	var id cryptobyte.String
	switch {
	case tag == context(1) && responder.ReadASN1Element(&id, cbasn1.SEQUENCE):
		r.ResponderName = id
	case tag == context(2) && responder.ReadASN1(&id, cbasn1.OCTET_STRING):
		r.ResponderKey = id
	default:
		return fmt.Errorf("%w: responder", errMalformed)
	}
	if !body.ReadASN1GeneralizedTime(&r.Produced) || !body.ReadASN1(&list, cbasn1.SEQUENCE) {
		return fmt.Errorf("%w: time and statuses", errMalformed)
	}
	r.Produced = r.Produced.UTC()
	for !list.Empty() && len(r.Singles) < MaxSingles {
		if !list.ReadASN1(&single, cbasn1.SEQUENCE) {
			return fmt.Errorf("%w: status %d", errMalformed, len(r.Singles)+1)
		}
		s, err := r.single(single)
		if err != nil {
			return err
		}
		r.Singles = append(r.Singles, s)
	}
	if !body.ReadOptionalASN1(&extensions, &has, context(1)) || has && !r.extensions(extensions) {
		return fmt.Errorf("%w: extensions", errMalformed)
	}
	return nil
}

// single reads a SingleResponse.
func (r *Response) single(s cryptobyte.String) (Single, error) {
	status, ok := readStatus(s)
	if !ok {
		return Single{}, fmt.Errorf("%w: status %d", errMalformed, len(r.Singles)+1)
	}
	out := Single{Status: status.Status, Revoked: status.RevokedAt, Reason: -1, ThisUpdate: status.ThisUpdate, NextUpdate: status.NextUpdate}
	var id, algorithm, name, key, serial, state, reason, extensions cryptobyte.String
	var hash asn1.ObjectIdentifier
	var tag cbasn1.Tag
	var has bool
	// readStatus has read the same parts.
	ok = s.ReadASN1(&id, cbasn1.SEQUENCE) && id.ReadASN1(&algorithm, cbasn1.SEQUENCE) && algorithm.ReadASN1ObjectIdentifier(&hash) &&
		id.ReadASN1(&name, cbasn1.OCTET_STRING) && id.ReadASN1(&key, cbasn1.OCTET_STRING) && id.ReadASN1(&serial, cbasn1.INTEGER) &&
		s.ReadAnyASN1(&state, &tag) && s.SkipASN1(cbasn1.GeneralizedTime) && s.SkipOptionalASN1(context(0)) &&
		s.ReadOptionalASN1(&extensions, &has, context(1))
	if !ok || has && !r.extensions(extensions) {
		return Single{}, fmt.Errorf("%w: status %d", errMalformed, len(r.Singles)+1)
	}
	out.Hash, out.NameHash, out.KeyHash, out.Serial = hash.String(), name, key, serial
	if out.Status == "revoked" && state.SkipASN1(cbasn1.GeneralizedTime) &&
		state.ReadOptionalASN1(&reason, &has, context(0)) && has && !reason.ReadASN1Enum(&out.Reason) {
		return Single{}, fmt.Errorf("%w: reason of status %d", errMalformed, len(r.Singles)+1)
	}
	return out, nil
}

// extensions keeps the identifiers of critical ones.
func (r *Response) extensions(wrapped cryptobyte.String) bool {
	const most = 8
	var list cryptobyte.String
	if !wrapped.ReadASN1(&list, cbasn1.SEQUENCE) {
		return false
	}
	for !list.Empty() {
		var one cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) || one.PeekASN1Tag(cbasn1.BOOLEAN) && !one.ReadASN1Boolean(&critical) {
			return false
		}
		if critical && len(r.Unknown) < most {
			r.Unknown = append(r.Unknown, id.String())
		}
	}
	return true
}
