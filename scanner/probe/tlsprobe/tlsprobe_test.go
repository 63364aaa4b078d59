package tlsprobe

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// direct is a session without a gate, on a server in this process.
type direct struct {
	address string
	level   scanner.Level
	name    string
	dials   int
}

func (d *direct) Endpoint() evidence.Endpoint {
	ap := netip.MustParseAddrPort(d.address)
	return evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.TCP, Name: d.name}
}
func (d *direct) Level() scanner.Level { return d.level }
func (d *direct) Now() time.Time       { return time.Now() }
func (d *direct) Dial(ctx context.Context) (net.Conn, error) {
	d.dials++
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(10 * time.Second))
}

// serve runs accept for every connection until the end of the test.
func serve(t testing.TB, accept func(net.Conn)) *direct {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				accept(c)
			}()
		}
	}()
	return &direct{address: l.Addr().String(), level: scanner.Gentle}
}

func serveTLS(t testing.TB, config *tls.Config) *direct {
	t.Helper()
	return serve(t, func(c net.Conn) {
		io.Copy(io.Discard, tls.Server(c, config))
	})
}

func certificate(t testing.TB, bits int) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump"}, NotAfter: time.Now().Add(time.Hour)}
	if bits == 0 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func probeAll(t *testing.T, d *direct) []evidence.Observation {
	t.Helper()
	obs, err := New().Probe(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return obs
}

// TestProbe_elimination finds every weak suite of a server, whatever it prefers.
func TestProbe_elimination(t *testing.T) {
	cert := certificate(t, 2048)
	for _, tt := range []struct {
		name   string
		suites []uint16
		weak   []uint16
	}{
		{"sound", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, nil},
		{"rc4", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}, []uint16{tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}},
		{"3des with static rsa", []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
		{
			"rc4 and 3des behind static rsa",
			[]uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_RC4_128_SHA},
			[]uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, CipherSuites: tt.suites, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12})
			for _, level := range []scanner.Level{scanner.Gentle, scanner.Standard} {
				d.level = level
				obs := probeAll(t, d)
				var got []uint16
				var last *evidence.TLSFacts
				decided := map[evidence.SuiteClass]bool{}
				for _, o := range obs {
					if f := o.Facts.TLS; f.Offer == evidence.OfferWeak {
						last = f
						suite, _ := tlswire.Lookup(f.CipherSuite)
						if f.Version != 0 {
							got = append(got, f.CipherSuite)
						}
						for _, c := range f.OfferedClasses {
							decided[c] = decided[c] || f.Version == 0 || suite.Has(c)
						}
					}
				}
				worst := slices.ContainsFunc(got, func(id uint16) bool { return len(broken(classesOf([]uint16{id}))) > 0 })
				for _, c := range broken(weakClasses()) {
					if !decided[c] && !worst {
						t.Errorf("%s: neither is class %s decided nor a broken suite found", level, c)
					}
				}
				if len(obs) > maxGentle && level == scanner.Gentle {
					t.Errorf("%d connections", len(obs))
				}
				if level == scanner.Gentle {
					continue
				}
				slices.Sort(got)
				want := slices.Clone(tt.weak)
				slices.Sort(want)
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("weak suites (-want +got):\n%s", diff)
				}
				if last.Alert == nil || last.Handshake != evidence.StageNone {
					t.Errorf("last weak offer: %+v; want a refusal by alert", last)
				}
				if full := obs[0]; full.Facts.TLS.Handshake != evidence.StageCertificate || !bytes.Equal(full.Certs[0].DER, cert.Certificate[0]) {
					t.Errorf("first handshake: %+v", full.Facts.TLS)
				}
			}
		})
	}
}

// TestProbe_keepsChainOfFailedHandshake is about devices whose certificate no
// client library takes.
func TestProbe_keepsChainOfFailedHandshake(t *testing.T) {
	cert := certificate(t, 0)
	junk := []byte("this is not DER, but some device sends it")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{junk, cert.Certificate[0]}, PrivateKey: cert.PrivateKey, Leaf: &x509.Certificate{PublicKey: cert.PrivateKey.(*ecdsa.PrivateKey).Public()}}},
			MinVersion:   version, MaxVersion: version, ClientAuth: tls.RequestClientCert,
		}
		d := serveTLS(t, config)
		full := probeAll(t, d)[0]
		if len(full.Certs) != 2 || !bytes.Equal(full.Certs[0].DER, junk) || full.Certs[1].Position != 1 {
			t.Errorf("%s: chain of %d certificates, detail %q", tlswire.VersionName(version), len(full.Certs), full.Detail)
		}
		stage := map[uint16]evidence.HandshakeStage{tls.VersionTLS12: evidence.StageCertificate, tls.VersionTLS13: evidence.StageComplete}[version]
		if f := full.Facts.TLS; f.Handshake != stage || f.ClientAuth != evidence.ClientAuthRequested {
			t.Errorf("%s: facts %+v, detail %q", tlswire.VersionName(version), f, full.Detail)
		}
	}
}

func TestProbe_clientAuthentication(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		for policy, want := range map[tls.ClientAuthType]evidence.ClientAuth{
			tls.NoClientCert:               evidence.ClientAuthNotAsked,
			tls.RequestClientCert:          evidence.ClientAuthRequested,
			tls.VerifyClientCertIfGiven:    evidence.ClientAuthRequested,
			tls.RequireAnyClientCert:       evidence.ClientAuthRequired,
			tls.RequireAndVerifyClientCert: evidence.ClientAuthRequired,
		} {
			d := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, 0)}, ClientAuth: policy, MinVersion: version, MaxVersion: version})
			var full *evidence.TLSFacts // the last
			for _, o := range probeAll(t, d) {
				if o.Facts.TLS.Offer == evidence.OfferFull {
					full = o.Facts.TLS
				}
			}
			if full.ClientAuth != want || full.Version != version {
				t.Errorf("%s, policy %v: %q", tlswire.VersionName(version), policy, full.ClientAuth)
			}
		}
	}
}

// TestProbe_serverName holds that a name is sent as given and an address never.
func TestProbe_serverName(t *testing.T) {
	for _, name := range []string{"", "pacs.hospital.example"} {
		var seen []string
		got := make(chan string, 64)
		d := serveTLS(t, &tls.Config{
			Certificates: []tls.Certificate{certificate(t, 0)},
			GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				got <- h.ServerName
				return nil, nil
			},
		})
		d.name = name
		obs := probeAll(t, d)
		for len(got) > 0 {
			seen = append(seen, <-got)
		}
		seen = seen[:max(0, len(seen)-1)] // SSL 3.0 has no extensions
		if len(seen) < 3 || slices.ContainsFunc(seen, func(s string) bool { return s != name }) {
			t.Errorf("server names %q, want %q only", seen, name)
		}
		if f := obs[0].Facts.TLS; f.ServerName != name {
			t.Errorf("facts say %q", f.ServerName)
		}
	}
}

// TestProbe_stopsOddHellos: a server that no longer answers is left alone.
func TestProbe_stopsOddHellos(t *testing.T) {
	cert := certificate(t, 0)
	var served atomic.Int64
	d := serve(t, func(c net.Conn) {
		if served.Add(1) <= 2 {
			io.Copy(io.Discard, tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}))
			return
		}
		io.Copy(io.Discard, c)
	})
	s := &hasty{d}
	obs, err := New().Probe(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(obs) != 3 || obs[2].Result != evidence.ResultTimeout || obs[2].Facts.TLS.Offer != evidence.OfferTLS11 || obs[2].Facts.TLS.Version != 0 {
		t.Errorf("%d observations, the last %+v", len(obs), obs[len(obs)-1])
	}
}

// hasty gives a connection a fraction of a second.
type hasty struct{ *direct }

func (h *hasty) Dial(ctx context.Context) (net.Conn, error) {
	c, err := h.direct.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(200 * time.Millisecond))
}

func TestProbe_ssl2(t *testing.T) {
	der := []byte("an old certificate")
	body := slices.Concat([]byte{4, 0, 1, 0, 2, 0, byte(len(der)), 0, 3, 0, 16}, der, []byte{1, 0, 0x80}, make([]byte, 16))
	hello := append([]byte{0x80, byte(len(body))}, body...)
	for name, tt := range map[string]struct {
		answer  []byte
		version uint16
		result  evidence.Result
	}{
		"speaks it":          {hello, tlswire.VersionSSL2, evidence.ResultData},
		"refuses by alert":   {[]byte{21, 3, 0, 0, 2, 2, 40}, 0, evidence.ResultData},
		"hangs up":           {nil, 0, evidence.ResultReset},
		"another protocol":   {[]byte("220 ftp ready\r\n"), 0, evidence.ResultError},
		"cut off":            {hello[:20], 0, evidence.ResultReset},
		"answers with TLS":   {[]byte{22, 3, 1, 0, 4, 2, 0, 0, 0}, 0, evidence.ResultError},
		"longer than it has": {[]byte{0xff, 0xff, 4}, 0, evidence.ResultReset},
	} {
		d := serve(t, func(c net.Conn) {
			c.Read(make([]byte, 256))
			c.Write(tt.answer)
		})
		obs, err := askSSL2(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		f := obs.Facts.TLS
		if f.Version != tt.version || obs.Result != tt.result || f.Offer != evidence.OfferSSL2 || f.OfferedMax != tlswire.VersionSSL2 {
			t.Errorf("%s: %s, detail %q, facts %+v", name, obs.Result, obs.Detail, f)
		}
		if (len(obs.Certs) == 1) != (tt.version != 0) || tt.answer != nil && len(obs.Raw) != 2 && name != "longer than it has" {
			t.Errorf("%s: %d certificates, %d blobs", name, len(obs.Certs), len(obs.Raw))
		}
	}
}

// TestOffers_fit holds what the plan promises of the hellos.
func TestOffers_fit(t *testing.T) {
	tables := newTables()
	for _, name := range []string{"", "a-rather-long-name-of-a-device.radiology.hospital.example", strings.Repeat("long.", 50)} {
		r := &run{tables: tables, session: &direct{address: "192.0.2.1:443", name: name}}
		full := r.offer(evidence.OfferFull, tlswire.VersionTLS13, fullSuites())
		full.groups, full.limit = computed(), fullBytes
		weak := r.offer(evidence.OfferWeak, tlswire.VersionTLS12, tables.weak(weakClasses()))
		weak.classes = weakClasses()
		many := &enumeration{r: r, offered: tlswire.VersionTLS12, aim: aim{suites: true}, left: tables.ids(func(tlswire.Suite) bool { return true })}
		for _, o := range []offer{
			full, r.smallOffer(), weak, many.next(), tables.other(tlswire.VersionTLS12, kindRSA), tables.other(tlswire.VersionTLS12, kindEC),
			r.offer(evidence.OfferTLS12, tlswire.VersionTLS12, tables.tls12),
			r.offer(evidence.OfferTLS11, tlswire.VersionTLS11, tables.old),
			r.offer(evidence.OfferTLS10, tlswire.VersionTLS10, tables.old),
			r.offer(evidence.OfferSSL3, tlswire.VersionSSL3, tables.ssl3),
		} {
			o.serverName, o.limit = name, cmp.Or(o.limit, helloBytes)
			wanted := len(o.suites)
			record, err := o.record([32]byte{1})
			if err != nil {
				if o.name != evidence.OfferSmall || len(name) < 100 {
					t.Fatalf("%s: %v", o.name, err)
				}
				continue
			}
			if len(record) > o.limit || len(o.suites) < 10 || len(name) < 100 && len(o.suites) != wanted {
				t.Errorf("%s with a name of %d bytes: %d bytes, %d of %d suites", o.name, len(name), len(record), len(o.suites), wanted)
			}
			messages, err := tlswire.NewStream(tlswire.Limits{}).Feed(record)
			if err != nil || len(messages) != 1 {
				t.Fatalf("%s: %v", o.name, err)
			}
			h, err := tlswire.ParseClientHello(messages[0].Body)
			if err != nil || h.MaxVersion() != o.version {
				t.Errorf("%s: %v, offers %#x", o.name, err, h.MaxVersion())
			}
			if o.name == evidence.OfferTLS12 && !bytes.Equal(h.Compression, []byte{1, 0}) || o.version != tlswire.VersionSSL3 && (h.ServerName != name || !h.ExtendedMasterSecret) {
				t.Errorf("%s: compression %v, name %q", o.name, h.Compression, h.ServerName)
			}
		}
	}
}

// TestExchanges_gentle holds the promise of the gentle level: eight connections
// and 5 KB.
func TestExchanges_gentle(t *testing.T) {
	var bytes, conns int64
	for _, x := range New().Exchanges(scanner.Gentle) {
		if !x.InPlace {
			bytes, conns = bytes+x.MaxBytes, conns+1
		}
	}
	if conns != maxGentle || bytes > gentleBytes {
		t.Errorf("%d connections, %d bytes", conns, bytes)
	}
}

// TestOffers_weakIsComplete: no suite of a weak class that a server could choose
// is missing, and elimination ends.
func TestOffers_weakIsComplete(t *testing.T) {
	tables := newTables()
	offered := tables.weak(weakClasses())
	for _, s := range tables.all {
		if preshared(s) {
			continue // of servers that showed one, below
		}
		in := slices.ContainsFunc(weakClasses(), s.Has)
		if aria := bytes.Contains([]byte(s.Name), []byte("ARIA")); in && !aria && !slices.Contains(offered, s.ID) {
			t.Errorf("%s is not offered", s.Name)
		}
	}
	for _, s := range tables.all {
		if in := slices.ContainsFunc(weakClasses(), s.Has); preshared(s) && in != slices.Contains(tables.weakShared(weakClasses()), s.ID) {
			t.Errorf("%s: weak: %v", s.Name, in)
		}
	}
	for _, c := range weakClasses() {
		if len(tables.weak([]evidence.SuiteClass{c})) == 0 {
			t.Errorf("no suite of class %s", c)
		}
	}
	for _, id := range offered {
		if left := without(weakClasses(), id); len(left) >= len(weakClasses()) {
			t.Errorf("choosing %s would not shorten the offer", tlswire.SuiteName(id))
		}
	}
	if s, _ := tlswire.Lookup(tables.tls12[0]); len(s.Classes) != 0 || !s.AEAD || !s.ForwardSecret {
		t.Errorf("the first suite at most TLS 1.2 is %s", s.Name)
	}
	for _, id := range slices.Concat(fullSuites(), tables.small) {
		if _, known := tlswire.Lookup(id); !known {
			t.Errorf("unknown suite %#x", id)
		}
	}
}

// TestDecrypt_keepsNoApplicationSecret: of the key log, only the line of the
// handshake is kept.
func TestDecrypt_keepsNoApplicationSecret(t *testing.T) {
	d := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, 0)}, MinVersion: tls.VersionTLS13})
	full := probeAll(t, d)[0]
	i := slices.IndexFunc(full.Raw, func(b evidence.Blob) bool { return b.Media == mediaSecret })
	if i < 0 {
		t.Fatal("no secret: the encrypted chain could not be read again")
	}
	line := string(full.Raw[i].Data)
	if n := bytes.Count(full.Raw[i].Data, []byte("\n")); n != 1 || line[:len(serverSecretLabel)] != serverSecretLabel {
		t.Errorf("kept %q", line)
	}
	// With the kept bytes alone the chain is found again.
	again := newAnswer()
	again.feed(full.Raw[1].Data)
	fields := bytes.Fields(full.Raw[i].Data)
	secret, err := hex.DecodeString(string(fields[2]))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProtection(again.hello.CipherSuite, secret)
	if err != nil {
		t.Fatal(err)
	}
	again.unseal(p)
	if len(again.certs) != 1 || !bytes.Equal(again.certs[0], full.Certs[0].DER) || again.scheme != full.Facts.TLS.SignatureScheme || !again.finished {
		t.Errorf("read again: %d certificates, scheme %#x, damage %v", len(again.certs), again.scheme, again.damage)
	}
	hello, err := tlswire.NewStream(tlswire.Limits{}).Feed(full.Raw[0].Data)
	if err != nil || !bytes.Equal(fields[1], []byte(hex.EncodeToString(hello[0].Body[2:34]))) {
		t.Errorf("the line is for client random %s, %v", fields[1], err)
	}
}

func TestProtocolOf(t *testing.T) {
	for in, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2p1\r\n":                "ssh",
		"HTTP/1.1 400 Bad Request\r\n":             "http",
		"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00": "dicom",
		"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07": "dicom",
		"\x0bMSH|^~\\&|":                           "hl7",
		"220 mail ready":                           "",
		"":                                         "",
		"\x02":                                     "",
	} {
		if got := protocolOf([]byte(in)); got != want {
			t.Errorf("protocolOf(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 4, 14, 0, 0, 0}, []byte{11, 0, 0, 4, 0, 0, 0, 0})
	f.Add([]byte{21, 3, 1, 0, 2, 2, 40}, []byte{13, 0, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, clear, sealed []byte) {
		a := newAnswer()
		a.feed(clear)
		for b := range slices.Chunk(sealed, 7) {
			a.sealed = append(a.sealed, b...)
			a.note(a.flight())
		}
		var facts evidence.TLSFacts
		a.fill(&facts)
		if len(a.received) > maxFlight || len(a.certs) > tlswire.MaxCertificates || len(facts.Authorities) > maxAuthorities || a.parsed > len(a.sealed) {
			t.Errorf("%d bytes, %d certificates, %d authorities", len(a.received), len(a.certs), len(facts.Authorities))
		}
	})
}

func FuzzUnseal(f *testing.F) {
	f.Add([]byte{23, 3, 3, 0, 1, 0}, []byte{1}, suiteChaCha)
	f.Fuzz(func(t *testing.T, received, secret []byte, suite uint16) {
		p, err := newProtection(suite, secret)
		if err != nil {
			return
		}
		a := newAnswer()
		a.received = received
		a.unseal(p)
		if a.opened > len(received) {
			t.Errorf("%d of %d bytes", a.opened, len(received))
		}
	})
}

// BenchmarkProbe measures whole probes and single handshakes against a server in
// this process, so the server's work is part of it.
func BenchmarkProbe(b *testing.B) {
	d := serveTLS(b, &tls.Config{Certificates: []tls.Certificate{certificate(b, 0)}})
	b.Run("handshake", func(b *testing.B) {
		for b.Loop() {
			r := &run{tables: newTables(), session: d}
			o := r.offer(evidence.OfferFull, tlswire.VersionTLS13, fullSuites())
			o.groups, o.limit = computed(), fullBytes
			if obs, _, err := take(b.Context(), d, o); err != nil || obs.Facts.TLS.Handshake != evidence.StageComplete {
				b.Fatal(errors.Join(err, errors.New(obs.Detail)))
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
	})
	b.Run("hello", func(b *testing.B) {
		r := &run{tables: newTables(), session: d}
		o := r.offer(evidence.OfferTLS12, tlswire.VersionTLS12, r.tables.tls12)
		for b.Loop() {
			if _, a, err := ask(b.Context(), d, o); err != nil || !a.done {
				b.Fatal("no answer", err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hellos/s")
	})
	b.Run("gentle", func(b *testing.B) {
		for b.Loop() {
			if _, err := New().Probe(b.Context(), d, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "endpoints/s")
	})
}
