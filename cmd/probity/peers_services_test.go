//go:build cgo && linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
