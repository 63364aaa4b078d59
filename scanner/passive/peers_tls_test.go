package passive

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/tlswire"
)

// keys makes a key with a certificate of openssl and returns their paths.
func keys(t testing.TB, openssl, dir, name string, kind ...string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	args := append([]string{"req", "-x509", "-nodes", "-days", "30", "-subj", "/O=Peer/CN=" + name, "-keyout", key, "-out", cert, "-newkey"}, kind...)
	if out := run(t, openssl, args...); !exists(cert) {
		t.Fatalf("openssl req: %s", out)
	}
	return cert, key
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// onlyTLS reads a capture and returns the only TLS observation in it.
func onlyTLS(t testing.TB, path string) evidence.Observation {
	t.Helper()
	list, stats := readFile(t, path)
	if len(list) != 1 || list[0].Facts.TLS == nil || stats.Incomplete() != nil {
		t.Fatalf("%q, %q", summaries(list), stats.Incomplete())
	}
	return list[0]
}

// judged is what tshark and we both say of a handshake; numbers in hex.
type judged struct {
	JA3, ServerName, ALPN   string
	Suites, Groups, Schemes []string // offered
	Suite                   string   // chosen
	Certificates            string
	Authorities             int
}

// ofTshark asks tshark. Fields of DTLS have a prefix of their own.
func ofTshark(t testing.TB, tshark, path, prefix string) judged {
	t.Helper()
	name := func(field string) string { return prefix + ".handshake." + field }
	var fields []string
	for _, f := range []string{"type", "ja3", "extensions_server_name", "extensions_alpn_str", "ciphersuite", "extensions_supported_group", "sig_hash_alg", "sig_hash_alg_len", "certificate", "dname_len"} {
		fields = append(fields, name(f))
	}
	var j judged
	var certificates []string
	for _, p := range tsharkPackets(t, tshark, path, "", name("type"), fields...) {
		if slices.Contains(p[name("type")], "1") { // the last one, which in DTLS has the cookie
			j.JA3, j.ServerName, j.ALPN = last(p[name("ja3")]), last(p[name("extensions_server_name")]), last(p[name("extensions_alpn_str")])
			j.Suites, j.Groups, j.Schemes = numbers(t, p[name("ciphersuite")]), numbers(t, p[name("extensions_supported_group")]), numbers(t, p[name("sig_hash_alg")])
			if size := p[name("sig_hash_alg_len")]; len(size) > 1 { // signature_algorithms_cert follows under the same name
				n, err := strconv.Atoi(size[0])
				if err != nil {
					t.Fatalf("tshark: %v", err)
				}
				j.Schemes = j.Schemes[:n/2]
			}
		}
		if slices.Contains(p[name("type")], "2") {
			j.Suite = last(numbers(t, p[name("ciphersuite")]))
		}
		certificates = append(certificates, p[name("certificate")]...)
		j.Authorities += len(p[name("dname_len")])
	}
	j.Certificates = join(certificates)
	return j
}

// ofUs says the same of our observation.
func ofUs(o evidence.Observation) judged {
	f := o.Facts.TLS
	j := judged{
		JA3: f.JA3, ServerName: f.ServerName, ALPN: last(f.ClientALPN),
		Suites: hex16(f.OfferedSuites), Groups: hex16(f.OfferedGroups), Schemes: hex16(f.OfferedSchemes),
		Suite: last(hex16([]uint16{f.CipherSuite})), Authorities: len(f.Authorities),
	}
	var list []string
	for _, c := range o.Certs {
		list = append(list, hex.EncodeToString(c.DER))
	}
	j.Certificates = join(list)
	return j
}

// numbers reads what tshark prints, without GREASE.
func numbers(t testing.TB, list []string) []string {
	t.Helper()
	var out []uint16
	for _, s := range list {
		n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 16)
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		out = append(out, uint16(n))
	}
	return hex16(offered(out, len(out)))
}

func hex16(list []uint16) []string {
	var out []string
	for _, v := range list {
		out = append(out, fmt.Sprintf("%04x", v))
	}
	return out
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

// join lists certificates in hex, however they are grouped, each once.
func join(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, strings.Split(strings.ReplaceAll(s, ":", ""), ",")...)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n")
}

// TestPeer_openssl has openssl speak every version of TLS and DTLS with several
// kinds of key in both directions, and compares what we read with tshark. In all
// but TLS 1.3 both sides must be seen to hold their keys.
func TestPeer_openssl(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "openssl", "tshark")
	openssl, tshark := paths["openssl"], paths["tshark"]
	dir := t.TempDir()
	certs := map[string][2]string{}
	for name, kind := range map[string][]string{
		"rsa": {"rsa:2048"}, "p256": {"ec", "-pkeyopt", "ec_paramgen_curve:P-256"}, "p384": {"ec", "-pkeyopt", "ec_paramgen_curve:P-384"}, "ed25519": {"ed25519"},
	} {
		c, k := keys(t, openssl, dir, name, kind...)
		certs[name] = [2]string{c, k}
	}
	const seclevel = "ALL:@SECLEVEL=0"
	for _, tt := range []struct {
		flag, server, client, cipher string
		version                      uint16
		proof, clientProof           evidence.Possession
	}{
		{"-tls1", "rsa", "p256", seclevel, tlswire.VersionTLS10, "verified", "verified"},
		{"-tls1", "p256", "rsa", seclevel, tlswire.VersionTLS10, "verified", "verified"},
		{"-tls1_1", "rsa", "rsa", "DHE-RSA-AES128-SHA:@SECLEVEL=0", tlswire.VersionTLS11, "verified", "verified"},
		{"-tls1_2", "rsa", "p384", "ECDHE-RSA-AES128-GCM-SHA256", tlswire.VersionTLS12, "verified", "verified"},
		{"-tls1_2", "p384", "ed25519", "ECDHE-ECDSA-AES128-GCM-SHA256", tlswire.VersionTLS12, "verified", "verified"},
		{"-tls1_2", "ed25519", "rsa", "ECDHE-ECDSA-AES128-GCM-SHA256", tlswire.VersionTLS12, "verified", "verified"},
		{"-tls1_2", "rsa", "rsa", "DHE-RSA-AES128-GCM-SHA256", tlswire.VersionTLS12, "verified", "verified"},
		{"-tls1_2", "rsa", "p256", "AES128-SHA256", tlswire.VersionTLS12, "", "verified"}, // the server signs nothing
		{"-tls1_3", "p256", "p256", "", tlswire.VersionTLS13, "", ""},
		{"-dtls1", "rsa", "p256", seclevel, tlswire.VersionTLS11, "verified", "verified"},
		{"-dtls1_2", "p256", "rsa", "ECDHE-ECDSA-AES128-GCM-SHA256", tlswire.VersionTLS12, "verified", "verified"},
	} {
		t.Run(strings.TrimPrefix(tt.flag, "-")+"_"+tt.server+"_"+tt.client, func(t *testing.T) {
			server, udp := freePort(t), strings.HasPrefix(tt.flag, "-dtls")
			args := []string{"s_server", "-accept", server, tt.flag, "-cert", certs[tt.server][0], "-key", certs[tt.server][1], "-verify", "2", "-CAfile", certs["rsa"][0]}
			if tt.cipher != "" {
				args = append(args, "-cipher", tt.cipher)
			}
			var p *tap
			prefix := "tls"
			client := []string{"s_client", tt.flag, "-servername", "peer.example", "-alpn", "one,two", "-cert", certs[tt.client][0], "-key", certs[tt.client][1]}
			if tt.cipher != "" {
				client = append(client, "-cipher", tt.cipher)
			}
			if udp {
				prefix = "dtls"
				start(t, "", openssl, append(args, "-mtu", "400")...) // so that certificates come in fragments
				p = tapUDP(t, server)
			} else {
				start(t, server, openssl, args...)
				p = tapTCP(t, server)
			}
			var path string
			for range 20 { // a UDP server has no other way to say that it is there
				run(t, openssl, append(client, "-connect", p.addr)...)
				path = p.save(t)
				if list, _ := readFile(t, path); len(list) > 0 && list[0].Facts.TLS.Handshake != evidence.StageNone {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			o := onlyTLS(t, path)
			f := o.Facts.TLS
			if f.Version != tt.version || f.Possession != tt.proof || f.ClientPossession != tt.clientProof {
				t.Errorf("version %04x, possession %q and %q; want %04x, %q, %q", f.Version, f.Possession, f.ClientPossession, tt.version, tt.proof, tt.clientProof)
			}
			if tt.version < tlswire.VersionTLS13 && (f.ClientAuth != evidence.ClientAuthRequested || len(f.Authorities) != 1 || len(o.Certs) != 2) {
				t.Errorf("client authentication %q, %d authorities, %d certificates", f.ClientAuth, len(f.Authorities), len(o.Certs))
			}
			if diff := cmp.Diff(ofTshark(t, tshark, path, prefix), ofUs(o)); diff != "" {
				t.Errorf("(-tshark +ours):\n%s", diff)
			}
		})
	}
}

// TestPeer_staple compares the OCSP response that openssl staples with tshark.
func TestPeer_staple(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "openssl", "tshark")
	openssl, tshark := paths["openssl"], paths["tshark"]
	dir := t.TempDir()
	cert, key := keys(t, openssl, dir, "ca", "rsa:2048")
	serial := strings.TrimSpace(strings.TrimPrefix(run(t, openssl, "x509", "-in", cert, "-noout", "-serial"), "serial="))
	for status, line := range map[string]string{
		"good":    "V\t361231235959Z\t\t" + serial + "\tunknown\t/CN=ca\n",
		"revoked": "R\t361231235959Z\t261101000000Z,keyCompromise\t" + serial + "\tunknown\t/CN=ca\n",
		"unknown": "",
	} {
		t.Run(status, func(t *testing.T) {
			index, response := filepath.Join(t.TempDir(), "index.txt"), filepath.Join(t.TempDir(), "response.der")
			if err := os.WriteFile(index, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := run(t, openssl, "ocsp", "-index", index, "-rsigner", cert, "-rkey", key, "-CA", cert, "-issuer", cert, "-serial", "0x"+serial, "-ndays", "7", "-respout", response); !exists(response) {
				t.Fatalf("openssl ocsp: %s", out)
			}
			server := freePort(t)
			start(t, server, openssl, "s_server", "-accept", server, "-cert", cert, "-key", key, "-tls1_2", "-status_file", response)
			p := tapTCP(t, server)
			run(t, openssl, "s_client", "-tls1_2", "-status", "-connect", p.addr)
			path := p.save(t)
			f := onlyTLS(t, path)
			if len(f.Raw) != 2 || f.Raw[1].Media != mediaStaple {
				t.Fatalf("%d raw blobs", len(f.Raw))
			}
			if whole, err := os.ReadFile(response); err != nil || !bytes.Equal(whole, f.Raw[1].Data) {
				t.Errorf("the response is not kept as it was: %v", err)
			}
			o := f.Facts.TLS.OCSP
			if o == nil || len(o.Statuses) != 1 || o.Statuses[0].Status != status || !strings.EqualFold(strings.TrimPrefix(o.Statuses[0].Serial, "00"), serial) ||
				o.Statuses[0].RevokedAt.IsZero() != (status != "revoked") {
				t.Fatalf("%+v, serial %s", o, serial)
			}
			judge := tsharkPackets(t, tshark, path, "", "ocsp.producedAt", "ocsp.producedAt", "ocsp.thisUpdate", "ocsp.nextUpdate", "ocsp.responseStatus")
			if len(judge) != 1 {
				t.Fatalf("tshark: %v", judge)
			}
			const layout = "Jan _2, 2006 15:04:05.000000000 UTC"
			ours := map[string][]string{
				"ocsp.producedAt": {o.Produced.Format(layout)}, "ocsp.thisUpdate": {o.Statuses[0].ThisUpdate.Format(layout)},
				"ocsp.nextUpdate": {o.Statuses[0].NextUpdate.Format(layout)}, "ocsp.responseStatus": {strconv.Itoa(o.Response)},
			}
			if diff := cmp.Diff(judge[0], ours); diff != "" {
				t.Errorf("(-tshark +ours):\n%s", diff)
			}
		})
	}
}

// TestPeer_starttls has openssl ask for TLS in every protocol that it knows. The
// answers before TLS are ours, for want of servers of all of them.
func TestPeer_starttls(t *testing.T) {
	t.Parallel() // it waits for programs
	openssl := peer.Require(t, "openssl")["openssl"]
	cert, key := keys(t, openssl, t.TempDir(), "starttls", "rsa:2048")
	server := freePort(t)
	start(t, server, openssl, "s_server", "-accept", server, "-cert", cert, "-key", key, "-tls1_2")
	for protocol, answers := range map[string][]string{ // the first without being asked, if there is no "" there
		"smtp":     {"220 MARKER ESMTP\r\n", "250-MARKER\r\n250 STARTTLS\r\n", "220 go\r\n"},
		"imap":     {"* OK MARKER\r\n", "* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK MARKER\r\n", ". OK go\r\n"},
		"pop3":     {"+OK MARKER\r\n", "+OK go\r\n"},
		"ftp":      {"220 MARKER\r\n", "234 go\r\n"},
		"ldap":     {"", "\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20037"},
		"postgres": {"", "S"},
		"mysql":    {"\x4c\x00\x00\x00\x0a8.0.MARKER\x00\x01\x00\x00\x00abcdefgh\x00\xff\xff\x21\x02\x00\xff\xff\x15\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_passwo\x00"},
		"xmpp":     {"", "<?xml version='1.0'?><stream:stream from='MARKER' xmlns:stream='x'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
	} {
		t.Run(protocol, func(t *testing.T) {
			p := tapTCP(t, answering(t, server, answers))
			out := run(t, openssl, "s_client", "-starttls", protocol, "-connect", p.addr, "-tls1_2")
			list, stats := readFile(t, p.save(t))
			if len(list) != 1 || list[0].Facts.TLS == nil || len(list[0].Certs) != 1 || list[0].Facts.TLS.Possession != evidence.PossessionVerified {
				t.Fatalf("%q; openssl says %s", summaries(list), out)
			}
			want := protocol
			if protocol == "postgres" {
				want = "postgresql"
			}
			if f := list[0].Facts.TLS; f.Carrier != want {
				t.Errorf("carrier %q", f.Carrier)
			}
			if bytes.Contains(everything(t, list, stats), []byte("MARKER")) {
				t.Error("text of the prelude was kept")
			}
		})
	}
}

// answering listens, gives each answer after something was said, and relays the
// rest to server.
func answering(t *testing.T, server string, answers []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			for i, a := range answers {
				if i > 0 {
					if _, err := c.Read(b); err != nil {
						break
					}
				}
				if a != "" {
					_, _ = c.Write([]byte(a))
				}
			}
			if strings.HasPrefix(answers[0], "\x4c") { // the request of MySQL comes with what follows it
				if _, err := io.ReadFull(c, b[:36]); err != nil {
					continue
				}
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			go func() { _, _ = io.Copy(s, c); _ = s.Close() }()
			go func() { _, _ = io.Copy(c, s); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}
