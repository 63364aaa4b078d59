package lint

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/internal/wire/sigwire"
)

// opensslIn returns a way to run OpenSSL in a folder of its own.
func opensslIn(t *testing.T) (dir string, run func(args ...string) string) {
	t.Helper()
	peer.Require(t, "openssl")
	dir = t.TempDir()
	return dir, func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, stderr.String())
		}
		return string(out)
	}
}

func writeFile(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPeer_oddVersions holds the version and the outline of certificates that no
// authority should issue against what OpenSSL prints of them.
func TestPeer_oddVersions(t *testing.T) {
	dir, openssl := opensslIn(t)
	openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem", "-subj", "/CN=pump", "-out", "r.pem")
	openssl("x509", "-req", "-in", "r.pem", "-signkey", "k.pem", "-days", "9", "-outform", "DER", "-out", "v1.der")
	openssl("req", "-x509", "-key", "k.pem", "-subj", "/CN=pump", "-days", "9", "-outform", "DER", "-out", "v3.der")
	read := func(name string) []byte {
		der, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	v3 := read("v3.der")
	version := []byte{0xa0, 3, 2, 1, 2}
	ber := append([]byte{0x30, 0x80}, v3[4:]...) // indefinite length, X.690 section 8.1.3.6
	ber = append(ber, 0, 0)
	for _, tt := range []struct {
		name    string
		der     []byte
		decoded bool // BER is none of the certificates of RFC 5280 section 4.1
	}{
		{"one", read("v1.der"), true},
		{"two", bytes.Replace(v3, version, []byte{0xa0, 3, 2, 1, 1}, 1), true},
		{"three", v3, true},
		{"four", bytes.Replace(v3, version, []byte{0xa0, 3, 2, 1, 3}, 1), true},
		{"BER", ber, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			writeFile(t, dir, "c.der", tt.der)
			text := openssl("x509", "-inform", "DER", "-in", "c.der", "-noout", "-text")
			c := ParseCertificate(tt.der)
			if c.Decoded() != tt.decoded {
				t.Fatalf("decoded: %t (%v), want %t", c.Decoded(), c.ParseError, tt.decoded)
			}
			if !tt.decoded {
				if c.ParseError == nil {
					t.Error("no reason is given")
				}
				return
			}
			want := fmt.Sprintf("Version: %d (", c.X509().Version)
			if c.X509().Version > 3 {
				want = fmt.Sprintf("Version: Unknown (%d)", c.X509().Version-1)
			}
			if !strings.Contains(text, want) {
				t.Errorf("OpenSSL does not say %q:\n%s", want, text)
			}
		})
	}
}

// TestPeer_nonces reads the number R of ECDSA signatures as OpenSSL does.
func TestPeer_nonces(t *testing.T) {
	dir, openssl := opensslIn(t)
	numbers := regexp.MustCompile(`INTEGER\s+:(\S+)`)
	for _, curve := range []string{"P-256", "P-384", "P-521"} {
		for i := range 4 { // with and without a leading zero
			openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:"+curve, "-nodes", "-keyout", "k.pem", "-subj", "/CN=pump", "-outform", "DER", "-out", "c.der")
			der, err := os.ReadFile(filepath.Join(dir, "c.der"))
			if err != nil {
				t.Fatal(err)
			}
			c := ParseCertificate(der)
			writeFile(t, dir, "s.der", c.X509().Signature)
			found := numbers.FindAllStringSubmatch(openssl("asn1parse", "-inform", "DER", "-in", "s.der"), -1)
			s := sigwire.ParseDER(c.X509().Signature)
			if s == nil || len(found) != 2 {
				t.Fatalf("%s %d: %v, OpenSSL has %d numbers", curve, i, s, len(found))
			}
			want, ok := new(big.Int).SetString(found[0][1], 16)
			if !ok || new(big.Int).SetBytes(s.R).Cmp(want) != 0 {
				t.Errorf("%s: R is %x, OpenSSL says %s", curve, s.R, found[0][1])
			}
		}
	}
}

// TestPeer_serials reads the serial numbers of a revocation list as OpenSSL does.
func TestPeer_serials(t *testing.T) {
	dir, openssl := opensslIn(t)
	writeFile(t, dir, "ca.cnf", []byte("[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=9\ncrlnumber=number\n"))
	writeFile(t, dir, "number", []byte("01\n"))
	var index strings.Builder
	for i, serial := range []string{"00", "01", "7F", "80", "0100", "FFFFFFFFFFFFFFFF", strings.Repeat("7F", 20), strings.Repeat("FF", 20)} {
		fmt.Fprintf(&index, "R\t351130000000Z\t2511%02d000000Z,keyCompromise\t%s\tunknown\t/CN=pump %d\n", i+1, serial, i)
	}
	writeFile(t, dir, "index.txt", []byte(index.String()))
	openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem", "-subj", "/CN=CA", "-out", "ca.pem")
	openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", "k.pem", "-cert", "ca.pem", "-out", "l.pem")
	openssl("crl", "-in", "l.pem", "-outform", "DER", "-out", "l.der")
	der, err := os.ReadFile(filepath.Join(dir, "l.der"))
	if err != nil {
		t.Fatal(err)
	}
	l := parseList(der, evidence.DigestOf(der))
	if l.List == nil {
		t.Fatal(l.ParseError)
	}
	found := regexp.MustCompile(`Serial Number: ([0-9A-F]+)`).FindAllStringSubmatch(openssl("crl", "-in", "l.pem", "-noout", "-text"), -1)
	if len(found) != 8 || len(l.List.Entries) != len(found) {
		t.Fatalf("%d entries, OpenSSL has %d", len(l.List.Entries), len(found))
	}
	for _, f := range found {
		serial, err := hex.DecodeString(f[1])
		if err != nil {
			t.Fatal(err)
		}
		if serial[0] >= 0x80 { // positive numbers have a leading zero in DER
			serial = append([]byte{0}, serial...)
		}
		if n := len(l.Entries(serial)); n != 1 {
			t.Errorf("%s is listed %d times", f[1], n)
		}
	}
}

// TestPeer_curves reads the name and the field of a key on every curve of SEC 2 and RFC
// 5639 that OpenSSL has.
func TestPeer_curves(t *testing.T) {
	dir, openssl := opensslIn(t)
	nist := strings.NewReplacer("secp192r1", "P-192", "secp224r1", "P-224", "prime256v1", "P-256", "secp384r1", "P-384", "secp521r1", "P-521")
	seen := 0
	for _, name := range regexp.MustCompile(`(?m)^ *((?:sect|secp|brainpoolP|prime256v)[0-9][0-9a-z]*)`).FindAllStringSubmatch(openssl("ecparam", "-list_curves"), -1) {
		openssl("ecparam", "-name", name[1], "-genkey", "-noout", "-out", "k.pem")
		openssl("pkey", "-in", "k.pem", "-pubout", "-outform", "DER", "-out", "k.der")
		spki, err := os.ReadFile(filepath.Join(dir, "k.der"))
		if err != nil {
			t.Fatal(err)
		}
		k := parseKey(spki)
		field := regexp.MustCompile(`[0-9]+`).FindString(nist.Replace(name[1]))
		if k == nil || k.Curve != nist.Replace(name[1]) || fmt.Sprint(k.Bits) != field {
			t.Errorf("%s: got %+v", name[1], k)
		}
		seen++
	}
	if seen < 40 {
		t.Errorf("OpenSSL lists %d curves", seen)
	}
}
