//go:build cgo && linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner"
)

// TestCaptures_identity holds what is claimed from our captures of real stacks.
func TestCaptures_identity(t *testing.T) {
	dcmtk := []string{"class medical device", "role DICOM node", "toolkit OFFIS DCMTK", "toolkit_version 3.6.7"}
	for name, want := range map[string][]string{
		"live_dicom_echo_dcmtk":       dcmtk,
		"live_dicom_reject_dcmtk":     dcmtk,
		"live_dicom_qr_dcmqrscp":      {dcmtk[0], dcmtk[1], "role DICOM node that checks called AE titles", dcmtk[2], dcmtk[3]},
		"live_dicom_orthanc":          {dcmtk[0], dcmtk[1], "role DICOM node that checks called AE titles", dcmtk[2], dcmtk[3]},
		"live_dicom_echo_dcmjs":       {dcmtk[0], dcmtk[1], dcmtk[2], "toolkit dcmjs-dimse", dcmtk[3]},
		"live_dicom_echo_pynetdicom":  {dcmtk[0], dcmtk[1], dcmtk[2], "toolkit pynetdicom", "toolkit_version 3.1.0", dcmtk[3]},
		"live_dicom_tls_dcmtk_bcp195": {"toolkit OFFIS DCMTK"},
		"live_dicom_tls_dcmtk_mtls":   {"toolkit OFFIS DCMTK"},
		"live_mqtt_tls12_mtls":        {"toolkit OpenSSL"},
		"live_hl7_mllp_simplehl7":     {"application EHR", "application MONITOR"},
		"live_sdc_ws_discovery": {
			"class medical device", "identity confirmed", "manufacturer Dräger", "model TestDevice 1.0", "role SDC provider",
			"serial 12345", "toolkit BaseHTTP/0.6 Python/3.11.2", "version Version1",
		},
		"live_snmp_monitor_sysgroup": {"class medical device", "identity probable", "manufacturer Dräger"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "evidence.db")
			probity(t, exitOK, "read", filepath.Join("..", "..", "fixtures", "data", "captures", name+".pcap"),
				"--db", file, "--quiet", "--fail-on", "none")
			db := database{t, file}
			db.want("SELECT DISTINCT attribute || ' ' || value FROM v_claim WHERE attribute NOT IN('mac','hostname') ORDER BY attribute, value", want...)
		})
	}
}

// TestFromPassive_provider: of a provider of SDC that announced itself, the page that
// it named is planned to be asked.
func TestFromPassive_provider(t *testing.T) {
	file := filepath.Join(t.TempDir(), "evidence.db")
	probity(t, exitOK, "read", "../../fixtures/data/captures/live_sdc_ws_discovery.pcap", "--db", file, "--quiet", "--fail-on", "none")
	var plan struct {
		Probes []scanner.PlannedProbe `json:"probes"`
	}
	if err := json.Unmarshal([]byte(probity(t, exitOK, "plan", "--db", file, "--from-passive", "last", "--json")), &plan); err != nil {
		t.Fatal(err)
	}
	const want = "http://10.99.0.1:44731/72313cab735251c983738b4031a66ec7"
	if len(plan.Probes) != 1 || plan.Probes[0].Prober != scanner.SDCProbe || !slices.Equal(plan.Probes[0].URLs, []string{want}) {
		t.Errorf("planned %+v", plan.Probes)
	}
}

// TestProviders: nobody becomes a target because another machine says so.
func TestProviders(t *testing.T) {
	at := netip.MustParseAddr("10.9.0.1")
	heard := func(protocol, kind string, places ...string) []scanner.Target {
		return providers(evidence.Observation{
			Endpoint: evidence.Endpoint{Addr: at, Port: 3702, Transport: evidence.UDP},
			Facts:    evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: protocol, Types: []string{"Device", kind}, Places: places}},
		})
	}
	const id = "/72313cab-7352-51c9-8373-8b4031a66ec7"
	got := heard("ws-discovery", "MedicalDevice", "https://10.9.0.2:6464"+id, "https://10.9.0.1:6464"+id, "", "ftp://10.9.0.1"+id, "https://pump.example:6464"+id)
	if len(got) != 1 || got[0].URL != "https://10.9.0.1:6464"+id || got[0].Port != 6464 || got[0].From != at {
		t.Errorf("targets %+v", got)
	}
	for _, other := range [][]scanner.Target{
		heard("ws-discovery", "Computer", "https://10.9.0.1:6464"+id), heard("ssdp", "MedicalDevice", "https://10.9.0.1:6464"+id), providers(evidence.Observation{}),
	} {
		if len(other) > 0 {
			t.Errorf("targets %+v", other)
		}
	}
}

// TestPeer_identity scans services that tell who made them.
func TestPeer_identity(t *testing.T) {
	paths := peer.Require(t, "snmpd", "nginx")
	const web, snmp = "8080", "1161"
	host, dir := device(t, web, snmp), t.TempDir()
	at := net.JoinHostPort(host, snmp)
	t.Setenv("SNMP_PERSISTENT_DIR", dir)
	t.Setenv("MIBS", "")
	config := writeFile(t, filepath.Join(dir, "snmpd.conf"), "rocommunity only-for-the-test 127.0.0.0/8\n")
	start(t, []string{at}, paths["snmpd"], "-f", "-Lo", "-C", "-c", config, "-p", filepath.Join(dir, "pid"), "udp:"+at, "tcp:"+at)
	serveNginx(t, host, []string{web}, fmt.Sprintf("server { listen %s:%s; location / { return 200 'ward'; } }", host, web))
	db := scanned(t, exitOK, "--fail-on", "none", net.JoinHostPort(host, web), "udp/"+at)
	db.want("SELECT DISTINCT layer, value FROM v_claim WHERE attribute='toolkit' ORDER BY 1, 2", "http|nginx", "snmp|Net-SNMP")
	db.want("SELECT count(*) FROM v_claim WHERE attribute='manufacturer'", "0")
	db.want("SELECT count(*) FROM v_claim WHERE attribute='identity'", "0") // libraries identify no device
	version := tool(t, "/bin/sh", "-c", paths["nginx"]+" -v 2>&1")
	_, version, _ = strings.Cut(version, "nginx/")
	version, _, _ = strings.Cut(strings.TrimSpace(version), " ")
	db.want("SELECT value FROM v_claim WHERE attribute='toolkit_version' AND layer='http'", version)
}

// TestPeer_classGate scans a web server whose certificate names a patient monitor,
// beside an SNMP agent: once the class is known nothing more is sent, in this run nor
// in the next, and the ledger says why.
func TestPeer_classGate(t *testing.T) {
	paths := peer.Require(t, "snmpd", "nginx", "openssl")
	const web, snmp = "8443", "1161"
	host, dir := device(t, web, snmp), t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	tool(t, paths["openssl"], "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
		"-subj", "/O=Draeger Medical/CN=Infinity M540", "-keyout", key, "-out", cert)
	serveNginx(t, host, []string{web}, fmt.Sprintf("server { listen %s:%s ssl; ssl_certificate %s; ssl_certificate_key %s; return 204; }", host, web, cert, key))
	at := net.JoinHostPort(host, snmp)
	t.Setenv("SNMP_PERSISTENT_DIR", dir)
	t.Setenv("MIBS", "")
	config := writeFile(t, filepath.Join(dir, "snmpd.conf"), "rocommunity only-for-the-test 127.0.0.0/8\n")
	start(t, []string{at}, paths["snmpd"], "-f", "-Lo", "-C", "-c", config, "-p", filepath.Join(dir, "pid"), "udp:"+at, "tcp:"+at)
	targets := []string{"--probes", "standard", "--fail-on", "none", net.JoinHostPort(host, web), "udp/" + at}
	db := scanned(t, exitQualified, targets...)
	const veto = "class veto: monitor by x509 (confidence 60); it is not probed outside of a bench"
	const ledger = "SELECT probe, outcome, CASE outcome WHEN 'sent' THEN '' ELSE reason END FROM v_probe WHERE run=(SELECT max(run) FROM v_probe) AND outcome<>'not-needed' ORDER BY 1"
	db.want(ledger, "http|skipped|"+veto, "snmp|skipped|"+veto, "tls|sent|")
	db.want("SELECT sum(bytes_sent) FROM v_probe WHERE probe<>'tls'", "0")
	probity(t, exitQualified, slices.Concat([]string{"scan", "--db", db.path, "--quiet"}, targets)...)
	db.want(ledger, "http|skipped|"+veto+", on record", "snmp|skipped|"+veto+", on record", "tls|skipped|"+veto+", on record")
}

// TestPeer_nmapIdentity scans the archives of DICOM side by side with nmap 7.93
// and its script dicom-ping: it names no toolkit, and takes every rejection for a
// check of the called title.
func TestPeer_nmapIdentity(t *testing.T) {
	paths := peer.Require(t, "nmap", "storescp", "dcmqrscp")
	if !isolated(t) {
		return
	}
	start(t, []string{"127.0.0.1:11112"}, paths["storescp"], "--ignore", "11112")
	start(t, []string{"127.0.0.1:2345"}, paths["storescp"], "--refuse", "2345")
	dir := t.TempDir()
	start(t, []string{"127.0.0.1:104"}, paths["dcmqrscp"], "-c", writeFile(t, filepath.Join(dir, "dcmqrscp.cfg"), `NetworkTCPPort = 104
MaxPDUSize = 16384
MaxAssociations = 4
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
WARD `+dir+` RW (9, 1024mb) ANY
AETable END
`))
	db := scanned(t, exitOK, "127.0.0.21:11112", "127.0.0.22:2345", "127.0.0.23:104")
	db.want("SELECT addresses, attribute, value FROM v_claim JOIN v_asset USING(asset) WHERE attribute IN('role','toolkit','toolkit_version') ORDER BY 1, 2, 3",
		`["127.0.0.21"]|role|DICOM node`, `["127.0.0.21"]|toolkit|OFFIS DCMTK`, `["127.0.0.21"]|toolkit_version|3.6.7`,
		`["127.0.0.22"]|role|DICOM node`,
		`["127.0.0.23"]|role|DICOM node`, `["127.0.0.23"]|role|DICOM node that checks called AE titles`)
	out := tool(t, paths["nmap"], "-n", "-Pn", "-sT", "-sV", "--version-intensity", "2", "--script", "dicom-ping", "-p", "104,2345,11112", "127.0.0.1")
	var got []string
	for line := range strings.Lines(out) {
		if line = strings.Join(strings.Fields(strings.TrimLeft(line, "|_ ")), " "); strings.HasPrefix(line, "dicom:") || strings.HasPrefix(line, "config:") || strings.Contains(line, "/tcp ") {
			got = append(got, line)
		}
	}
	if strings.Contains(out, "DCMTK") {
		t.Errorf("nmap names the toolkit by now: correct docs/identity-figures.md\n%s", out)
	}
	if n := strings.Count(out, "Called AET check enabled"); n != 2 {
		t.Errorf("nmap sees %d checks of the called title, want 2, one of which is none: %s", n, cmp.Diff("", strings.Join(got, "\n")))
	}
	t.Logf("nmap:\n%s", strings.Join(got, "\n"))
}
