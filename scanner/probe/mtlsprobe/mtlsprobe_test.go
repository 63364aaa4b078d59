package mtlsprobe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ztls "github.com/zmap/zcrypto/tls"

	"probity/evidence"
	"probity/internal/wire/dicomwire"
	"probity/scanner"
)

// ward is a CA with a server and a client.
type ward struct {
	ca     *x509.Certificate
	server tls.Certificate
	good   Credential
}

func newWard(t testing.TB) ward {
	t.Helper()
	issue := func(c, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)
		if signer == nil {
			signer = key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Example Hospital"}, CommonName: "Ward CA"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, rootKey := issue(root, root, nil)
	ca, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	server, serverKey := issue(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "pump"}}, ca, rootKey)
	client, clientKey := issue(&x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "monitor"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, rootKey)
	return ward{
		ca: ca, server: tls.Certificate{Certificate: [][]byte{server}, PrivateKey: serverKey},
		good: Credential{Kind: evidence.ClientCertGood, Chain: [][]byte{client}, Key: clientKey},
	}
}

// direct is a session without a gate, on a server in this process.
type direct struct {
	address string
	level   scanner.Level
	dials   int
}

func (d *direct) Endpoint() evidence.Endpoint {
	ap := netip.MustParseAddrPort(d.address)
	return evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.TCP}
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

// serve accepts connections until the end of the test and answers the first
// bytes of each with text. It keeps the chains that clients presented.
func (w ward) serve(t *testing.T, config *tls.Config, answer string) (d *direct, seen func() [][][]byte) {
	t.Helper()
	config.Certificates = []tls.Certificate{w.server}
	config.ClientCAs = x509.NewCertPool()
	config.ClientCAs.AddCert(w.ca)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var chains [][][]byte
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				server := tls.Server(c, config)
				if server.Handshake() != nil {
					return
				}
				var chain [][]byte
				for _, p := range server.ConnectionState().PeerCertificates {
					chain = append(chain, p.Raw)
				}
				mu.Lock()
				chains = append(chains, chain)
				mu.Unlock()
				if n, _ := server.Read(make([]byte, 4096)); n > 0 {
					io.WriteString(server, answer)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return &direct{address: l.Addr().String(), level: scanner.Exhaustive}, func() [][][]byte {
		mu.Lock()
		defer mu.Unlock()
		return chains
	}
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func mustNew(t testing.TB, o Options) *Prober {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func probeAll(t *testing.T, p *Prober, d *direct) []evidence.Observation {
	t.Helper()
	obs, err := p.Probe(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	return obs
}

// TestProbe_presents takes a server that accepts anything, and compares what it
// was shown with the evidence and with what each certificate is meant to be.
func TestProbe_presents(t *testing.T) {
	w := newWard(t)
	d, seen := w.serve(t, &tls.Config{ClientAuth: tls.RequestClientCert}, hello)
	p := mustNew(t, Options{Application: ApplicationHTTP, Supplied: []Credential{w.good}, Seed: [32]byte{1}})
	obs := probeAll(t, p, d)
	if exchanges := p.Exchanges(scanner.Exhaustive); d.dials != len(exchanges) || len(obs) != len(exchanges) {
		t.Fatalf("%d connections, %d observations, %d planned", d.dials, len(obs), len(exchanges))
	}
	blobs := func(o evidence.Observation) [][]byte {
		var out [][]byte
		for _, b := range o.Raw {
			if b.Media == mediaCertificate {
				out = append(out, b.Data)
			}
		}
		return out
	}
	var recorded [][][]byte
	for _, o := range obs {
		f := o.Facts.MTLS
		recorded = append(recorded, blobs(o))
		if o.Result != evidence.ResultData || !f.Requested || f.Handshake != evidence.StageComplete || f.HTTPStatus != 200 || f.End != evidence.EndOpen {
			t.Errorf("trial %d: result %s, facts %+v", f.Trial, o.Result, f)
		}
		if diff := cmp.Diff([][]byte{w.ca.RawSubject}, f.Authorities); diff != "" {
			t.Errorf("authorities (-want +got)\n%s", diff)
		}
	}
	if diff := cmp.Diff(recorded, seen()); diff != "" {
		t.Errorf("certificates recorded and seen by the server (-recorded +seen)\n%s", diff)
	}
	half := len(obs) / 2
	if diff := cmp.Diff(recorded[:half], recorded[half:]); diff != "" {
		t.Errorf("other certificates in TLS 1.3 than in TLS 1.2\n%s", diff)
	}
	for _, o := range obs[:half] {
		w.check(t, o.Facts.MTLS.Certificate, blobs(o))
	}
}

// check says whether a chain is what its kind says, in the eyes of the ward.
func (w ward) check(t *testing.T, kind evidence.ClientCertificate, chain [][]byte) {
	t.Helper()
	if kind == evidence.ClientCertNone {
		if len(chain) != 0 {
			t.Errorf("no certificate: %d were presented", len(chain))
		}
		return
	}
	var certs []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
	roots := func(c *x509.Certificate) *x509.CertPool {
		pool := x509.NewCertPool()
		pool.AddCert(c)
		return pool
	}
	leaf, now := certs[0], time.Now()
	verify := func(root *x509.Certificate, at time.Time, usage x509.ExtKeyUsage) error {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots(root), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	if err := verify(w.ca, now, x509.ExtKeyUsageAny); (err == nil) != (kind == evidence.ClientCertGood) {
		t.Errorf("%s: verification by the ward's CA: %v", kind, err)
	}
	if kind == evidence.ClientCertGood || kind == evidence.ClientCertSelfSigned {
		return
	}
	// Under the false CA all is well but the one thing that the kind says.
	at, usage := now, x509.ExtKeyUsageClientAuth
	if kind == evidence.ClientCertUnknownCA {
		if err := verify(certs[1], at, usage); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	} else if verify(certs[1], at, usage) == nil {
		t.Errorf("%s: nothing is wrong with it", kind)
	}
	switch kind {
	case evidence.ClientCertExpired:
		at = now.AddDate(-1, -6, 0)
	case evidence.ClientCertNotYetValid:
		at = now.AddDate(1, 6, 0)
	case evidence.ClientCertWrongPurpose:
		usage = x509.ExtKeyUsageServerAuth
	default:
	}
	if err := verify(certs[1], at, usage); err != nil {
		t.Errorf("%s: something else is wrong with it: %v", kind, err)
	}
	if !bytes.Equal(leaf.RawIssuer, w.ca.RawSubject) || !bytes.Equal(leaf.AuthorityKeyId, w.ca.SubjectKeyId) || bytes.Equal(certs[1].RawSubjectPublicKeyInfo, w.ca.RawSubjectPublicKeyInfo) {
		t.Errorf("%s: the false CA does not pass for the real one", kind)
	}
}

func TestProbe_leavesOut(t *testing.T) {
	w := newWard(t)
	for _, tt := range []struct {
		name   string
		config *tls.Config
		want   []string
	}{
		{"not asked", &tls.Config{}, []string{"303 none complete open", "304 none complete open"}},
		{"TLS 1.3 not spoken", &tls.Config{MaxVersion: tls.VersionTLS12}, []string{"303 none complete open", "304 none none alert 70"}},
		{"TLS 1.2 not spoken", &tls.Config{MinVersion: tls.VersionTLS13}, []string{"303 none none alert 70", "304 none complete open"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := w.serve(t, tt.config, hello)
			var got []string
			for _, o := range probeAll(t, mustNew(t, Options{Application: ApplicationHTTP, Supplied: []Credential{w.good}}), d) {
				f := o.Facts.MTLS
				line := fmt.Sprintf("%x %s %s %s", f.Version, f.Certificate, f.Handshake, f.End)
				if f.Alert != nil {
					line += fmt.Sprint(" ", *f.Alert)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestProbe_late tells a refusal after the client is done from a silent
// application: crypto/tls judges the certificate of TLS 1.3 late.
func TestProbe_late(t *testing.T) {
	w := newWard(t)
	d, _ := w.serve(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}, hello)
	for _, o := range probeAll(t, mustNew(t, Options{}), d) {
		if f := o.Facts.MTLS; f.Version == tls.VersionTLS13 && (f.Handshake != evidence.StageComplete || f.End != evidence.EndAlert || f.Alert == nil) {
			t.Errorf("%s: handshake %s, end %s, alert %v; want a late alert", f.Certificate, f.Handshake, f.End, f.Alert)
		}
	}
}

func TestProbe_level(t *testing.T) {
	p := mustNew(t, Options{})
	d := &direct{address: "127.0.0.1:1", level: scanner.Standard}
	if obs, err := p.Probe(t.Context(), d, nil); err == nil || len(obs) != 0 || d.dials != 0 || p.Exchanges(scanner.Standard) != nil {
		t.Errorf("%d observations and %d connections below the exhaustive level, error %v", len(obs), d.dials, err)
	}
}

func TestNew_refuses(t *testing.T) {
	w := newWard(t)
	for name, c := range map[string]Credential{
		"cannot be supplied": {Kind: evidence.ClientCertSelfSigned, Chain: w.good.Chain, Key: w.good.Key},
		"its key":            {Kind: evidence.ClientCertExpired, Chain: w.good.Chain},
		"at most":            {Kind: evidence.ClientCertGood, Chain: [][]byte{make([]byte, maxChain+1)}, Key: w.good.Key},
	} {
		if _, err := New(Options{Supplied: []Credential{c}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

func TestMaker(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	make1 := func(seed byte, r request) *ztls.Certificate {
		c, err := newMaker([32]byte{seed}, at).make(evidence.ClientCertUnknownCA, r)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b, c := make1(1, request{}), make1(1, request{}), make1(2, request{})
	if !slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal) || bytes.Equal(a.Certificate[0], c.Certificate[0]) {
		t.Error("the certificate is not decided by the seed")
	}
	only := make1(1, request{schemes: []ztls.SignatureScheme{ztls.PSSWithSHA256}})
	if _, ok := only.PrivateKey.(*rsa.PrivateKey); !ok {
		t.Errorf("a server that takes RSA only is shown a %T", only.PrivateKey)
	}
}

// FuzzMaker takes names and certificates of a hostile server.
func FuzzMaker(f *testing.F) {
	w := newWard(f)
	f.Add(w.ca.RawSubject, w.ca.Raw)
	f.Add([]byte{0x30, 0}, []byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, name, cert []byte) {
		m := newMaker([32]byte{1}, time.Unix(1e9, 0))
		c, err := m.make(evidence.ClientCertUnknownCA, request{authorities: [][]byte{name}, server: [][]byte{cert}})
		if err == nil && len(c.Certificate) != 2 {
			t.Errorf("%d certificates", len(c.Certificate))
		}
	})
}

// FuzzSpeak takes answers of a hostile application.
func FuzzSpeak(f *testing.F) {
	f.Add(ApplicationHTTP, []byte(hello))
	f.Add(ApplicationHTTP, []byte("HTTP/1.1 400 Bad Request\r\n\r\nNo required SSL certificate was sent"))
	f.Add(ApplicationDICOM, []byte{3, 0, 0, 0, 0, 4, 0, 1, 1, 7})
	f.Add(ApplicationNone, []byte{0})
	f.Fuzz(func(t *testing.T, application string, answer []byte) {
		client, server := net.Pipe()
		defer client.Close()
		go io.Copy(io.Discard, server)
		go func() {
			server.Write(answer)
			server.Close()
		}()
		var facts evidence.MTLSFacts
		err := speak(client, application, "host", time.Now, &facts)
		if facts.HTTPStatus != 0 && (facts.HTTPStatus < 100 || facts.HTTPStatus > 599) || facts.HTTPCertificate && facts.HTTPStatus < 400 {
			t.Errorf("status %d, %v", facts.HTTPStatus, facts.HTTPCertificate)
		}
		if facts.Answered && err != nil {
			t.Errorf("an answer with the error %v", err)
		}
	})
}

func TestSpeak(t *testing.T) {
	reject := []byte{byte(dicomwire.AssociateRJ), 0, 0, 0, 0, 4, 0, 1, 1, 7}
	for _, tt := range []struct {
		name, application string
		answer            []byte
		want              evidence.MTLSFacts
		end               evidence.End
	}{
		{"no", ApplicationHTTP, []byte("HTTP/1.1 403 Forbidden\r\n\r\nno"), evidence.MTLSFacts{Answered: true, HTTPStatus: 403}, evidence.EndOpen},
		{"nginx", ApplicationHTTP, []byte("HTTP/1.1 400 Bad Request\r\n\r\nThe SSL certificate error"), evidence.MTLSFacts{Answered: true, HTTPStatus: 400, HTTPCertificate: true}, evidence.EndOpen},
		{"page about certificates", ApplicationHTTP, []byte("HTTP/1.1 200 OK\r\n\r\nour SSL certificate"), evidence.MTLSFacts{Answered: true, HTTPStatus: 200}, evidence.EndOpen},
		{"not HTTP", ApplicationHTTP, []byte("220 ready\r\n"), evidence.MTLSFacts{Answered: true}, evidence.EndOpen},
		{"closed", ApplicationHTTP, nil, evidence.MTLSFacts{}, evidence.EndClosed},
		{"rejected", ApplicationDICOM, reject, evidence.MTLSFacts{Answered: true, DICOM: "rj"}, evidence.EndOpen},
		{"not DICOM", ApplicationDICOM, []byte("HTTP/1.1 400"), evidence.MTLSFacts{}, evidence.EndLocal},
		{"greeting", ApplicationNone, []byte("220 ready\r\n"), evidence.MTLSFacts{Answered: true}, evidence.EndOpen},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			go func() {
				if tt.application != ApplicationNone {
					server.Read(make([]byte, 4096))
				}
				server.Write(tt.answer)
				server.Close()
			}()
			var got evidence.MTLSFacts
			end := endOf(speak(client, tt.application, "host", time.Now, &got))
			if diff := cmp.Diff(tt.want, got); diff != "" || end != tt.end {
				t.Errorf("end %s, want %s; facts (-want +got)\n%s", end, tt.end, diff)
			}
		})
	}
}
