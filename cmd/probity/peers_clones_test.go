//go:build cgo && linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

// ward is a link to which devices are joined, each in a network namespace of its own,
// in which nginx shows a certificate.
type ward struct {
	t       *testing.T
	dir     string
	paths   map[string]string
	devices int
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, dir: t.TempDir(), paths: peer.Require(t, "ip", "unshare", "sh", "nginx", "openssl", "curl", "tcpdump")}
	w.ip("link", "add", "br0", "type", "bridge")
	w.ip("addr", "add", "10.78.0.1/16", "dev", "br0")
	w.ip("link", "set", "br0", "up")
	return w
}

func (w *ward) ip(args ...string) { w.t.Helper(); tool(w.t, w.paths["ip"], args...) }

func (w *ward) file(name string) string { return filepath.Join(w.dir, name) }

// certificate makes a self-signed certificate with its key.
func (w *ward) certificate(name string) {
	w.t.Helper()
	tool(w.t, w.paths["openssl"], "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
		"-keyout", w.file(name+".key"), "-out", w.file(name+".pem"), "-subj", "/CN="+name, "-addext", "basicConstraints=critical,CA:FALSE")
}

// wardDevice is a machine on the link.
type wardDevice struct {
	w         *ward
	link      string
	mac       string
	addresses []string
	end       func()
}

// device starts a machine with one interface, on which nginx shows a certificate.
// Directives of nginx's server may follow.
func (w *ward) device(mac, certificate string, addresses []string, directives ...string) *wardDevice {
	w.t.Helper()
	name := fmt.Sprintf("device%d", w.devices+1)
	conf := writeFile(w.t, w.file(name+".conf"), fmt.Sprintf(`
daemon off; master_process off; pid %[1]s.pid; error_log %[1]s.log;
events {}
http {
 access_log off; client_body_temp_path %[1]s.b; proxy_temp_path %[1]s.p; fastcgi_temp_path %[1]s.f; uwsgi_temp_path %[1]s.u; scgi_temp_path %[1]s.s;
 server { listen 443 ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate %[2]s.pem; ssl_certificate_key %[2]s.key; %[3]s return 204; }
}
`, w.file(name), w.file(certificate), strings.Join(directives, " ")))
	return w.machine(mac, addresses, w.paths["nginx"]+" -c "+conf)
}

// forwarder starts a machine that hands connections on to another, as a load balancer
// or the forwarding of a port does: what is at the other end shows at its address, too.
func (w *ward) forwarder(mac, address, to string) *wardDevice {
	w.t.Helper()
	return w.machine(mac, []string{address}, peer.Require(w.t, "socat")["socat"]+" TCP-LISTEN:443,fork,reuseaddr TCP:"+to+":443")
}

// machine starts a machine with one interface that runs a command.
func (w *ward) machine(mac string, addresses []string, command string) *wardDevice {
	t := w.t
	t.Helper()
	w.devices++
	d := &wardDevice{w: w, link: fmt.Sprintf("d%d", w.devices), mac: mac, addresses: addresses}
	name := fmt.Sprintf("device%d", w.devices)
	script := fmt.Sprintf(": > %[2]s\nuntil %[1]s link show eth0 >/dev/null 2>&1; do sleep 0.02; done\n%[1]s link set lo up\n", w.paths["ip"], w.file(name+".in"))
	for _, a := range addresses {
		script += fmt.Sprintf("%s addr add %s/16 dev eth0\n", w.paths["ip"], a)
	}
	script += fmt.Sprintf("%s link set eth0 up\nexec %s\n", w.paths["ip"], command)
	cmd := exec.CommandContext(t.Context(), w.paths["unshare"], "-n", w.paths["sh"], writeFile(t, w.file(name+".sh"), script))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	d.end = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(d.end)
	w.ip("link", "add", d.link, "type", "veth", "peer", "name", d.link+"p", "address", mac)
	w.ip("link", "set", d.link, "master", "br0", "up")
	for range 500 { // until unshare has left this namespace
		if _, err := os.Stat(w.file(name + ".in")); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.ip("link", "set", d.link+"p", "netns", strconv.Itoa(cmd.Process.Pid), "name", "eth0")
	await(t, net.JoinHostPort(addresses[0], "443"), make(chan struct{}))
	return d
}

// leave takes the device off the link.
func (d *wardDevice) leave() {
	d.w.t.Helper()
	d.end()
	defer d.w.ip("neigh", "flush", "dev", "br0") // as the next holder of the address would make us, by an announcement
	for range 100 {                              // its interface ends with its namespace, which takes a while
		if exec.CommandContext(d.w.t.Context(), d.w.paths["ip"], "link", "show", d.link).Run() != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.w.ip("link", "del", d.link)
}

// TestPeer_clones shows probity one certificate at two addresses for many reasons, on
// nginx in network namespaces that share a link. Only two devices at the same time are
// a clone.
func TestPeer_clones(t *testing.T) {
	if !isolated(t) {
		return
	}
	w := newWard(t)
	certificates := []string{"clone", "homed", "machines", "cluster", "pair", "moved", "balanced"}
	for _, name := range certificates {
		w.certificate(name)
	}
	// A key that two servers have got from somebody, as those behind a load balancer do.
	key := make([]byte, 80)
	for i := range key {
		key[i] = byte(i*i*31 + 7*i + 171)
	}
	tickets := writeFile(t, w.file("tickets"), string(key))
	clone := []string{"10.78.1.1", "10.78.1.2"}
	for i := 1; i <= 2; i++ {
		card := func(n int) string { return fmt.Sprintf("00:1b:21:00:%02x:%02x", n, i) }
		at := func(n int) []string { return []string{fmt.Sprintf("10.78.%d.%d", n, i)} }
		w.device(card(1), "clone", at(1))
		w.device(fmt.Sprintf("52:54:00:00:03:%02x", i), "machines", at(3)) // addresses that software made up
		w.device(card(4), "cluster", at(4), "ssl_session_ticket_key "+tickets+";")
		w.device(card(5), "pair", at(5))
	}
	w.device("00:1b:21:00:02:01", "homed", []string{"10.78.2.1", "10.78.2.2"})
	w.device("00:1b:21:00:07:01", "balanced", []string{"10.78.7.1"})
	w.forwarder("00:1b:21:00:07:02", "10.78.7.2", "10.78.7.1")
	active := w.device("00:1b:21:00:06:01", "moved", []string{"10.78.6.1"})
	writeFile(t, w.file("site.yaml"), `version: 1
shared_identity:
  - {name: archive pair, reason: high availability, addresses: [10.78.5.1, 10.78.5.2]}
`)
	var places []string
	for _, n := range []int{1, 2, 3, 4, 5, 7} {
		places = append(places, fmt.Sprintf("10.78.%d.1", n), fmt.Sprintf("10.78.%d.2", n))
	}
	args := []string{"--ports", "443", "--policy", w.file("site.yaml"), "--fail-on", "none", "--discover", "arp", "--via", "br0"}
	db := scanned(t, exitOK, slices.Concat(args, places, []string{"10.78.6.1"})...)
	// Without tickets, nothing tells a device from one that passes connections on to it.
	const open = "fail The same certificate is on 2 devices; # and # are two, as they differ in their MAC addresses. One that passes connections on to the other would look the same, unless an exhaustive scan sees two keys of session tickets."
	const unproved = "warn The same certificate is at 2 assets (#, #) that are not proved to be different devices."
	w.wantShared(db, certificates, map[string]string{"clone": open, "machines": unproved, "cluster": open, "balanced": open})
	again := func(args ...string) {
		probity(t, exitOK, slices.Concat([]string{"scan", "--db", db.path, "--rate", "200", "--asset-rate", "50", "--quiet"}, args)...)
	}
	again(slices.Concat(args, []string{"--probes", "exhaustive", "--i-own-this-device", "10.78.1.1", "10.78.1.2", "10.78.4.1", "10.78.4.2", "10.78.7.1", "10.78.7.2"})...) // which looks at tickets
	want := map[string]string{
		"clone":    "fail The same certificate is on 2 devices; # and # are two, as they differ in their MAC addresses.",
		"machines": unproved,
		"cluster":  "warn The same certificate is on 2 devices (#, #), which take up each other's TLS sessions, as the nodes of one cluster do: if they are one, declare it.",
		"balanced": "warn The same certificate is on 2 devices (#, #), which take up each other's TLS sessions, as the nodes of one cluster do: if they are one, declare it.",
	}
	w.wantShared(db, certificates, want)

	// Who only listens has no proof, whatever the addresses of the cards.
	heard := database{t, w.file("heard.db")}
	probity(t, exitOK, "read", w.capture(clone), "--db", heard.path, "--policy", w.file("site.yaml"), "--fail-on", "none")
	w.wantShared(heard, certificates, map[string]string{"clone": unproved})

	// The address of a pair moves to the other node, which has another card: still one
	// place at a time.
	active.leave()
	w.device("00:1b:21:00:06:02", "moved", []string{"10.78.6.1"})
	again(append(args, "10.78.6.1")...)
	w.wantShared(db, certificates, want)
}

// capture records what curl says to each address in TLS 1.2, which shows certificates.
func (w *ward) capture(addresses []string) (file string) {
	w.t.Helper()
	file = w.file("heard.pcap")
	cmd := exec.CommandContext(w.t.Context(), w.paths["tcpdump"], "-i", "br0", "-U", "-w", file, "tcp")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	complete := func() bool {
		for _, a := range addresses {
			tool(w.t, w.paths["curl"], "--silent", "--insecure", "--tls-max", "1.2", "https://"+a+"/")
		}
		info, err := os.Stat(file)
		return err == nil && info.Size() > 4000 // of both
	}
	for range 50 {
		if complete() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := cmd.Cancel(); err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// wantShared compares what the newest judgement says of each certificate that it finds
// in two places; assets are a number sign.
func (w *ward) wantShared(db database, certificates []string, want map[string]string) {
	w.t.Helper()
	out := tool(w.t, peer.Require(w.t, "sqlite3")["sqlite3"], "-readonly", db.path, `SELECT v_duplicate.value || ' ' || outcome || ' ' || detail
		FROM v_duplicate, v_finding WHERE v_duplicate.kind = 'certificate' AND rule = 'MD-DUP-001' AND outcome IN ('fail','warn')
		AND run = (SELECT max(run) FROM v_finding) AND detail LIKE '%' || (SELECT value FROM json_each(assets) LIMIT 1) || '%'`)
	names := make(map[string]string)
	for _, c := range certificates {
		print := tool(w.t, w.paths["openssl"], "x509", "-in", w.file(c+".pem"), "-noout", "-fingerprint", "-sha256")
		_, digest, _ := strings.Cut(strings.TrimSpace(print), "=")
		names[strings.ToLower(strings.ReplaceAll(digest, ":", ""))] = c
	}
	asset := regexp.MustCompile("asset-[0-9a-f]+")
	got := make(map[string]string)
	for line := range strings.Lines(out) {
		digest, verdict, _ := strings.Cut(strings.TrimSpace(line), " ")
		got[names[digest]] = asset.ReplaceAllString(verdict, "#")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("certificates in two places (-want +got):\n%s", diff)
	}
}
