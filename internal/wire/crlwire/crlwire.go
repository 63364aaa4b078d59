// Package crlwire reads certificate revocation lists of version 1 and 2 (RFC 5280
// section 5): who issued a list, when, for which certificates it speaks, and which
// it revokes. It verifies no signature and does no I/O.
//
// Invariant: every length comes from an adversary. No parser panics, and a list takes
// a small multiple of its bytes, which it shares.
package crlwire

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// List is a certificate revocation list. Byte slices are parts of what was parsed.
type List struct {
	TBS       []byte // what is signed
	Algorithm []byte // DER of the AlgorithmIdentifier of the signature
	Signature []byte
	Version   int    // 1 or 2
	Issuer    []byte // DER of the name
	// ThisUpdate and NextUpdate are when the list was issued and by when the next
	// one will be; NextUpdate is zero where the list does not say.
	ThisUpdate, NextUpdate time.Time
	Number                 *big.Int // cRLNumber; nil without one
	// Base is the number of the complete list that a delta list is the difference
	// to; nil for a complete list (section 5.2.4).
	Base      *big.Int
	Authority []byte // key identifier of the authority; empty without one
	Scope     Scope
	Entries   []Entry
	// Unknown are critical extensions, of the list or of an entry, that are not
	// read: such a list must not be used to tell the status of a certificate
	// (section 5.2).
	Unknown []string
}

// Scope is the issuing distribution point: for which certificates and reasons a
// list speaks (section 5.2.5). The zero value speaks for all of its issuer.
type Scope struct {
	Present        bool
	Points         [][]byte // general names of the distribution point, DER, or one name relative to the issuer ([1])
	OnlyUsers      bool
	OnlyCAs        bool
	OnlyAttributes bool
	Indirect       bool // entries may be of other issuers
	// Reasons are the flags of onlySomeReasons, bit n for the reason of bit n; 0
	// where the list speaks for all.
	Reasons uint16
	raw     string
}

// Same reports whether two lists speak for the same certificates and reasons.
func (s Scope) Same(o Scope) bool { return s.raw == o.raw }

// Reason says why a certificate is revoked (section 5.3.1).
type Reason int

// The reasons that are told apart; 7 is not used.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	RemoveFromCRL        Reason = 8
	PrivilegeWithdrawn   Reason = 9
	AACompromise         Reason = 10
)

// String names a reason as RFC 5280 does.
func (r Reason) String() string {
	names := []string{
		"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
		"certificateHold", "reason 7", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
	}
	if r < 0 || int(r) >= len(names) {
		return fmt.Sprintf("reason %d", int(r))
	}
	return names[r]
}

// Entry is one certificate that a list names.
type Entry struct {
	Serial  []byte // content of the DER INTEGER
	Issuer  []byte // DER of the name of the certificate's issuer; nil: that of the list
	Revoked time.Time
	Reason  Reason
}

var errMalformed = errors.New("malformed revocation list")

// Identifiers of extensions (RFC 5280 sections 5.2 and 5.3), by their last arc
// under id-ce.
const (
	extNumber            = 20
	extReason            = 21
	extInvalidity        = 24
	extDelta             = 27
	extIssuingPoint      = 28
	extCertificateIssuer = 29
	extAuthority         = 35
)

// Parse reads the DER of a CertificateList.
func Parse(der []byte) (*List, error) {
	var outer, tbs, algorithm cryptobyte.String
	in := cryptobyte.String(der)
	l := &List{Version: 1}
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&tbs, cbasn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !outer.ReadASN1BitStringAsBytes(&l.Signature) || !outer.Empty() {
		return nil, fmt.Errorf("%w: its three parts", errMalformed)
	}
	l.TBS, l.Algorithm = tbs, algorithm
	if err := l.body(tbs); err != nil {
		return nil, err
	}
	return l, nil
}

// body reads a TBSCertList (section 5.1.2).
func (l *List) body(tbs cryptobyte.String) error {
	var body, issuer, list, extensions cryptobyte.String
	var version int64
	if !tbs.ReadASN1(&body, cbasn1.SEQUENCE) {
		return errMalformed
	}
	if body.PeekASN1Tag(cbasn1.INTEGER) {
		if !body.ReadASN1Integer(&version) || version != 1 { // v2
			return fmt.Errorf("%w: version %d", errMalformed, version+1)
		}
		l.Version = 2
	}
	if !body.SkipASN1(cbasn1.SEQUENCE) || !body.ReadASN1Element(&issuer, cbasn1.SEQUENCE) || !readTime(&body, &l.ThisUpdate) {
		return fmt.Errorf("%w: issuer and time", errMalformed)
	}
	l.Issuer = issuer
	if body.PeekASN1Tag(cbasn1.UTCTime) || body.PeekASN1Tag(cbasn1.GeneralizedTime) {
		if !readTime(&body, &l.NextUpdate) {
			return fmt.Errorf("%w: nextUpdate", errMalformed)
		}
	}
	if body.PeekASN1Tag(cbasn1.SEQUENCE) {
		if !body.ReadASN1(&list, cbasn1.SEQUENCE) {
			return fmt.Errorf("%w: the revoked certificates", errMalformed)
		}
		if err := l.entries(list); err != nil {
			return err
		}
	}
	var has bool
	if !body.ReadOptionalASN1(&extensions, &has, context(0)) || !body.Empty() {
		return fmt.Errorf("%w: extensions", errMalformed)
	}
	if !has {
		return nil
	}
	var inner cryptobyte.String
	if !extensions.ReadASN1(&inner, cbasn1.SEQUENCE) {
		return fmt.Errorf("%w: extensions", errMalformed)
	}
	return each(inner, l.extension)
}

func (l *List) entries(list cryptobyte.String) error {
	var issuer []byte
	for !list.Empty() {
		var one, serial, extensions cryptobyte.String
		e := Entry{Issuer: issuer}
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&serial, cbasn1.INTEGER) || !readTime(&one, &e.Revoked) {
			return fmt.Errorf("%w: revoked certificate %d", errMalformed, len(l.Entries)+1)
		}
		e.Serial = serial
		if !one.Empty() {
			if !one.ReadASN1(&extensions, cbasn1.SEQUENCE) {
				return fmt.Errorf("%w: revoked certificate %d", errMalformed, len(l.Entries)+1)
			}
			err := each(extensions, func(id string, arc int, critical bool, value cryptobyte.String) error {
				return l.entryExtension(&e, id, arc, critical, value)
			})
			if err != nil {
				return err
			}
		}
		issuer = e.Issuer // which holds until another is named (section 5.3.3)
		l.Entries = append(l.Entries, e)
	}
	return nil
}

func (l *List) entryExtension(e *Entry, id string, arc int, critical bool, value cryptobyte.String) error {
	switch arc {
	case extReason:
		var reason int
		if !value.ReadASN1Enum(&reason) {
			return fmt.Errorf("%w: reason", errMalformed)
		}
		e.Reason = Reason(reason)
	case extCertificateIssuer:
		var names, directory, name cryptobyte.String
		if !value.ReadASN1(&names, cbasn1.SEQUENCE) {
			return fmt.Errorf("%w: certificate issuer", errMalformed)
		}
		for !names.Empty() { // general names, of which one is a directory name
			var tag cbasn1.Tag
			var general cryptobyte.String
			if !names.ReadAnyASN1(&general, &tag) {
				return fmt.Errorf("%w: certificate issuer", errMalformed)
			}
			if tag == context(4) && directory == nil {
				directory = general
			}
		}
		if directory != nil && directory.ReadASN1Element(&name, cbasn1.SEQUENCE) {
			e.Issuer = name
		} else {
			l.unknown(id, critical)
		}
	case extInvalidity:
	default:
		l.unknown(id, critical)
	}
	return nil
}

const maxUnknown = 8

func (l *List) unknown(id string, critical bool) {
	if critical && len(l.Unknown) < maxUnknown {
		l.Unknown = append(l.Unknown, id)
	}
}

func (l *List) extension(id string, arc int, critical bool, value cryptobyte.String) error {
	switch arc {
	case extNumber, extDelta:
		n := new(big.Int)
		if !value.ReadASN1Integer(n) {
			return fmt.Errorf("%w: number", errMalformed)
		}
		if arc == extNumber {
			l.Number = n
		} else {
			l.Base = n
		}
	case extAuthority:
		var body, key cryptobyte.String
		var has bool
		if !value.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadOptionalASN1(&key, &has, cbasn1.Tag(0).ContextSpecific()) {
			return fmt.Errorf("%w: authority key identifier", errMalformed)
		}
		l.Authority = key
	case extIssuingPoint:
		return l.Scope.read(value)
	default:
		l.unknown(id, critical)
	}
	return nil
}

// read reads an IssuingDistributionPoint.
func (s *Scope) read(value cryptobyte.String) error {
	*s = Scope{Present: true, raw: string(value)}
	bad := fmt.Errorf("%w: issuing distribution point", errMalformed)
	var body, point, reasons, full cryptobyte.String
	var has bool
	if !value.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadOptionalASN1(&point, &has, context(0)) {
		return bad
	}
	if has {
		if point.ReadOptionalASN1(&full, &has, context(0)) && has {
			for !full.Empty() {
				var name cryptobyte.String
				var tag cbasn1.Tag
				if !full.ReadAnyASN1Element(&name, &tag) {
					return bad
				}
				s.Points = append(s.Points, name)
			}
		} else { // relative to the issuer of the list
			s.Points = append(s.Points, point)
		}
	}
	flag := func(n uint8, to *bool) bool {
		var v cryptobyte.String
		var has bool
		if !body.ReadOptionalASN1(&v, &has, cbasn1.Tag(n).ContextSpecific()) {
			return false
		}
		*to = has && len(v) == 1 && v[0] != 0
		return true
	}
	if !flag(1, &s.OnlyUsers) || !flag(2, &s.OnlyCAs) || !body.ReadOptionalASN1(&reasons, &has, cbasn1.Tag(3).ContextSpecific()) {
		return bad
	}
	if has {
		s.Reasons = Flags(reasons)
	}
	if !flag(4, &s.Indirect) || !flag(5, &s.OnlyAttributes) || !body.Empty() {
		return bad
	}
	return nil
}

// Flags reads the content of a BIT STRING of up to 16 named bits, bit n for the bit
// named n, as ReasonFlags are (RFC 5280 section 4.2.1.13).
func Flags(content []byte) uint16 {
	var out uint16
	for i := range 16 {
		if at := 1 + i/8; at < len(content) && content[at]&(0x80>>(i%8)) != 0 {
			out |= 1 << i
		}
	}
	return out
}

// each calls read for every extension of a list. arc is the last arc of those under
// id-ce, else -1.
func each(list cryptobyte.String, read func(id string, arc int, critical bool, value cryptobyte.String) error) error {
	for !list.Empty() {
		var one, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) ||
			one.PeekASN1Tag(cbasn1.BOOLEAN) && !one.ReadASN1Boolean(&critical) || !one.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return fmt.Errorf("%w: extension", errMalformed)
		}
		arc := -1
		if len(id) == 4 && id[0] == 2 && id[1] == 5 && id[2] == 29 {
			arc = id[3]
		}
		if err := read(id.String(), arc, critical, value); err != nil {
			return err
		}
	}
	return nil
}

// readTime reads a Time, a CHOICE of two forms (RFC 5280 section 4.1.2.5).
func readTime(s *cryptobyte.String, to *time.Time) bool {
	ok := false
	if s.PeekASN1Tag(cbasn1.UTCTime) {
		ok = s.ReadASN1UTCTime(to)
	} else {
		ok = s.ReadASN1GeneralizedTime(to)
	}
	*to = to.UTC()
	return ok
}

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
