package tlsprobe

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// TestPeer_sharedKeys finds the suites of servers that share a key with their
// clients beforehand, with and without certificates, against one hello for each
// suite.
func TestPeer_sharedKeys(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	rsaCert, rsaKey := keyPair(t, openssl, "rsa", "-newkey", "rsa:2048")
	secret := []string{"-psk_identity", "pump7", "-psk", "00112233445566778899aabbccddeeff", "-psk_hint", "ward 3"}
	for _, tt := range []struct {
		name   string
		args   []string
		certs  bool
		gentle bool // a gentle probe chooses such a suite, because there is no other
	}{
		{"shared keys only", []string{"-nocert", "-tls1_2", "-cipher", "PSK:!RSA:@SECLEVEL=0"}, false, true},
		{"one suite", []string{"-nocert", "-tls1_2", "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0"}, false, true},
		{"TLS 1.0 to 1.2", []string{"-cert", rsaCert, "-key", rsaKey, "-no_tls1_3", "-cipher", "ECDHE-RSA-AES128-SHA:AES128-SHA:PSK-AES128-CBC-SHA:RSA-PSK-AES256-CBC-SHA:DHE-PSK-AES128-CBC-SHA:ECDHE-PSK-NULL-SHA:@SECLEVEL=0"}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			m := start(t, port, openssl, slices.Concat([]string{"s_server", "-quiet", "-accept", "127.0.0.1:" + port}, secret, tt.args)...)
			want, _ := oneByOne(t, m)
			if len(want) == 0 {
				t.Fatal("the server has no suite")
			}
			for _, level := range []scanner.Level{scanner.Gentle, scanner.Exhaustive} {
				m.conns, m.sent, m.level = 0, 0, level
				obs, err := New().Probe(t.Context(), m, nil)
				if err != nil {
					t.Fatal(err)
				}
				got := choices(obs, suiteOf)
				if diff := gocmp.Diff(want, got); level == scanner.Exhaustive && diff != "" {
					t.Errorf("suites (-want +got):\n%s%s", diff, describe(obs))
				}
				shared := slices.ContainsFunc(obs, func(o evidence.Observation) bool {
					s, ok := tlswire.Lookup(o.Facts.TLS.CipherSuite)
					return ok && preshared(s)
				})
				certs := slices.ContainsFunc(obs, func(o evidence.Observation) bool { return len(o.Certs) > 0 })
				if level == scanner.Gentle && (shared != tt.gentle || m.conns > maxGentle || m.sent > gentleBytes) || certs != tt.certs {
					t.Errorf("%s: shared keys: %v, certificates: %v, %d connections, %d bytes\n%s", level, shared, certs, m.conns, m.sent, describe(obs))
				}
				for _, o := range obs {
					if f := o.Facts.TLS; o.Detail != "" && f.Version != 0 && f.Offer == evidence.OfferSuites {
						t.Errorf("%s: %s", o.Facts.TLS.Offer, o.Detail)
					}
				}
			}
		})
	}
}
