package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// TestPeer_oddCertificates obtains the certificate of servers that client
// libraries give up on.
func TestPeer_oddCertificates(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	params := filepath.Join(t.TempDir(), "dsa.pem")
	tool(t, openssl, "dsaparam", "-out", params, "1024")
	const old = ":@SECLEVEL=0"
	for _, tt := range []struct {
		name   string
		req    []string
		server []string
	}{
		{"RSA of 512 bits", []string{"-newkey", "rsa:512"}, []string{"-cipher", "ALL" + old}},
		{"negative serial number", []string{"-newkey", "rsa:2048", "-set_serial", "-5"}, nil},
		{"signed with MD5", []string{"-newkey", "rsa:2048", "-md5"}, []string{"-cipher", "ALL" + old}},
		{"DSA", []string{"-newkey", "dsa:" + params, "-sha1"}, []string{"-cipher", "ALL" + old}},
		{"TLS 1.0 with RSA key transport", []string{"-newkey", "rsa:2048"}, []string{"-tls1", "-cipher", "AES128-SHA" + old}},
		{"DHE only, and TLS 1.3", []string{"-newkey", "rsa:2048"}, []string{"-cipher", "DHE-RSA-AES128-SHA"}},
		{"client certificate required", []string{"-newkey", "rsa:2048"}, []string{"-Verify", "1"}},
		{"Ed25519", []string{"-newkey", "ed25519"}, nil},
		{"TLS 1.3 with an unknown group", []string{"-newkey", "rsa:2048"}, []string{"-groups", "ffdhe2048:X448:brainpoolP256r1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert, key := keyPair(t, openssl, "odd", tt.req...)
			text, err := os.ReadFile(cert)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := pem.Decode(text)
			port := freePort(t)
			m := start(t, port, openssl, append([]string{"s_server", "-quiet", "-accept", "127.0.0.1:" + port, "-cert", cert, "-key", key}, tt.server...)...)
			wantCertificate(t, m, want.Bytes)
			if m.conns > maxGentle || m.sent > 5<<10 {
				t.Errorf("%d connections, %d bytes sent", m.conns, m.sent)
			}
		})
	}
}

// wantCertificate probes and looks for the certificate.
func wantCertificate(t *testing.T, s scanner.Session, der []byte) []evidence.Observation {
	t.Helper()
	obs, err := New().Probe(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(obs, func(o evidence.Observation) bool { return len(o.Certs) > 0 && bytes.Equal(o.Certs[0].DER, der) }) {
		t.Error("no observation has the certificate")
		for _, o := range obs {
			f := o.Facts.TLS
			t.Logf("%s: %s %q, %s %s", f.Offer, o.Result, o.Detail, tlswire.VersionName(f.Version), tlswire.SuiteName(f.CipherSuite))
		}
	}
	return obs
}

// replayed is a connection of which some bytes were read already.
type replayed struct {
	net.Conn
	first io.Reader
}

func (r *replayed) Read(p []byte) (int, error) { return r.first.Read(p) }

// picky serves TLS to the hellos that it bears and answers the rest with say,
// or hangs up.
func picky(t *testing.T, config *tls.Config, say []byte, bears func(record []byte, h tlswire.ClientHello) bool) *direct {
	t.Helper()
	return serve(t, func(c net.Conn) {
		header := make([]byte, 5)
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		if header[0] != byte(tlswire.Handshake) { // SSL 2.0
			return
		}
		record := append(header, make([]byte, int(header[3])<<8|int(header[4]))...)
		if _, err := io.ReadFull(c, record[5:]); err != nil {
			return
		}
		h, err := tlswire.ParseClientHello(record[9:])
		if err != nil || !bears(record, h) {
			c.Write(say)
			return
		}
		io.Copy(io.Discard, tls.Server(&replayed{c, io.MultiReader(bytes.NewReader(record), c)}, config))
	})
}

// TestProbe_intolerant obtains the certificate of servers that do not bear some
// hellos.
func TestProbe_intolerant(t *testing.T) {
	cert := certificate(t, 2048)
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	alert := []byte{byte(tlswire.Alert), 3, 1, 0, 2, 2, 50} // decode_error
	tests := map[string]struct {
		max   uint16
		bears func([]byte, tlswire.ClientHello) bool
		// versions that are found at the exhaustive level
		versions []uint16
	}{
		"large hellos": {tls.VersionTLS12, func(record []byte, _ tlswire.ClientHello) bool { return len(record) <= smallBytes }, []uint16{tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10}},
		"many suites": {
			tls.VersionTLS12, func(_ []byte, h tlswire.ClientHello) bool { return len(h.Suites) <= 128 },
			[]uint16{tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10},
		},
		"hellos without a key share": {
			tls.VersionTLS13, func(_ []byte, h tlswire.ClientHello) bool {
				return !slices.Contains(h.SupportedVersions, tls.VersionTLS13) || len(h.KeyShares) > 0
			},
			[]uint16{tls.VersionTLS13, tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10},
		},
		"TLS 1.3": {tls.VersionTLS12, func(_ []byte, h tlswire.ClientHello) bool { return len(h.SupportedVersions) == 0 }, []uint16{tls.VersionTLS12, tls.VersionTLS11, tls.VersionTLS10}},
	}
	for name, tt := range tests {
		for how, say := range map[string][]byte{"alert": alert, "hangs up": nil} {
			t.Run(name+"/"+how, func(t *testing.T) {
				config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tt.max}
				for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
					config.CipherSuites = append(config.CipherSuites, s.ID)
				}
				d := picky(t, config, say, tt.bears)
				m := &metered{direct: d, t: t}
				d.level = scanner.Gentle
				wantCertificate(t, m, leaf.Raw)
				if m.conns > maxGentle || m.sent > 5<<10 {
					t.Errorf("%d connections, %d bytes sent", m.conns, m.sent)
				}
				d.level = scanner.Exhaustive
				obs := wantCertificate(t, m, leaf.Raw)
				plain := serveTLS(t, config)
				want, _ := oneByOne(t, plain)
				got := choices(obs, suiteOf)
				for _, v := range tt.versions {
					if !slices.Equal(want[v], got[v]) {
						t.Errorf("%s: %d suites, want %d", tlswire.VersionName(v), len(got[v]), len(want[v]))
					}
				}
			})
		}
	}
}
