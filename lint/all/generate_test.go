package all_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
)

// now is the instant at which the cases are judged.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world makes certificates from fixed seeds.
type world struct {
	t                       testing.TB
	root, site, maker, base pki.Authority // base: a second root
	serials                 uint64
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) ec(label string) crypto.Signer {
	key, err := pki.ECKey(pki.NewSeed(7).Derive(label), elliptic.P256())
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *world) rsa(label string, bits int) *rsa.PrivateKey {
	return must[*rsa.PrivateKey](w.t)(pki.RSAKey(pki.NewSeed(7).Derive(label), bits))
}

func (w *world) serial() *big.Int {
	w.serials++
	return pki.Serial(pki.NewSeed(w.serials))
}

func newWorld(t testing.TB) *world {
	w := &world{t: t}
	ca := func(name string, years int, pathLen int) pki.Template {
		return pki.Template{
			Subject: pkix.Name{Organization: []string{"Nordklinik"}, CommonName: name}, Serial: w.serial(),
			NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(years, 0, 0),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, CA: true, PathLen: pathLen,
		}
	}
	authority := must[pki.Authority](t)
	w.root = authority(pki.SelfSigned(w.ec("root"), ca("Nordklinik Root", 15, 1)))
	w.base = authority(pki.SelfSigned(w.ec("base"), ca("Other Root", 15, 1)))
	w.site = pki.Authority{DER: must[[]byte](t)(w.root.Issue(w.ec("site").Public(), ca("Nordklinik Device CA", 10, 0))), Key: w.ec("site")}
	maker := ca("Acmed Device Identity Root", 1, 1)
	maker.NotAfter = pki.Indefinite()
	w.maker = authority(pki.SelfSigned(w.ec("maker"), maker))
	return w
}

// device is the template of a sound leaf.
func (w *world) device(n int) pki.Template {
	return pki.Template{
		Subject: pkix.Name{Organization: []string{"Nordklinik"}, CommonName: fmt.Sprintf("pump-%d", n), SerialNumber: fmt.Sprintf("SN%04d", n)},
		Serial:  w.serial(), NotBefore: now.AddDate(0, 0, -98), NotAfter: now.AddDate(0, 0, 300),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{fmt.Sprintf("pump-%d.nordklinik.internal", n)},
	}
}

// idevid is the template of an initial device identity.
func (w *world) idevid(n int) pki.Template {
	t := w.device(n)
	t.Subject.Organization = []string{"Acmed"}
	t.NotAfter, t.DNSNames, t.NoSubjectKeyID = pki.Indefinite(), nil, true
	t.Hardware = &pki.HardwareModule{Type: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}, Serial: []byte(t.Subject.SerialNumber)}
	return t
}

func (w *world) issue(a pki.Authority, pub crypto.PublicKey, t pki.Template) []byte {
	w.t.Helper()
	return must[[]byte](w.t)(a.Issue(pub, t))
}

// leaf issues a device certificate, changed by mod, from the site's CA.
func (w *world) leaf(mod func(*pki.Template)) []byte { return w.leafOf(1, w.ec("leaf").Public(), mod) }

func (w *world) leafOf(n int, pub crypto.PublicKey, mod func(*pki.Template)) []byte {
	w.t.Helper()
	t := w.device(n)
	if mod != nil {
		mod(&t)
	}
	return w.issue(w.site, pub, t)
}

// raw issues a certificate with all that crypto/x509 allows.
func (w *world) raw(a pki.Authority, pub crypto.PublicKey, mod func(*x509.Certificate)) []byte {
	w.t.Helper()
	d := w.device(1)
	c := &x509.Certificate{
		Subject: d.Subject, SerialNumber: d.Serial, NotBefore: d.NotBefore, NotAfter: d.NotAfter, KeyUsage: d.KeyUsage,
		ExtKeyUsage: d.ExtKeyUsage, DNSNames: d.DNSNames, BasicConstraintsValid: true,
	}
	mod(c)
	parent := must[*x509.Certificate](w.t)(x509.ParseCertificate(a.DER))
	return must[[]byte](w.t)(x509.CreateCertificate(nil, c, parent, pub, a.Key))
}

func (w *world) selfSigned(mod func(*pki.Template)) []byte {
	t := w.device(1)
	t.Subject.SerialNumber = ""
	if mod != nil {
		mod(&t)
	}
	return must[pki.Authority](w.t)(pki.SelfSigned(w.ec("leaf"), t)).DER
}

// input is what a case is made of.
type input struct {
	name   string // "<package>/<lint>/<case>"
	pem    []byte
	obs    []evidence.Observation
	assets []evidence.Asset
	policy *lint.Policy
	params map[string]any
}

func chainPEM(endpoint, role string, ders ...[]byte) []byte {
	var b bytes.Buffer
	for i, der := range ders {
		kind := "CERTIFICATE"
		_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der, Headers: map[string]string{
			"Endpoint": endpoint, "Role": role, "Position": fmt.Sprint(i),
		}})
	}
	return b.Bytes()
}

const host1, host2 = "192.0.2.10:443", "192.0.2.20:443"

// served is the usual input: one server with leaf and intermediate, the root as
// anchor.
func (w *world) served(name string, leaf []byte) input {
	return input{name: name, pem: chainPEM(host1, "server", leaf, w.site.DER), policy: w.anchors()}
}

func (w *world) anchors() *lint.Policy {
	return &lint.Policy{Anchors: [][]byte{w.root.DER, w.maker.DER}}
}

// writeInputs writes the cases that are declared in Go and not there yet.
func writeInputs(t *testing.T) {
	w := newWorld(t)
	inputs := certInputs(w)
	inputs = append(inputs, keyInputs(w)...)
	inputs = append(inputs, chainInputs(w)...)
	inputs = append(inputs, fleetInputs(w)...)
	inputs = append(inputs, endpointInputs()...)
	for _, more := range []func(*world) []input{statusInputs, nonceInputs, sharedInputs, modelInputs, subjectInputs, serialInputs, pathInputs, macInputs, knownHostInputs} {
		inputs = append(inputs, more(w)...)
	}
	for _, in := range inputs {
		parts := strings.Split(in.name, "/")
		file := filepath.Join("..", parts[0], "testdata", parts[1], parts[2]+".txtar")
		if _, err := os.Stat(file); err == nil {
			continue // one that is to be made anew is deleted first
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		a := &txtar.Archive{Comment: []byte("at: " + now.Format(time.RFC3339) + "\n")}
		if in.pem != nil {
			a.Files = append(a.Files, txtar.File{Name: "input.pem", Data: in.pem})
		}
		add := func(name string, v any) {
			data, err := json.MarshalIndent(v, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			a.Files = append(a.Files, txtar.File{Name: name, Data: append(data, '\n')})
		}
		if in.obs != nil {
			add("observations.json", in.obs)
		}
		if in.assets != nil {
			add("assets.json", in.assets)
		}
		if in.policy != nil {
			add("policy.json", in.policy)
		}
		if in.params != nil {
			add("params.json", in.params)
		}
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func certInputs(w *world) []input {
	var in []input
	served := func(name string, mod func(*pki.Template)) { in = append(in, w.served("cert/"+name, w.leaf(mod))) }
	raw := func(name string, mod func(*x509.Certificate)) {
		in = append(in, w.served("cert/"+name, w.raw(w.site, w.ec("leaf").Public(), mod)))
	}
	add := func(i input) { in = append(in, i) }
	idevid := w.issue(w.maker, w.ec("leaf").Public(), w.idevid(1))
	identity := func(name string) {
		add(input{name: "cert/" + name, pem: chainPEM(host1, "server", idevid), policy: w.anchors()})
	}

	served("rfc_profile/sound", nil)
	identity("rfc_profile/idevid")
	raw("rfc_profile/not_critical_key_usage", func(c *x509.Certificate) {
		c.KeyUsage = 0
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 7, 0x80}}}
	})
	broken := bytes.Clone(w.leaf(nil))
	broken[8] ^= 0x20
	add(w.served("cert/rfc_profile/not_decodable", broken))
	raw("rfc_profile/unknown_critical_extension", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 9}, Critical: true, Value: []byte{5, 0}}}
	})

	served("not_expired/valid", nil)
	served("not_expired/expired", func(t *pki.Template) { t.NotBefore, t.NotAfter = now.AddDate(-2, 0, 0), now.AddDate(0, 0, -30) })
	served("not_expired/within_skew", func(t *pki.Template) { t.NotAfter = now.Add(-2 * time.Minute) })
	identity("not_expired/indefinite")

	served("already_valid/valid", nil)
	served("already_valid/future", func(t *pki.Template) { t.NotBefore = now.AddDate(0, 0, 10) })
	add(w.served("cert/already_valid/not_decodable", broken))

	served("outside_renewal_window/outside", nil)
	served("outside_renewal_window/inside", func(t *pki.Template) { t.NotAfter = now.AddDate(0, 0, 40) })
	served("outside_renewal_window/urgent", func(t *pki.Template) { t.NotAfter = now.AddDate(0, 0, 5) })
	served("outside_renewal_window/short_lived", func(t *pki.Template) { t.NotBefore, t.NotAfter = now.AddDate(0, 0, -20), now.AddDate(0, 0, 20) })
	served("outside_renewal_window/expired", func(t *pki.Template) { t.NotAfter = now.AddDate(0, 0, -5) })

	identity("indefinite_validity_role/idevid")
	served("indefinite_validity_role/operational", func(t *pki.Template) { t.NotAfter = pki.Indefinite() })
	served("indefinite_validity_role/finite", nil)
	add(input{name: "cert/indefinite_validity_role/maker_ca", pem: chainPEM(host1, "server", idevid, w.maker.DER), policy: w.anchors()})

	limits := map[string]any{"max_days": map[string]int{"server": 825}}
	for name, mod := range map[string]func(*pki.Template){"within": nil, "longer": func(t *pki.Template) { t.NotAfter = now.AddDate(5, 0, 0) }} {
		i := w.served("cert/lifetime_policy/"+name, w.leaf(mod))
		i.params = limits
		add(i)
	}
	served("lifetime_policy/no_policy", nil)

	served("public_web_validity/private", nil)

	served("leaf_not_ca/leaf", nil)
	served("leaf_not_ca/ca", func(t *pki.Template) { t.CA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign })
	add(w.served("cert/leaf_not_ca/self_signed_ca", w.selfSigned(func(t *pki.Template) { t.CA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign })))

	served("ca_constraints/sound", nil)
	notCA := w.issue(w.root, w.ec("site").Public(), w.device(9))
	add(input{name: "cert/ca_constraints/no_ca", pem: chainPEM(host1, "server", w.leaf(nil), notCA), policy: w.anchors()})

	served("key_usage/sound", nil)
	served("key_usage/cert_sign", func(t *pki.Template) { t.KeyUsage |= x509.KeyUsageCertSign })
	served("key_usage/absent", func(t *pki.Template) { t.KeyUsage = 0 })
	served("key_usage/ec_encipherment", func(t *pki.Template) { t.KeyUsage |= x509.KeyUsageKeyEncipherment })
	add(w.served("cert/key_usage/not_decodable", broken))

	served("eku_role/both", nil)
	served("eku_role/absent", func(t *pki.Template) { t.ExtKeyUsage = nil })
	served("eku_role/client_only", func(t *pki.Template) { t.ExtKeyUsage = t.ExtKeyUsage[1:] })
	served("eku_role/any", func(t *pki.Template) { t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
	add(input{name: "cert/eku_role/file", pem: chainPEM("file/pump.pem", "file", w.leaf(nil)), policy: w.anchors()})

	served("no_code_signing/apart", nil)
	served("no_code_signing/combined", func(t *pki.Template) { t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) })

	served("signature_hash/sha256", nil)
	served("signature_hash/sha1", func(t *pki.Template) { t.SHA1 = true })
	served("signature_hash/sha1_old", func(t *pki.Template) { t.SHA1, t.NotBefore = true, time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC) })
	add(w.served("cert/signature_hash/not_decodable", broken))

	addr := netip.MustParseAddr("192.0.2.10")
	for name, ref := range map[string]string{"match": "pump-1.nordklinik.internal", "mismatch": "pump-2.nordklinik.internal", "common_name_only": "pump-1"} {
		i := w.served("cert/name_match/"+name, w.leaf(nil))
		i.policy.Names = map[netip.Addr][]string{addr: {ref}}
		add(i)
	}
	served("name_match/no_reference", nil)

	served("no_wildcard/plain", nil)
	wild := w.leaf(func(t *pki.Template) { t.DNSNames = []string{"*.nordklinik.internal"} })
	add(w.served("cert/no_wildcard/one_host", wild))
	add(input{name: "cert/no_wildcard/two_hosts", policy: w.anchors(), pem: slicesConcat(
		chainPEM(host1, "server", wild, w.site.DER), chainPEM(host2, "server", wild, w.site.DER))})

	identity("device_identifier/idevid")
	served("device_identifier/nothing", func(t *pki.Template) { t.NotAfter, t.Subject = pki.Indefinite(), pkix.Name{CommonName: "pump"} })
	served("device_identifier/server", nil)

	served("no_patient_data/plain", nil)
	served("no_patient_data/record_number", func(t *pki.Template) { t.Subject = pkix.Name{CommonName: "Patient ID 4711"} })
	served("no_patient_data/person_name", func(t *pki.Template) { t.Subject = pkix.Name{CommonName: "DOE^JOHN"} })
	add(w.served("cert/no_patient_data/not_decodable", broken))

	add(w.served("cert/not_in_public_logs/not_decodable", broken))
	served("not_in_public_logs/private", nil)
	for name, e := range map[string]pkix.Extension{ // RFC 6962 sections 3.1 and 3.3; the list is empty
		"precertificate": {Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: []byte{5, 0}},
		"timestamps":     {Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: []byte{4, 2, 0, 0}},
	} {
		raw("not_in_public_logs/"+name, func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{e} })
	}

	served("not_default/own", nil)
	published := must[*rsa.PrivateKey](w.t)(pki.PublishedRSA2048())
	add(w.served("cert/not_default/published", w.leafOf(1, published.Public(), nil)))
	add(w.served("cert/not_default/localhost", w.selfSigned(func(t *pki.Template) { t.Subject = pkix.Name{CommonName: "localhost"} })))

	for name, issuers := range map[string][]string{
		"listed": {"CN=Nordklinik Device CA, O=Nordklinik"}, "not_listed": {"CN=Another CA"}, "no_policy": nil,
	} {
		i := w.served("cert/policy_match/"+name, w.leaf(nil))
		i.policy.Issuers = issuers
		add(i)
	}
	return in
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func keyInputs(w *world) []input {
	var in []input
	with := func(name string, pub crypto.PublicKey, mod func(*pki.Template)) {
		in = append(in, w.served("key/"+name, w.leafOf(1, pub, mod)))
	}
	rsa2048, rsa3072 := w.rsa("a", 2048), w.rsa("b", 3072)
	before2031 := func(t *pki.Template) { t.NotAfter = now.AddDate(2, 0, 0) }
	with("rsa_size/2048", rsa2048.Public(), nil)
	with("rsa_size/1024", w.rsa("small", 1024).Public(), nil)
	with("rsa_size/ec", w.ec("leaf").Public(), nil)

	with("strength_service_life/3072", rsa3072.Public(), nil)
	with("strength_service_life/2048_until_2028", rsa2048.Public(), before2031)
	with("strength_service_life/2048_beyond_2030", rsa2048.Public(), func(t *pki.Template) { t.NotAfter = now.AddDate(6, 0, 0) })
	with("strength_service_life/2048_indefinite", rsa2048.Public(), func(t *pki.Template) { t.NotAfter = pki.Indefinite() })

	with("ec_curve/p256", w.ec("leaf").Public(), nil)
	with("ec_curve/rsa", rsa2048.Public(), nil)
	in = append(in, w.served("key/ec_curve/p192", replaceCurve(w.leaf(nil))))

	with("rsa_exponent/65537", rsa2048.Public(), nil)
	with("rsa_exponent/3", &rsa.PublicKey{N: rsa2048.N, E: 3}, nil)
	with("rsa_exponent/even", &rsa.PublicKey{N: rsa2048.N, E: 65538}, nil)
	with("rsa_exponent/ec", w.ec("leaf").Public(), nil)

	with("no_dsa/ec", w.ec("leaf").Public(), nil)
	in = append(in,
		input{name: "key/no_dsa/request", pem: requestPEM(dsaSPKI())},
		input{name: "key/no_dsa/unreadable", pem: requestPEM([]byte{0x30, 0})},
		input{name: "key/not_publicly_known/unreadable", pem: requestPEM([]byte{0x30, 0})})

	with("no_structural_weakness/sound", rsa2048.Public(), nil)
	with("no_structural_weakness/roca", must[*rsa.PrivateKey](w.t)(pki.ROCAKey(pki.NewSeed(7))).Public(), nil)
	with("no_structural_weakness/close_primes", &rsa.PublicKey{N: closePrimes(), E: 65537}, nil)
	with("no_structural_weakness/small_factor", &rsa.PublicKey{N: new(big.Int).Mul(rsa2048.N, big.NewInt(4093)), E: 65537}, nil)
	with("no_structural_weakness/ec", w.ec("leaf").Public(), nil)

	with("not_publicly_known/own", w.ec("leaf").Public(), nil)
	p256 := must[crypto.Signer](w.t)(publishedSigner())
	with("not_publicly_known/published", p256.Public(), nil)
	csr := must[[]byte](w.t)(x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "pump-1"}}, p256))
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr, Headers: map[string]string{
		"Endpoint": "file/pump.csr", "Role": "file", "Position": "0",
	}})
	in = append(in, input{name: "key/not_publicly_known/request", pem: request})

	in = append(in, fixedKeyInputs(w, rsa2048)...)

	with("ca_strength/same", w.ec("leaf").Public(), nil)
	weakCA := func(bits int) pki.Authority {
		key := w.rsa("ca", bits)
		der := w.issue(w.root, key.Public(), pki.Template{
			Subject: pkix.Name{CommonName: "RSA CA"}, Serial: w.serial(), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(3, 0, 0),
			KeyUsage: x509.KeyUsageCertSign, CA: true,
		})
		return pki.Authority{DER: der, Key: key}
	}
	for name, bits := range map[string]int{"weaker": 2048, "broken": 1024} {
		ca := weakCA(bits)
		in = append(in, input{
			name: "key/ca_strength/" + name, policy: w.anchors(),
			pem: chainPEM(host1, "server", w.issue(ca, w.ec("leaf").Public(), w.device(1)), ca.DER),
		})
	}
	return in
}

func publishedSigner() (crypto.Signer, error) { return pki.PublishedP256() }

// replaceCurve turns the P-256 key of a certificate into one that claims P-192.
// The signature no longer fits, which the checks of keys do not look at.
func replaceCurve(der []byte) []byte {
	p256 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	p192 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01}
	return bytes.Replace(der, p256, p192, 1)
}

// requestPEM wraps a SubjectPublicKeyInfo in a certification request with an
// empty subject and a signature of no worth.
func requestPEM(spki []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1(cbasn1.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddBytes(spki)
			b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(*cryptobyte.Builder) {})
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})
		})
		b.AddASN1BitString([]byte{0})
	})
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: b.BytesOrPanic(), Headers: map[string]string{
		"Endpoint": "file/pump.csr", "Role": "file", "Position": "0",
	}})
}

// dsaSPKI is a key of 1,024 bits with arbitrary numbers.
func dsaSPKI() []byte {
	p := new(big.Int).SetBit(big.NewInt(1), 1023, 1)
	q := new(big.Int).SetBit(big.NewInt(1), 159, 1)
	var y, b cryptobyte.Builder
	y.AddASN1BigInt(big.NewInt(4))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1})
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(p)
				b.AddASN1BigInt(q)
				b.AddASN1BigInt(big.NewInt(2))
			})
		})
		b.AddASN1BitString(y.BytesOrPanic())
	})
	return b.BytesOrPanic()
}

// closePrimes is the product of two primes of 1,024 bits that differ by little.
func closePrimes() *big.Int {
	p := new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(0xC0FFEE), 1000), 0, 1)
	two := big.NewInt(2)
	for !p.ProbablyPrime(20) {
		p.Add(p, two)
	}
	q := new(big.Int).Add(p, two)
	for !q.ProbablyPrime(20) {
		q.Add(q, two)
	}
	return p.Mul(p, q)
}

func chainInputs(w *world) []input {
	leaf := w.leaf(nil)
	self := w.selfSigned(nil)
	forged := pki.Authority{DER: w.site.DER, Key: w.ec("forger")}
	in := []input{
		w.served("chain/anchored/path", leaf),
		{name: "chain/anchored/no_anchors", pem: chainPEM(host1, "server", leaf, w.site.DER)},
		w.served("chain/anchored/self_signed", self),
		w.served("chain/anchored/forged", w.issue(forged, w.ec("leaf").Public(), w.device(1))),
		{name: "chain/anchored/other_root", pem: chainPEM(host1, "server", leaf, w.site.DER), policy: &lint.Policy{Anchors: [][]byte{w.base.DER}}},
		{name: "chain/anchored/missing_everywhere", pem: chainPEM(host1, "server", leaf), policy: w.anchors()},
		{name: "chain/anchored/repaired", policy: w.anchors(), pem: slicesConcat(
			chainPEM(host1, "server", leaf), chainPEM(host2, "server", w.leafOf(2, w.ec("leaf2").Public(), nil), w.site.DER))},

		w.served("chain/not_self_signed/issued", leaf),
		w.served("chain/not_self_signed/self_signed", self),
		{name: "chain/not_self_signed/anchor", pem: chainPEM(host1, "server", self), policy: &lint.Policy{Anchors: [][]byte{self}}},

		w.served("chain/constraints/met", leaf),
	}
	sub := func(name string, pathLen int, mod func(*x509.Certificate)) pki.Authority {
		der := w.raw(w.root, w.ec(name).Public(), func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: name}
			c.IsCA, c.MaxPathLen, c.MaxPathLenZero, c.DNSNames, c.ExtKeyUsage = true, pathLen, pathLen == 0, nil, nil
			c.KeyUsage, c.NotAfter = x509.KeyUsageCertSign, now.AddDate(5, 0, 0)
			if mod != nil {
				mod(c)
			}
		})
		return pki.Authority{DER: der, Key: w.ec(name)}
	}
	free := sub("Free CA", -1, nil)
	named := sub("Named CA", 0, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"suedklinik.internal"}
	})
	expired := sub("Expired CA", 0, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.AddDate(-3, 0, 0), now.AddDate(0, 0, -1) })
	short := sub("Short CA", 0, func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, 200) })
	zero := sub("Zero CA", 0, nil)
	nested := pki.Authority{DER: w.raw(zero, w.ec("nested").Public(), func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.MaxPathLen, c.MaxPathLenZero = pkix.Name{CommonName: "Nested CA"}, true, 0, true
		c.KeyUsage, c.NotAfter, c.DNSNames, c.ExtKeyUsage = x509.KeyUsageCertSign, now.AddDate(4, 0, 0), nil, nil
	}), Key: w.ec("nested")}
	under := func(name string, a pki.Authority, more ...[]byte) input {
		leaf := w.issue(a, w.ec("leaf").Public(), w.device(1))
		return input{name: "chain/" + name, pem: chainPEM(host1, "server", append([][]byte{leaf, a.DER}, more...)...), policy: w.anchors()}
	}
	return append(in,
		under("constraints/no_path_length", free), under("constraints/name_outside", named), under("constraints/too_long", nested, zero.DER),
		w.served("chain/ca_outlives/outlives", leaf), under("ca_outlives/expired", expired), under("ca_outlives/ends_first", short),
	)
}

// asset is a device with one address and, optionally, an SSH host key.
func asset(id, addr, sshKey string) evidence.Asset {
	a := evidence.Asset{ID: id, Addresses: []netip.Addr{netip.MustParseAddr(addr)}}
	if sshKey != "" {
		a.Claims = []evidence.Claim{{Attribute: evidence.AttrSSHHostKey, Value: sshKey, Confidence: 95, Layer: "ssh"}}
	}
	return a
}

func fleetInputs(w *world) []input {
	a, b := w.leafOf(1, w.ec("leaf").Public(), nil), w.leafOf(2, w.ec("leaf2").Public(), nil)
	two := func(name string, first, second []byte, sshA, sshB string) input {
		return input{
			name: "fleet/" + name, policy: w.anchors(),
			pem:    slicesConcat(chainPEM(host1, "server", first, w.site.DER), chainPEM(host2, "server", second, w.site.DER)),
			assets: []evidence.Asset{asset("dev-1", "192.0.2.10", sshA), asset("dev-2", "192.0.2.20", sshB)},
		}
	}
	shared := two("unique_certificate/declared", a, a, "k1", "k2")
	shared.policy.SharedIdentity = []lint.SharedIdentity{{Name: "pair", Reason: "HA", Addresses: []netip.Addr{
		netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20"),
	}}}
	one := two("unique_certificate/one_device", a, a, "", "")
	one.assets = []evidence.Asset{{ID: "dev-1", Addresses: shared.policy.SharedIdentity[0].Addresses}}
	sameKey := w.leafOf(2, w.ec("leaf").Public(), nil)
	sameSerial := w.leafOf(2, w.ec("leaf2").Public(), func(t *pki.Template) {
		t.Serial = must[*x509.Certificate](w.t)(x509.ParseCertificate(a)).SerialNumber
	})
	renewed := two("unique_key/renewal", a, sameKey, "", "")
	renewed.assets = one.assets
	renewed2 := two("one_key_per_identifier/renewal", a, w.leafOf(1, w.ec("leaf2").Public(), nil), "", "")
	renewed2.assets = one.assets
	pKey, qKey, err := pki.SharedPrimeKeys(pki.NewSeed(7), 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	rsaLeaf := w.leafOf(1, pKey.Public(), nil)
	code := w.leafOf(2, w.ec("leaf").Public(), func(t *pki.Template) { t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
	ed := pki.Ed25519Key(pki.NewSeed(7))
	noID := w.leaf(func(t *pki.Template) { t.Subject.SerialNumber = "" })
	lonely := input{name: "fleet/known_roots/one_device", pem: chainPEM(host1, "server", a, w.site.DER), policy: w.anchors()}
	in := []input{
		two("unique_certificate/different", a, b, "k1", "k2"), two("unique_certificate/clone", a, a, "k1", "k2"),
		two("unique_certificate/unproved", a, a, "", "k2"), shared, one,
		{name: "fleet/unique_certificate/none", obs: []evidence.Observation{sshObservation("192.0.2.10", "ssh-ed25519")}},

		two("unique_key/different", a, b, "k1", "k2"), two("unique_key/two_devices", a, sameKey, "k1", "k2"), renewed,
		{name: "fleet/unique_key/files", pem: slices.Concat(chainPEM("file/a.pem", "file", a), chainPEM("file/b.pem", "file", sameKey)), policy: w.anchors()},
		{name: "fleet/unique_key/none", obs: []evidence.Observation{sshObservation("192.0.2.10", "ssh-ed25519")}},

		two("unique_issuer_serial/different", a, b, "", ""), two("unique_issuer_serial/repeated", a, sameSerial, "", ""),
		{name: "fleet/unique_issuer_serial/none", obs: []evidence.Observation{sshObservation("192.0.2.10", "ssh-ed25519")}},

		two("one_key_per_identifier/different", a, b, "", ""),
		two("one_key_per_identifier/two_devices", a, w.leafOf(1, w.ec("leaf2").Public(), nil), "", ""), renewed2,
		{name: "fleet/one_key_per_identifier/none", pem: chainPEM(host1, "server", noID, w.site.DER), policy: w.anchors()},

		two("no_shared_prime/different", rsaLeaf, w.leafOf(2, w.rsa("a", 2048).Public(), nil), "", ""),
		two("no_shared_prime/shared", rsaLeaf, w.leafOf(2, qKey.Public(), nil), "", ""),
		two("no_shared_prime/one", rsaLeaf, rsaLeaf, "", ""), two("no_shared_prime/none", a, b, "", ""),

		two("role_separated/apart", a, b, "", ""),
		{name: "fleet/role_separated/code_signing", policy: w.anchors(), pem: slicesConcat(
			chainPEM(host1, "server", a, w.site.DER), chainPEM("file/sign.pem", "file", code))},
		{
			name: "fleet/role_separated/ssh", policy: w.anchors(), pem: chainPEM(host1, "server", w.leafOf(1, ed.Public(), nil), w.site.DER),
			obs: []evidence.Observation{sshWith(ed.Public())},
		},
		{name: "fleet/role_separated/none", pem: chainPEM("file/a.pem", "file", a)},

		two("known_roots/all", a, b, "", ""), two("known_roots/self_signed", a, w.selfSigned(nil), "", ""), lonely,
	}
	sshPair := func(name string, engines ...string) input {
		i := input{name: "fleet/unique_ssh_host_key/" + name, obs: []evidence.Observation{
			sshObservation("192.0.2.10", "ssh-ed25519"), sshObservation("192.0.2.20", "ssh-ed25519"),
		}, assets: []evidence.Asset{asset("dev-1", "192.0.2.10", ""), asset("dev-2", "192.0.2.20", "")}}
		for n, e := range engines {
			i.assets[n].Claims = []evidence.Claim{{Attribute: evidence.AttrEngineID, Value: e, Confidence: 95, Layer: "snmp"}}
		}
		return i
	}
	different := sshPair("different")
	different.obs[1] = sshObservation("192.0.2.20", "ssh-rsa-2048")
	return append(in, sshPair("proved", "8000", "8001"), sshPair("unproved"), different,
		input{name: "fleet/unique_ssh_host_key/none", pem: chainPEM(host1, "server", a, w.site.DER), policy: w.anchors()})
}
