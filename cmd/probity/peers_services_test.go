//go:build cgo && linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_samba asks file servers for their dialects: one as installed, one that
// has SMB 1 and demands signatures.
func TestPeer_samba(t *testing.T) {
	smbd := peer.Require(t, "smbd")["smbd"]
	if !isolated(t) {
		return
	}
	for host, more := range map[string]string{"127.8.0.1": "", "127.8.0.2": "server min protocol = NT1\nserver signing = mandatory\n"} {
		dir := t.TempDir()
		for _, sub := range []string{"private", "run"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		start(t, []string{host + ":445"}, smbd, "-F", "-s", writeFile(t, filepath.Join(dir, "smb.conf"), fmt.Sprintf(`[global]
interfaces = %[2]s/8
bind interfaces only = yes
smb ports = 445
disable spoolss = yes
load printers = no
pid directory = %[1]s/run
lock directory = %[1]s/run
state directory = %[1]s/run
cache directory = %[1]s/run
private dir = %[1]s/private
ncalrpc dir = %[1]s/run
logging = file
log file = %[1]s/log
%[3]s`, dir, host, more)))
	}
	db := scanned(t, exitOK, "127.8.0.1:445", "127.8.0.2:445", "--probes", "standard", "--fail-on", "none")
	db.want("SELECT address, json_remove(facts, '$.smb.clock') FROM observation WHERE kind='smb' AND result='data' ORDER BY address, id",
		`127.8.0.1|{"smb":{"offer":"smb2","dialect":770,"signing_enabled":true}}`, // 3.0.2, the highest on offer
		`127.8.0.1|{"smb":{"offer":"smb1"}}`,
		`127.8.0.2|{"smb":{"offer":"smb2","dialect":770,"signing_enabled":true,"signing_required":true}}`,
		`127.8.0.2|{"smb":{"offer":"smb1","smb1":true,"signing_enabled":true,"signing_required":true}}`)
	// One clock for both sides: an answer in SMB 2 says so.
	db.want(`SELECT count(*) FROM observation WHERE kind='smb' AND
		abs(julianday(facts->>'$.smb.clock.says') - julianday(facts->>'$.smb.clock.seen')) * 86400 < 2`, "2")
}

// TestPeer_telnetd listens to a telnet server, which speaks first, and says nothing.
func TestPeer_telnetd(t *testing.T) {
	telnetd := peer.Require(t, "telnetd")["telnetd"]
	host := device(t, "23")
	l, err := net.Listen("tcp", host+":23")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // as inetd does
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			socket, err := c.(*net.TCPConn).File()
			if err != nil {
				_ = c.Close()
				continue
			}
			cmd := exec.CommandContext(t.Context(), telnetd)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, socket
			_ = cmd.Run() // it ends with the connection
			_, _ = socket.Close(), c.Close()
		}
	}()
	db := scanned(t, exitOK, host+":23", "--fail-on", "none")
	db.want("SELECT facts FROM observation WHERE kind='banner' AND result='data'", `{"banner":{"protocol":"telnet","options":true}}`)
	db.want("SELECT connections, bytes_sent, bytes_received > 0 FROM v_probe WHERE outcome='sent'", "1|0|1")
}

// TestPeer_classVeto: what a device says at one port of what it is stops the scan of
// its others, before they see a packet. nginx serves the answer of dpws (npm), made that
// of a pump.
func TestPeer_classVeto(t *testing.T) {
	const named, web, later = "8089", "8080", "9443"
	answer, err := os.ReadFile("../../internal/wire/sdcwire/testdata/dpws.xml")
	if err != nil {
		t.Fatal(err)
	}
	pump := strings.NewReplacer("ACME", "B. Braun", "Pump 7", "Infusomat 9").Replace(string(answer))
	host, dir := device(t, named, web, later), t.TempDir()
	log := filepath.Join(dir, "log")
	serveNginx(t, host, []string{named, web, later}, fmt.Sprintf(`log_format port '$server_port';
server { listen %[1]s:%[2]s; location = /72313cab735251c983738b4031a66ec7 { default_type application/soap+xml; return 200 '%[5]s'; } }
server { listen %[1]s:%[3]s; listen %[1]s:%[4]s; access_log %[6]s port; location / { return 200 'ward'; } }`, host, named, web, later, pump, log))
	at := "http://" + net.JoinHostPort(host, named) + "/72313cab735251c983738b4031a66ec7"
	args := []string{"--fail-on", "none", "--sdc", at, net.JoinHostPort(host, web), net.JoinHostPort(host, later)}
	db := scanned(t, exitQualified, args...)
	db.want("SELECT port, probe, outcome, connections FROM v_probe WHERE outcome<>'not-needed' ORDER BY port, probe",
		web+"|http|sent|1", web+"|tls|sent|1", named+"|sdc|sent|1", later+"|tls|skipped|0")
	db.want("SELECT DISTINCT substr(reason, 1, 18) FROM v_probe WHERE outcome='skipped'", "class veto: pump b")
	db.want("SELECT value FROM v_claim WHERE attribute IN('manufacturer', 'product_family', 'device_type') ORDER BY 1", "B. Braun", "Space", "infusion pump")
	seen, err := os.ReadFile(log)
	if err != nil || strings.Contains(string(seen), later) || !strings.Contains(string(seen), web) {
		t.Errorf("requests came to the ports %q, error %v", seen, err)
	}
	// In a lab, where it treats nobody, all of it is asked.
	scanned(t, exitOK, append(args, "--lab")...).want("SELECT count(*) FROM v_probe WHERE outcome='skipped'", "0")
}
