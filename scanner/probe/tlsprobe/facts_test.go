package tlsprobe

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// TestProbe_exhaustiveFacts reads what the connections of an enumeration show on
// the way.
func TestProbe_exhaustiveFacts(t *testing.T) {
	cert := certificate(t, 2048)
	cert.OCSPStaple = []byte{0x30, 3, 0x0a, 1, 6}
	cert.SignedCertificateTimestamps = [][]byte{{1, 2, 3}, {4, 5, 6}}
	names := make(chan string, 256)
	config := &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- h.ServerName
			return nil, nil
		},
	}
	d := serveTLS(t, config)
	d.level, d.name = scanner.Exhaustive, "pacs.hospital.example"
	obs := probeAll(t, d)
	full := obs[0].Facts.TLS
	if full.ALPN != "h2" || full.SCTs != 2 || !full.OCSPStaple || full.SessionTicket == nil || !*full.SessionTicket || full.TicketLifetime != 7*24*3600 {
		t.Errorf("first: %+v", full)
	}
	if !slices.ContainsFunc(obs[0].Raw, func(b evidence.Blob) bool { return b.Media == mediaStaple && slices.Equal(b.Data, cert.OCSPStaple) }) {
		t.Error("the OCSP response is not kept")
	}
	tls12 := obs[1].Facts.TLS
	if tls12.SCTs != 2 || !tls12.OCSPStaple || tls12.SessionTicket == nil || !*tls12.SessionTicket || tls12.ALPN != "" {
		t.Errorf("at most TLS 1.2: %+v", tls12)
	}
	alpn, shares := map[string]string{}, map[evidence.Digest]bool{}
	with := 0
	for _, o := range obs {
		f := o.Facts.TLS
		if f.Version == tls.VersionTLS12 && len(f.ClientALPN) > 0 {
			alpn[f.ClientALPN[0]] = f.ALPN
		}
		if !f.KeyShare.IsZero() {
			shares[f.KeyShare] = true
			with++
		}
	}
	if alpn["h2"] != "h2" || alpn["http/1.1"] != "http/1.1" {
		t.Errorf("application protocols by offer: %q", alpn)
	}
	if with < 5 || len(shares) != with {
		t.Errorf("%d key shares, %d of them different", with, len(shares))
	}
	seen := map[string]bool{}
	for len(names) > 0 {
		seen[<-names] = true
	}
	if !seen[""] || !seen[unknownName] || !seen[d.name] {
		t.Errorf("server names %v, want none, an unknown one and its own", seen)
	}
}

// TestProbe_strictALPN: a server that speaks one protocol only is asked again
// without the names of others.
func TestProbe_strictALPN(t *testing.T) {
	d := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, 0)}, NextProtos: []string{"mqtt"}, MinVersion: tls.VersionTLS13})
	d.level = scanner.Exhaustive
	obs := probeAll(t, d)
	if f := obs[0].Facts.TLS; f.Alert == nil || *f.Alert != 120 {
		t.Errorf("first: %+v", f)
	}
	if f := obs[1].Facts.TLS; f.Handshake != evidence.StageComplete || len(f.ClientALPN) != 0 || len(obs[1].Certs) != 1 {
		t.Errorf("second: %+v", f)
	}
}

// scripted answers every ClientHello of TLS 1.2 with a ServerHello of the suite
// that choose returns, or with handshake_failure for 0.
func scripted(t *testing.T, choose func(h tlswire.ClientHello) uint16) *direct {
	t.Helper()
	return serve(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil || n < 9 || buf[0] != byte(tlswire.Handshake) {
			return
		}
		h, err := tlswire.ParseClientHello(buf[9:n])
		if err != nil {
			t.Error(err)
			return
		}
		suite := uint16(0)
		if h.Version == tlswire.VersionTLS12 {
			suite = choose(h)
		}
		if suite == 0 {
			c.Write([]byte{byte(tlswire.Alert), 3, 3, 0, 2, 2, 40})
			return
		}
		body := append([]byte{3, 3}, make([]byte, 32)...)
		body = binary.BigEndian.AppendUint16(append(body, 0), suite)
		body = append(body, 0, 0, 0)
		messages := append([]byte{tlswire.TypeServerHello, 0, 0, byte(len(body))}, body...)
		messages = append(messages, tlswire.TypeCertificate, 0, 0, 3, 0, 0, 0, 14, 0, 0, 0) // an empty chain; ServerHelloDone
		c.Write(append([]byte{byte(tlswire.Handshake), 3, 3, 0, byte(len(messages))}, messages...))
	})
}

// TestProbe_preference: whether a server follows the client or an order of its
// own can be told from what it chose.
func TestProbe_preference(t *testing.T) {
	own := []uint16{0x0035, 0x002f, 0x000a, 0x0005, 0x009c, 0x003c}
	for name, choose := range map[string]func(h tlswire.ClientHello) uint16{
		"own": func(h tlswire.ClientHello) uint16 {
			for _, id := range own {
				if slices.Contains(h.Suites, id) {
					return id
				}
			}
			return 0
		},
		"client's": func(h tlswire.ClientHello) uint16 {
			for _, id := range h.Suites {
				if slices.Contains(own, id) {
					return id
				}
			}
			return 0
		},
	} {
		d := scripted(t, choose)
		d.level = scanner.Exhaustive
		var chosen []uint16
		follows, found := true, map[uint16]bool{}
		for _, o := range probeAll(t, d) {
			f := o.Facts.TLS
			if f.Version != 0 {
				found[f.CipherSuite] = true
			}
			if f.Version == 0 || f.Offer == evidence.OfferFull || f.Offer == evidence.OfferSession {
				continue
			}
			chosen = append(chosen, f.CipherSuite)
			for _, id := range f.OfferedSuites {
				if id == f.CipherSuite {
					break
				}
				follows = follows && !slices.Contains(own, id)
			}
		}
		if len(found) != len(own) {
			t.Errorf("%s: %d suites, want %d", name, len(found), len(own))
		}
		if follows != (name == "client's") || name == "own" && !slices.Equal(chosen, own) {
			t.Errorf("%s: chose %v, follows the client: %t", name, chosen, follows)
		}
	}
}

// TestProbe_contrary: servers that choose what was not on offer, or the same
// again, end the enumeration.
func TestProbe_contrary(t *testing.T) {
	for name, choose := range map[string]func(h tlswire.ClientHello) uint16{
		"not on offer":   func(tlswire.ClientHello) uint16 { return 0x1234 },
		"always one":     func(tlswire.ClientHello) uint16 { return 0x002f },
		"a suite of 1.3": func(tlswire.ClientHello) uint16 { return 0x1301 },
		"whatever comes": func(h tlswire.ClientHello) uint16 { return h.Suites[0] },
	} {
		for _, level := range []scanner.Level{scanner.Gentle, scanner.Standard, scanner.Exhaustive} {
			d := scripted(t, choose)
			d.level = level
			probeAll(t, d)
			if most := len(New().Exchanges(level)); d.dials > most || level == scanner.Gentle && d.dials > maxGentle {
				t.Errorf("%s, %s: %d connections, at most %d planned", name, level, d.dials, most)
			}
		}
	}
}
