//go:build cgo && linux

package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"probity/fixtures/peer"
)

// serveNginx starts nginx with the server blocks.
func serveNginx(t *testing.T, host string, ports []string, servers string) {
	t.Helper()
	nginx, dir := peer.Require(t, "nginx")["nginx"], t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
access_log off; ssl_session_tickets off;
client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
%[2]s
}
`, dir, servers)
	var ready []string
	for _, port := range ports {
		ready = append(ready, net.JoinHostPort(host, port))
	}
	start(t, ready, nginx, "-c", writeFile(t, filepath.Join(dir, "nginx.conf"), config), "-p", dir)
}

// TestPeer_nginx scans a device with two services of different strength.
func TestPeer_nginx(t *testing.T) {
	p := newPKI(t)
	rsa, ec := p.issue("RSA"), p.issue("EC")
	host := device(t, "8443", "6464")
	serveNginx(t, host, []string{"8443", "6464"}, fmt.Sprintf(`ssl_client_certificate %[1]s;
server { listen %[2]s:8443 ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_verify_client optional; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE; }
server { listen %[2]s:6464 ssl; ssl_certificate %[5]s; ssl_certificate_key %[6]s; ssl_verify_client on; ssl_protocols TLSv1.2; ssl_ciphers ECDHE; }`,
		p.ca, host, rsa.chain, rsa.key, ec.chain, ec.key))

	db := scanned(t, exitOK, "--policy", p.policy(), host+":8443", host+":6464")
	db.wantChain(p, host, "8443", rsa.cert, p.ca)
	db.wantChain(p, host, "6464", ec.cert, p.ca)
	db.want("SELECT port, protocol, tls_versions, client_auth FROM v_endpoint ORDER BY port",
		`6464|tls|["TLS 1.2"]|requested`,
		`8443|tls|["TLS 1.2","TLS 1.3"]|requested`)
	db.want("SELECT port, outcome FROM v_finding WHERE rule='MD-AUTH-001' ORDER BY port", "6464|pass", "8443|not-applicable")
	db.want("SELECT DISTINCT rule, outcome FROM v_finding WHERE rule IN ('MD-CHAIN-001','MD-TLS-002','MD-TLS-006') AND outcome<>'not-applicable' ORDER BY 1",
		"MD-CHAIN-001|pass", "MD-TLS-002|pass", "MD-TLS-006|pass")
	db.wantFindings("MD-TLS-004|warn|6464", "MD-TLS-021|warn|6464") // TLS 1.3 on one of the two only
}

func TestPeer_openssl(t *testing.T) {
	p := newPKI(t)
	ids := map[string]identity{"RSA": p.issue("RSA"), "EC": p.issue("EC")}
	policy := p.policy()
	for _, tt := range []struct {
		name       string
		key        string
		args       []string
		exit       int
		versions   string
		clientAuth string
		findings   []string
	}{
		{
			name: "rsa", key: "RSA", exit: exitOK,
			versions: `["TLS 1.2","TLS 1.3"]`, clientAuth: "not-asked",
			findings: []string{"MD-AUTH-001|warn|2762", "MD-TLS-010|warn|2762"},
		},
		{
			name: "ecdsa_tls13", key: "EC", args: []string{"-tls1_3"}, exit: exitOK,
			versions: `["TLS 1.3"]`, clientAuth: "not-asked",
			findings: []string{"MD-AUTH-001|warn|2762", "MD-TLS-003|warn|2762"},
		},
		{
			name: "client_required_tls13", key: "EC", args: []string{"-tls1_3", "-Verify", "1"}, exit: exitOK,
			versions: `["TLS 1.3"]`, clientAuth: "required",
			findings: []string{"MD-TLS-003|warn|2762"},
		},
		{
			name: "client_required_tls12", key: "RSA", args: []string{"-tls1_2", "-Verify", "1", "-cipher", "ECDHE"}, exit: exitOK,
			versions: `["TLS 1.2"]`, clientAuth: "required",
			findings: []string{"MD-TLS-004|warn|2762"},
		},
		{
			name: "obsolete", key: "RSA", args: []string{"-no_tls1_3", "-cipher", "NULL-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0"}, exit: exitNegative,
			versions: `["TLS 1.0","TLS 1.1","TLS 1.2"]`, clientAuth: "not-asked",
			findings: []string{
				"MD-AUTH-001|warn|2762", "MD-TLS-002|fail|2762", "MD-TLS-004|warn|2762",
				"MD-TLS-006|fail|2762", "MD-TLS-010|warn|2762", "MD-TLS-011|warn|2762",
			},
		},
		{
			name: "null_only", key: "RSA", args: []string{"-tls1_2", "-cipher", "NULL-SHA256:@SECLEVEL=0"}, exit: exitNegative,
			versions: `["TLS 1.2"]`, clientAuth: "not-asked",
			findings: []string{
				"MD-AUTH-001|warn|2762", "MD-TLS-004|warn|2762", "MD-TLS-006|fail|2762",
				"MD-TLS-010|fail|2762", "MD-TLS-011|fail|2762",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const port = "2762"
			id, host := ids[tt.key], device(t, port)
			at := net.JoinHostPort(host, port)
			start(t, []string{at}, p.openssl, append([]string{
				"s_server", "-quiet", "-accept", at, "-cert", id.cert, "-cert_chain", p.ca, "-key", id.key, "-CAfile", p.ca,
			}, tt.args...)...)
			db := scanned(t, tt.exit, "--policy", policy, at)
			db.wantChain(p, host, port, id.cert, p.ca)
			db.want("SELECT protocol, tls_versions, client_auth FROM v_endpoint", "tls|"+tt.versions+"|"+tt.clientAuth)
			db.wantFindings(tt.findings...)
		})
	}
}

func TestPeer_mosquitto(t *testing.T) {
	mosquitto := peer.Require(t, "mosquitto")["mosquitto"]
	const port = "8883"
	p, host := newPKI(t), device(t, port)
	id := p.issue("EC")
	config := fmt.Sprintf("listener %s %s\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nallow_anonymous true\nuser root\n",
		port, host, p.ca, id.chain, id.key)
	start(t, []string{net.JoinHostPort(host, port)}, mosquitto, "-c", writeFile(t, p.file("mosquitto.conf"), config))
	db := scanned(t, exitOK, "--policy", p.policy(), "--ports", "clinical", host)
	db.wantChain(p, host, port, id.cert, p.ca)
	db.want("SELECT port, protocol, tls_versions, client_auth FROM v_endpoint", `8883|tls|["TLS 1.2","TLS 1.3"]|required`)
	db.wantFindings("MD-AUTH-003|warn|8883") // it names no authorities
}

// keyDigests are the SHA-256 digests of host keys as ssh-keygen prints them
// ("256 SHA256:base64 comment (ED25519)"), in hex.
func keyDigests(t *testing.T, listing string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(listing) {
		_, rest, _ := strings.Cut(line, " SHA256:")
		text, _, _ := strings.Cut(rest, " ")
		digest, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil || len(digest) != 32 {
			t.Fatalf("ssh-keygen printed %q: %v", line, err)
		}
		out = append(out, hex.EncodeToString(digest))
	}
	slices.Sort(out)
	return out
}

func TestPeer_openssh(t *testing.T) {
	paths := peer.Require(t, "sshd", "ssh-keygen", "ssh-keyscan")
	const port = "2222"
	host, dir := device(t, port), t.TempDir()
	at := net.JoinHostPort(host, port)
	program, args := paths["sshd"], []string{"-D", "-e", "-f", "/dev/null", "-p", port, "-o", "ListenAddress=" + host, "-o", "PidFile=none"}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		file := filepath.Join(dir, kind)
		tool(t, paths["ssh-keygen"], "-q", "-t", kind, "-N", "", "-f", file)
		args = append(args, "-h", file)
	}
	if os.Geteuid() == 0 {
		// As root, sshd wants the folder that its service unit makes. It gets one
		// that nobody else sees.
		program, args = peer.Require(t, "unshare")["unshare"], slices.Concat([]string{
			"--mount", "sh", "-c", `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"`, "sh", program,
		}, args)
	}
	start(t, []string{at}, program, args...)

	keys := writeFile(t, filepath.Join(dir, "known"), tool(t, paths["ssh-keyscan"], "-t", "ed25519,ecdsa,rsa", "-p", port, host))
	want := keyDigests(t, tool(t, paths["ssh-keygen"], "-lf", keys))
	if len(want) != 3 {
		t.Fatalf("ssh-keyscan saw %d keys", len(want))
	}
	db := scanned(t, exitOK, "--probes", "standard", at)
	db.want("SELECT value FROM v_claim WHERE attribute='ssh_host_key' ORDER BY value", want...)
	db.want("SELECT port, protocol FROM v_endpoint", port+"|ssh")
	db.want("SELECT probe, connections, outcome FROM v_probe", "ssh|3|sent", "response|1|sent")
	db.want("SELECT value FROM v_claim WHERE attribute='toolkit'", "OpenSSH")
	db.wantFindings()
}

func TestPeer_snmpd(t *testing.T) {
	paths := peer.Require(t, "snmpd", "snmpget")
	const port = "1161"
	host, dir := device(t, port), t.TempDir()
	at := net.JoinHostPort(host, port)
	t.Setenv("SNMP_PERSISTENT_DIR", dir)
	t.Setenv("MIBS", "")
	config := writeFile(t, filepath.Join(dir, "snmpd.conf"), "rocommunity only-for-the-test 127.0.0.0/8\n")
	// TCP is for the readiness only.
	start(t, []string{at}, paths["snmpd"], "-f", "-Lo", "-C", "-c", config, "-p", filepath.Join(dir, "pid"), "udp:"+at, "tcp:"+at)

	var m meter
	front := device(t, port)
	m.relay(t, net.JoinHostPort(front, port), at)
	db := scanned(t, exitOK, "udp/"+net.JoinHostPort(front, port))
	ask := func(oid string) string {
		out := tool(t, paths["snmpget"], "-v2c", "-c", "only-for-the-test", "-Oqvx", at, oid)
		return strings.ToLower(strings.ReplaceAll(strings.Join(strings.Fields(out), ""), `"`, ""))
	}
	engine := ask("1.3.6.1.6.3.10.2.1.1.0") // snmpEngineID.0
	db.want("SELECT value FROM v_claim WHERE attribute='engine_id'", engine)
	db.want("SELECT value LIKE '"+engine+"/"+ask("1.3.6.1.6.3.10.2.1.2.0")+"/%' FROM v_claim WHERE attribute='engine_boot'", "1") // snmpEngineBoots.0
	db.want("SELECT port, transport, protocol FROM v_endpoint", port+"|udp|snmp")
	db.want("SELECT connections, bytes_sent, bytes_received, outcome FROM v_probe", m.row()+"|sent")
	if m.connections.Load() != 1 {
		t.Errorf("%d datagrams reached the agent, want 1", m.connections.Load())
	}
	db.wantFindings()
}
