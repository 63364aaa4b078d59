package artefact

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"probity/evidence"
	"probity/fixtures/peer"
)

// chain is a leaf, its issuer and the leaf's key.
type chain struct {
	leaf, ca *x509.Certificate
	key      *ecdsa.PrivateKey
}

func newChain(t testing.TB) chain {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	caKey, leafKey := key(), key()
	sign := func(c, parent *x509.Certificate, pub any) *x509.Certificate {
		c.NotBefore, c.NotAfter = time.Unix(1e9, 0), time.Unix(2e9, 0)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, caKey)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	caTemplate := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Site CA"}, IsCA: true, BasicConstraintsValid: true}
	ca := sign(caTemplate, caTemplate, caKey.Public())
	leaf := sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "pump"}}, ca, leafKey.Public())
	return chain{leaf, ca, leafKey}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// summary is what a test compares of an observation.
type summary struct {
	Format   string
	Index    int
	Position int
	DER      []byte
	Request  bool
}

func summaries(obs []evidence.Observation) []summary {
	var out []summary
	for _, o := range obs {
		s := summary{Format: o.Facts.Artefact.Format, Index: o.Facts.Artefact.Index}
		if r := o.Facts.Artefact.Request; r != nil {
			s.DER, s.Request = r, true
		} else {
			s.DER, s.Position = o.Certs[0].DER, o.Certs[0].Position
		}
		out = append(out, s)
	}
	return out
}

func signedData(t testing.TB, ders ...[]byte) []byte {
	t.Helper()
	marshal := func(v any, params string) []byte {
		b, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	empty := asn1.RawValue{Class: 0, Tag: 17, IsCompound: true}
	data := marshal(struct {
		Version int
		Digests asn1.RawValue
		Content struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue
		Signers asn1.RawValue
	}{
		1, empty,
		struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: bytes.Join(ders, nil)},
		empty,
	}, "")
	return marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: data}}, "")
}

func TestRead(t *testing.T) {
	c := newChain(t)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "pump"}}, c.key)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(c.key, c.leaf, []*x509.Certificate{c.ca}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, ca := c.leaf.Raw, c.ca.Raw
	for _, tt := range []struct {
		name     string
		data     []byte
		password string
		want     []summary
	}{
		{"der", leaf, "", []summary{{formatDER, 0, 0, leaf, false}}},
		{
			"pem with key and text", bytes.Join([][]byte{[]byte("subject=pump\n"), pemOf("PRIVATE KEY", keyDER), pemOf("CERTIFICATE", leaf), pemOf("CERTIFICATE", ca)}, nil), "",
			[]summary{{formatPEM, 0, 0, leaf, false}, {formatPEM, 1, 0, ca, false}},
		},
		{"csr der", csr, "", []summary{{formatCSR, 0, 0, csr, true}}},
		{"csr pem", pemOf("CERTIFICATE REQUEST", csr), "", []summary{{formatCSR, 0, 0, csr, true}}},
		{"pkcs7, issuer first in the file", signedData(t, ca, leaf), "", []summary{{formatPKCS7, 0, 0, leaf, false}, {formatPKCS7, 1, 1, ca, false}}},
		{"pkcs7 in pem", pemOf("PKCS7", signedData(t, leaf)), "", []summary{{formatPKCS7, 0, 0, leaf, false}}},
		{"pkcs12", p12, "secret", []summary{{formatPKCS12, 0, 0, leaf, false}, {formatPKCS12, 1, 1, ca, false}}},
		{"trusted certificate", pemOf("TRUSTED CERTIFICATE", append(bytes.Clone(leaf), 0x30, 0)), "", []summary{{formatPEM, 0, 0, leaf, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obs, err := Read("f", tt.data, tt.password)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, summaries(obs)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			secret, err := c.key.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range obs {
				if bytes.Contains(o.Raw[0].Data, secret) {
					t.Error("the observation holds a private key")
				}
			}
		})
	}
}

func TestRead_errors(t *testing.T) {
	c := newChain(t)
	keyDER, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(c.key, c.leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	good := pemOf("CERTIFICATE", c.leaf.Raw)
	for _, tt := range []struct {
		name     string
		data     []byte
		password string
		want     string
	}{
		{"empty", nil, "", "the file is empty"},
		{"text", []byte("hello"), "", `"f": not a certificate: byte 0 is 0x68`},
		{"truncated der", c.leaf.Raw[:100], "", "100 bytes of"},
		{"trailing der", append(bytes.Clone(c.leaf.Raw), 1, 2, 3), "", "3 bytes follow the structure that ends at byte"},
		{"key only", keyDER, "", "private key only"},
		{"key only in pem", pemOf("PRIVATE KEY", keyDER), "", "holds private key only"},
		{"damaged second block", append(bytes.Clone(good), bytes.Replace(good, []byte("MII"), []byte("!!!"), 1)...), "", "PEM block 2 at byte "},
		{"cut off block", append(bytes.Clone(good), good[:60]...), "", "PEM block 2 at byte "},
		{"no DER in a block", pemOf("CERTIFICATE", []byte("hello")), "", "PEM block 1 at byte 0: not a certificate"},
		{"wrong password", p12, "wrong", ErrPassword.Error()},
		{"empty bundle", signedData(t), "", "the bundle holds none"},
		{"too long", make([]byte, MaxFile+1), "", "split it"},
		{"too many", bytes.Repeat(good, MaxCertificates+1), "", "split it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			obs, err := Read("f", tt.data, tt.password)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), `"f": `) {
				t.Errorf("got %d observations and error %v, want an error with %q", len(obs), err, tt.want)
			}
		})
	}
}

func TestRead_manyRounds(t *testing.T) {
	params, err := asn1.Marshal(struct {
		Salt   []byte
		Rounds int
	}{[]byte("salt"), maxIterations + 1})
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := asn1.Marshal(struct {
		Version int
		Params  asn1.RawValue
	}{3, asn1.RawValue{FullBytes: params}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read("f", pfx, ""); err == nil || !strings.Contains(err.Error(), "rounds of key derivation") {
		t.Errorf("got %v, want a refusal because of the rounds", err)
	}
}

func TestRead_passwordError(t *testing.T) {
	c := newChain(t)
	p12, err := pkcs12.Modern.Encode(c.key, c.leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read("f", p12, ""); !errors.Is(err, ErrPassword) {
		t.Errorf("got %v, want ErrPassword", err)
	}
}

// TestRead_openssl reads what OpenSSL writes.
func TestRead_openssl(t *testing.T) {
	openssl := peer.Require(t, "openssl")["openssl"]
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=pump", "-days", "30")
	run("x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der")
	run("crl2pkcs7", "-nocrl", "-certfile", "cert.pem", "-outform", "DER", "-out", "cert.p7b")
	run("cms", "-sign", "-stream", "-indef", "-in", "cert.pem", "-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER", "-out", "ber.p7s")
	run("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:x", "-out", "modern.p12")
	run("pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:x", "-out", "3des.p12",
		"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "SHA1")
	run("req", "-new", "-key", "key.pem", "-subj", "/CN=pump", "-outform", "DER", "-out", "req.der")
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := read("cert.der")
	for _, name := range []string{"cert.pem", "cert.der", "cert.p7b", "ber.p7s", "modern.p12", "3des.p12"} {
		obs, err := Read(name, read(name), "x")
		if err != nil || len(obs) != 1 || !bytes.Equal(obs[0].Certs[0].DER, want) {
			t.Errorf("%s: got %d observations, error %v", name, len(obs), err)
		}
	}
	if obs, err := Read("req.der", read("req.der"), ""); err != nil || len(obs) != 1 || obs[0].Facts.Artefact.Request == nil {
		t.Errorf("req.der: got %d observations, error %v", len(obs), err)
	}
}

func FuzzRead(f *testing.F) {
	c := newChain(f)
	f.Add(c.leaf.Raw)
	f.Add(pemOf("CERTIFICATE", c.leaf.Raw))
	f.Add(pemOf("PKCS7", signedData(f, c.leaf.Raw, c.ca.Raw)))
	f.Add([]byte{0x30, 0x80, 0x06, 0x01})
	f.Add([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1VwVq0Xr0HkbNJx1nnTE1jYjvkqsMPXW8yLz0Tg7m4 a"))
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	if jks, err := os.ReadFile("testdata/keytool.jks"); err == nil {
		f.Add(jks)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		obs, err := Read("f", data, "")
		if (err == nil) == (len(obs) == 0) {
			t.Fatalf("%d observations, error %v", len(obs), err)
		}
		for _, o := range obs {
			// A lone key is written anew; everything else stands in the file as it is.
			if o.Facts.Artefact == nil || len(o.Raw) != 1 || o.Facts.Artefact.Key == nil && len(o.Raw[0].Data) > len(data) {
				t.Fatalf("odd observation %+v", o)
			}
		}
	})
}
