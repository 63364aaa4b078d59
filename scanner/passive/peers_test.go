package passive

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"probity/scanner/passive/capture"
)

// tap is a relay on loopback that keeps what passes through it as a capture: the
// bytes are those of the peers, only the packets around them are ours. Nothing of
// it needs a privilege.
type tap struct {
	t    testing.TB
	addr string // where clients connect

	mu    sync.Mutex
	talks []*talk
	list  []capture.Packet
	wg    sync.WaitGroup
}

// say adds what one side said.
func (p *tap) say(k *talk, side int, b []byte, udp bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.list = nil
	if udp {
		k.list = []capture.Packet{udpBetween(k, side, b)}
	} else {
		for chunk := range slices.Chunk(b, 1400) {
			k.say(side, string(chunk))
		}
	}
	for _, q := range k.list {
		q.Time = time.Unix(1_700_000_000, int64(len(p.list))*1000).UTC()
		p.list = append(p.list, q)
	}
}

// newTalkTo begins a conversation with the address of the server and a port of
// the client of its own.
func (p *tap) newTalkTo(server string, udp bool) *talk {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		p.t.Error(err)
	}
	k := newTalk(p.t, "10.0.0.1:40000", net.JoinHostPort("10.0.0.2", port))
	k.client = netip.AddrPortFrom(k.client.Addr(), uint16(40000+len(p.talks)))
	p.talks = append(p.talks, k)
	if !udp {
		k.open()
		p.list = append(p.list, k.list...)
	}
	return k
}

// tapTCP relays connections to server until the test ends.
func tapTCP(t testing.TB, server string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &tap{t: t, addr: l.Addr().String()}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			k := p.newTalkTo(server, false)
			p.wg.Go(func() { p.pump(k, fromClient, c, s) })
			p.wg.Go(func() { p.pump(k, fromServer, s, c) })
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return p
}

func (p *tap) pump(k *talk, side int, from, to net.Conn) {
	defer func() { _ = to.Close() }()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			p.say(k, side, b[:n], false)
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// tapUDP relays datagrams of one client to server.
func tapUDP(t testing.TB, server string) *tap {
	t.Helper()
	in, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), out.Close() })
	p := &tap{t: t, addr: in.LocalAddr().String()}
	k := p.newTalkTo(server, true)
	var client *net.UDPAddr
	var mu sync.Mutex
	p.wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := in.ReadFromUDP(b)
			if err != nil {
				return
			}
			mu.Lock()
			client = from
			mu.Unlock()
			p.say(k, fromClient, b[:n], true)
			_, _ = out.Write(b[:n])
		}
	})
	p.wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, err := out.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // the server was not there yet
			}
			mu.Lock()
			to := client
			mu.Unlock()
			p.say(k, fromServer, b[:n], true)
			_, _ = in.WriteToUDP(b[:n], to)
		}
	})
	return p
}

// packets returns what passed so far.
func (p *tap) packets() []capture.Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// save writes the capture to a file, which both we and the judge read.
func (p *tap) save(t testing.TB) string {
	t.Helper()
	return savePackets(t, p.packets())
}

func savePackets(t testing.TB, list []capture.Packet) string {
	t.Helper()
	b := []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00\x00")
	for _, q := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(q.Time.Unix()))
		b = binary.LittleEndian.AppendUint32(b, uint32(q.Time.Nanosecond()/1000))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(q.Data)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(q.Data)))
		b = append(b, q.Data...)
	}
	path := filepath.Join(t.TempDir(), "peer.pcap")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a server until the test ends and waits until something listens.
func start(t testing.TB, addr, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe() // some end with their standard input
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Process.Kill(); <-done })
	if addr == "" {
		return
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-done:
			t.Fatalf("%s ended: %s", filepath.Base(program), out.String())
		default:
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatalf("%s does not listen at %s: %s", filepath.Base(program), addr, out.String())
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run runs a client to its end, with nothing on its standard input, and returns
// what it printed. How it ends is no matter: the capture decides.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader("")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// freePort returns an address on loopback that nothing listens at.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tsharkPackets returns the values of fields that tshark finds in the packets of a
// capture that pass a filter. decode tells it what a port carries, if it is not
// empty ("tcp.port==1022,ssh").
func tsharkPackets(t testing.TB, tshark, path, decode, filter string, fields ...string) []map[string][]string {
	t.Helper()
	args := []string{"-n", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", filter, "-T", "json"}
	if decode != "" {
		args = append(args, "-d", decode)
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), tshark, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, errs.String())
	}
	var list []struct {
		Source struct {
			Layers map[string][]string `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("tshark: %v: %.200s", err, out)
	}
	var got []map[string][]string
	for _, p := range list {
		got = append(got, p.Source.Layers)
	}
	return got
}
