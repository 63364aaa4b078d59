package all_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
	"probity/lint/all"
)

func TestChecks_names(t *testing.T) {
	form := regexp.MustCompile(`^(cert|key|chain|endpoint|asset|fleet)/[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	checks := all.Checks()
	if !slices.IsSortedFunc(checks, func(a, b lint.Check) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the checks are not ordered by name")
	}
	seen := make(map[string]bool)
	for _, c := range checks {
		if !form.MatchString(c.Name) || seen[c.Name] {
			t.Errorf("%q is ill-formed or there twice", c.Name)
		}
		seen[c.Name] = true
		if c.Source == "" {
			t.Errorf("%s cites no source", c.Name)
		}
		n := 0
		for _, set := range []bool{c.Certificate != nil, c.Endpoint != nil, c.Asset != nil, c.Fleet != nil} {
			if set {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s judges %d kinds of subject, want 1", c.Name, n)
		}
		if _, err := lint.ParamsFor(c, defaults(c)); err != nil {
			t.Errorf("%s: its own defaults: %v", c.Name, err)
		}
	}
}

func defaults(c lint.Check) map[string]any {
	out := make(map[string]any)
	for _, p := range c.Params {
		out[p.Name] = p.Default
	}
	return out
}

// TestChecks_order shuffles the observations and assets of a mixed fleet.
func TestChecks_order(t *testing.T) {
	w := newWorld(t)
	var c testCase
	c.at, c.policy = now, *w.anchors()
	for _, in := range append(endpointInputs(), fleetInputs(w)...) {
		host := netip.AddrFrom4([4]byte{10, 0, byte(len(c.assets) >> 8), byte(len(c.assets))})
		obs := append(readPEM(t, in.pem, now), in.obs...)
		for _, o := range obs {
			if o.Endpoint.Addr.IsValid() && rand.N(2) == 0 {
				o.Endpoint.Addr = host
			}
			o.ID = int64(len(c.obs) + 1)
			c.obs = append(c.obs, o)
		}
		c.assets = append(c.assets, evidence.Asset{ID: host.String(), Addresses: []netip.Addr{host}})
	}
	checks := all.Checks()
	want := run(t, checks, c, "")
	var jobs []lint.Job
	for _, check := range checks {
		jobs = append(jobs, lint.Job{Check: check})
	}
	together, err := lint.Run(lint.NewCorpus(c.obs, c.assets), jobs, c.at, &c.policy)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, slices.Concat(together...), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Fatalf("one check after the other, another result than together (-want +got)\n%s", diff)
	}
	for range 3 {
		rand.Shuffle(len(c.obs), func(i, j int) { c.obs[i], c.obs[j] = c.obs[j], c.obs[i] })
		rand.Shuffle(len(c.assets), func(i, j int) { c.assets[i], c.assets[j] = c.assets[j], c.assets[i] })
		if diff := cmp.Diff(want, run(t, checks, c, ""), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("another order, another result (-want +got)\n%s", diff)
		}
	}
}

// TestChecks_idevid asks that an identity as IEEE 802.1AR has it is never
// complained about, with or without its CA, with EC and Ed25519 keys.
func TestChecks_idevid(t *testing.T) {
	w := newWorld(t)
	checks := all.Checks()
	var c testCase
	c.at, c.policy = now, *w.anchors()
	c.policy.Issuers = []string{"CN=Nordklinik Device CA,O=Nordklinik"}
	for i, der := range [][]byte{
		w.issue(w.maker, w.ec("one").Public(), w.idevid(1)),
		w.issue(w.maker, pki.Ed25519Key(pki.NewSeed(3)).Public(), w.idevid(2)),
		w.issue(w.maker, w.ec("three").Public(), func() pki.Template { t := w.idevid(3); t.Hardware, t.ExtKeyUsage = nil, nil; return t }()),
	} {
		host := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 2762).String()
		data := chainPEM(host, "server", der, w.maker.DER)
		if i == 1 {
			data = chainPEM(host, "server", der)
		}
		obs := readPEM(t, data, now)
		obs[0].ID = int64(i + 1)
		c.obs = append(c.obs, obs...)
		c.assets = append(c.assets, asset(host, obs[0].Endpoint.Addr.String(), host))
	}
	for _, r := range run(t, checks, c, "") {
		if r.Outcome == evidence.Fail || r.Outcome == evidence.Warn {
			t.Errorf("%s on %s: %s: %s", r.Check, shorten(r.Subject.Locus()), r.Outcome, r.Detail)
		}
	}
}

// files makes one observation a certificate, as read from a file.
func files(ders ...[]byte) []evidence.Observation {
	var out []evidence.Observation
	for i, der := range ders {
		out = append(out, evidence.Observation{
			ID: int64(i + 1), Run: 1, Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData, At: now,
			Endpoint: evidence.Endpoint{Transport: evidence.File, Name: "f"},
			Certs:    []evidence.Presented{{Role: evidence.RoleFile, DER: der}},
			Facts:    evidence.Facts{Artefact: &evidence.ArtefactFacts{Format: "der", Index: i}},
		})
	}
	return out
}

// TestChecks_publicRoots runs the checks on the certificates of Debian's
// ca-certificates: real, sound CA certificates of all ages.
func TestChecks_publicRoots(t *testing.T) {
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
		for _, r := range results[0] {
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

// TestChecks_openssl judges certificates that no Go generator makes.
func TestChecks_openssl(t *testing.T) {
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"req", "-x509", "-nodes", "-keyout", "k.pem", "-out", "c.der", "-outform", "DER", "-subj", "/CN=pump", "-days", "3650"}, tt.key...)
			do(append(args, tt.req...)...)
			der, err := os.ReadFile(filepath.Join(dir, "c.der"))
			if err != nil {
				t.Fatal(err)
			}
			obs := files(der)
			obs[0].Certs[0].Role, obs[0].Endpoint = evidence.RoleServer, endpointOf(t, host1)
			got := make(map[string]evidence.Outcome)
			at := now
			if c, err := x509.ParseCertificate(der); err == nil {
				at = c.NotBefore.AddDate(0, 0, 1)
			}
			for _, r := range run(t, all.Checks(), testCase{at: at, obs: obs}, "") {
				if _, asked := tt.want[r.Check]; asked {
					got[r.Check] = r.Outcome
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func FuzzCertificate(f *testing.F) {
	w := newWorld(f)
	f.Add(w.leaf(nil))
	f.Add(w.root.DER)
	f.Add(w.issue(w.maker, w.ec("leaf").Public(), w.idevid(1)))
	f.Add([]byte{0x30, 0})
	checks := all.Checks()
	policy := *w.anchors()
	f.Fuzz(func(t *testing.T, der []byte) {
		obs := append(files(der, w.site.DER), evidence.Observation{
			Kind: evidence.KindTLS, Result: evidence.ResultData, At: now, Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
			Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: der}, {Role: evidence.RoleServer, Position: 1, DER: der}},
		})
		obs = append(obs, evidence.Observation{
			Kind: evidence.KindArtefact, Result: evidence.ResultData, At: now, Endpoint: evidence.Endpoint{Transport: evidence.File, Name: "r"},
			Facts: evidence.Facts{Artefact: &evidence.ArtefactFacts{Format: "csr", Request: der}},
		})
		for _, r := range run(t, checks, testCase{at: now, obs: obs, policy: policy}, "") {
			if !slices.Contains(evidence.Outcomes(), r.Outcome) || r.Detail == "" {
				t.Fatalf("odd result %+v", r)
			}
		}
	})
}
