package all_test

import (
	"math/rand/v2"
	"net/netip"
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
	form := regexp.MustCompile(`^(cert|key|chain|endpoint|asset|fleet|status)/[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
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
		for _, set := range []bool{c.Certificate != nil, c.List != nil, c.Endpoint != nil, c.Asset != nil, c.Fleet != nil} {
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
	results, err := lint.Run(lint.NewCorpus(c.obs, c.assets), jobs, c.at, &c.policy)
	if err != nil {
		t.Fatal(err)
	}
	var together []lint.Result
	for _, some := range results {
		together = slices.AppendSeq(together, some)
	}
	if diff := cmp.Diff(want, together, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
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
