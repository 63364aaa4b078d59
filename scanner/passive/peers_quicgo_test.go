package passive

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	quicgo "github.com/quic-go/quic-go"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
)

// TestPeer_quicgo has quic-go shake hands with itself in both versions of QUIC and
// compares the hellos with tshark.
func TestPeer_quicgo(t *testing.T) {
	t.Parallel() // it waits for programs
	tshark := peer.Require(t, "tshark")["tshark"]
	for name, version := range map[string]quicgo.Version{"v1": quicgo.Version1, "v2": quicgo.Version2} {
		t.Run(name, func(t *testing.T) { quicBetween(t, tshark, version) })
	}
}

func quicBetween(t *testing.T, tshark string, version quicgo.Version) {
	t.Helper()
	server := quicCertificate(t)
	listener, err := quicgo.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"h3"}}, &quicgo.Config{Versions: []quicgo.Version{version}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p := tapUDP(t, listener.Addr().String())
	c, err := quicgo.DialAddr(ctx, p.addr, &tls.Config{ServerName: "peer.example", RootCAs: roots, NextProtos: []string{"h3"}}, &quicgo.Config{Versions: []quicgo.Version{version}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ConnectionState().Version; got != version {
		t.Fatalf("the peers speak %v", got)
	}
	if err := c.CloseWithError(0, ""); err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	p.list = append(p.list, p.list[0], p.list[1]) // which were sent again, and came late
	p.mu.Unlock()
	path := p.save(t)
	o := onlyTLS(t, path)
	f := o.Facts.TLS
	if f.Carrier != "quic" || f.Version != tlswire.VersionTLS13 || !f.CertificateHidden || f.Handshake != evidence.StageServerHello ||
		o.Endpoint.Port != netip.MustParseAddrPort(listener.Addr().String()).Port() {
		t.Errorf("%s: %+v", o.Endpoint, f)
	}
	want := ofTshark(t, tshark, path, "tls")
	if diff := cmp.Diff(want, ofUs(o)); diff != "" || want.ServerName != "peer.example" || !slices.Equal(f.ClientALPN, []string{"h3"}) {
		t.Errorf("(-tshark +ours):\n%s", diff)
	}
}
