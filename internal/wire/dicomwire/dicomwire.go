// Package dicomwire reads and writes the association messages of the DICOM
// upper layer (PS3.8 section 9.3): A-ASSOCIATE-RQ, -AC and -RJ, A-RELEASE and
// A-ABORT.
//
// It is shared by the active prober and the passive dissector. It knows the type
// and length of a P-DATA-TF, so that a caller can stop there, and never reads
// its content: data sets hold patient data.
//
// Invariant: every length is checked against the bytes that are there; no bytes
// make a parser panic or allocate more than they weigh.
package dicomwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Type is the type of a protocol data unit (PS3.8 section 9.3.1).
type Type uint8

// The types of protocol data unit.
const (
	AssociateRQ Type = 1
	AssociateAC Type = 2
	AssociateRJ Type = 3
	DataTF      Type = 4
	ReleaseRQ   Type = 5
	ReleaseRP   Type = 6
	Abort       Type = 7
)

// HeaderSize is the size of the header of every protocol data unit: type,
// a reserved byte and four bytes of length.
const HeaderSize = 6

// MaxAssociate is the longest body of an association message that is read.
const MaxAssociate = 1 << 20

const (
	fixedSize = 68 // version, reserved, two titles of 16 and 32 reserved bytes
	titleSize = 16
	maxItems  = 1024 // of one kind; PS3.8 allows 128 presentation contexts
)

// Item types of PS3.8 section 9.3.2 and PS3.7 annex D.3.3.
const (
	itemApplicationContext    = 0x10
	itemPresentationContextRQ = 0x20
	itemPresentationContextAC = 0x21
	itemAbstractSyntax        = 0x30
	itemTransferSyntax        = 0x40
	itemUserInformation       = 0x50
	itemMaximumLength         = 0x51
	itemImplementationUID     = 0x52
	itemAsyncOperations       = 0x53
	itemRoleSelection         = 0x54
	itemImplementationVersion = 0x55
	itemExtendedNegotiation   = 0x56
	itemCommonNegotiation     = 0x57
)

// Identifiers of PS3.6 and PS3.7 that an association needs.
const (
	ApplicationContext = "1.2.840.10008.3.1.1.1"
	Verification       = "1.2.840.10008.1.1"
	ImplicitVRLittle   = "1.2.840.10008.1.2"
)

// ErrNotDICOM is returned for bytes that are no header of a protocol data unit.
var ErrNotDICOM = errors.New("not a DICOM protocol data unit")

var errMalformed = errors.New("malformed")

// Header reads the header of a protocol data unit: its type and the length of
// the body that follows. b must hold [HeaderSize] bytes. A length that the type
// cannot have is [ErrNotDICOM].
func Header(b []byte) (t Type, length int, err error) {
	if len(b) < HeaderSize {
		return 0, 0, fmt.Errorf("header of %d bytes: %w", len(b), errMalformed)
	}
	t, n := Type(b[0]), binary.BigEndian.Uint32(b[2:])
	ok := b[1] == 0
	switch t {
	case AssociateRQ, AssociateAC:
		ok = ok && n >= fixedSize && n <= MaxAssociate
	case AssociateRJ, ReleaseRQ, ReleaseRP, Abort:
		ok = ok && n == 4
	case DataTF:
		ok = ok && n >= 6 && n <= 1<<31-1
	default:
		ok = false
	}
	if !ok {
		return 0, 0, fmt.Errorf("%w: type %d, length %d", ErrNotDICOM, b[0], n)
	}
	return t, int(n), nil
}

// Context is a proposed or answered presentation context.
type Context struct {
	ID               uint8
	AbstractSyntax   string   // request only
	TransferSyntaxes []string // all that are proposed, or the one accepted
	Result           uint8    // answer only: 0 is acceptance (PS3.8 table 9-18)
}

// Associate is the content of an A-ASSOCIATE-RQ or -AC. The titles of an answer
// repeat the request's and prove nothing (PS3.8 table 9-17).
type Associate struct {
	Version               uint16
	CalledAE              string // without padding, at most 16 bytes, as received
	CallingAE             string
	ApplicationContext    string
	Contexts              []Context
	MaxPDU                uint32 // 0: no limit, or not said
	ImplementationUID     string
	ImplementationVersion string
}

// Accepted returns how many presentation contexts an answer accepts.
func (a Associate) Accepted() int {
	n := 0
	for _, c := range a.Contexts {
		if c.Result == 0 {
			n++
		}
	}
	return n
}

// ParseAssociate reads the body of an A-ASSOCIATE-RQ or -AC (t says which).
// Items that it does not know, among them user identities, are passed over.
func ParseAssociate(t Type, body []byte) (Associate, error) {
	var a Associate
	if t != AssociateRQ && t != AssociateAC {
		return a, fmt.Errorf("A-ASSOCIATE: type %d: %w", t, errMalformed)
	}
	if len(body) < fixedSize || len(body) > MaxAssociate {
		return a, fmt.Errorf("A-ASSOCIATE of %d bytes: %w", len(body), errMalformed)
	}
	a.Version = binary.BigEndian.Uint16(body)
	a.CalledAE, a.CallingAE = title(body[4:20]), title(body[20:36])
	err := eachItem(body[fixedSize:], func(kind uint8, b []byte) error {
		switch {
		case kind == itemApplicationContext:
			a.ApplicationContext = uid(b)
		case kind == itemPresentationContextRQ && t == AssociateRQ, kind == itemPresentationContextAC && t == AssociateAC:
			if len(a.Contexts) == maxItems {
				return fmt.Errorf("more than %d presentation contexts", maxItems)
			}
			c, err := parseContext(t, b)
			if err != nil {
				return err
			}
			a.Contexts = append(a.Contexts, c)
		case kind == itemUserInformation:
			return eachItem(b, a.userItem)
		}
		return nil
	})
	if err != nil {
		return Associate{}, fmt.Errorf("A-ASSOCIATE: %w", err)
	}
	return a, nil
}

func (a *Associate) userItem(kind uint8, b []byte) error {
	switch kind {
	case itemMaximumLength:
		if len(b) != 4 {
			return fmt.Errorf("maximum length item of %d bytes: %w", len(b), errMalformed)
		}
		a.MaxPDU = binary.BigEndian.Uint32(b)
	case itemImplementationUID:
		a.ImplementationUID = uid(b)
	case itemImplementationVersion:
		a.ImplementationVersion = string(b[:min(len(b), titleSize)])
	}
	return nil
}

func parseContext(t Type, b []byte) (Context, error) {
	if len(b) < 4 {
		return Context{}, fmt.Errorf("presentation context of %d bytes: %w", len(b), errMalformed)
	}
	c := Context{ID: b[0]}
	if t == AssociateAC {
		c.Result = b[2]
	}
	err := eachItem(b[4:], func(kind uint8, b []byte) error {
		switch kind {
		case itemAbstractSyntax:
			c.AbstractSyntax = uid(b)
		case itemTransferSyntax:
			if len(c.TransferSyntaxes) == maxItems {
				return fmt.Errorf("more than %d transfer syntaxes", maxItems)
			}
			c.TransferSyntaxes = append(c.TransferSyntaxes, uid(b))
		}
		return nil
	})
	return c, err
}

// eachItem walks items of a type, a reserved byte, two bytes of length and a
// value (PS3.8 section 9.3.2).
func eachItem(b []byte, take func(kind uint8, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return fmt.Errorf("item header of %d bytes: %w", len(b), errMalformed)
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return fmt.Errorf("item %#02x of %d bytes, %d left: %w", b[0], n, len(b)-4, errMalformed)
		}
		if err := take(b[0], b[4:4+n]); err != nil {
			return err
		}
		b = b[4+n:]
	}
	return nil
}

// title returns an application entity title without its padding, which should
// be spaces and is often NUL.
func title(b []byte) string { return strings.Trim(string(b), " \x00") }

// uid returns a UID of at most 64 bytes (PS3.5 section 9.1) without padding.
func uid(b []byte) string { return strings.TrimRight(string(b[:min(len(b), 64)]), " \x00") }

// Reject is the content of an A-ASSOCIATE-RJ (PS3.8 section 9.3.4).
type Reject struct {
	Result uint8 // 1 permanent, 2 transient
	Source uint8 // 1 service user, 2 provider (ACSE), 3 provider (presentation)
	Reason uint8 // depends on the source
}

// ParseReject reads the body of an A-ASSOCIATE-RJ.
func ParseReject(body []byte) (Reject, error) {
	if len(body) != 4 {
		return Reject{}, fmt.Errorf("A-ASSOCIATE-RJ of %d bytes: %w", len(body), errMalformed)
	}
	return Reject{Result: body[1], Source: body[2], Reason: body[3]}, nil
}

// ParseAbort reads the body of an A-ABORT (PS3.8 section 9.3.8): source 0 is the
// service user, 2 the provider.
func ParseAbort(body []byte) (source, reason uint8, err error) {
	if len(body) != 4 {
		return 0, 0, fmt.Errorf("A-ABORT of %d bytes: %w", len(body), errMalformed)
	}
	return body[2], body[3], nil
}

// Redact returns a copy of the body of an A-ASSOCIATE-RQ or -AC in which all but
// titles, contexts and what the sides say of their implementations is zero: what is
// reserved, items that the standard does not know, and user identities, which may
// hold a user name, a password or a token (PS3.7 annex D.3.3.7).
func Redact(body []byte) []byte {
	const reserved = 4 + 2*titleSize
	out := append([]byte(nil), body...)
	if len(out) < fixedSize {
		clear(out)
		return out
	}
	clear(out[reserved:fixedSize])
	// A body that [ParseAssociate] refuses is zero from the damage on.
	walk(out[fixedSize:], func(kind uint8, value []byte) {
		switch kind {
		case itemApplicationContext, itemPresentationContextRQ, itemPresentationContextAC:
		case itemUserInformation:
			walk(value, func(kind uint8, value []byte) {
				switch kind {
				case itemMaximumLength, itemImplementationUID, itemAsyncOperations, itemRoleSelection, itemImplementationVersion, itemExtendedNegotiation, itemCommonNegotiation:
				default:
					clear(value)
				}
			})
		default:
			clear(value)
		}
	})
	return out
}

// walk calls take for every whole item and clears what is left.
func walk(b []byte, take func(kind uint8, value []byte)) {
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			break
		}
		take(b[0], b[4:4+n])
		b = b[4+n:]
	}
	clear(b)
}
