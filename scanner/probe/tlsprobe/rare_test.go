package tlsprobe

import (
	"bytes"
	"crypto/aes"
	"crypto/mlkem"
	"crypto/tls"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// TestPeer_rareGroups obtains the certificate of servers of TLS 1.3 whose groups,
// or suites, the first hello does not have.
func TestPeer_rareGroups(t *testing.T) {
	paths := peer.Require(t, "openssl")
	rsaCert, rsaKey := keyPair(t, paths["openssl"], "rsa", "-newkey", "rsa:2048")
	ecCert, ecKey := keyPair(t, paths["openssl"], "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	both := []string{"-cert", rsaCert, "-key", rsaKey, "-dcert", ecCert, "-dkey", ecKey}
	openssl := func(args ...string) func(t *testing.T) *metered {
		return func(t *testing.T) *metered {
			port := freePort(t)
			return start(t, port, paths["openssl"], slices.Concat([]string{"s_server", "-quiet", "-accept", "127.0.0.1:" + port}, both, args)...)
		}
	}
	golang := func(group tls.CurveID) func(t *testing.T) *metered {
		return func(t *testing.T) *metered {
			config := &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{group}}
			for _, files := range [][2]string{{rsaCert, rsaKey}, {ecCert, ecKey}} {
				pair, err := tls.LoadX509KeyPair(files[0], files[1])
				if err != nil {
					t.Fatal(err)
				}
				config.Certificates = append(config.Certificates, pair)
			}
			return &metered{direct: serveTLS(t, config), t: t}
		}
	}
	only13 := func(group string, more ...string) func(t *testing.T) *metered {
		return openssl(append([]string{"-tls1_3", "-groups", group}, more...)...)
	}
	for _, tt := range []struct {
		name         string
		server       func(t *testing.T) *metered
		group, suite uint16
		auth         evidence.ClientAuth
		certs        int // different ones at the gentle level
	}{
		{"x448", only13("X448"), groupX448, 0, evidence.ClientAuthNotAsked, 2},
		{"x448, client certificate required", only13("X448", "-Verify", "1"), groupX448, 0, evidence.ClientAuthRequired, 2},
		{"x448 and TLS 1.2", openssl("-groups", "X448", "-cipher", "AES128-SHA256"), groupX448, 0, evidence.ClientAuthNotAsked, 1},
		{"secp521r1", only13("P-521"), groupP521, 0, evidence.ClientAuthNotAsked, 2},
		{"ffdhe2048", only13("ffdhe2048"), groupFFDHE2048, 0, evidence.ClientAuthNotAsked, 2},
		{"ffdhe3072", only13("ffdhe3072"), groupFFDHE3072, 0, evidence.ClientAuthNotAsked, 2},
		{"ffdhe4096", only13("ffdhe4096"), groupFFDHE4096, 0, evidence.ClientAuthNotAsked, 2},
		{"ffdhe6144", only13("ffdhe6144"), groupFFDHE6144, 0, evidence.ClientAuthNotAsked, 2},
		{"ffdhe8192", only13("ffdhe8192"), groupFFDHE8192, 0, evidence.ClientAuthNotAsked, 2},
		{"ccm", openssl("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"), groupX25519, suiteCCM, evidence.ClientAuthNotAsked, 2},
		{"ccm8 and ffdhe", only13("ffdhe2048", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"), groupFFDHE2048, suiteCCM8, evidence.ClientAuthNotAsked, 2},
		{"X25519MLKEM768", golang(tls.X25519MLKEM768), groupX25519MLKEM768, 0, evidence.ClientAuthNotAsked, 2},
		{"SecP256r1MLKEM768", golang(tls.SecP256r1MLKEM768), groupP256MLKEM768, 0, evidence.ClientAuthNotAsked, 2},
		{"SecP384r1MLKEM1024", golang(tls.SecP384r1MLKEM1024), groupP384MLKEM1024, 0, evidence.ClientAuthNotAsked, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := tt.server(t)
			levels := []scanner.Level{scanner.Gentle}
			if !slices.Contains([]uint16{groupFFDHE3072, groupFFDHE4096, groupFFDHE6144, groupFFDHE8192}, tt.group) { // whose handshakes cost a server much
				levels = append(levels, scanner.Exhaustive)
			}
			spared := offer{spare: groupFFDHE4096}.spares(tt.group)
			if spared {
				levels = append(levels, scanner.Standard)
			}
			for _, level := range levels {
				m.conns, m.sent, m.level = 0, 0, level
				obs, err := New().Probe(t.Context(), m, nil)
				if err != nil {
					t.Fatal(err)
				}
				certs, done, named := map[string]bool{}, false, false
				for _, o := range obs {
					f := o.Facts.TLS
					done = done || f.Version == tlswire.VersionTLS13 && f.Handshake == evidence.StageComplete && f.Group == tt.group &&
						f.ClientAuth == tt.auth && (tt.suite == 0 || f.CipherSuite == tt.suite)
					named = named || f.Version == tlswire.VersionTLS13 && f.Group == tt.group
					if len(o.Certs) > 0 && f.Version == tlswire.VersionTLS13 {
						certs[string(o.Certs[0].DER)] = true
					}
				}
				if level == scanner.Gentle && spared {
					if !named || done || len(certs) > 0 {
						t.Errorf("a server that is to be spared: named %v, complete %v, %d certificates\n%s", named, done, len(certs), describe(obs))
					}
				} else if !done || len(certs) < tt.certs || level == scanner.Exhaustive && len(certs) != 2 {
					t.Errorf("%s: complete: %v; %d certificates\n%s", level, done, len(certs), describe(obs))
				}
				if level == scanner.Gentle && (m.conns > maxGentle || m.sent > gentleBytes) {
					t.Errorf("%d connections, %d bytes sent", m.conns, m.sent)
				}
				if t.Failed() || testing.Verbose() {
					t.Logf("%s: %d connections, %d bytes sent", level, m.conns, m.sent)
				}
			}
		})
	}
}

// TestProbe_lastResort sends rare key shares unasked where a server shows that it
// has TLS 1.3, and answers it only with a key share.
func TestProbe_lastResort(t *testing.T) {
	cert := certificate(t, 2048)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}
	shared := func(_ []byte, h tlswire.ClientHello) bool {
		return !slices.Contains(h.SupportedVersions, tls.VersionTLS13) || len(h.KeyShares) > 0
	}
	d := picky(t, config, nil, shared)
	d.level = scanner.Exhaustive
	obs := wantCertificate(t, d, cert.Certificate[0])
	if !slices.ContainsFunc(obs, func(o evidence.Observation) bool {
		return o.Facts.TLS.Group == groupX25519MLKEM768 && o.Facts.TLS.Handshake == evidence.StageComplete
	}) {
		t.Error(describe(obs))
	}
	d.level = scanner.Gentle
	for _, o := range probeAll(t, d) {
		if o.Facts.TLS.Version != 0 {
			t.Errorf("a gentle probe sent rare key shares: %s", describe([]evidence.Observation{o}))
		}
	}
}

// TestKeyShare_agree has both halves of each exchange agree, and refuses what is
// no value of the group.
func TestKeyShare_agree(t *testing.T) {
	for _, group := range []uint16{groupX25519, groupP256, groupP384, groupP521, groupX448, groupFFDHE2048, groupFFDHE8192} {
		a, err1 := newKeyShare(group)
		b, err2 := newKeyShare(group)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		x, err1 := a.shared(b.public())
		y, err2 := b.shared(a.public())
		if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
			t.Errorf("%s: %v %v, equal: %v", tlswire.GroupName(group), err1, err2, bytes.Equal(x, y))
		}
		n := len(a.public())
		wrong := map[string][]byte{"empty": nil, "short": a.public()[1:], "long": append(a.public(), 0), "zero": make([]byte, n)}
		if f, ok := a.(inField); ok {
			wrong["one"] = append(make([]byte, n-1), 1)
			wrong["one below the prime"] = new(big.Int).Sub(f.prime, big.NewInt(1)).Bytes()
			wrong["the prime"] = f.prime.Bytes()
		}
		for name, share := range wrong {
			if _, err := a.shared(share); err == nil {
				t.Errorf("%s takes a share that is %s", tlswire.GroupName(group), name)
			}
		}
	}
	for group, size := range map[uint16]int{groupX25519MLKEM768: 1184 + 32, groupP256MLKEM768: 65 + 1184, groupP384MLKEM1024: 97 + 1568} {
		a, err := newKeyShare(group)
		if err != nil || len(a.public()) != size || size > shareBytes {
			t.Fatalf("%s: %d bytes, %v", tlswire.GroupName(group), len(a.public()), err)
		}
		for _, n := range []int{0, 65, 97, mlkem.CiphertextSize768, mlkem.CiphertextSize768 + 32, 4000} {
			if _, err := a.shared(make([]byte, n)); err == nil {
				t.Errorf("%s takes %d zeros", tlswire.GroupName(group), n)
			}
		}
	}
	if _, err := newKeyShare(0x6399); err == nil {
		t.Error("a group without a key exchange")
	}
}

// TestFields_safePrimes holds the primes against their definition, and against the
// ends that RFC 7919 prints.
func TestFields_safePrimes(t *testing.T) {
	ends := map[uint16]string{
		groupFFDHE2048: "886b423861285c97ffffffffffffffff", groupFFDHE3072: "25e41d2b66c62e37ffffffffffffffff", groupFFDHE4096: "c68a007e5e655f6affffffffffffffff",
		groupFFDHE6144: "a41d570d7938dad4a40e329cd0e40e65ffffffffffffffff"[16:], groupFFDHE8192: "d68c8bb7c5c6424cffffffffffffffff",
	}
	for group, p := range fields() {
		if end := hex.EncodeToString(p.Bytes()); !strings.HasSuffix(end, ends[group]) {
			t.Errorf("%s ends in %s", tlswire.GroupName(group), end[len(end)-32:])
		}
		if half := new(big.Int).Rsh(p, 1); group <= groupFFDHE3072 && (!p.ProbablyPrime(1) || !half.ProbablyPrime(1)) {
			t.Errorf("%s is no safe prime", tlswire.GroupName(group))
		}
	}
}

// TestCCM_vectors holds example 3 of NIST SP 800-38C, the one with a nonce of 12
// bytes.
func TestCCM_vectors(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, err := aes.NewCipher(unhex("404142434445464748494a4b4c4d4e4f"))
	if err != nil {
		t.Fatal(err)
	}
	// SP 800-38C example 3: 20 bytes of associated data, 24 of text, a tag of 8.
	c := ccm{block, 8}
	nonce, data := unhex("101112131415161718191a1b"), unhex("000102030405060708090a0b0c0d0e0f10111213")
	text := unhex("202122232425262728292a2b2c2d2e2f3031323334353637")
	sealed := c.Seal(nil, nonce, text, data)
	if want := unhex("e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5 484392fbc1b09951"); !bytes.Equal(sealed, want) {
		t.Errorf("sealed %x, want %x", sealed, want)
	}
	if got, err := c.Open(nil, nonce, sealed, data); err != nil || !bytes.Equal(got, text) {
		t.Errorf("opened %x, %v", got, err)
	}
	for i := range sealed {
		broken := slices.Clone(sealed)
		broken[i] ^= 1
		if _, err := c.Open(nil, nonce, broken, data); err == nil {
			t.Errorf("byte %d is not protected", i)
		}
	}
	if _, err := c.Open(nil, nonce, sealed[:7], data); err == nil {
		t.Error("less than a tag was opened")
	}
}
