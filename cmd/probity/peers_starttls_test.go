//go:build cgo && linux

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"probity/fixtures/peer"
	"probity/fixtures/tds"
)

// upgrade is a server of Debian that begins TLS in another protocol, or at once.
type upgrade struct {
	address, port string
	carrier       string // "": TLS from the first byte
	starttls      string // the name that openssl has for it; "-": none
}

// serveUpgrades starts a server of each protocol with the certificate, side by
// side.
func serveUpgrades(t *testing.T, id identity) []upgrade {
	t.Helper()
	paths := peer.Require(t, "postgres", "initdb", "setpriv", "mariadbd", "smtpd", "unshare", "sh", "dovecot", "vsftpd", "slapd", "prosody", "xrdp", "rabbitmq-server", "mosquitto")
	dir, err := os.MkdirTemp("", "upgrades") //nolint:usetesting // servers that run as somebody else must reach it, and a parent of that is closed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sub := func(name string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil { //nolint:gosec // of a test
			t.Fatal(err)
		}
		return path
	}
	file := func(name string, mode os.FileMode, text string) string {
		t.Helper()
		path := writeFile(t, filepath.Join(dir, name), text)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pem := func(from string) string {
		t.Helper()
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // of a test
		t.Fatal(err)
	}
	cert, key, private := file("cert.pem", 0o644, pem(id.cert)), file("key.pem", 0o644, pem(id.key)), file("private.pem", 0o600, pem(id.key))

	start(t, nil, paths["unshare"], "-m", paths["sh"], "-c", // its places are fixed
		`mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/spool && mkdir -m 711 /var/spool/smtpd && exec "$0" "$@"`,
		paths["smtpd"], "-d", "-f", file("smtpd.conf", 0o600, fmt.Sprintf("pki ward cert %q\npki ward key %q\nlisten on 127.7.0.3 port 25 tls pki ward\naction d maildir\nmatch for local action d\n", cert, private)))
	start(t, nil, paths["dovecot"], "-F", "-c", file("dovecot.conf", 0o644, fmt.Sprintf(`base_dir = %[1]s
state_dir = %[1]s
log_path = /dev/stderr
protocols = imap pop3
listen = 127.7.0.4
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
passdb {
  driver = static
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s
}
`, sub("dovecot", 0o755), cert, key)))
	start(t, nil, paths["vsftpd"], file("vsftpd.conf", 0o600, fmt.Sprintf("listen=YES\nbackground=NO\nlisten_address=127.7.0.5\nssl_enable=YES\nrsa_cert_file=%s\nrsa_private_key_file=%s\nsecure_chroot_dir=%s\nseccomp_sandbox=NO\n", cert, key, sub("empty", 0o555))))
	start(t, nil, paths["slapd"], "-d", "0", "-h", "ldap://127.7.0.6:389", "-f", file("slapd.conf", 0o600, fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s\npidfile %s/slapd.pid\n", cert, key, dir)))
	start(t, nil, paths["prosody"], "-F", "--config", file("prosody.cfg.lua", 0o600, fmt.Sprintf(`run_as_root = true
data_path = %[1]q
pidfile = %[1]q .. "/pid"
interfaces = { "127.7.0.7" }
c2s_ports = { 5222 }
s2s_ports = { }
modules_enabled = { "tls", "saslauth" }
modules_disabled = { "s2s" }
log = { info = "*console" }
certificates = %[1]q
VirtualHost "127.7.0.7"
  ssl = { key = %[2]q, certificate = %[3]q }
`, sub("prosody", 0o700), key, cert)))
	start(t, nil, paths["xrdp"], "--nodaemon", "--config", file("xrdp.ini", 0o600, fmt.Sprintf("[Globals]\nport=tcp://127.7.0.8:3389\nsecurity_layer=tls\ncertificate=%s\nkey_file=%s\nssl_protocols=TLSv1.2, TLSv1.3\n[Logging]\nLogFile=%s/xrdp.log\nEnableSyslog=false\n[Xorg]\nname=Xorg\nlib=libxup.so\n", cert, key, dir)))
	start(t, nil, paths["mosquitto"], "-c", file("mosquitto.conf", 0o600, fmt.Sprintf("user root\nallow_anonymous true\nlistener 8883 127.7.0.9\ncertfile %s\nkeyfile %s\n", cert, key)))
	rabbit := sub("rabbit", 0o700)
	for name, value := range map[string]string{
		"HOME": rabbit, "RABBITMQ_NODENAME": "ward@localhost", "RABBITMQ_MNESIA_BASE": rabbit, "RABBITMQ_LOG_BASE": rabbit, "ERL_EPMD_ADDRESS": "127.0.0.1",
		"RABBITMQ_ENABLED_PLUGINS_FILE": rabbit + "/plugins", "RABBITMQ_CONF_ENV_FILE": rabbit + "/none", "RABBITMQ_PID_FILE": rabbit + "/pid",
		"RABBITMQ_CONFIG_FILE": file("rabbit.conf", 0o600, fmt.Sprintf("listeners.tcp = none\nlisteners.ssl.1 = 127.7.0.10:5671\nssl_options.certfile = %s\nssl_options.keyfile = %s\nssl_options.verify = verify_none\nvm_memory_calculation_strategy = allocated\n", cert, key)),
	} {
		t.Setenv(name, value)
	}
	start(t, nil, "/usr/lib/rabbitmq/bin/rabbitmq-server") // which the program of that name calls as another user
	start(t, nil, paths["mariadbd"], "--no-defaults", "--user=root", "--datadir="+sub("mariadb", 0o700), "--skip-grant-tables", "--bind-address=127.7.0.2",
		"--ssl-cert="+cert, "--ssl-key="+key, "--socket="+dir+"/mariadb.socket", "--innodb=OFF", "--default-storage-engine=Aria")
	data, owned := sub("postgres", 0o700), file("owned.pem", 0o600, pem(id.key))
	tool(t, "chown", "postgres", data, owned)
	somebody := []string{"--reuid=postgres", "--regid=postgres", "--clear-groups"}
	tool(t, paths["setpriv"], append(somebody, paths["initdb"], "-N", "-A", "trust", "-D", data)...)
	start(t, nil, paths["setpriv"], append(somebody, paths["postgres"], "-D", data, "-c", "listen_addresses=127.7.0.1", "-c", "ssl=on", "-c", "ssl_cert_file="+cert,
		"-c", "ssl_key_file="+owned, "-c", "unix_socket_directories=", "-c", "fsync=off")...)

	list := []upgrade{
		{"127.7.0.1", "5432", "postgresql", "postgres"},
		{"127.7.0.2", "3306", "mysql", "mysql"},
		{"127.7.0.3", "25", "smtp", "smtp"},
		{"127.7.0.4", "110", "pop3", "pop3"},
		{"127.7.0.4", "143", "imap", "imap"},
		{"127.7.0.5", "21", "ftp", "ftp"},
		{"127.7.0.6", "389", "ldap", "ldap"},
		{"127.7.0.7", "5222", "xmpp", "xmpp"},
		{"127.7.0.8", "3389", "rdp", "-"},
		{"127.7.0.9", "8883", "", ""},
		{"127.7.0.10", "5671", "", ""},
	}
	for _, s := range list {
		await(t, s.address+":"+s.port, make(chan struct{}))
	}
	return list
}

// capturing has tcpdump write what passes over loopback to a file, until the
// function is called that it returns.
func capturing(t *testing.T) (path string, end func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "wire.pcap")
	cmd := exec.CommandContext(t.Context(), peer.Require(t, "tcpdump")["tcpdump"], "-i", "lo", "--immediate-mode", "-B", "131072", "-s", "65535", "-U", "-n", "-Z", "root", "-w", path)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 500 { // the header of the file is written when it listens
		if s, err := os.Stat(path); err == nil && s.Size() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return path, func() {
		t.Helper()
		time.Sleep(200 * time.Millisecond) // what was sent last is on its way
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if !strings.Contains(said.String(), "\n0 packets dropped by kernel") {
			t.Errorf("tcpdump: %s", said.String())
		}
	}
}

// TestPeer_startTLS scans servers that begin TLS in ten protocols, reads the same
// conversations from a capture, and those of openssl with the same servers, and
// holds both against the file of the certificate and against tshark.
func TestPeer_startTLS(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip(&namespaceError{errors.New("servers that run as several users need root")})
	}
	if !isolated(t) {
		return
	}
	p := newPKI(t)
	id := p.issue("RSA")
	servers := serveUpgrades(t, id)
	tshark := peer.Require(t, "tshark")["tshark"]
	var targets, want, carriers []string
	for _, s := range servers {
		targets = append(targets, s.address+":"+s.port)
		want = append(want, s.address+"|"+s.port+"|"+p.digest(id.cert))
		carriers = append(carriers, s.address+"|"+s.port+"|"+s.carrier)
	}
	slices.Sort(want)
	slices.Sort(carriers)

	path, end := capturing(t)
	db := scanned(t, exitOK, append(slices.Clone(targets), "--fail-on", "none")...)
	end()
	const sightings = "SELECT DISTINCT address, port, certificate FROM v_sighting WHERE position=0 ORDER BY address||'|'||port"
	const carrier = "SELECT DISTINCT address, port, coalesce(json_extract(facts,'$.tls.carrier'),'') FROM observation WHERE kind='tls' ORDER BY address||'|'||port"
	db.want(sightings, want...)
	db.want(carrier, carriers...)
	db.want("SELECT json_extract(facts,'$.banner.protocol'), json_extract(facts,'$.banner.text') LIKE '%vsFTPd%' FROM observation WHERE kind='banner'", "ftp|1")
	db.want("SELECT facts FROM observation WHERE kind='rdp'", `{"rdp":{"negotiates":true,"selected":1}}`) // TLS, without CredSSP
	db.wantHeard(t, path, tshark, sightings, want, carrier, carriers)

	path, end = capturing(t)
	for _, s := range servers {
		args := []string{"s_client", "-connect", s.address + ":" + s.port, "-tls1_2"}
		switch s.starttls {
		case "-":
			continue
		case "":
		case "xmpp":
			args = append(args, "-starttls", s.starttls, "-xmpphost", s.address)
		default:
			args = append(args, "-starttls", s.starttls)
		}
		cmd := exec.CommandContext(t.Context(), p.openssl, args...)
		out, _ := cmd.CombinedOutput() // servers end it in their own ways
		if !bytes.Contains(out, []byte("BEGIN CERTIFICATE")) {
			t.Errorf("openssl %q: %s", args, out)
		}
	}
	end()
	but := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "127.7.0.8|") })
	}
	db.wantHeard(t, path, tshark, sightings, but(want), carrier, but(carriers))
}

// wantHeard reads a capture and holds what was heard against what is known, and
// against tshark.
func (d database) wantHeard(t *testing.T, path, tshark, sightings string, want []string, carrier string, carriers []string) {
	t.Helper()
	heard := database{t, filepath.Join(t.TempDir(), "heard.db")}
	probity(t, exitOK, "read", path, "--db", heard.path, "--quiet", "--fail-on", "none")
	heard.want(sightings, want...)
	heard.want(carrier, carriers...)
	var judged []string
	for line := range strings.Lines(tool(t, tshark, "-n", "-r", path, "-d", "tcp.port==3389,tls", "-Y", "tls.handshake.type==11", "-T", "fields", "-e", "ip.src", "-e", "tcp.srcport", "-e", "tls.handshake.certificate")) {
		f := strings.Fields(line)
		if len(f) == 3 {
			judged = append(judged, f[0]+"|"+f[1])
		}
	}
	slices.Sort(judged)
	judged = slices.Compact(judged)
	var ours []string
	for _, l := range want {
		at, _, _ := strings.Cut(l[strings.Index(l, "|")+1:], "|")
		ours = append(ours, l[:strings.Index(l, "|")+1]+at)
	}
	slices.Sort(ours)
	if !slices.Equal(judged, ours) {
		t.Errorf("tshark saw certificates of %v, want %v", judged, ours)
	}
}

// TestPeer_sqlServer scans a server that a client of FreeTDS takes for a SQL Server:
// its handshake is in packets of TDS.
func TestPeer_sqlServer(t *testing.T) {
	tsql := peer.Require(t, "tsql")["tsql"]
	p := newPKI(t)
	id := p.issue("RSA")
	pair, err := tls.LoadX509KeyPair(id.cert, id.key)
	if err != nil {
		t.Fatal(err)
	}
	host := device(t, "1433")
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, "1433"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	shaken := make(chan error, 64)
	go tds.Serve(l, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}, func(err error) { shaken <- err }) //nolint:gosec // of a test
	t.Setenv("FREETDSCONF", writeFile(t, filepath.Join(t.TempDir(), "freetds.conf"), "[ward]\nhost = "+host+"\nport = 1433\ntds version = 7.3\nencryption = require\n"))
	out, _ := exec.CommandContext(t.Context(), tsql, "-S", "ward", "-U", "nobody", "-P", "nothing").CombinedOutput() // there is no database behind it
	if err := <-shaken; err != nil {
		t.Fatalf("the handshake with tsql: %v; it says %s", err, out)
	}
	db := scanned(t, exitOK, "--fail-on", "none", "--probes", "standard", net.JoinHostPort(host, "1433"))
	db.want("SELECT DISTINCT certificate FROM v_sighting WHERE position=0", p.digest(id.cert))
	db.want("SELECT DISTINCT json_extract(facts,'$.tls.carrier'), max(json_extract(facts,'$.tls.version')) FROM observation WHERE kind='tls'", "tds|771")
}
