package dicomwire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// MarshalRequest returns an A-ASSOCIATE-RQ with its header. Titles are padded
// with spaces; one of more than 16 bytes, or an item too long for its length
// field, is an error.
func (a Associate) MarshalRequest() ([]byte, error) {
	if len(a.CalledAE) > titleSize || len(a.CallingAE) > titleSize {
		return nil, fmt.Errorf("build A-ASSOCIATE-RQ: titles %q and %q: at most %d bytes each", a.CalledAE, a.CallingAE, titleSize)
	}
	body := binary.BigEndian.AppendUint16(nil, a.Version)
	body = append(body, 0, 0)
	body = fmt.Appendf(body, "%-*s%-*s", titleSize, a.CalledAE, titleSize, a.CallingAE)
	body = append(body, make([]byte, 32)...)

	var b builder
	body = b.item(body, itemApplicationContext, []byte(a.ApplicationContext))
	for _, c := range a.Contexts {
		value := b.item([]byte{c.ID, 0, 0, 0}, itemAbstractSyntax, []byte(c.AbstractSyntax))
		for _, syntax := range c.TransferSyntaxes {
			value = b.item(value, itemTransferSyntax, []byte(syntax))
		}
		body = b.item(body, itemPresentationContextRQ, value)
	}
	user := b.item(nil, itemMaximumLength, binary.BigEndian.AppendUint32(nil, a.MaxPDU))
	user = b.item(user, itemImplementationUID, []byte(a.ImplementationUID))
	if a.ImplementationVersion != "" {
		user = b.item(user, itemImplementationVersion, []byte(a.ImplementationVersion))
	}
	body = b.item(body, itemUserInformation, user)
	if b.err != nil || len(body) > MaxAssociate {
		return nil, fmt.Errorf("build A-ASSOCIATE-RQ of %d bytes: item too long", len(body))
	}
	return append(header(AssociateRQ, len(body)), body...), nil
}

// builder appends items and remembers the first that does not fit.
type builder struct{ err error }

func (b *builder) item(to []byte, kind uint8, value []byte) []byte {
	if len(value) > math.MaxUint16 {
		b.err = errMalformed
		return to
	}
	to = append(to, kind, 0)
	to = binary.BigEndian.AppendUint16(to, uint16(len(value)))
	return append(to, value...)
}

// ReleaseRequest returns an A-RELEASE-RQ with its header.
func ReleaseRequest() []byte { return append(header(ReleaseRQ, 4), 0, 0, 0, 0) }

// AbortRequest returns an A-ABORT of the service user with its header.
func AbortRequest() []byte { return append(header(Abort, 4), 0, 0, 0, 0) }

func header(t Type, length int) []byte {
	return binary.BigEndian.AppendUint32([]byte{byte(t), 0}, uint32(length))
}
