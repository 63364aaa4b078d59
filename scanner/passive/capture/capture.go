// Package capture reads packets from files (pcap in its four byte orders and
// resolutions, pcapng, and gzip of both; also while they grow) and, on Linux with
// cgo, from network interfaces. What a file is, its first bytes say, never its
// name.
//
// It hands out packets as they were captured and looks into none. A file that
// ends early or is damaged gives its packets up to that place and then an error
// that names it. Memory is bounded by one packet of a file, whatever it claims,
// and by the rings of interfaces; what they lose is counted. It sends nothing.
package capture

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// LinkType is a link-layer header type (https://www.tcpdump.org/linktypes.html).
type LinkType uint16

// The link types that package passive reads.
const (
	Null       LinkType = 0 // BSD loopback: address family in the byte order of the host
	Ethernet   LinkType = 1
	RawBSD     LinkType = 12 // DLT_RAW of most systems, found in old files
	RawOpenBSD LinkType = 14
	Raw        LinkType = 101
	Loop       LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinuxSLL   LinkType = 113
	IPv4       LinkType = 228
	IPv6       LinkType = 229
	LinuxSLL2  LinkType = 276
)

// MaxPacket is the longest packet that is read, the limit of tcpdump and
// Wireshark. A longer record is damage.
const MaxPacket = 256 << 10

// Packet is one captured packet.
type Packet struct {
	Data   []byte    // valid until the next call of Next
	Time   time.Time // UTC; zero where the file has none (pcapng simple packet)
	Length int       // on the wire; more than len(Data) if the capture cut it
	Link   LinkType
}

// Source gives packets in the order of the capture. Next returns [io.EOF] at the
// regular end.
type Source interface {
	Next() (Packet, error)
}

// Loss is how many packets of an interface were lost before they could be read.
type Loss struct {
	Interface string
	Ring      uint64 // for want of room in the ring, as the kernel counts
	Card      uint64 // for want of room in the network card, as its driver counts
}

// ErrTruncated says that a capture could be read only in part: [TruncatedError]
// and [FormatError] are this error. The caller keeps what came before and calls
// its run incomplete.
var ErrTruncated = errors.New("capture was read only in part")

// TruncatedError is returned by Next when a file ends within a record.
type TruncatedError struct {
	File   string
	Packet int   // number of the packet that is cut, from 1
	Offset int64 // where its record begins; in a gzip file, in what was packed
}

// Error implements error.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("capture %q ends within packet %d, which begins at byte %d: the packets before it were read", e.File, e.Packet, e.Offset)
}

// Is reports that e is [ErrTruncated].
func (e *TruncatedError) Is(target error) bool { return target == ErrTruncated }

// FormatError is returned by Next when a file is damaged and cannot be read on.
type FormatError struct {
	File   string
	Packet int   // number of the packet that should have come, from 1
	Offset int64 // where the record begins; in a gzip file, in what was packed
	Err    error
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("capture %q is damaged at byte %d, packet %d: %v: the packets before it were read", e.File, e.Offset, e.Packet, e.Err)
}

// Unwrap returns what is wrong with the record.
func (e *FormatError) Unwrap() error { return e.Err }

// Is reports that e is [ErrTruncated].
func (e *FormatError) Is(target error) bool { return target == ErrTruncated }

// ErrNotCapture is the cause when the first bytes of a file are those of no
// capture.
var ErrNotCapture = errors.New("not a capture file: probity reads pcap and pcapng, also gzip")

// File is a capture file as a [Source].
type File struct {
	name    string
	closer  io.Closer
	growing *growing // nil if it is not followed
	counted *countingReader
	first   *bufio.Reader // looks whether it is packed
	packed  *gzip.Reader  // nil if it is not
	buffer  *bufio.Reader
	records records
	packets int
	err     error
}

// records is a file format.
type records interface {
	// next reads one packet. It returns io.EOF between records and
	// io.ErrUnexpectedEOF within one.
	next() (Packet, error)
}

// Open opens the capture file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err) // names the path
	}
	file, err := NewFile(path, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.closer = f
	return file, nil
}

// NewFile reads a capture from r; name stands for it in errors.
func NewFile(name string, r io.Reader) (*File, error) {
	buffer := bufio.NewReaderSize(r, 64<<10) // less than the free part of the next one, which then reads past it
	var packed *gzip.Reader
	if magic, _ := buffer.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(buffer)
		if err != nil {
			return nil, fmt.Errorf("read capture %q: gzip: %w", name, err)
		}
		packed, r = unpacked, unpacked
	} else {
		r = buffer
	}
	f := &File{name: name, first: buffer, packed: packed, counted: &countingReader{r: r}}
	f.buffer = bufio.NewReaderSize(f.counted, bufferSize)
	var err error
	if f.records, err = newRecords(f.buffer); err != nil {
		return nil, fmt.Errorf("read capture %q: %w", name, err)
	}
	return f, nil
}

// bufferSize is large enough that the file is read in few calls, and holds any
// record: packets are handed out where they lie in it. It is small enough to stay
// in the cache of a processor.
const bufferSize = 512 << 10

// newRecords picks the format by the first four bytes.
func newRecords(r *bufio.Reader) (records, error) {
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(magic) == 0 {
		return nil, fmt.Errorf("the file is empty: %w", ErrNotCapture)
	}
	if len(magic) < 4 {
		return nil, fmt.Errorf("the file has %d bytes: %w", len(magic), ErrNotCapture)
	}
	switch string(magic) {
	case "\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1":
		return newPcap(r)
	case "\x0a\x0d\x0d\x0a":
		return newPcapng(r)
	}
	return nil, fmt.Errorf("it begins with %x: %w", magic, ErrNotCapture)
}

// Next implements [Source]. An error is final.
func (f *File) Next() (Packet, error) {
	if f.err != nil {
		return Packet{}, f.err
	}
	offset := f.counted.n - int64(f.buffer.Buffered())
	p, err := f.records.next()
	if err == nil {
		f.packets++
		return p, nil
	}
	stopped, isStopped := errors.AsType[*stoppedError](err)
	switch {
	case isStopped:
		f.err = stopped.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.err = &TruncatedError{File: f.name, Packet: f.packets + 1, Offset: offset}
	case errors.Is(err, io.EOF):
		f.err = io.EOF
	default:
		f.err = &FormatError{File: f.name, Packet: f.packets + 1, Offset: offset, Err: err}
	}
	return Packet{}, f.err
}

// Close closes the file and overwrites what was read of it last.
func (f *File) Close() error {
	for _, b := range []*bufio.Reader{f.first, f.buffer} {
		b.Reset(zeros{})
		_, _ = b.Peek(b.Size())
	}
	if f.packed != nil {
		forgetWindow(f.packed)
	}
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// forgetWindow overwrites what a decompressor keeps of its output to repeat from,
// which it has no method for: it reads as many zeros.
func forgetWindow(r *gzip.Reader) {
	const header = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" // RFC 1952 section 2.3
	const stored, window = "\x01\xff\xff\x00\x00", 1<<16 - 1  // RFC 1951 section 3.2.4
	if r.Reset(bufio.NewReader(io.MultiReader(strings.NewReader(header+stored), io.LimitReader(zeros{}, window)))) == nil {
		_, _ = io.Copy(io.Discard, r) // there is no checksum at the end
	}
}

// zeros never ends.
type zeros struct{}

// Read implements [io.Reader].
func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
