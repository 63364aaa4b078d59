package all_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/lint"
	"probity/lint/all"
)

// TestPeer_publicRoots runs the checks on the certificates of Debian's
// ca-certificates: real, sound CA certificates of all ages.
func TestPeer_publicRoots(t *testing.T) {
	data, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if errors.Is(err, fs.ErrNotExist) {
		missing(t, "ca-certificates")
	}
	if err != nil {
		t.Fatal(err)
	}
	var ders [][]byte
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		ders = append(ders, block.Bytes)
	}
	corpus := lint.NewCorpus(files(ders...), nil)
	failures := make(map[string]int)
	for _, check := range all.Checks() {
		results, err := lint.Run(corpus, []lint.Job{{Check: check}}, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		for r := range results[0] {
			if r.Outcome == evidence.Fail {
				failures[r.Check]++
				t.Logf("%s on %s: %s", r.Check, shorten(r.Subject.Locus()), r.Detail)
			}
		}
	}
	// Roots are kept past their end, and no other check may fail on one.
	for check, n := range failures {
		if check != "cert/not_expired" || n > len(ders)/4 {
			t.Errorf("%s fails on %d of %d public roots", check, n, len(ders))
		}
	}
}

// missing skips a test that needs a Debian package, or fails it in CI.
func missing(t *testing.T, pkg string) {
	t.Helper()
	if os.Getenv("PROBITY_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s is missing: apt-get install %s", pkg, pkg)
	}
	t.Skipf("%s is missing", pkg)
}

// TestPeer_openssl judges certificates that no Go generator makes.
func TestPeer_openssl(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		missing(t, "openssl")
	}
	dir := t.TempDir()
	do := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	do("dsaparam", "-out", "dsa.pem", "2048")
	do("genpkey", "-paramfile", "dsa.pem", "-out", "dsa.key")
	do("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-conv_form", "compressed", "-out", "compressed.key")
	write := func(name, kind string, der []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The private number 1 on secp256k1 (RFC 5915), and a seed of equal bytes (RFC 8410).
	write("one.key", "EC PRIVATE KEY", append(append([]byte("\x30\x2e\x02\x01\x01\x04\x20"), append(make([]byte, 31), 1)...), "\xa0\x07\x06\x05\x2b\x81\x04\x00\x0a"...))
	write("bytes.key", "PRIVATE KEY", append([]byte("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"), bytes.Repeat([]byte{0x42}, 32)...))
	if err := os.WriteFile(filepath.Join(dir, "hw.cnf"), []byte("[req]\ndistinguished_name=dn\n[dn]\n[hw]\ntype=OID:1.3.6.1.4.1.32473.1\nserial=FORMAT:ASCII,OCT:SN0001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ec := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}
	for _, tt := range []struct {
		name string
		key  []string
		req  []string
		want map[string]evidence.Outcome
	}{
		{"brainpool", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"}, nil, map[string]evidence.Outcome{
			"key/ec_curve": evidence.Warn, "cert/not_expired": evidence.Pass, "cert/rfc_profile": evidence.Pass, "key/strength_service_life": evidence.Pass,
		}},
		{"secp256k1", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, nil, map[string]evidence.Outcome{"key/ec_curve": evidence.Warn}},
		{
			"explicit parameters",
			[]string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"},
			nil,
			map[string]evidence.Outcome{"key/ec_curve": evidence.Warn, "cert/not_expired": evidence.Pass},
		},
		{"P-192", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime192v1"}, nil, map[string]evidence.Outcome{
			"key/ec_curve": evidence.Fail, "key/strength_service_life": evidence.NotApplicable,
		}},
		{"P-224", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"}, nil, map[string]evidence.Outcome{"key/ec_curve": evidence.Pass}},
		{"ed448", []string{"-newkey", "ed448"}, nil, map[string]evidence.Outcome{"key/ec_curve": evidence.Pass, "cert/leaf_not_ca": evidence.Warn}},
		{"rsa 512", []string{"-newkey", "rsa:512"}, nil, map[string]evidence.Outcome{"key/rsa_size": evidence.Fail}},
		{"rsa 2047", []string{"-newkey", "rsa:2047"}, nil, map[string]evidence.Outcome{"key/rsa_size": evidence.Warn}},
		{"exponent 3", []string{"-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"}, nil, map[string]evidence.Outcome{"key/rsa_exponent": evidence.Warn}},
		{"dsa", []string{"-key", "dsa.key"}, nil, map[string]evidence.Outcome{"key/no_dsa": evidence.Fail}},
		{"rsa-pss", []string{"-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"}, nil, map[string]evidence.Outcome{"key/rsa_size": evidence.Pass}},
		{"serial zero", []string{"-newkey", "rsa:2048"}, []string{"-set_serial", "0"}, map[string]evidence.Outcome{"cert/rfc_profile": evidence.Fail}},
		{"serial negative", []string{"-newkey", "rsa:2048"}, []string{"-set_serial", "-5"}, map[string]evidence.Outcome{"cert/rfc_profile": evidence.Fail}},
		{"md5", []string{"-newkey", "rsa:2048"}, []string{"-md5"}, map[string]evidence.Outcome{"cert/signature_hash": evidence.Pass}}, // self-signed
		{"long serial", ec, []string{"-set_serial", "0x" + strings.Repeat("7f", 21)}, map[string]evidence.Outcome{"cert/rfc_profile": evidence.Warn}},
		{"a thousand years", ec, []string{"-days", "365000"}, map[string]evidence.Outcome{"cert/not_expired": evidence.Pass, "cert/indefinite_validity_role": evidence.NotApplicable}},
		{"UTF-8 name", ec, []string{"-utf8", "-subj", "/CN=Pümpe 1/O=Krankenhaus Köln"}, map[string]evidence.Outcome{"cert/no_patient_data": evidence.Pass, "cert/rfc_profile": evidence.Pass}},
		{"patient in the name", ec, []string{"-subj", "/CN=pump/OU=MRN 0012345"}, map[string]evidence.Outcome{"cert/no_patient_data": evidence.Warn}},
		{"sample name", ec, []string{"-subj", "/O=Internet Widgits Pty Ltd/CN=x"}, map[string]evidence.Outcome{"cert/not_default": evidence.Warn}},
		{"no name at all", ec, []string{"-subj", "/"}, map[string]evidence.Outcome{"cert/rfc_profile": evidence.Warn}},
		{"address", ec, []string{"-addext", "subjectAltName=IP:192.0.2.10"}, map[string]evidence.Outcome{"cert/rfc_profile": evidence.Pass}},
		{"unknown critical extension", ec, []string{"-addext", "1.2.3.4=critical,ASN1:NULL"}, map[string]evidence.Outcome{"cert/rfc_profile": evidence.Warn}},
		{"hardwareModuleName", ec, []string{"-subj", "/CN=x", "-addext", "subjectAltName=otherName:1.3.6.1.5.5.7.8.4;SEQ:hw", "-config", "hw.cnf"}, map[string]evidence.Outcome{"cert/device_identifier": evidence.NotApplicable}},
		{"wildcard", ec, []string{"-addext", "subjectAltName=DNS:*.ward.example"}, map[string]evidence.Outcome{"cert/no_wildcard": evidence.Warn}},
		{"code signing too", ec, []string{"-addext", "extendedKeyUsage=serverAuth,codeSigning"}, map[string]evidence.Outcome{"cert/no_code_signing": evidence.Fail}},
		{"client only", ec, []string{"-addext", "extendedKeyUsage=clientAuth"}, map[string]evidence.Outcome{"cert/eku_role": evidence.Fail}},
		{"compressed point", []string{"-key", "compressed.key"}, nil, map[string]evidence.Outcome{"key/ec_curve": evidence.Pass, "key/full_order": evidence.Pass}},
		{"the private key 1", []string{"-key", "one.key"}, nil, map[string]evidence.Outcome{"key/no_known_scalar": evidence.Fail}},
		{"private key of one byte", []string{"-key", "bytes.key"}, nil, map[string]evidence.Outcome{"key/no_known_scalar": evidence.Fail, "key/fixed_length": evidence.Pass}},
		{"brainpool of 512 bits", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP512r1"}, nil, map[string]evidence.Outcome{"key/full_order": evidence.Pass, "key/no_known_scalar": evidence.Pass}},
		{"dsa group", []string{"-key", "dsa.key"}, nil, map[string]evidence.Outcome{"key/dsa_parameters": evidence.Pass}},
		{"rsa-pss sha256", []string{"-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_pss_keygen_md:sha256", "-pkeyopt", "rsa_pss_keygen_mgf1_md:sha256", "-pkeyopt", "rsa_pss_keygen_saltlen:32"}, nil, map[string]evidence.Outcome{"key/pss_parameters": evidence.Pass}},
		{"rsa-pss sha1", []string{"-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_pss_keygen_md:sha1"}, []string{"-sha1"}, map[string]evidence.Outcome{"key/pss_parameters": evidence.Fail}},
		{"rsa-pss other mask", []string{"-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_pss_keygen_md:sha256", "-pkeyopt", "rsa_pss_keygen_mgf1_md:sha512"}, nil, map[string]evidence.Outcome{"key/pss_parameters": evidence.Warn}},
		{"ed448 order", []string{"-newkey", "ed448"}, nil, map[string]evidence.Outcome{"key/full_order": evidence.Pass, "key/fixed_length": evidence.Pass}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"req", "-x509", "-nodes", "-keyout", "k.pem", "-out", "c.der", "-outform", "DER", "-subj", "/CN=pump", "-days", "3650"}, tt.key...)
			do(append(args, tt.req...)...)
			der, err := os.ReadFile(filepath.Join(dir, "c.der"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, outcomesOf(t, der, tt.want)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestPeer_certtool judges certificates that GnuTLS makes.
func TestPeer_certtool(t *testing.T) {
	certtool := peer.Require(t, "certtool")["certtool"]
	dir := t.TempDir()
	for _, tt := range []struct {
		name     string
		key      []string
		template string
		sign     []string
		want     map[string]evidence.Outcome
	}{
		{"without end", []string{"--key-type", "ecdsa", "--curve", "secp256r1"}, "cn = pump\nexpiration_days = -1\nserial = 007\n", nil, map[string]evidence.Outcome{
			"cert/not_expired": evidence.NotApplicable, "cert/indefinite_validity_role": evidence.Warn,
		}},
		{"device identity", []string{"--key-type", "ecdsa", "--curve", "secp256r1"}, "dn = \"cn=pump,o=Maker,serialNumber=S1\"\nexpiration_days = -1\n", nil, map[string]evidence.Outcome{
			"cert/indefinite_validity_role": evidence.Pass, "cert/device_identifier": evidence.Pass,
		}},
		{"names in UTF-8", []string{"--key-type", "ed25519"}, "cn = \"Spritzenpumpe Süd\"\norganization = \"Klinikum Łódź\"\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{
			"cert/rfc_profile": evidence.Pass, "key/full_order": evidence.Pass, "key/fixed_length": evidence.Pass,
		}},
		{"ed448", []string{"--key-type", "ed448"}, "cn = pump\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{"key/full_order": evidence.Pass, "key/ec_curve": evidence.Pass}},
		{"rsa 1024", []string{"--key-type", "rsa", "--bits", "1024"}, "cn = pump\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{
			"key/rsa_size": evidence.Fail, "key/no_structural_weakness": evidence.Pass,
		}},
		{"rsa-pss", []string{"--key-type", "rsa-pss", "--bits", "2048", "--hash", "sha256"}, "cn = pump\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{"key/pss_parameters": evidence.Pass}},
		{"dsa", []string{"--key-type", "dsa", "--bits", "2048"}, "cn = pump\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{
			"key/no_dsa": evidence.Fail, "key/dsa_parameters": evidence.Pass,
		}},
		{"P-192", []string{"--key-type", "ecdsa", "--curve", "secp192r1"}, "cn = pump\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{"key/ec_curve": evidence.Fail, "key/full_order": evidence.Pass}},
		{"CA with names of its own", []string{"--key-type", "ecdsa", "--curve", "secp384r1"}, "cn = CA\nca\ncert_signing_key\npath_len = 0\nnc_permit_dns = ward.example\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{"cert/leaf_not_ca": evidence.Warn}},
		{"everything at once", []string{"--key-type", "ecdsa", "--curve", "secp521r1"}, "cn = pump\ndns_name = pump.ward.example\nip_address = 192.0.2.10\nuri = urn:dev:1\nemail = a@example.com\npolicy1 = 1.3.6.1.4.1.99999.1\ntls_www_server\ncode_signing_key\nexpiration_days = 99\n", nil, map[string]evidence.Outcome{"cert/no_code_signing": evidence.Fail}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			do := func(args ...string) []byte {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), certtool, args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GNUTLS_SYSTEM_PRIORITY_FILE=/dev/null")
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("certtool %v: %v\n%s", args, err, out)
				}
				return out
			}
			do(append([]string{"--generate-privkey", "--outfile", "k.pem"}, tt.key...)...)
			if err := os.WriteFile(filepath.Join(dir, "t.cfg"), []byte(tt.template), 0o600); err != nil {
				t.Fatal(err)
			}
			der := do(append([]string{"--generate-self-signed", "--load-privkey", "k.pem", "--template", "t.cfg", "--outder"}, tt.sign...)...)
			if diff := cmp.Diff(tt.want, outcomesOf(t, der, tt.want)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// outcomesOf judges a certificate that a server presents, a day after it was issued,
// and returns the outcomes of the checks that are asked for.
func outcomesOf(t *testing.T, der []byte, asked map[string]evidence.Outcome) map[string]evidence.Outcome {
	t.Helper()
	obs := files(der)
	obs[0].Certs[0].Role, obs[0].Endpoint = evidence.RoleServer, endpointOf(t, host1)
	at := now
	if c, err := x509.ParseCertificate(der); err == nil {
		at = c.NotBefore.AddDate(0, 0, 1)
	}
	got := make(map[string]evidence.Outcome)
	for _, r := range run(t, all.Checks(), testCase{at: at, obs: obs}, "") {
		if _, ok := asked[r.Check]; ok {
			got[r.Check] = r.Outcome
		}
	}
	return got
}

// TestPeer_snakeoil judges the certificate that Debian's package ssl-cert makes of
// the host's name when it is installed.
func TestPeer_snakeoil(t *testing.T) {
	data, err := os.ReadFile("/etc/ssl/certs/ssl-cert-snakeoil.pem")
	if errors.Is(err, fs.ErrNotExist) {
		missing(t, "ssl-cert")
	}
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("no certificate")
	}
	want := map[string]evidence.Outcome{
		"chain/not_self_signed": evidence.Warn, "cert/not_expired": evidence.Pass, "key/not_publicly_known": evidence.Pass,
		"key/no_structural_weakness": evidence.Pass, "cert/leaf_not_ca": evidence.Pass,
	}
	if diff := cmp.Diff(want, outcomesOf(t, block.Bytes, want)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
