package artefact

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"probity/evidence"
	"probity/fixtures/peer"
)

// shell runs programs in one directory.
type shell struct {
	t   *testing.T
	dir string
}

func (s shell) run(name string, args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+s.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func (s shell) read(name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// keys reads a file and returns the keys that stand alone in it.
func (s shell) keys(name string) [][]byte {
	s.t.Helper()
	obs, err := Read(name, s.read(name), "")
	if err != nil {
		s.t.Fatal(err)
	}
	var out [][]byte
	for _, o := range obs {
		if o.Facts.Artefact.Key == nil {
			s.t.Fatalf("%s: got %+v, want keys only", name, o.Facts.Artefact)
		}
		out = append(out, o.Facts.Artefact.Key)
	}
	return out
}

// TestPeer_sshKeygen reads what ssh-keygen writes, and compares with its own PKCS #8
// export of the same keys.
func TestPeer_sshKeygen(t *testing.T) {
	keygen := peer.Require(t, "ssh-keygen")["ssh-keygen"]
	s := shell{t, t.TempDir()}
	var hosts strings.Builder
	var want [][]byte
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		s.run(keygen, "-q", "-t", kind, "-N", "", "-C", "pump 7", "-f", kind)
		got := s.keys(kind + ".pub")
		if len(got) != 1 {
			t.Fatalf("%s: got %d keys, want 1", kind, len(got))
		}
		if _, err := x509.ParsePKIXPublicKey(got[0]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if kind != "ed25519" { // of which ssh-keygen writes no PKCS #8
			cmd := exec.CommandContext(t.Context(), keygen, "-e", "-m", "PKCS8", "-f", kind+".pub")
			cmd.Dir = s.dir
			text, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if block, _ := pem.Decode(text); !bytes.Equal(block.Bytes, got[0]) {
				t.Errorf("%s: got %x, want %x", kind, got[0], block.Bytes)
			}
		}
		want = append(want, got[0])
		fmt.Fprintf(&hosts, "pump.example,192.0.2.7 %s", strings.TrimSuffix(string(s.read(kind+".pub")), " pump 7\n")+"\n")
	}
	if err := os.WriteFile(filepath.Join(s.dir, "known_hosts"), []byte("# hosts\n"+hosts.String()+"@revoked * "+strings.SplitN(hosts.String(), " ", 2)[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	got := s.keys("known_hosts")
	if len(got) < len(want) || !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[2], want[2]) {
		t.Errorf("known_hosts: got %d keys, want the %d of the hosts", len(got), len(want))
	}
}

// TestPeer_gpg reads what GnuPG writes, ascii and binary.
func TestPeer_gpg(t *testing.T) {
	gpg := peer.Require(t, "gpg")["gpg"]
	s := shell{t, t.TempDir()}
	for i, kind := range []string{"rsa2048", "nistp256", "ed25519", "dsa2048"} {
		user := fmt.Sprintf("Device %d <d%d@example.org>", i, i)
		s.run(gpg, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", user, kind, "sign", "never")
		s.run(gpg, "--batch", "--output", kind+".asc", "--armor", "--export", user)
		s.run(gpg, "--batch", "--output", kind+".gpg", "--export", user)
		s.run(gpg, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--output", kind+".sec", "--export-secret-keys", user)
		ascii, binary, secret := s.keys(kind+".asc"), s.keys(kind+".gpg"), s.keys(kind+".sec")
		if len(ascii) != 1 || len(binary) != 1 || len(secret) != 1 || !bytes.Equal(ascii[0], binary[0]) || !bytes.Equal(ascii[0], secret[0]) {
			t.Errorf("%s: got %x, %x and %x; want one key, three times the same", kind, ascii, binary, secret)
			continue
		}
		if _, err := x509.ParsePKIXPublicKey(ascii[0]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	s.run("gpgconf", "--homedir", s.dir, "--kill", "gpg-agent")
}

// TestPeer_opensslLists reads a revocation list, an OCSP response and public keys of
// OpenSSL, and the filling after a certificate in a TPM.
func TestPeer_opensslLists(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	s := shell{t, t.TempDir()}
	s.run(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=ca", "-days", "30")
	s.run(openssl, "x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der")
	config := "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=7\n"
	for name, text := range map[string]string{"ca.cnf": config, "index.txt": "R\t300101000000Z\t260101000000Z\t05\tunknown\t/CN=lost\n", "number": "01\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.run(openssl, "ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "key.pem", "-cert", "cert.pem", "-out", "crl.pem")
	s.run(openssl, "crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl.der")
	for _, name := range []string{"crl.pem", "crl.der"} {
		obs, err := Read(name, s.read(name), "")
		if err != nil || len(obs) != 1 {
			t.Fatalf("%s: got %d observations, error %v", name, len(obs), err)
		}
		list, err := x509.ParseRevocationList(obs[0].Facts.Artefact.CRL)
		if err != nil || len(list.RevokedCertificateEntries) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.run(openssl, "ocsp", "-index", "index.txt", "-CA", "cert.pem", "-rsigner", "cert.pem", "-rkey", "key.pem",
		"-issuer", "cert.pem", "-serial", "5", "-reqout", "req.der", "-respout", "resp.der", "-noverify")
	obs, err := Read("resp.der", s.read("resp.der"), "")
	if err != nil || len(obs) != 1 || !bytes.Equal(obs[0].Facts.Artefact.OCSP, s.read("resp.der")) {
		t.Errorf("resp.der: got %d observations, error %v", len(obs), err)
	}

	s.run(openssl, "pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem")
	s.run(openssl, "pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "pub.der")
	s.run(openssl, "rsa", "-in", "key.pem", "-RSAPublicKey_out", "-out", "pkcs1.pem")
	for _, name := range []string{"pub.pem", "pub.der", "pkcs1.pem"} {
		if got := s.keys(name); len(got) != 1 || !bytes.Equal(got[0], s.read("pub.der")) {
			t.Errorf("%s: got %x, want the key", name, got)
		}
	}
	for name, filling := range map[string]byte{"zeros": 0, "ones": 0xff} {
		padded := append(s.read("cert.der"), bytes.Repeat([]byte{filling}, 600)...)
		if obs, err := Read(name, padded, ""); err != nil || len(obs) != 1 || !bytes.Equal(obs[0].Certs[0].DER, s.read("cert.der")) {
			t.Errorf("a certificate before %s: got %d observations, error %v", name, len(obs), err)
		}
	}
}

// TestRead_jks reads a key store of OpenJDK's keytool: a private key with its chain
// and a trusted certificate.
func TestRead_jks(t *testing.T) {
	data, err := os.ReadFile("testdata/keytool.jks")
	if err != nil {
		t.Fatal(err)
	}
	obs, err := Read("s.jks", data, "")
	if err != nil || len(obs) != 2 {
		t.Fatalf("got %d observations, error %v; want 2", len(obs), err)
	}
	for _, o := range obs {
		if c, err := x509.ParseCertificate(o.Certs[0].DER); err != nil || c.Subject.CommonName != "store" {
			t.Errorf("got %v, error %v", c, err)
		}
	}
	for n := range data[:len(data)-20] { // the digest at the end is not read
		if _, err := Read("s.jks", data[:n], ""); err == nil {
			t.Fatalf("the first %d bytes were read without an error", n)
		}
	}
	// A length beyond the file must not be allocated.
	if _, err := Read("s.jks", append(bytes.Clone(data[:12]), bytes.Repeat([]byte{0x7f}, 40)...), ""); err == nil {
		t.Error("huge lengths were read without an error")
	}
}

// TestRead_jwk uses the keys of RFC 7517 appendix A.1 and RFC 8037 appendix A, and a
// private one, of which nothing private is kept.
func TestRead_jwk(t *testing.T) {
	const ec = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}`
	const ed = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	c := newChain(t)
	leaf := base64.StdEncoding.EncodeToString(c.leaf.Raw)
	for _, tt := range []struct {
		name, text string
		keys, ders int
	}{
		{"one key", ec, 1, 0},
		{"a set", `{"keys":[` + ec + `,` + ed + `]}`, 2, 0},
		{"on a curve of RFC 8037", `{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`, 1, 0},
		{"symmetric only", `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`, 0, 0},
		{"other JSON", `{"a":1}`, 0, 0},
		{"with a certificate of another key", `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","x5c":["` + leaf + `"]}`, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obs, err := Read("f.json", []byte(tt.text), "")
			if (err != nil) != (tt.keys+tt.ders == 0) || len(obs) != tt.keys+tt.ders {
				t.Fatalf("got %d observations, error %v; want %d", len(obs), err, tt.keys+tt.ders)
			}
			for _, o := range obs {
				private, _ := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
				if bytes.Contains(o.Raw[0].Data, private) || bytes.Contains(o.Facts.Artefact.Key, private) {
					t.Error("a private key was kept")
				}
				if _, err := x509.ParsePKIXPublicKey(o.Facts.Artefact.Key); err != nil {
					t.Error(err)
				}
				if o.Kind != evidence.KindArtefact {
					t.Errorf("kind %q", o.Kind)
				}
			}
		})
	}
}

// TestRead_damagedKeys asks that what is cut off is said, with its place.
func TestRead_damagedKeys(t *testing.T) {
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	line := "pump-1 " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	for name, tt := range map[string]struct{ data, want string }{
		"ssh":     {"# hosts\n" + line + line[:len(line)-20] + "\n", `"ssh": not a key: line 3: the SSH key is cut off or damaged: copy the line again`},
		"kind":    {"pump-1 ssh-ed25519\n", `"kind": not a key: line 1: the SSH key is cut off`},
		"openpgp": {"\x98\x33\x04", `"openpgp": not a key: OpenPGP after key 0: `},
		"armour":  {"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END", "copy the file or export the public key again"},
	} {
		if _, err := Read(name, []byte(tt.data), ""); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
	for line, hosts := range map[string]string{
		line: "pump-1", "|1|c2FsdA==|aGFzaA== " + line[7:]: "|1|c2FsdA==|aGFzaA==", "pump-1,[192.0.2.1]:2222 " + line[7:]: "pump-1 [192.0.2.1]:2222",
		line[7:]: "", "no-pty,command=\"x\" " + line[7:]: "", "@revoked * " + line[7:]: "",
	} {
		obs, err := Read("line", []byte(line), "")
		if err != nil || len(obs) != 1 {
			t.Fatalf("%q: %d keys, %v", line, len(obs), err)
		}
		if got := strings.Join(obs[0].Endpoint.Hosts(), " "); got != hosts {
			t.Errorf("%q: got hosts %q, want %q", line, got, hosts)
		}
	}
	// A kind that is not read is passed over.
	obs, err := Read("kinds", []byte("pump-2 ssh-xmss@openssh.com AAAA\n"+line), "")
	if err != nil || len(obs) != 1 {
		t.Errorf("got %d keys, %v, want 1", len(obs), err)
	}
}
