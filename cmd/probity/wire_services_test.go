//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"

	"probity/fixtures/peer"
)

// serveServices starts a peer for each prober that is no matter of TLS alone, and
// returns the targets.
func serveServices(t *testing.T) []string {
	t.Helper()
	paths := peer.Require(t, "mosquitto", "nginx", "Xtigervnc", "storescp", "snmpd")
	python := peer.RequireModule(t, "pymodbus.server")
	t.Setenv("SNMP_PERSISTENT_DIR", t.TempDir())
	t.Setenv("MIBS", "")
	dir, p := t.TempDir(), newPKI(t)
	id := p.issue("EC")
	file := func(name, text string) string {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		return writeFile(t, filepath.Join(dir, name), text)
	}
	file("fhir/metadata", `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","software":{"name":"Ward FHIR","version":"7"}}`)
	file("index.html", "<title>Ward</title>")
	start(t, []string{"127.6.0.1:80", "127.6.0.1:8443"}, paths["nginx"], "-p", dir, "-c", file("nginx.conf", fmt.Sprintf(`user root; daemon off; master_process off; error_log %[1]s/error.log; pid %[1]s/pid;
events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  root %[1]s; server { listen 127.6.0.1:80; listen 127.6.0.1:8443 ssl; ssl_certificate %[2]s; ssl_certificate_key %[3]s; } }`, dir, id.cert, id.key)))
	start(t, []string{"127.6.0.2:1883"}, paths["mosquitto"], "-c", file("mosquitto.conf", "listener 1883 127.6.0.2\nallow_anonymous true\n"))
	display := fmt.Sprintf(":%d", 1000+rand.IntN(50000)) // its lock is shared by all namespaces
	start(t, []string{"127.6.0.3:5900"}, paths["Xtigervnc"], display, "-rfbport", "5900", "-interface", "127.6.0.3", "-SecurityTypes", "None", "-nolisten", "unix")
	start(t, []string{"127.6.0.4:11112"}, paths["storescp"], "--ignore", "11112")
	start(t, []string{"127.6.0.5:161"}, paths["snmpd"], "-f", "-Lo", "-C", "-c", file("snmpd.conf", "rocommunity ward-3-secret 127.0.0.0/8\n"),
		"-p", filepath.Join(dir, "snmpd.pid"), "udp:127.6.0.5:161", "tcp:127.6.0.5:161") // TCP is for the readiness only
	start(t, []string{"127.6.0.6:502"}, python, "-c", `
from pymodbus.server import StartTcpServer
from pymodbus.device import ModbusDeviceIdentification
from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext
i = ModbusDeviceIdentification()
i.VendorName = "ACME"
StartTcpServer(context=ModbusServerContext(slaves=ModbusSlaveContext(), single=True), identity=i, address=("127.6.0.6", 502))
`)
	controller(t, "127.6.0.7:47808")
	opc := server.New(server.EndPoint("127.6.0.8", 4840), server.SetLogger(hushed{}),
		server.EnableSecurity("None", ua.MessageSecurityModeNone), server.EnableAuthMode(ua.UserTokenTypeAnonymous))
	if err := opc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opc.Close() })
	await(t, "127.6.0.8:4840", make(chan struct{}))
	return []string{
		"127.6.0.1:80", "127.6.0.1:8443", "127.6.0.2:1883", "127.6.0.3:5900", "127.6.0.4:11112", "udp/127.6.0.5:161",
		"127.6.0.6:502", "udp/127.6.0.7:47808", "127.6.0.8:4840", "--fhir", "http://127.6.0.1:80/fhir", "--fhir", "https://127.6.0.1:8443/fhir",
		"--snmp-community-file", file("community", "ward-3-secret\n"), "--lab",
	}
}

// hushed is a logger of gopcua that says nothing.
type hushed struct{}

func (hushed) Debug(string, ...any) {}
func (hushed) Info(string, ...any)  {}
func (hushed) Warn(string, ...any)  {}
func (hushed) Error(string, ...any) {}

// controller answers BACnet with the vendor of the device.
func controller(t *testing.T, at string) {
	t.Helper()
	var config net.ListenConfig
	c, err := config.ListenPacket(t.Context(), "udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n > 8 {
				answer := []byte("\x81\x0a\x00\x00\x01\x00\x30\x00\x0e\x0c\x02\x00\x04\xd2\x1e\x29\x79\x4e\x75\x05\x00ACME\x4f\x1f")
				answer[3], answer[7] = byte(len(answer)), buf[8]
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
}

// TestPeer_ledgerAgreesWithCapture_services scans a peer of each prober, and holds
// the ledger, connection by connection and byte by byte, against what the kernel
// carried. The community of the operator is in no file.
func TestPeer_ledgerAgreesWithCapture_services(t *testing.T) {
	if !isolated(t) {
		return
	}
	targets := serveServices(t)
	w := newWire(t)
	probity(t, exitOK, append([]string{"plan"}, targets...)...)
	w.settle(t) // the peers may still be closing the connections that showed that they listen
	w.mu.Lock()
	for client, d := range w.sockets {
		if d.server.Port() == discardPort {
			delete(w.sockets, client)
		}
	}
	if n := len(w.flows) + len(w.sockets); n != 0 {
		t.Errorf("planning made %d connections", n)
	}
	w.mu.Unlock()
	db := scanned(t, exitOK, append(slices.Clone(targets), "--probes", "standard", "--fail-on", "none")...)
	w.settle(t)
	w.mu.Lock()
	w.agrees(t, db.path, []string{"127.6.0.2:1883", "127.6.0.5:161", "127.6.0.6:502", "127.6.0.7:47808"})
	w.mu.Unlock()
	db.want("SELECT probe, count(*) FROM v_probe WHERE outcome='sent' GROUP BY 1 ORDER BY 1",
		"bacnet|1", "dicom|1", "fhir|2", "http|2", "modbus|1", "mqtt|1", "opcua|1", "response|6", "snmp|1", "snmp-get|1", "tls|2", "vnc|1")
	db.want("SELECT kind, count(*) FROM observation WHERE result='data' AND kind NOT IN ('tls','http') GROUP BY 1 ORDER BY 1",
		"dicom|1", "fhir|2", "identity|3", "mqtt|1", "opcua|1", "response|7", "snmp|1", "vnc|1")
	entries, err := os.ReadDir(filepath.Dir(db.path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(db.path), e.Name()))
		if err != nil || bytes.Contains(b, []byte("ward-3-secret")) || strings.Contains(e.Name(), "secret") {
			t.Errorf("the community is in %s (%v)", e.Name(), err)
		}
	}
}
