package tlsprobe

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// TestPeer_renegotiation asks OpenSSL for a second handshake, which it begins only
// where it was told to, with every kind of record protection.
func TestPeer_renegotiation(t *testing.T) {
	paths := peer.Require(t, "openssl")
	cert, key := keyPair(t, paths["openssl"], "rsa", "-newkey", "rsa:2048")
	for _, suite := range []string{
		"-tls1_2 ECDHE-RSA-AES256-GCM-SHA384", "-tls1_2 ECDHE-RSA-CHACHA20-POLY1305", "-tls1_2 AES256-SHA256", "-tls1_1 ECDHE-RSA-AES256-SHA", "-tls1 AES128-SHA",
	} {
		for _, allowed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", suite, allowed), func(t *testing.T) {
				t.Parallel()
				version, name, _ := strings.Cut(suite, " ")
				port := freePort(t)
				args := []string{"s_server", "-www", "-cert", cert, "-key", key, "-accept", "127.0.0.1:" + port, version, "-cipher", name + ":@SECLEVEL=0"}
				if allowed {
					args = append(args, "-client_renegotiation")
				}
				m := start(t, port, paths["openssl"], args...)
				m.level = scanner.Exhaustive
				obs, err := New().Probe(t.Context(), m, nil)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(obs, func(o evidence.Observation) bool { return o.Facts.TLS.Offer == evidence.OfferSession })
				if i < 0 {
					t.Fatalf("no session was asked for%s", listing(obs))
				}
				f := obs[i].Facts.TLS
				if f.ClientRenegotiation == nil || *f.ClientRenegotiation != allowed || f.Handshake != evidence.StageComplete {
					t.Errorf("%v, %q%s", f.ClientRenegotiation, obs[i].Detail, listing(obs))
				}
			})
		}
	}
}

// TestPeer_sessions asks OpenSSL and GnuTLS for sessions, in every way in which
// they give them.
func TestPeer_sessions(t *testing.T) {
	paths := peer.Require(t, "openssl", "gnutls-serv")
	cert, key := keyPair(t, paths["openssl"], "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	type want struct {
		ticket12, ticket13, id bool
		by                     string
		resumed                bool
	}
	openssl := func(args ...string) []string {
		return append([]string{"s_server", "-www", "-cert", cert, "-key", key, "-accept"}, append([]string{""}, args...)...)
	}
	for _, tt := range []struct {
		name, program string
		args          []string // the port is put in place of ""
		want          want
	}{
		{"all", "openssl", openssl(), want{true, true, true, "psk", true}},
		{"1.2", "openssl", openssl("-tls1_2"), want{true, false, true, "ticket", true}},
		{"1.2 without tickets", "openssl", openssl("-tls1_2", "-no_ticket"), want{false, false, true, "session-id", true}},
		{"1.0", "openssl", openssl("-tls1", "-cipher", "ALL:@SECLEVEL=0"), want{true, false, true, "ticket", true}},
		{"nothing", "openssl", openssl("-tls1_2", "-no_ticket", "-no_cache"), want{false, false, false, "", false}},
		{"client certificates", "openssl", openssl("-verify", "1"), want{true, true, true, "psk", true}},
		{"GnuTLS 1.2", "gnutls-serv", []string{"--http", "--x509certfile", cert, "--x509keyfile", key, "--priority", "NORMAL:-VERS-TLS1.3", "--port", ""}, want{true, false, true, "ticket", true}},
		{"GnuTLS 1.3", "gnutls-serv", []string{"--http", "--x509certfile", cert, "--x509keyfile", key, "--priority", "NORMAL", "--port", ""}, want{true, true, true, "psk", true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, m := freePort(t), &metered{t: t}
			args := slices.Clone(tt.args)
			if i := slices.Index(args, ""); tt.program == "openssl" {
				args[i] = "127.0.0.1:" + port
				m = start(t, port, paths[tt.program], args...)
			} else { // it listens on all addresses
				args[i] = port
				m.direct = &direct{address: tlsmatrix.Isolated(t, port, paths[tt.program], args...).Address}
			}
			m.level = scanner.Exhaustive
			obs, err := New().Probe(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got want
			for _, o := range obs {
				f := o.Facts.TLS
				if len(f.TicketKey) > 0 {
					if len(f.TicketKey) != 16 || bytes.Equal(f.TicketKey, make([]byte, 16)) || f.TicketLifetime == 0 {
						t.Errorf("ticket of %x, %d s", f.TicketKey, f.TicketLifetime)
					}
					got.ticket13 = got.ticket13 || f.Version == tlswire.VersionTLS13
					got.ticket12 = got.ticket12 || f.Version < tlswire.VersionTLS13
				}
				got.id = got.id || f.SessionID != nil && *f.SessionID
				if f.Offer == evidence.OfferResume {
					got.by, got.resumed = f.ResumedBy, f.Resumed != nil && *f.Resumed
				}
			}
			if got != tt.want {
				t.Errorf("got %+v, want %+v%s", got, tt.want, listing(obs))
			}
		})
	}
}
