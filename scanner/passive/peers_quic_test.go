package passive

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/quic"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
)

// TestPeer_quic has x/net/quic shake hands with itself and compares the hellos
// with tshark.
func TestPeer_quic(t *testing.T) {
	t.Parallel() // it waits for programs
	tshark := peer.Require(t, "tshark")["tshark"]
	certificate := quicCertificate(t)
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13,
		ServerName: "peer.example", NextProtos: []string{"h3"}, InsecureSkipVerify: true,
	}
	server, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	client, err := quic.Listen("udp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	defer server.Close(ctx)
	defer client.Close(ctx)
	p := tapUDP(t, server.LocalAddr().String())
	c, err := client.Dial(ctx, "udp", p.addr, &quic.Config{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	c.Abort(nil)
	path := p.save(t)
	o := onlyTLS(t, path)
	f := o.Facts.TLS
	if f.Carrier != "quic" || f.Version != tlswire.VersionTLS13 || !f.CertificateHidden || f.Handshake != evidence.StageServerHello ||
		o.Endpoint.Port != netip.MustParseAddrPort(server.LocalAddr().String()).Port() {
		t.Errorf("%s: %+v", o.Endpoint, f)
	}
	want := ofTshark(t, tshark, path, "tls")
	if diff := cmp.Diff(want, ofUs(o)); diff != "" || want.ServerName != "peer.example" || !slices.Equal(f.ClientALPN, []string{"h3"}) {
		t.Errorf("(-tshark +ours):\n%s", diff)
	}
}

// quicCertificate is that of a server named peer.example.
func quicCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quic"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"peer.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}
