//go:build cgo && linux

package main

import (
	"cmp"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire captures the loopback of a network namespace, in a third place between
// the scanner and the devices: the kernel.
type wire struct {
	fd   int
	done chan struct{}

	mu       sync.Mutex
	packets  int
	flows    map[flow]*dialogue
	sockets  map[netip.AddrPort]*dialogue // of UDP, from the client's side
	marks    int                          // datagrams to the discard port
	lastSent time.Time                    // of a SYN, or of bytes of a client over TCP
}

// flow is one TCP connection from the client's side; isn tells those with the
// same ports apart.
type flow struct {
	client, server netip.AddrPort
	isn            uint32
}

type dialogue struct {
	began, ended time.Time // SYN, and the client's FIN or a RST
	sent         uint32    // sequence numbers that carried bytes of the client
	answered     uint32
	answerISN    uint32
	server       netip.AddrPort // of UDP
}

const discardPort = 9

func newWire(t *testing.T) *wire {
	t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	sink, err := lc.ListenPacket(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", discardPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	for option, value := range map[int]int{unix.SO_RCVBUFFORCE: 64 << 20, unix.SO_TIMESTAMPNS: 1} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	w := &wire{fd: fd, done: make(chan struct{}), flows: map[flow]*dialogue{}, sockets: map[netip.AddrPort]*dialogue{}}
	var reading sync.WaitGroup
	reading.Go(w.read)
	t.Cleanup(func() {
		close(w.done)
		reading.Wait()
		_ = unix.Close(fd)
	})
	return w
}

func (w *wire) read() {
	buf, oob := make([]byte, 1<<17), make([]byte, 128)
	for {
		select {
		case <-w.done:
			return
		default:
		}
		n, on, _, from, err := unix.Recvmsg(w.fd, buf, oob, 0)
		ll, ok := from.(*unix.SockaddrLinklayer)
		if err != nil || !ok || ll.Pkttype == unix.PACKET_OUTGOING { // each packet of lo comes twice
			continue
		}
		at := time.Now()
		if ms, err := unix.ParseSocketControlMessage(oob[:on]); err == nil && len(ms) > 0 && len(ms[0].Data) >= 16 {
			at = time.Unix(int64(binary.NativeEndian.Uint64(ms[0].Data)), int64(binary.NativeEndian.Uint64(ms[0].Data[8:]))) //nolint:gosec // the kernel's
		}
		w.packet(at, buf[:n])
	}
}

// packet takes one Ethernet frame with IPv4.
func (w *wire) packet(at time.Time, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packets++
	if len(b) < 14+20 || binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_IP {
		return
	}
	ip := b[14:]
	total := int(binary.BigEndian.Uint16(ip[2:]))
	body := ip[int(ip[0]&15)*4 : min(total, len(ip))]
	src, dst := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	from, to := netip.AddrPortFrom(src, binary.BigEndian.Uint16(body)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(body[2:]))
	if ip[9] == unix.IPPROTO_UDP && to.Port() == discardPort {
		w.marks++
	}
	if ip[9] == unix.IPPROTO_UDP {
		w.datagram(at, from, to, uint32(len(body)-8)) //nolint:gosec // a packet
	}
	if ip[9] != unix.IPPROTO_TCP {
		return
	}
	seq, flags, payload := binary.BigEndian.Uint32(body[4:]), body[13], uint32(len(body)-int(body[12]>>4)*4) //nolint:gosec // a packet
	const fin, syn, rst, ack = 1, 2, 4, 16
	if flags&(syn|ack) == syn {
		w.lastSent = at
		f := flow{from, to, seq}
		if w.flows[f] == nil { // not the same one sent again
			w.flows[f] = &dialogue{began: at}
		}
		return
	}
	if d := w.find(from, to); d.d != nil {
		if payload > 0 {
			w.lastSent = at
			d.d.sent = max(d.d.sent, seq-d.f.isn-1+payload)
		}
		if flags&(fin|rst) != 0 && d.d.ended.IsZero() {
			d.d.ended = at
		}
	} else if d := w.find(to, from); d.d != nil {
		switch {
		case flags&syn != 0:
			d.d.answerISN = seq
		case payload > 0:
			d.d.answered = max(d.d.answered, seq-d.d.answerISN-1+payload)
		}
		if flags&rst != 0 && d.d.ended.IsZero() {
			d.d.ended = at
		}
	}
}

// datagram counts one of UDP: who sends first is the client.
func (w *wire) datagram(at time.Time, from, to netip.AddrPort, payload uint32) {
	if d := w.sockets[to]; d != nil && d.server == from {
		d.answered += payload
		return
	}
	d := w.sockets[from]
	if d == nil {
		d = &dialogue{began: at, server: to}
		w.sockets[from] = d
	}
	d.sent += payload
}

type found struct {
	f flow
	d *dialogue
}

// find returns the newest connection between two ports.
func (w *wire) find(client, server netip.AddrPort) found {
	var newest found
	for f, d := range w.flows {
		if f.client == client && f.server == server && (newest.d == nil || d.began.After(newest.d.began)) {
			newest = found{f, d}
		}
	}
	return newest
}

// settle returns once everything sent before is captured, and the number of
// packets but its own.
func (w *wire) settle(t *testing.T) int {
	t.Helper()
	w.mu.Lock()
	before := w.marks
	w.mu.Unlock()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", discardPort))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("mark")); err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		w.mu.Lock()
		marks, packets := w.marks, w.packets
		w.mu.Unlock()
		if marks > before {
			return packets - marks
		}
	}
}

// TestPeer_ledgerAgreesWithCapture scans devices of several tempers and holds
// ledger, rates and exclusions against what the kernel carried.
func TestPeer_ledgerAgreesWithCapture(t *testing.T) {
	if !isolated(t) {
		return
	}
	alerts := []string{"127.5.0.1:2575", "127.5.0.1:6661", "127.5.0.2:2575", "127.5.0.3:2575"}
	newTally(t, append(alerts, "127.5.0.9:2575"))
	p := newPKI(t)
	id := p.issue("EC")
	pair, err := tls.LoadX509KeyPair(id.cert, id.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"127.5.0.4:8443", "127.5.0.4:6464"} {
		l, err := tls.Listen("tcp", at, &tls.Config{Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					_, _ = c.Read(make([]byte, 1))
					_ = c.Close()
				}()
			}
		}()
	}
	w := newWire(t)
	targets := append(slices.Clone(alerts), "127.5.0.4:8443", "127.5.0.4:6464", "127.5.0.5:8443", // the last is closed
		"127.5.0.9:2575", "--exclude", "127.5.0.9", "--rate", "40", "--asset-rate", "10")

	probity(t, exitOK, append([]string{"plan"}, targets...)...)
	probity(t, exitOK, append([]string{"scan", "--dry-run"}, targets...)...)
	if n := w.settle(t); n != 0 {
		t.Fatalf("planning sent %d packets", n)
	}
	db := filepath.Join(t.TempDir(), "evidence.db")
	probity(t, exitOK, append([]string{"scan", "--db", db, "--quiet", "--fail-on", "none"}, targets...)...)
	w.settle(t)
	w.mu.Lock()
	defer w.mu.Unlock()

	var begun []time.Time
	byAsset := map[netip.Addr][]*dialogue{}
	for f, d := range w.flows {
		begun = append(begun, d.began)
		byAsset[f.server.Addr()] = append(byAsset[f.server.Addr()], d)
	}
	w.agrees(t, db, alerts)
	checkPace(t, "all", begun, time.Second/40)
	for addr, ds := range byAsset {
		slices.SortFunc(ds, func(a, b *dialogue) int { return a.began.Compare(b.began) })
		var times []time.Time
		for i, d := range ds {
			times = append(times, d.began)
			if i > 0 && (ds[i-1].ended.IsZero() || d.began.Before(ds[i-1].ended)) {
				t.Errorf("%s: a connection began before the one before it ended", addr)
			}
		}
		checkPace(t, addr.String(), times, time.Second/10)
	}
}

// counts are what went between the scanner and one endpoint.
type counts struct{ connections, sent, received int64 }

// agrees holds the ledger of a database against what the kernel carried. exactly
// lists the endpoints that say nothing behind the part that is read.
func (w *wire) agrees(t *testing.T, db string, exactly []string) {
	t.Helper()
	wired := map[string]*counts{}
	take := func(to netip.AddrPort, d *dialogue) {
		c := wired[to.String()]
		if c == nil {
			c = &counts{}
			wired[to.String()] = c
		}
		c.connections++
		c.sent += int64(d.sent)
		c.received += int64(d.answered)
	}
	for f, d := range w.flows {
		take(f.server, d)
	}
	for _, d := range w.sockets {
		if d.server.Port() != discardPort {
			take(d.server, d)
		}
	}
	ledger := map[string]*counts{}
	_, rows := parts(t, db)
	for _, r := range rows {
		c := ledger[r.Endpoint.HostPort()]
		if c == nil {
			c = &counts{}
			ledger[r.Endpoint.HostPort()] = c
		}
		c.connections += r.Connections
		c.sent += r.BytesSent
		c.received += r.BytesReceived
	}
	if got, want := slices.Sorted(maps.Keys(wired)), slices.Sorted(maps.Keys(ledger)); !slices.Equal(got, want) {
		t.Errorf("packets went to %v, the ledger names %v", got, want)
	}
	for at, l := range ledger {
		c := *cmp.Or(wired[at], &counts{})
		// What a server says behind the part that is read is on the wire only.
		if l.connections != c.connections || l.sent != c.sent || l.received > c.received || slices.Contains(exactly, at) && l.received != c.received {
			t.Errorf("%s: ledger %+v, wire %+v", at, *l, c)
		}
	}
}

// checkPace holds times on the wire against an interval: from any one to any
// other. Between the limiter and the wire lies the scheduler, which delays one
// connection more than the next.
func checkPace(t *testing.T, what string, times []time.Time, interval time.Duration) {
	t.Helper()
	const jitter = 60 * time.Millisecond
	slices.SortFunc(times, time.Time.Compare)
	for i := range times {
		for j := i + 1; j < len(times); j++ {
			if took, least := times[j].Sub(times[i]), time.Duration(j-i)*interval-jitter; took < least {
				t.Fatalf("%s: %d connections in %v, at most one in %v is allowed", what, j-i+1, took, interval)
			}
		}
	}
}
