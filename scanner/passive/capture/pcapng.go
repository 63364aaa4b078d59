package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"
)

// Block types of draft-ietf-opsawg-pcapng section 4.
const (
	blockInterface      = 1
	blockPacket         = 2 // obsolete
	blockSimplePacket   = 3
	blockEnhancedPacket = 6
	blockSection        = 0x0a0d0d0a
)

const (
	byteOrderMagic = 0x1a2b3c4d
	maxBlock       = MaxPacket + 64<<10 // a packet with its options
	maxInterfaces  = 4096               // of one section
)

// pcapng reads the block format. It is our own because the reader of pcapgo
// takes as much memory as a block claims, panics on short options and keeps
// eight bits of the link type.
type pcapng struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	interfaces []ngInterface
}

type ngInterface struct {
	link    LinkType
	snaplen uint32
	units   uint64 // timestamp units in a second
	offset  int64  // seconds to add
}

func newPcapng(r *bufio.Reader) (*pcapng, error) {
	n := &pcapng{r: r, order: binary.BigEndian}
	kind, body, err := n.nextBlock()
	if err == nil {
		_, _, err = n.take(kind, body)
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file ends in it")
		}
		return nil, fmt.Errorf("pcapng section header: %w", err)
	}
	return n, nil
}

func (n *pcapng) next() (Packet, error) {
	for {
		kind, body, err := n.nextBlock()
		if err != nil {
			return Packet{}, err
		}
		if p, ok, err := n.take(kind, body); ok || err != nil {
			return p, err
		}
	}
}

// nextBlock reads one block: type, total length, body, total length again. The body
// lies in the buffer and is valid until the next call; that of a block longer than
// [maxBlock] which holds no packet is skipped and nil.
func (n *pcapng) nextBlock() (kind uint32, body []byte, err error) {
	const header, sectionHeader, trailer = 8, 12, 4
	head, err := n.r.Peek(header)
	if err != nil {
		if len(head) > 0 {
			err = within(err)
		}
		return 0, nil, err
	}
	kind = n.order.Uint32(head)
	if kind == blockSection { // the same in both orders; its body begins with the order
		if head, err = n.r.Peek(sectionHeader); err != nil {
			return 0, nil, within(err)
		}
		switch {
		case binary.BigEndian.Uint32(head[header:]) == byteOrderMagic:
			n.order = binary.BigEndian
		case binary.LittleEndian.Uint32(head[header:]) == byteOrderMagic:
			n.order = binary.LittleEndian
		default:
			return 0, nil, fmt.Errorf("byte-order magic %x", head[header:])
		}
	}
	total := int64(n.order.Uint32(head[4:]))
	if total < int64(len(head))+trailer || total%4 != 0 {
		return 0, nil, fmt.Errorf("block of type %#x has a length of %d", kind, total)
	}
	if total > maxBlock {
		switch kind {
		case blockSection, blockInterface, blockPacket, blockSimplePacket, blockEnhancedPacket:
			return 0, nil, fmt.Errorf("block of type %#x has a length of %d, more than %d", kind, total, maxBlock)
		}
		_, err := n.r.Discard(int(total))
		return kind, nil, within(err)
	}
	block, err := n.r.Peek(int(total))
	if err != nil {
		return 0, nil, within(err)
	}
	if again := int64(n.order.Uint32(block[total-trailer:])); again != total {
		return 0, nil, fmt.Errorf("block of type %#x has a length of %d at its start and %d at its end", kind, total, again)
	}
	if _, err := n.r.Discard(int(total)); err != nil { // of what was just peeked at
		return 0, nil, err
	}
	return kind, block[len(head) : total-trailer], nil
}

// take reads the body of a block and reports whether it held a packet.
func (n *pcapng) take(kind uint32, body []byte) (p Packet, ok bool, err error) {
	switch kind {
	case blockSection:
		if len(body) < 12 {
			return p, false, errors.New("section header is too short")
		}
		if major := n.order.Uint16(body); major != 1 {
			return p, false, fmt.Errorf("pcapng version %d is unknown", major)
		}
		n.interfaces = n.interfaces[:0]
	case blockInterface:
		return p, false, n.addInterface(body)
	case blockEnhancedPacket, blockPacket:
		if len(body) < 20 {
			return p, false, errors.New("packet block is too short")
		}
		number := n.order.Uint32(body)
		if kind == blockPacket {
			number = uint32(n.order.Uint16(body)) // followed by a count of drops
		}
		if uint64(number) >= uint64(len(n.interfaces)) {
			return p, false, fmt.Errorf("packet of interface %d: the section has %d", number, len(n.interfaces))
		}
		i := n.interfaces[number]
		stamp := uint64(n.order.Uint32(body[4:]))<<32 | uint64(n.order.Uint32(body[8:]))
		p, err = packet(body[20:], n.order.Uint32(body[12:]), n.order.Uint32(body[16:]), i.link)
		p.Time = i.time(stamp)
		return p, err == nil, err
	case blockSimplePacket:
		if len(body) < 4 || len(n.interfaces) == 0 {
			return p, false, errors.New("simple packet block is too short or has no interface")
		}
		length, i := n.order.Uint32(body), n.interfaces[0]
		captured := length
		if i.snaplen > 0 {
			captured = min(captured, i.snaplen)
		}
		p, err = packet(body[4:], captured, length, i.link)
		return p, err == nil, err
	}
	return p, false, nil // statistics, names, secrets and blocks to come
}

func packet(b []byte, captured, length uint32, link LinkType) (Packet, error) {
	if captured > MaxPacket || int(captured) > len(b) {
		return Packet{}, fmt.Errorf("packet of %d bytes in a block with room for %d", captured, len(b))
	}
	return Packet{Data: b[:captured], Length: int(min(length, math.MaxInt32)), Link: link}, nil
}

// addInterface reads an interface description with its options if_tsresol and
// if_tsoffset.
func (n *pcapng) addInterface(body []byte) error {
	if len(body) < 8 {
		return errors.New("interface block is too short")
	}
	if len(n.interfaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	i := ngInterface{link: LinkType(n.order.Uint16(body)), snaplen: n.order.Uint32(body[4:]), units: 1e6}
	for b := body[8:]; len(b) >= 4; {
		code, length := n.order.Uint16(b), int(n.order.Uint16(b[2:]))
		padded := (length + 3) &^ 3
		if code == 0 || padded > len(b)-4 {
			break
		}
		value := b[4 : 4+length]
		switch {
		case code == 9 && length == 1:
			if i.units = resolution(value[0]); i.units == 0 {
				return fmt.Errorf("timestamp resolution %#x", value[0])
			}
		case code == 14 && length == 8:
			i.offset = int64(n.order.Uint64(value))
		}
		b = b[4+padded:]
	}
	n.interfaces = append(n.interfaces, i)
	return nil
}

// resolution returns the units of a second for if_tsresol: a negative power of
// ten, or of two if the top bit is set; 0 if there is no such number.
func resolution(v byte) uint64 {
	exponent := v & 0x7f
	if v&0x80 != 0 {
		if exponent > 63 {
			return 0
		}
		return 1 << exponent
	}
	if exponent > 19 {
		return 0
	}
	units := uint64(1)
	for range exponent {
		units *= 10
	}
	return units
}

// time converts a timestamp. A time beyond what [time.Unix] and a database can
// hold becomes zero, which means unknown.
func (i ngInterface) time(stamp uint64) time.Time {
	const year9999 = 253402300799
	seconds := int64(stamp / i.units) // units is at least 1
	hi, lo := bits.Mul64(stamp%i.units, uint64(time.Second))
	nanoseconds, _ := bits.Div64(hi, lo, i.units) // below one second: no overflow
	if seconds < 0 || seconds > year9999 || i.offset > year9999 || i.offset < -year9999 ||
		seconds+i.offset < 0 || seconds+i.offset > year9999 {
		return time.Time{}
	}
	return time.Unix(seconds+i.offset, int64(nanoseconds)).UTC()
}
