package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/gopacket/pcapgo"
)

const pcapHeader = 24

// pcap reads the classic format with pcapgo.
type pcap struct {
	r    *pcapgo.Reader
	link LinkType
}

func newPcap(r *bufio.Reader) (*pcap, error) {
	h, err := r.Peek(pcapHeader)
	if err != nil {
		return nil, fmt.Errorf("the file has %d bytes, less than the header of a pcap file: %w", len(h), ErrNotCapture)
	}
	order := binary.ByteOrder(binary.BigEndian)
	if h[0] == 0xd4 || h[0] == 0x4d {
		order = binary.LittleEndian
	}
	// pcapgo keeps eight bits of the link type, which is too few for SLL2; the
	// upper four hold the length of a frame check sequence.
	p := &pcap{link: LinkType(order.Uint32(h[20:]))}
	if p.r, err = pcapgo.NewReader(r); err != nil {
		return nil, fmt.Errorf("pcap header: %w", err)
	}
	// Many writers do not keep to the length they announce, and an announced
	// length must not decide how much memory is taken.
	p.r.SetSnaplen(MaxPacket)
	return p, nil
}

func (p *pcap) next() (Packet, error) {
	data, ci, err := p.r.ZeroCopyReadPacketData()
	if err != nil {
		// The header of a record is read by io.ReadFull, which says io.EOF between
		// records; after the header, io.EOF is an end within one.
		if errors.Is(err, io.EOF) && (ci.CaptureLength > 0 || !ci.Timestamp.IsZero()) {
			err = io.ErrUnexpectedEOF
		}
		return Packet{}, err
	}
	return Packet{Data: data, Time: ci.Timestamp, Length: ci.Length, Link: p.link}, nil
}
