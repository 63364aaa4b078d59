package tlsprobe

import (
	"bytes"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

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
			port := freePort(t)
			args := make([]string, len(tt.args))
			for i, a := range tt.args {
				if args[i] = a; a == "" {
					args[i] = port
				}
			}
			m := start(t, port, paths[tt.program], args...)
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
