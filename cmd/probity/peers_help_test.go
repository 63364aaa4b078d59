//go:build cgo && linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

// tool runs a program to its end and returns what it printed.
func tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// device returns a loopback address on which nothing listens at the ports. A
// peer there is a device of its own, at the ports that a scan knows. Labs never
// use 127.0.0.0/16.
func device(t *testing.T, ports ...string) string {
	t.Helper()
	for i := range 4096 {
		host := fmt.Sprintf("127.0.%d.%d", 64+(os.Getpid()+i)%128, 1+i%250)
		if free(t, host, ports) {
			return host
		}
	}
	t.Fatalf("no address of 127.0.0.0/16 has free ports %v", ports)
	return ""
}

func free(t *testing.T, host string, ports []string) bool {
	t.Helper()
	var lc net.ListenConfig
	for _, port := range ports {
		l, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return false
		}
		u, err := lc.ListenPacket(t.Context(), "udp", net.JoinHostPort(host, port))
		if err != nil {
			_ = l.Close()
			return false
		}
		if err := errors.Join(l.Close(), u.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return true
}

// start runs a peer until the end of the test and waits until it accepts
// connections at each of the addresses.
func start(t *testing.T, ready []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...) // which ends before the cleanups begin
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = t.TempDir()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // says only that it was stopped
	}()
	t.Cleanup(func() {
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s said:\n%.4000s", filepath.Base(program), text)
		}
	})
	for _, address := range ready {
		await(t, address, ended)
	}
}

// await returns once a connection to address is accepted. It is closed at once:
// an idle one blocks some archives.
func await(t *testing.T, address string, ended <-chan struct{}) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	d := net.Dialer{Timeout: time.Second}                           // what is not there yet may not even refuse
	ctx, cancel := context.WithTimeout(t.Context(), 80*time.Second) // Erlang takes its time
	defer cancel()
	for ctx.Err() == nil {
		if c, err := d.DialContext(ctx, "tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the peer ended before it accepted connections at %s", address)
		case <-tick.C:
		}
	}
	t.Fatalf("no peer accepts connections at %s", address)
}

// pki is a CA of a ward, made by OpenSSL.
type pki struct {
	t       *testing.T
	openssl string
	dir     string
	ca      string // file
}

// identity is a certificate under the CA, in files.
type identity struct {
	cert, key string
	chain     string // certificate and CA
}

const opensslConfig = `[req]
distinguished_name = name
prompt = no
string_mask = utf8only
[name]
O = Example Hospital
CN = Ward CA
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:pump-1.ward.example
`

func newPKI(t *testing.T) pki {
	t.Helper()
	dir := t.TempDir()
	p := pki{t: t, openssl: peer.Require(t, "openssl")["openssl"], dir: dir, ca: filepath.Join(dir, "ca.pem")}
	writeFile(t, p.file("openssl.cnf"), opensslConfig)
	p.request("ca", "ca", "EC", "-days", "3000")
	return p
}

func (p pki) file(name string) string { return filepath.Join(p.dir, name) }

// request makes a key and a certificate with the extensions of a section.
func (p pki) request(name, section, algorithm string, more ...string) {
	p.t.Helper()
	option := "ec_paramgen_curve:P-256"
	if algorithm == "RSA" {
		option = "rsa_keygen_bits:3072"
	}
	tool(p.t, p.openssl, append([]string{
		"req", "-config", p.file("openssl.cnf"), "-x509", "-extensions", section,
		"-newkey", algorithm, "-pkeyopt", option, "-noenc", "-keyout", p.file(name + ".key"), "-out", p.file(name + ".pem"),
	}, more...)...)
}

// issue makes a server's identity; algorithm is RSA or EC.
func (p pki) issue(algorithm string) identity {
	p.t.Helper()
	p.request(algorithm, "leaf", algorithm, "-CA", p.ca, "-CAkey", p.file("ca.key"), "-days", "365", "-subj", "/CN=pump-1.ward.example")
	id := identity{cert: p.file(algorithm + ".pem"), key: p.file(algorithm + ".key"), chain: p.file(algorithm + "-chain.pem")}
	var chain []byte
	for _, name := range []string{id.cert, p.ca} {
		text, err := os.ReadFile(name)
		if err != nil {
			p.t.Fatal(err)
		}
		chain = append(chain, text...)
	}
	writeFile(p.t, id.chain, string(chain))
	return id
}

// policy writes a site policy that trusts the CA, whose certificates name no
// revocation list.
func (p pki) policy() string {
	return writeFile(p.t, p.file("site.yaml"), "version: 1\nanchors: [ca.pem]\nrevocation: deny list of the site\n")
}

// row is what v_certificate must show of a certificate, as OpenSSL reads it.
func (p pki) row(cert string) string {
	p.t.Helper()
	out := tool(p.t, p.openssl, "x509", "-in", cert, "-noout", "-dateopt", "iso_8601", "-fingerprint", "-sha256", "-serial", "-startdate", "-enddate")
	field := func(name string) string {
		_, rest, ok := strings.Cut(out, name+"=")
		if !ok {
			p.t.Fatalf("openssl shows no %s: %s", name, out)
		}
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	time := func(name string) string { return strings.Replace(field(name), " ", "T", 1) }
	return strings.Join([]string{
		strings.ToLower(strings.ReplaceAll(field("sha256 Fingerprint"), ":", "")),
		strings.ToLower(field("serial")), time("notBefore"), time("notAfter"),
	}, "|")
}

// digest is the SHA-256 of a certificate as OpenSSL computes it.
func (p pki) digest(cert string) string {
	p.t.Helper()
	digest, _, _ := strings.Cut(p.row(cert), "|")
	return digest
}

// der is a certificate in hex, as OpenSSL writes it.
func (p pki) der(cert string) string {
	p.t.Helper()
	return fmt.Sprintf("%x", tool(p.t, p.openssl, "x509", "-in", cert, "-outform", "DER"))
}

// database is an evidence database, read with the shell of the distribution as
// auditors do.
type database struct {
	t    *testing.T
	path string
}

// scanned runs one scan that must end with the exit code, and holds the database
// to its signatures and to the checkpoint that the scan gave out.
func scanned(t *testing.T, exit int, args ...string) database {
	t.Helper()
	peer.Require(t, "sqlite3")
	dir := t.TempDir()
	db, checkpoint := filepath.Join(dir, "evidence.db"), filepath.Join(dir, "checkpoint")
	probity(t, exit, append([]string{
		"scan", "--db", db, "--checkpoint-out", checkpoint, "--rate", "200", "--asset-rate", "50", "--quiet",
	}, args...)...)
	probity(t, exitOK, "verify", "--db", db, "--pubkey", db+".key.pub", "--checkpoint", checkpoint)
	return database{t, db}
}

// want compares the rows of a query with the lines, columns separated by "|".
func (d database) want(query string, lines ...string) {
	d.t.Helper()
	sqlite := peer.Require(d.t, "sqlite3")["sqlite3"]
	out := strings.TrimSuffix(tool(d.t, sqlite, "-readonly", d.path, query), "\n")
	var got []string
	if out != "" {
		got = strings.Split(out, "\n")
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		d.t.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

// wantChain holds the certificates of an endpoint against those in files, the
// leaf first: who showed them in which position, what is in them, byte by byte.
func (d database) wantChain(p pki, host, port string, files ...string) {
	d.t.Helper()
	var sightings []string
	for i, name := range files {
		digest := p.digest(name)
		sightings = append(sightings, fmt.Sprintf("%s|server|%d", digest, i))
		d.want("SELECT sha256, serial, not_before, not_after FROM v_certificate WHERE sha256='"+digest+"'", p.row(name))
		d.want("SELECT lower(hex(data)) FROM blob WHERE sha256=x'"+digest+"'", p.der(name))
	}
	d.want(fmt.Sprintf("SELECT DISTINCT certificate, role, position FROM v_sighting WHERE address='%s' AND port=%s ORDER BY position", host, port), sightings...)
}

// wantFindings compares all fails and warns with the lines.
func (d database) wantFindings(lines ...string) {
	d.t.Helper()
	d.want("SELECT rule, outcome, coalesce(port, '-') FROM v_finding WHERE outcome IN ('fail','warn') ORDER BY 1, 2, 3", lines...)
}

// namespaceError says why a test has no network namespace of its own.
type namespaceError struct{ err error }

func (e *namespaceError) Error() string {
	return fmt.Sprintf("no network namespace (run as root, or allow user namespaces): %v", e.err)
}

func (e *namespaceError) Unwrap() error { return e.err }

// isolated reports whether the test runs in a network namespace of its own, with
// only a loopback device: there, what listens on all addresses is seen by nobody
// and every port is free. If not, it runs the test once more in such a namespace
// and takes over the outcome. All processes of the namespace end with it.
func isolated(t *testing.T) bool {
	t.Helper()
	const mark = "PROBITY_TEST_NAMESPACE"
	ip := peer.Require(t, "ip")["ip"]
	if os.Getenv(mark) != "" {
		tool(t, ip, "link", "set", "lo", "up")
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"=1")
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	runtime.LockOSThread() // the death signal is bound to the thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		err = &namespaceError{err}
		if os.Geteuid() == 0 && os.Getenv("PROBITY_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	switch err := cmd.Wait(); {
	case err != nil:
		t.Errorf("in the namespace: %v\n%s", err, out.Bytes())
	case bytes.Contains(out.Bytes(), []byte("--- SKIP")):
		t.Skipf("in the namespace:\n%s", out.Bytes())
	case !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name())):
		t.Errorf("the test did not run in the namespace:\n%s", out.Bytes())
	default:
		t.Logf("in the namespace:\n%s", out.Bytes())
	}
	return false
}
