//go:build cgo && linux

package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_passiveHandover listens to curl and nginx speak TLS 1.3, which hides
// the certificate, and TLS 1.2, which does not; then a scan of what was seen
// fetches the hidden one. What a listener cannot see it says, and hands over.
func TestPeer_passiveHandover(t *testing.T) {
	if !isolated(t) {
		return
	}
	curl := peer.Require(t, "curl")["curl"]
	p := newPKI(t)
	hidden, shown := p.issue("EC"), p.issue("RSA")
	host := device(t, "8443", "9443")
	serveNginx(t, host, []string{"8443", "9443"}, fmt.Sprintf(`
server { listen %[1]s:8443 ssl; ssl_certificate %[2]s; ssl_certificate_key %[3]s; ssl_protocols TLSv1.3; }
server { listen %[1]s:9443 ssl; ssl_certificate %[4]s; ssl_certificate_key %[5]s; ssl_protocols TLSv1.2; ssl_ciphers ECDHE; }`,
		host, hidden.chain, hidden.key, shown.chain, shown.key))
	path := filepath.Join(t.TempDir(), "ward.db")
	cmd, _ := process(t, "listen", "-i", "lo", "--db", path, "--fail-on", "none", "--quiet")
	wait := startListening(t, cmd)
	for _, port := range []string{"8443", "9443"} {
		tool(t, curl, "-sk", "--resolve", "pump-1.ward.example:"+port+":"+host, "-o", "/dev/null", "https://pump-1.ward.example:"+port+"/")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, stderr := wait(); code != exitInterrupted {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	db := database{t: t, path: path}
	db.want("SELECT port, server_name, tls_versions FROM v_endpoint WHERE protocol='tls' ORDER BY port",
		`8443||["TLS 1.3"]`, `9443||["TLS 1.2"]`)
	db.want("SELECT DISTINCT s.port, s.method FROM v_sighting s WHERE s.position=0", "9443|passive")

	if plan := probity(t, exitOK, "plan", "--db", path, "--from-passive", "last"); !strings.Contains(plan, net.JoinHostPort(host, "8443")) {
		t.Errorf("the endpoint is not planned:\n%s", plan)
	}
	probity(t, exitOK, "scan", "--db", path, "--from-passive", "last", "--quiet", "--fail-on", "none")
	db.want("SELECT DISTINCT port, method FROM v_sighting WHERE position=0 ORDER BY port, method", "8443|active", "9443|active", "9443|passive")
	db.wantChain(p, host, "8443", hidden.cert, p.ca)
	report := probity(t, exitOK, "report", "--db", path, "--format", "html")
	for _, want := range []string{
		"tcp/" + host + ":8443", "TLS 1.3; certificate not observable passively",
		"tcp/" + host + ":9443", "TLS 1.2; 1 certificate, its key signed the handshake",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}
