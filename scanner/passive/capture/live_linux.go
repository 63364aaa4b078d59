//go:build linux && cgo

package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/gopacket/afpacket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ErrPrivilege is the cause when the kernel does not let this process capture: it
// needs the capability CAP_NET_RAW.
var ErrPrivilege = errors.New("capturing needs the capability CAP_NET_RAW")

// ErrInterface is the cause when an interface does not exist or cannot be read.
var ErrInterface = errors.New("the interface cannot be read")

// Sizes and times of a ring. A block goes to the reader when it is full or
// blockTime old; pollTime is longer, so that a wait that ends without a packet
// means an empty ring.
const (
	blockBytes      = 1 << 20
	smallBlockBytes = 64 << 10
	blockTime       = 50 * time.Millisecond
	pollTime        = 150 * time.Millisecond
	batchBytes      = 256 << 10
	batchesEach     = 4
)

// LiveOptions say what to listen to.
type LiveOptions struct {
	Interfaces  []string
	RingBytes   int     // memory of the ring of each interface
	Promiscuous bool    // also packets for others, as on a mirror port
	Filter      *Filter // nil: every packet
	Now         func() time.Time
}

// Live gives the packets of network interfaces. It receives only. Packets of one
// interface are in order; those of several are, to within a block.
type Live struct {
	rings   []*ring
	batches chan *batch
	quit    chan struct{} // closed by Close
	running sync.WaitGroup
	stop    atomic.Bool
	cut     atomic.Bool
	current *batch
	at      int
	ended   int   // interfaces
	err     error // of interfaces that failed
}

// ring is the ring of one interface.
type ring struct {
	name     string
	link     LinkType
	handle   *afpacket.TPacket
	loopback bool
	promisc  int       // socket that holds the promiscuous mode, or -1
	since    time.Time // packets before came past the filter
	free     chan *batch
	batches  []*batch // all of them
	drops    uint32   // of the kernel, at the last look
	missed   uint64   // of the network card, at the last look
	index    int
	bytes    int // of memory
}

// batch holds packets of one interface. An end of that interface comes as a batch
// with ended set.
type batch struct {
	ring    *ring
	data    []byte
	packets []Packet // Data is set when they are handed out
	ends    []int    // of the packets in data
	ended   bool
	err     error
}

// LostInterfaceError says that an interface could not be read on, for instance
// because it went down. What came before was read.
type LostInterfaceError struct {
	Interface string
	Err       error
}

// Error implements error.
func (e *LostInterfaceError) Error() string {
	return fmt.Sprintf("interface %q could not be read on: %v: what came before was read", e.Interface, e.Err)
}

// Unwrap returns the cause.
func (e *LostInterfaceError) Unwrap() error { return e.Err }

// Is reports that e is [ErrTruncated].
func (e *LostInterfaceError) Is(target error) bool { return target == ErrTruncated }

// OpenLive begins to capture. Errors match [ErrPrivilege] or [ErrInterface].
func OpenLive(o LiveOptions) (*Live, error) {
	l := &Live{batches: make(chan *batch, len(o.Interfaces)*batchesEach), quit: make(chan struct{})}
	for _, name := range o.Interfaces {
		r, err := openRing(name, o)
		if err != nil {
			l.closeRings()
			return nil, fmt.Errorf("listen on %q: %w", name, err)
		}
		l.rings = append(l.rings, r)
	}
	for _, r := range l.rings {
		l.running.Go(func() { l.run(r) })
	}
	return l, nil
}

// CheckPrivilege returns [ErrPrivilege] if this process may not capture.
func CheckPrivilege() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		return ErrPrivilege
	}
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	return unix.Close(fd)
}

func openRing(name string, o LiveOptions) (*ring, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no such interface", ErrInterface)
	}
	if iface.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("%w: it is down", ErrInterface)
	}
	r := &ring{name: name, index: iface.Index, bytes: o.RingBytes, promisc: -1, free: make(chan *batch, batchesEach)}
	for range batchesEach {
		b := &batch{ring: r, data: make([]byte, 0, batchBytes+MaxPacket)} // so that it does not move
		r.batches = append(r.batches, b)
		r.free <- b
	}
	if r.link, err = linkOf(name); err != nil {
		return nil, err
	}
	r.loopback = iface.Flags&net.FlagLoopback != 0
	block := blockBytes
	if o.RingBytes < 8*block {
		block = smallBlockBytes
	}
	r.handle, err = afpacket.NewTPacket(afpacket.OptInterface(name), afpacket.OptFrameSize(2048), afpacket.OptBlockSize(block),
		afpacket.OptNumBlocks(max(2, o.RingBytes/block)), afpacket.OptBlockTimeout(blockTime), afpacket.OptPollTimeout(pollTime),
		afpacket.OptAddVLANHeader(true), afpacket.TPacketVersion3)
	if errors.Is(err, unix.EPERM) {
		return nil, ErrPrivilege
	}
	if err != nil {
		return nil, fmt.Errorf("%w: make a ring of %d KiB: %w", ErrInterface, o.RingBytes>>10, err)
	}
	if err := r.prepare(o); err != nil {
		r.close()
		return nil, fmt.Errorf("%w: %w", ErrInterface, err)
	}
	return r, nil
}

// linkOf tells the link type by the hardware type of the interface.
func linkOf(name string) (LinkType, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrInterface, err)
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, request)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: ask for its type: %w", ErrInterface, err)
	}
	switch kind := request.Uint16(); kind {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return Ethernet, nil
	case unix.ARPHRD_NONE, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_PPP, unix.ARPHRD_IPGRE, unix.ARPHRD_SIT:
		return Raw, nil
	default:
		return 0, fmt.Errorf("%w: hardware type %d is not read", ErrInterface, kind)
	}
}

// prepare sets the filter and the mode of a ring.
func (r *ring) prepare(o LiveOptions) error {
	program, err := r.program(o.Filter)
	if err != nil {
		return err
	}
	if len(program) > 0 {
		if err := r.handle.SetBPF(program); err != nil {
			return fmt.Errorf("set the filter: %w", err)
		}
		r.since = o.Now()
	}
	if o.Promiscuous {
		// A socket of its own that receives nothing holds the mode: that of the ring
		// is out of reach.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("set the promiscuous mode: %w", err)
		}
		r.promisc = fd
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(r.index), Type: unix.PACKET_MR_PROMISC})
		if err != nil {
			return fmt.Errorf("set the promiscuous mode: %w", err)
		}
	}
	r.missed = missedByCard(r.index)
	return nil
}

// program returns what the kernel is to filter by. On the loopback interface every
// packet passes twice; the outgoing one is left out.
func (r *ring) program(f *Filter) ([]bpf.RawInstruction, error) {
	const outgoing = 4 // PACKET_OUTGOING of linux/if_packet.h
	var program []bpf.RawInstruction
	switch {
	case f != nil && r.link != Ethernet:
		return nil, errors.New("a filter needs an interface with Ethernet frames")
	case f != nil:
		var err error
		if program, err = f.Program(true); err != nil {
			return nil, fmt.Errorf("compile the filter: %w", err)
		}
	case r.loopback:
		program = []bpf.RawInstruction{raw(bpf.RetConstant{Val: wholePacket})}
	}
	if r.loopback {
		program = append([]bpf.RawInstruction{
			raw(bpf.LoadExtension{Num: bpf.ExtType}), raw(bpf.JumpIf{Cond: bpf.JumpEqual, Val: outgoing, SkipFalse: 1}), raw(bpf.RetConstant{Val: 0}),
		}, program...)
	}
	return program, nil
}

// raw assembles one instruction, which has no error for those used here.
func raw(i bpf.Instruction) bpf.RawInstruction {
	out, _ := i.Assemble()
	return out
}

func (r *ring) close() {
	r.handle.Close()
	if r.promisc >= 0 {
		_ = unix.Close(r.promisc)
	}
}

// run reads a ring until it is told to stop and what the kernel had by then is
// read, or it fails. It alone reads the ring, which must not be closed before.
func (l *Live) run(r *ring) {
	stopping, shut, left := false, false, r.bytes/batchBytes+batchesEach
	for {
		var b *batch
		select {
		case b = <-r.free:
		case <-l.quit:
			return
		}
		stopping = stopping || l.stop.Load()
		idle := r.fill(b)
		b.ended = b.err != nil || shut && idle
		// What was on its way may still come: until the ring was empty once, or as
		// much was read as it holds. Then nothing new is let in and the rest is read.
		if left--; stopping && !shut && b.err == nil && (idle || left <= 0) {
			shut = true
			b.err = r.shut()
			b.ended = b.err != nil
		} else if !stopping {
			left = r.bytes/batchBytes + batchesEach
		}
		select {
		case l.batches <- b:
		case <-l.quit:
			return
		}
		if b.ended {
			return
		}
	}
}

// reset empties a batch and overwrites what it held.
func (b *batch) reset() {
	clear(b.data)
	b.data, b.packets, b.ends = b.data[:0], b.packets[:0], b.ends[:0]
	b.err = nil
}

// shut makes the kernel hand over nothing more.
func (r *ring) shut() error {
	return r.handle.SetBPF([]bpf.RawInstruction{raw(bpf.RetConstant{Val: 0})})
}

// fill copies packets until the batch is full, and reports whether the ring is
// empty.
func (r *ring) fill(b *batch) (idle bool) {
	for len(b.data) < batchBytes {
		data, info, err := r.handle.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, afpacket.ErrTimeout):
			return true
		case err != nil:
			b.err = errors.Join(b.err, err)
			return false
		case info.Timestamp.Before(r.since):
			continue
		}
		b.data = append(b.data, data...)
		clear(data) // the place in the ring, or the copy of a frame that got its tag back
		b.ends = append(b.ends, len(b.data))
		b.packets = append(b.packets, Packet{Time: info.Timestamp.UTC(), Length: max(info.Length, len(data)), Link: r.link})
	}
	return false
}

// Next implements [Source]. It returns io.EOF after [Live.Stop], when everything
// captured until then was read, and once after [Live.Cut]. It returns a
// [LostInterfaceError] at the end if an interface failed before.
func (l *Live) Next() (Packet, error) {
	for {
		if b := l.current; b != nil {
			if l.at < len(b.packets) {
				p := b.packets[l.at]
				from := 0
				if l.at > 0 {
					from = b.ends[l.at-1]
				}
				p.Data = b.data[from:b.ends[l.at]]
				l.at++
				return p, nil
			}
			l.current = nil
			if b.reset(); !b.ended {
				b.ring.free <- b
			}
		}
		if l.cut.CompareAndSwap(true, false) {
			return Packet{}, io.EOF
		}
		if l.ended == len(l.rings) {
			if l.err != nil {
				return Packet{}, l.err
			}
			return Packet{}, io.EOF
		}
		b := <-l.batches
		if b.ended {
			l.ended++
			if b.err != nil {
				l.err = errors.Join(l.err, &LostInterfaceError{b.ring.name, b.err})
			}
		}
		l.current, l.at = b, 0
	}
}

// Ended reports whether all was read after [Live.Stop], or all interfaces failed.
// It is called where Next is.
func (l *Live) Ended() bool { return l.ended == len(l.rings) && l.current == nil }

// Stop ends the capture: Next gives what the kernel holds, and then io.EOF.
func (l *Live) Stop() { l.stop.Store(true) }

// Cut makes Next return io.EOF once, to begin another run. No packet is lost.
func (l *Live) Cut() { l.cut.Store(true) }

// Dropped returns the interfaces of which packets were lost since the last call,
// or since the begin. It is called where Next is.
func (l *Live) Dropped() []Loss {
	var out []Loss
	for _, r := range l.rings {
		loss := Loss{Interface: r.name}
		if _, stats, err := r.handle.SocketStats(); err == nil {
			now := uint32(stats.Drops())
			loss.Ring = uint64(now - r.drops) // also where the counter began again
			r.drops = now
		}
		if now := missedByCard(r.index); now > r.missed {
			loss.Card = now - r.missed
			r.missed = now
		}
		if loss.Ring+loss.Card > 0 {
			out = append(out, loss)
		}
	}
	return out
}

// Close ends the capture at once and overwrites what was not handed out. It is
// called where Next is, or after it.
func (l *Live) Close() error {
	l.stop.Store(true)
	close(l.quit)
	l.running.Wait()
	l.closeRings()
	for _, r := range l.rings {
		for _, b := range r.batches {
			clear(b.data[:cap(b.data)])
		}
	}
	return nil
}

func (l *Live) closeRings() {
	for _, r := range l.rings {
		r.close()
	}
}

// missedByCard returns how many packets the network card had no room for, of
// struct rtnl_link_stats64; 0 if the kernel does not say.
func missedByCard(index int) uint64 {
	const fifoErrors, missedErrors = 14 * 8, 15 * 8
	table, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return 0
	}
	messages, err := syscall.ParseNetlinkMessage(table)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg || int(int32(binary.NativeEndian.Uint32(m.Data[4:]))) != index {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return 0
		}
		for _, a := range attributes {
			if a.Attr.Type == unix.IFLA_STATS64 && len(a.Value) >= missedErrors+8 {
				return binary.NativeEndian.Uint64(a.Value[fifoErrors:]) + binary.NativeEndian.Uint64(a.Value[missedErrors:])
			}
		}
	}
	return 0
}
