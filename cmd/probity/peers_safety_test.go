//go:build cgo && linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probity/fixtures/peer"
)

// meter stands in front of peers and counts, as a third party, what reaches
// them.
type meter struct {
	connections, received atomic.Int64 // by the client
	sent                  counter      // bytes, by the client
	overlaps              atomic.Int64 // connections accepted while another was open
	carrying              sync.WaitGroup

	mu   sync.Mutex
	open []*net.TCPConn
}

// counter counts the bytes written to it.
type counter struct{ atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// row is the meter in the form of v_probe: connections, bytes sent and received.
func (m *meter) row() string {
	return fmt.Sprintf("%d|%d|%d", m.connections.Load(), m.sent.Load(), m.received.Load())
}

// listen carries connections from address to server until the end of the test.
func (m *meter) listen(t *testing.T, address, server string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		m.carrying.Wait()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.connections.Add(1)
			m.accepted(c.(*net.TCPConn))
			m.carrying.Go(func() { m.carry(context.WithoutCancel(t.Context()), c.(*net.TCPConn), server) })
		}
	}()
}

// accepted counts c as an overlap if the client has not closed its end of an
// earlier connection. The kernel is asked: the proxy itself may lag behind.
func (m *meter) accepted(c *net.TCPConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.open {
		if established(other) {
			m.overlaps.Add(1)
		}
	}
	m.open = append(m.open, c)
}

// established reports whether neither end has closed c.
func established(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	state := uint8(0)
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			state = info.State
		}
	})
	return err == nil && state == unix.BPF_TCP_ESTABLISHED
}

// carry copies both ways until the client is gone.
func (m *meter) carry(ctx context.Context, client *net.TCPConn, server string) {
	defer func() { _ = client.Close() }()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", server)
	if err != nil {
		return
	}
	m.carrying.Go(func() {
		n, _ := io.Copy(client, conn)
		m.received.Add(n)
		_ = client.CloseWrite()
	})
	// What the client sent counts also if the server no longer takes it.
	_, _ = io.Copy(conn, io.TeeReader(client, &m.sent))
	_, _ = io.Copy(&m.sent, client)
	_ = conn.Close()
}

// relay carries datagrams of one client from address to server and back until
// the end of the test; a datagram to the server counts as a connection.
func (m *meter) relay(t *testing.T, address, server string) {
	t.Helper()
	var lc net.ListenConfig
	front, err := lc.ListenPacket(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	back, err := d.DialContext(t.Context(), "udp", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		m.carrying.Wait()
	})
	var client atomic.Value
	m.carrying.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := front.ReadFrom(buf)
			if err != nil {
				return
			}
			client.Store(from)
			m.connections.Add(1)
			m.sent.Add(int64(n))
			_, _ = back.Write(buf[:n])
		}
	})
	m.carrying.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			m.received.Add(int64(n))
			_, _ = front.WriteTo(buf[:n], client.Load().(net.Addr))
		}
	})
}

// TestMeter_seesOverlap shows that the meter would notice a second connection.
func TestMeter_seesOverlap(t *testing.T) {
	var m meter
	var lc net.ListenConfig
	sink, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sink.Close() }()
	at := net.JoinHostPort(device(t, "8443"), "8443")
	m.listen(t, at, sink.Addr().String())
	var d net.Dialer
	dial := func() net.Conn {
		c, err := d.DialContext(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		// The proxy has accepted once its own connection arrives.
		if _, err := sink.Accept(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := dial()
	_ = one.Close()
	two := dial()
	if n := m.overlaps.Load(); n != 0 {
		t.Errorf("%d overlaps of connections one after the other", n)
	}
	three := dial()
	if n := m.overlaps.Load(); n != 1 {
		t.Errorf("%d overlaps of two open connections, want 1", n)
	}
	_, _ = two.Close(), three.Close()
}

// TestPeer_ledgerAgreesWithProxy holds plan and ledger against what a third
// party counted in front of two services of one device.
func TestPeer_ledgerAgreesWithProxy(t *testing.T) {
	p := newPKI(t)
	id, behind := p.issue("EC"), device(t, "8443", "8883", "6464")
	// Servers that refuse a client without a certificate have the last word, and
	// those without tickets say nothing after the handshake: every byte that they
	// send is read. What crosses the client's goodbye only a proxy would count.
	for port, version := range map[string]string{"8443": "-tls1_2", "8883": "-tls1_3"} {
		at := net.JoinHostPort(behind, port)
		start(t, []string{at}, p.openssl, "s_server", "-quiet", "-accept", at, "-Verify", "1", version, "-num_tickets", "0",
			"-CAfile", p.ca, "-cert", id.cert, "-cert_chain", p.ca, "-key", id.key)
	}
	meters := map[string]*meter{"8443": {}, "8883": {}, "6464": {}}
	inner := device(t, "8443", "8883", "6464")
	for port, m := range meters {
		m.listen(t, net.JoinHostPort(inner, port), net.JoinHostPort(behind, port))
	}
	host, both := device(t, "8443", "8883", "6464"), &meter{}
	for port := range meters {
		both.listen(t, net.JoinHostPort(host, port), net.JoinHostPort(inner, port))
	}
	targets := []string{host + ":8443", host + ":8883", host + ":6464", "--exclude", host + ":6464"}

	probity(t, exitOK, append([]string{"plan"}, targets...)...)
	if n := both.connections.Load(); n != 0 {
		t.Fatalf("plan made %d connections", n)
	}
	db := scanned(t, exitOK, append([]string{"--policy", p.policy()}, targets...)...)
	both.carrying.Wait()
	for _, port := range []string{"8443", "8883"} {
		meters[port].carrying.Wait()
		db.want("SELECT sum(connections), sum(bytes_sent), sum(bytes_received) FROM v_probe WHERE port="+port, meters[port].row())
		if meters[port].connections.Load() < 5 {
			t.Errorf("port %s saw %s", port, meters[port].row())
		}
	}
	db.want("SELECT sum(connections), sum(bytes_sent), sum(bytes_received) FROM v_probe", both.row())
	if n := meters["6464"].connections.Load(); n != 0 {
		t.Errorf("the excluded port saw %d connections", n)
	}
	if n := both.overlaps.Load(); n != 0 {
		t.Errorf("the device saw %d connections while another was open", n)
	}
}

// modality uses an archive again and again until stopped.
type modality struct {
	echoes, failures atomic.Int64
	longest          atomic.Int64 // of an echo, in nanoseconds
	stop             func()
}

func newModality(t *testing.T, echoscu, host, port string) *modality {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := &modality{}
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			cmd := exec.CommandContext(t.Context(), echoscu, "-to", "5", "-ta", "5", "-td", "5", "-aec", "ANY-SCP", host, port)
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				m.failures.Add(1)
				t.Logf("echo to port %s: %v: %s", port, err, out)
			}
			m.longest.Store(max(m.longest.Load(), int64(time.Since(began)))) // by this goroutine alone
			m.echoes.Add(1)
		}
	})
	m.stop = func() {
		cancel()
		done.Wait()
	}
	t.Cleanup(m.stop)
	return m
}

// TestPeer_archivesStayInService scans archives again and again while
// modalities use them: these must not notice. No echo may take a second, or twice
// what it takes at an archive that is left alone where the machine is as slow as that.
func TestPeer_archivesStayInService(t *testing.T) {
	paths := peer.Require(t, "echoscu", "storescp", "dcmqrscp", "Orthanc")
	if !isolated(t) {
		return
	}
	start(t, []string{"127.0.0.1:11112"}, paths["storescp"], "--ignore", "11112")
	start(t, []string{"127.0.0.1:11113"}, paths["storescp"], "--ignore", "11113")
	dir := t.TempDir()
	// With a process for each association: in its single process mode, that of DCMTK
	// 3.6.7 ends with a segmentation fault in the second of two ordinary echoes, also
	// where one follows the other and nothing else connects.
	start(t, []string{"127.0.0.1:2104"}, paths["dcmqrscp"], "-c", writeFile(t, filepath.Join(dir, "dcmqrscp.cfg"), `NetworkTCPPort = 2104
MaxPDUSize = 16384
MaxAssociations = 4
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ANY-SCP `+dir+` RW (10, 1024mb) ANY
AETable END
`))
	serveOrthanc(t, 4242, nil)
	// Nobody scans the archive of the control: what its echoes take is the machine's doing.
	control := newModality(t, paths["echoscu"], "127.0.0.1", "11113")
	var all []*modality
	for _, port := range []string{"11112", "2104", "4242"} {
		all = append(all, newModality(t, paths["echoscu"], "127.0.0.1", port))
	}
	scans := 0
	busy := func() bool {
		few := scans < 3
		for _, m := range all {
			if m.failures.Load() > 0 {
				return false
			}
			few = few || m.echoes.Load() < 12
		}
		return few
	}
	for busy() {
		level := []string{"gentle", "standard", "exhaustive"}[scans%3]
		db := scanned(t, exitOK, "127.0.0.1:11112", "127.0.0.1:2104", "127.0.0.1:4242", "--probes", level, "--i-own-this-device")
		db.want("SELECT value FROM v_claim WHERE attribute='toolkit' GROUP BY 1", "OFFIS DCMTK")
		db.want("SELECT port, protocol FROM v_endpoint ORDER BY port", "2104|dicom", "4242|dicom", "11112|dicom")
		scans++
	}
	control.stop()
	limit := max(time.Second, 2*time.Duration(control.longest.Load()))
	for i, m := range all {
		m.stop()
		if n := m.failures.Load(); n > 0 {
			t.Errorf("%d of %d echoes of modality %d failed during %d scans", n, m.echoes.Load(), i, scans)
		}
		if took := time.Duration(m.longest.Load()); took > limit {
			t.Errorf("an echo of modality %d took %v, beyond %v, during %d scans", i, took, limit, scans)
		}
	}
	t.Logf("%d, %d and %d echoes during %d scans", all[0].echoes.Load(), all[1].echoes.Load(), all[2].echoes.Load(), scans)
}
