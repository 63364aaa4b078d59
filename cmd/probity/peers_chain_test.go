//go:build cgo

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_chain judges paths through authorities that OpenSSL runs: an issuer that the
// device does not send and whose certificate the site has on file, beside another of
// the same name, and one whose extended key usage forbids what the device does.
func TestPeer_chain(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	key := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	issue := func(name, subject, by string, extensions ...string) {
		t.Helper()
		writeFile(t, file("ext.cnf"), strings.Join(extensions, "\n")+"\n")
		tool(t, openssl, slices.Concat([]string{"req"}, key, []string{"-keyout", file(name + ".key"), "-out", file("r.csr"), "-subj", subject})...)
		tool(t, openssl, "x509", "-req", "-in", file("r.csr"), "-CA", file(by+".pem"), "-CAkey", file(by+".key"), "-days", "30",
			"-extfile", file("ext.cnf"), "-out", file(name+".pem"))
	}
	for _, root := range []string{"root", "other"} {
		tool(t, openssl, slices.Concat([]string{"req", "-x509"}, key, []string{
			"-keyout", file(root + ".key"), "-out", file(root + ".pem"), "-subj", "/CN=Site " + root, "-days", "300", "-addext", "keyUsage=critical,keyCertSign",
		})...)
	}
	ca := []string{"basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"}
	issue("ward", "/CN=Ward CA", "root", ca...)
	issue("decoy", "/CN=Ward CA", "other", ca...)
	issue("clients", "/CN=Client CA", "root", append(ca, "extendedKeyUsage=clientAuth")...)
	leaf := []string{
		"basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=serverAuth,clientAuth",
		"subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid", "subjectAltName=DNS:pump.ward.example",
	}
	issue("pump", "/CN=pump.ward.example", "ward", append(leaf, "authorityInfoAccess=caIssuers;URI:http://pki.ward.example/aia/ward.p7c")...)
	issue("viewer", "/CN=viewer.ward.example", "clients", leaf...)
	if err := os.Mkdir(file("aia"), 0o700); err != nil {
		t.Fatal(err)
	}
	tool(t, openssl, "crl2pkcs7", "-nocrl", "-certfile", file("ward.pem"), "-outform", "DER", "-out", file("aia/ward.p7c"))
	tool(t, openssl, "x509", "-in", file("decoy.pem"), "-outform", "DER", "-out", file("aia/decoy.cer"))
	writeFile(t, file("aia/README"), "taken from pki.ward.example\n")
	writeFile(t, file("alone.yaml"), "version: 1\nanchors: [root.pem]\n")
	writeFile(t, file("site.yaml"), "version: 1\nanchors: [root.pem]\nintermediates: [aia/]\n")

	anchored := func(policy string, want int, files ...string) (outcome, detail string) {
		t.Helper()
		var document struct {
			Findings []struct{ Rule, Outcome, Detail string }
		}
		out := probity(t, want, append([]string{"lint", "--json", "--policy", file(policy)}, files...)...)
		if err := json.Unmarshal([]byte(out), &document); err != nil {
			t.Fatal(err)
		}
		for _, f := range document.Findings {
			if f.Rule == "MD-CHAIN-001" && f.Outcome != "not-applicable" {
				return f.Outcome, f.Detail
			}
		}
		return "", ""
	}
	for _, tt := range []struct {
		name, policy    string
		files           []string
		exit            int
		outcome, detail string
	}{
		{"not at hand", "alone.yaml", []string{file("pump.pem")}, exitNegative, "fail", `it should be at "http://pki.ward.example/aia/ward.p7c", which is not fetched`},
		{"on file", "site.yaml", []string{file("pump.pem")}, exitOK, "pass", `found in "` + file("aia/ward.p7c") + `" of the policy`},
		{"beside it", "alone.yaml", []string{file("pump.pem"), file("ward.pem")}, exitOK, "pass", "A path of 3 certificates"},
		{"limited to clients", "alone.yaml", []string{file("viewer.pem"), file("clients.pem")}, exitOK, "warn", `none for serverAuth, which the certificate lists: the extended key usage of the CA "CN=Client CA" does not allow serverAuth`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outcome, detail := anchored(tt.policy, tt.exit, tt.files...)
			if outcome != tt.outcome || !strings.Contains(detail, tt.detail) {
				t.Errorf("got %s: %s\nwant %s: %s", outcome, detail, tt.outcome, tt.detail)
			}
		})
	}

	// The same on the wire, where what the device does is seen.
	at := []string{device(t, "8443") + ":8443", device(t, "8444") + ":8444"}
	start(t, at[:1], openssl, "s_server", "-quiet", "-accept", at[0], "-cert", file("pump.pem"), "-key", file("pump.key"))
	start(t, at[1:], openssl, "s_server", "-quiet", "-accept", at[1], "-cert", file("viewer.pem"), "-key", file("viewer.key"), "-cert_chain", file("clients.pem"))
	db := scanned(t, exitNegative, "--policy", file("site.yaml"), at[0], at[1])
	db.want("SELECT port, outcome FROM v_finding WHERE rule='MD-CHAIN-001' AND outcome<>'not-applicable' ORDER BY port", "8443|warn", "8444|fail")
}
