//go:build cgo

package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

// TestPeer_revocation judges certificates by the revocation list and the OCSP
// response of an authority that OpenSSL runs, one of them revoked there.
func TestPeer_revocation(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"index.txt": "", "serial": "1000\n", "crlnumber": "01\n",
		"site.yaml": "version: 1\nanchors: [ca.pem]\n",
		"ca.cnf": `[ca]
default_ca = authority
[authority]
database = ` + file("index.txt") + `
new_certs_dir = ` + dir + `
serial = ` + file("serial") + `
crlnumber = ` + file("crlnumber") + `
certificate = ` + file("ca.pem") + `
private_key = ` + file("ca.key") + `
default_md = sha256
default_days = 30
default_crl_days = 7
policy = any
[any]
commonName = supplied
[device]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:http://pki.example/ca.crl
[responder]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
authorityKeyIdentifier = keyid
`,
	} {
		writeFile(t, file(name), text)
	}
	key := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	tool(t, openssl, slices.Concat([]string{"req", "-x509"}, key, []string{
		"-keyout", file("ca.key"), "-out", file("ca.pem"),
		"-subj", "/CN=Ward CA", "-days", "3650", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
	})...)
	for name, extensions := range map[string]string{"good": "device", "bad": "device", "responder": "responder"} {
		tool(t, openssl, slices.Concat([]string{"req"}, key, []string{
			"-keyout", file(name + ".key"), "-out", file(name + ".csr"), "-subj", "/CN=" + name + ".ward.example",
		})...)
		tool(t, openssl, "ca", "-batch", "-notext", "-config", file("ca.cnf"), "-extensions", extensions, "-in", file(name+".csr"), "-out", file(name+".pem"))
	}
	tool(t, openssl, "ca", "-config", file("ca.cnf"), "-revoke", file("bad.pem"), "-crl_reason", "keyCompromise")
	tool(t, openssl, "ca", "-config", file("ca.cnf"), "-gencrl", "-out", file("crl.pem"))
	tool(t, openssl, "ocsp", "-issuer", file("ca.pem"), "-cert", file("good.pem"), "-cert", file("bad.pem"), "-reqout", file("request.der"))
	respond := func(signer, out string) {
		tool(t, openssl, "ocsp", "-index", file("index.txt"), "-CA", file("ca.pem"), "-rsigner", file(signer+".pem"), "-rkey", file(signer+".key"),
			"-reqin", file("request.der"), "-respout", file(out), "-ndays", "3")
	}
	respond("responder", "response.der")
	respond("good", "forged.der") // a device that may not answer for the authority

	for _, tt := range []struct {
		name, beside string
		exit         int
		want         []string
	}{
		{"list", "crl.pem", exitNegative, []string{"MD-REV-002 fail", "MD-REV-002 pass", "MD-REV-003 pass", "MD-REV-006 not-applicable"}},
		{"response", "response.der", exitNegative, []string{"MD-REV-002 fail", "MD-REV-002 pass", "MD-REV-006 not-applicable"}},
		{"responder without right", "forged.der", exitOK, []string{"MD-REV-002 inconclusive", "MD-REV-002 inconclusive", "MD-REV-006 not-applicable"}},
		{"nothing", "ca.pem", exitOK, []string{"MD-REV-002 inconclusive", "MD-REV-002 inconclusive", "MD-REV-002 not-applicable", "MD-REV-006 not-applicable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var document struct {
				Findings []struct{ Rule, Outcome string }
			}
			out := probity(t, tt.exit, "lint", "--json", "--policy", file("site.yaml"), file("good.pem"), file("bad.pem"), file(tt.beside))
			if err := json.Unmarshal([]byte(out), &document); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range document.Findings {
				switch f.Rule {
				case "MD-REV-002", "MD-REV-003", "MD-REV-006":
					got = append(got, f.Rule+" "+f.Outcome)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}

	// The response stapled to a handshake is judged from the store.
	at := device(t, "8443") + ":8443"
	start(t, []string{at}, openssl, "s_server", "-quiet", "-accept", at, "-cert", file("bad.pem"), "-key", file("bad.key"), "-cert_chain", file("ca.pem"),
		"-status_file", file("response.der"))
	db := scanned(t, exitNegative, "--policy", file("site.yaml"), at)
	db.want("SELECT rule, outcome FROM v_finding WHERE rule IN ('MD-REV-002','MD-REV-004','MD-REV-006') AND outcome<>'not-applicable' ORDER BY rule",
		"MD-REV-002|fail", "MD-REV-004|fail", "MD-REV-006|warn")
}
