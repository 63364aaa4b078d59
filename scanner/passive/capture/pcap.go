package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Sizes of the classic format (draft-ietf-opsawg-pcap sections 4 and 5).
const (
	pcapHeader       = 24
	recordHeader     = 16
	magicNanoseconds = 0xa1b23c4d
)

// pcap reads the classic format. It is our own because the reader of pcapgo copies
// every packet, keeps eight bits of the link type and stops at packets longer than
// the header announces, to which many writers do not keep.
type pcap struct {
	r    *bufio.Reader
	big  bool  // byte order of the writer
	unit int64 // nanoseconds in a unit of the second field of a time
	link LinkType
}

func newPcap(r *bufio.Reader) (*pcap, error) {
	h, err := r.Peek(pcapHeader)
	if err != nil {
		return nil, fmt.Errorf("the file has %d bytes, less than the header of a pcap file: %w", len(h), ErrNotCapture)
	}
	p := &pcap{r: r, big: h[0] == 0xa1, unit: 1000}
	if p.number(h) == magicNanoseconds {
		p.unit = 1
	}
	// The major version comes first, so that it is one end of a number of 32 bits.
	if version := p.number(h[4:]); p.big && version>>16 != 2 || !p.big && version&0xffff != 2 {
		return nil, fmt.Errorf("pcap version %x is unknown", h[4:8])
	}
	// The upper bits hold the length of a frame check sequence.
	p.link = LinkType(p.number(h[20:]))
	_, err = r.Discard(pcapHeader)
	return p, err
}

func (p *pcap) number(b []byte) uint32 {
	if p.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

// next hands out the packet where it lies in the buffer.
func (p *pcap) next() (Packet, error) {
	h, err := p.r.Peek(recordHeader)
	if err != nil {
		if len(h) > 0 {
			err = within(err)
		}
		return Packet{}, err
	}
	seconds, fraction, captured, length := p.number(h), p.number(h[4:]), p.number(h[8:]), p.number(h[12:])
	switch {
	case captured > MaxPacket:
		return Packet{}, fmt.Errorf("a packet of %d bytes, more than %d", captured, MaxPacket)
	case captured > length:
		return Packet{}, fmt.Errorf("%d bytes were captured of a packet of %d", captured, length)
	}
	size := recordHeader + int(captured)
	b, err := p.r.Peek(size)
	if err != nil {
		return Packet{}, within(err)
	}
	if _, err := p.r.Discard(size); err != nil { // of what was just peeked at
		return Packet{}, err
	}
	return Packet{
		Data: b[recordHeader:], Time: time.Unix(int64(seconds), int64(fraction)*p.unit).UTC(),
		Length: int(min(length, math.MaxInt32)), Link: p.link,
	}, nil
}

// within turns the end of the file into an end within a record.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
