package probe_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner"
	"probity/scanner/probe/fhirprobe"
	"probity/scanner/probe/modbusprobe"
	"probity/scanner/probe/mqttprobe"
	"probity/scanner/probe/opcuaprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/vncprobe"
)

// direct is a session without a gate.
type direct struct {
	endpoint evidence.Endpoint
	urls     []string
}

func (d direct) Endpoint() evidence.Endpoint { return d.endpoint }
func (direct) Level() scanner.Level          { return scanner.Gentle }
func (direct) Now() time.Time                { return time.Now() }
func (d direct) URLs() []string              { return d.urls }

func (d direct) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, string(d.endpoint.Transport), d.endpoint.HostPort())
}

// place reserves a free port of loopback.
func place(t *testing.T) evidence.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.MustParseAddrPort(l.Addr().String())
	return evidence.Endpoint{Addr: at.Addr(), Port: at.Port(), Transport: evidence.TCP}
}

// start runs a program for the length of the test, until it listens.
func start(t *testing.T, at evidence.Endpoint, program string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%.4000s", filepath.Base(program), output.String())
		}
	})
	listening(t, at)
}

func listening(t *testing.T, at evidence.Endpoint) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		c, err := net.Dial("tcp", at.HostPort())
		if err == nil {
			c.Close()
			return
		}
		<-tick.C
	}
	t.Fatalf("nothing listens on %s", at)
}

// probed returns the observations of one probe, of which the first has data.
func probed(t *testing.T, p scanner.Prober, s direct) []evidence.Observation {
	t.Helper()
	obs, err := p.Probe(t.Context(), s, nil)
	if err != nil || len(obs) == 0 || obs[0].Result != evidence.ResultData {
		t.Fatalf("observations %+v, error %v", obs, err)
	}
	return obs
}

// write writes a file of the test and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate is a server certificate with its key, as DER.
func certificate(t *testing.T) (der, pkcs8 []byte, key *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	application, err := url.Parse("urn:ward:pump")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pump"}, NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{application},
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	if pkcs8, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	return der, pkcs8, key
}

// TestPeer_fhir asks a service that nginx serves, in clear and over TLS, and
// compares what was read with what curl gets. The documents are in the form of
// servers on the market: HAPI FHIR and a SMART authorisation server.
func TestPeer_fhir(t *testing.T) {
	paths := peer.Require(t, "nginx", "curl")
	der, pkcs8, _ := certificate(t)
	cert := write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key := write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	root := t.TempDir()
	for name, source := range map[string]string{"fhir/r4/metadata": "capability.json", "fhir/r4/.well-known/smart-configuration": "smart.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", source))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clear, secure, dir := place(t), place(t), t.TempDir()
	config := write(t, "nginx.conf", fmt.Appendf(nil, `user root; daemon off; master_process off; error_log %[1]s/error.log; pid %[1]s/pid;
events {}
http {
  access_log %[1]s/access.log; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  default_type application/fhir+json; root %[2]s;
  server { listen %[3]s; listen %[4]s ssl; ssl_certificate %[5]s; ssl_certificate_key %[6]s; }
}`, dir, root, clear.HostPort(), secure.HostPort(), cert, key))
	start(t, clear, paths["nginx"], "-c", config, "-p", dir)

	for _, s := range []direct{
		{clear, []string{"http://" + clear.HostPort() + "/fhir/r4"}},
		{secure, []string{"https://" + secure.HostPort() + "/fhir/r4"}},
	} {
		obs := probed(t, fhirprobe.New(), s)
		overTLS := strings.HasPrefix(s.urls[0], "https")
		want := []*evidence.FHIRFacts{
			{
				TLS: overTLS, Document: "capability", Status: 200, Version: "4.0.1", Software: "Ward FHIR Gateway", Release: "7.2.1",
				Services: []string{"OAuth", "SMART-on-FHIR"},
			},
			{
				TLS: overTLS, Document: "smart", Status: 200, Capabilities: []string{"launch-ehr", "client-confidential-asymmetric", "permission-v2"},
				ClientAuth: []string{"private_key_jwt"}, Grants: []string{"authorization_code", "client_credentials"}, PKCE: []string{"S256"},
			},
		}
		got := []*evidence.FHIRFacts{obs[0].Facts.FHIR, obs[1].Facts.FHIR}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(evidence.FHIRFacts{}, "Clock")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.urls[0], diff)
		}
		out, err := exec.Command(paths["curl"], "-sk", s.urls[0]+"/metadata").Output()
		if err != nil || !bytes.Contains(out, []byte(`"name": "`+got[0].Software+`"`)) || !bytes.Contains(out, []byte(`"fhirVersion": "`+got[0].Version+`"`)) {
			t.Errorf("curl reads something else: %v\n%.400s", err, out)
		}
		for _, o := range obs {
			for _, raw := range o.Raw {
				if bytes.Contains(raw.Data, []byte("MARKER")) {
					t.Errorf("what must not be kept is in %s: %q", raw.Media, raw.Data)
				}
			}
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if n := bytes.Count(log, []byte(`"probity"`)); err != nil || n != 4 {
		t.Errorf("the server saw %d requests, want 4: %v\n%s", n, err, log)
	}
}

// TestPeer_snmpd compares one get by community with what snmpget reads, and the
// request with that of snmpget, byte by byte.
func TestPeer_snmpget(t *testing.T) {
	paths := peer.Require(t, "snmpd", "snmpget")
	t.Setenv("MIBS", "")
	t.Setenv("SNMP_PERSISTENT_DIR", t.TempDir())
	at := place(t)
	config := write(t, "snmpd.conf", []byte("rocommunity "+community+" 127.0.0.0/8\nsysDescr Ward Pump 7\nsysName ward-3\nsysObjectID .1.3.6.1.4.1.32473.7\n"))
	// TCP is for the readiness only.
	start(t, at, paths["snmpd"], "-f", "-Lo", "-C", "-c", config, "-p", filepath.Join(t.TempDir(), "pid"), "udp:"+at.HostPort(), "tcp:"+at.HostPort())
	at.Transport = evidence.UDP
	secret, err := snmpprobe.NewCommunity([]byte(community))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1", "2c"} {
		get, err := snmpprobe.NewGetter(version, secret)
		if err != nil {
			t.Fatal(err)
		}
		o := probed(t, get, direct{endpoint: at})[0]
		want := &evidence.IdentityFacts{Protocol: "snmp", Description: "Ward Pump 7", ObjectID: "1.3.6.1.4.1.32473.7", Hostnames: []string{"ward-3"}}
		if diff := cmp.Diff(want, o.Facts.Identity); diff != "" {
			t.Errorf("version %s (-want +got):\n%s", version, diff)
		}
		out, err := exec.Command(paths["snmpget"], "-v"+version, "-c", community, "-Oqvn", at.HostPort(), "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0").CombinedOutput()
		if got := strings.Fields(string(out)); err != nil || strings.ReplaceAll(strings.Join(got, " "), `"`, "") != "Ward Pump 7 .1.3.6.1.4.1.32473.7 ward-3" {
			t.Errorf("snmpget reads %q, %v", out, err)
		}
		if all := fmt.Sprintf("%+v", o); strings.Contains(all, community) || len(o.Raw) != 2 || bytes.Contains(o.Raw[0].Data, []byte(community)) || bytes.Contains(o.Raw[1].Data, []byte(community)) {
			t.Errorf("the community is in the observation: %s", all)
		}
	}
	wrong, err := snmpprobe.NewCommunity([]byte("something-else"))
	if err != nil {
		t.Fatal(err)
	}
	get, err := snmpprobe.NewGetter("2c", wrong)
	if err != nil {
		t.Fatal(err)
	}
	if obs, err := get.Probe(t.Context(), direct{endpoint: at}, nil); err != nil || obs[0].Result != evidence.ResultTimeout {
		t.Errorf("wrong community: %+v, %v", obs, err)
	}
	t.Run("same bytes", func(t *testing.T) { sameRequest(t, paths["snmpget"], secret) })
}

// sameRequest listens in place of an agent: the requests of both programs are
// equal but for their identifiers.
func sameRequest(t *testing.T, snmpget string, secret snmpprobe.Community) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// What asked hears nonsense, so that it does not wait.
	request := func() []byte {
		buf := make([]byte, 1500)
		n, from, err := l.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			l.WriteTo([]byte("?"), from)
		}
		return buf[:n]
	}
	at := netip.MustParseAddrPort(l.LocalAddr().String())
	get, err := snmpprobe.NewGetter("2c", secret)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		get.Probe(t.Context(), direct{endpoint: evidence.Endpoint{Addr: at.Addr(), Port: at.Port(), Transport: evidence.UDP}}, nil)
	}()
	ours := request()
	<-done
	cmd := exec.CommandContext(t.Context(), snmpget, "-v2c", "-c", community, "-r0", "-t1", at.String(), "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs := request()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	// version and community; then from error-status on: identifiers and lengths may differ.
	head := bytes.Index(ours, []byte(community)) + len(community)
	tail := func(b []byte) []byte { return b[bytes.Index(b, []byte("\x02\x01\x00\x02\x01\x00")):] }
	if !bytes.Equal(ours[2:head], theirs[2:head]) || !bytes.Equal(tail(ours), tail(theirs)) {
		t.Errorf("probity %x\nsnmpget %x", ours, theirs)
	}
}

func TestPeer_mosquitto(t *testing.T) {
	mosquitto := peer.Require(t, "mosquitto")["mosquitto"]
	for anonymous, want := range map[string]uint8{"true": 0, "false": 5} {
		at := place(t)
		config := write(t, "mosquitto.conf", fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous %s\n", at.Port, anonymous))
		start(t, at, mosquitto, "-c", config)
		if f := probed(t, mqttprobe.New(), direct{endpoint: at})[0].Facts.MQTT; f == nil || f.Code != want {
			t.Errorf("allow_anonymous %s: %+v, want code %d", anonymous, f, want)
		}
	}
}

func TestPeer_tigervnc(t *testing.T) {
	xvnc := peer.Require(t, "Xtigervnc")["Xtigervnc"]
	for _, tt := range []struct {
		types string
		want  []int
	}{{"None", []int{1}}, {"VncAuth,TLSVnc", []int{19, 2}}} {
		at := place(t)
		start(t, at, xvnc, fmt.Sprintf(":%d", 1000+mrand.IntN(50000)), "-rfbport", fmt.Sprint(at.Port), "-interface", "127.0.0.1", "-SecurityTypes", tt.types, "-PasswordFile", write(t, "passwd", make([]byte, 8)), "-nolisten", "unix")
		f := probed(t, vncprobe.New(), direct{endpoint: at})[0].Facts.VNC
		if diff := cmp.Diff(&evidence.VNCFacts{Version: "3.8", Types: tt.want}, f); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.types, diff)
		}
	}
}

func TestPeer_pymodbus(t *testing.T) {
	python := peer.RequireModule(t, "pymodbus.server")
	at := place(t)
	start(t, at, python, "-c", fmt.Sprintf(`
from pymodbus.server import StartTcpServer
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext
i = ModbusDeviceIdentification()
i.VendorName, i.ProductCode, i.MajorMinorRevision, i.UserApplicationName = "ACME", "P7", "1.0", "MARKER"
StartTcpServer(context=ModbusServerContext(slaves=ModbusSlaveContext(), single=True), identity=i, address=("127.0.0.1", %d))
`, at.Port))
	o := probed(t, modbusprobe.New(), direct{endpoint: at})[0]
	want := &evidence.IdentityFacts{Protocol: "modbus", Manufacturer: "ACME", Model: "P7", Version: "1.0"}
	if diff := cmp.Diff(want, o.Facts.Identity); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if bytes.Contains(o.Raw[1].Data, []byte("MARKER")) {
		t.Errorf("the name of the application was asked for: %q", o.Raw[1].Data)
	}
}

func TestPeer_gopcua(t *testing.T) {
	at := place(t)
	der, _, key := certificate(t)
	s := server.New(
		server.EndPoint("127.0.0.1", int(at.Port)), server.Certificate(der), server.PrivateKey(key), server.SetLogger(quiet{}),
		server.EnableSecurity("None", ua.MessageSecurityModeNone),
		server.EnableSecurity("Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt), server.EnableSecurity("Basic128Rsa15", ua.MessageSecurityModeSign),
		server.EnableAuthMode(ua.UserTokenTypeAnonymous), server.EnableAuthMode(ua.UserTokenTypeUserName),
		server.ProductName("pump"),
	)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listening(t, at)
	o := probed(t, opcuaprobe.New(), direct{endpoint: at})[0]
	if c := o.Facts.OPCUA.Clock; c == nil || c.Skew().Abs() > 2*time.Second { // one clock for both
		t.Errorf("clock %+v", c)
	}
	got := map[string]bool{}
	for _, e := range o.Facts.OPCUA.Endpoints {
		got[e.Policy+" "+e.Mode+" "+strings.Join(e.Tokens, ",")] = true
		if e.Certificate != evidence.DigestOf(der) {
			t.Errorf("%s: certificate %s", e.Policy, e.Certificate)
		}
	}
	want := map[string]bool{"None none anonymous,username": true, "Basic256Sha256 sign-and-encrypt anonymous,username": true, "Basic128Rsa15 sign anonymous,username": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if len(o.Certs) != 1 || !bytes.Equal(o.Certs[0].DER, der) || o.Certs[0].Role != evidence.RoleServer {
		t.Errorf("certificates %+v", o.Certs)
	}
}

// quiet is a logger of gopcua that says nothing.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
