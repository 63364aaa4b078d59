package tlsprobe

import (
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_gentleClasses: of a server that follows the client, eight connections
// decide every weak class; of one with an order of its own, those that it does not
// have and those that it showed.
func TestPeer_gentleClasses(t *testing.T) {
	paths := peer.Require(t, "openssl")
	rsa, rsaKey := keyPair(t, paths["openssl"], "rsa", "-newkey", "rsa:2048")
	ec, ecKey := keyPair(t, paths["openssl"], "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	for name, tt := range map[string]struct {
		args    []string
		decided int // classes, at least
	}{
		"everything":         {[]string{"-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"}, 10},
		"ordinary":           {[]string{"-cipher", "DEFAULT:@SECLEVEL=0"}, 10},
		"ordinary below 1.3": {[]string{"-cipher", "DEFAULT:@SECLEVEL=0", "-no_tls1_3"}, 10},
		"own order":          {[]string{"-cipher", "DEFAULT:@SECLEVEL=0", "-serverpref"}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			args := []string{"s_server", "-www", "-cert", ec, "-key", ecKey, "-dcert", rsa, "-dkey", rsaKey, "-accept", "127.0.0.1:" + port}
			m := start(t, port, paths["openssl"], append(args, tt.args...)...)
			obs, err := New().Probe(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			decided, verdicts := 0, classVerdicts(obs)
			for _, c := range weakClasses() {
				if _, known := verdicts[c]; known {
					decided++
				}
			}
			if decided < tt.decided || m.conns > maxGentle || m.sent > 5<<10 {
				t.Errorf("%d classes decided by %d connections and %d bytes, want %d%s", decided, m.conns, m.sent, tt.decided, listing(obs))
			}
		})
	}
}
