package identify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/scanner/identify/fingerprint"
)

// The corpus is a hospital of products with what each shows on the wire, drawn at
// random: versions, sub-arcs and spellings that no example of a fingerprint has,
// layers that are absent more often than not, network cards of other makers, and
// devices that must not be identified at all. The truth is written here and is
// not derived from the fingerprints.

// model is a product with what its layers may show.
type model struct {
	maker string // "" where any identification is wrong
	class string
	// What the device shows, each with some chance. Empty means never.
	uid     string   // implementation UID of the association; %d is random
	version string   // version name; %d is random
	pen     uint32   // enterprise of the SNMP agent
	orgs    []string // organisations of its certificate
	cn      string
	told    [2]string // manufacturer and model by SDC
	hl7     [2]string
	poct1   [2]string
	lis2    [3]string
	ouis    []string // 24, 28 or 36 bits that the registries give to the maker
	http    string
	ssh     string
	noise   func(r *rand.Rand) []evidence.Facts
}

func models() []model {
	dicomVendor := func(maker, uid, version string, pen uint32, ouis []string, orgs ...string) model {
		return model{maker: maker, class: "imaging", uid: uid, version: version, pen: pen, ouis: ouis, orgs: orgs, ssh: "SSH-2.0-OpenSSH_7.%d"}
	}
	bedside := func(class, maker, named string, cn string, pen uint32, ouis []string, orgs ...string) model {
		return model{maker: maker, class: class, told: [2]string{orgs[0], named}, pen: pen, ouis: ouis, orgs: orgs, cn: cn}
	}
	return []model{
		dicomVendor("Siemens Healthineers", "1.3.12.2.1107.5.%d.4", "MR_VE%d%dA", 55350, []string{"001865"}, "Siemens Healthcare GmbH", "Siemens Healthineers AG"),
		dicomVendor("GE HealthCare", "1.2.840.113619.6.%d", "", 45553, []string{"a0f217"}, "GE Healthcare", "GE Medical Systems Information Technologies, Inc."),
		dicomVendor("Philips", "1.3.46.670589.11.%d.2", "", 32985, []string{"00095c"}, "Philips Medical Systems Nederland B.V.", "Philips Healthcare"),
		dicomVendor("Canon Medical", "1.2.392.200036.9116.2.%d", "TM_MR_DCM_V%d.%d", 0, nil, "Canon Medical Systems Corporation"),
		dicomVendor("Fujifilm", "1.2.392.200036.9125.5.%d", "", 28708, nil, "FUJIFILM Healthcare Corporation"),
		dicomVendor("Agfa HealthCare", "1.2.124.113532.%d.50", "", 3775, nil, "Agfa HealthCare N.V."),
		dicomVendor("Varian", "1.2.246.352.70.2.1.%d", "DCIE %d.%d", 5264, nil, "Varian Medical Systems, Inc."),
		dicomVendor("INFINITT", "1.2.410.200010.99.%d", "INFINITT_%d.%d", 0, nil, "INFINITT Healthcare Co., Ltd."),
		dicomVendor("Sectra", "1.2.752.24.%d.1", "", 573, nil, "Sectra AB"),
		dicomVendor("SonoSite", "1.2.840.114340.%d", "", 0, []string{"0008fb"}, "FUJIFILM SonoSite, Inc."),
		bedside("ventilator", "Dräger", "Evita V%d00", "Evita V800 ASHK-%d", 3592, []string{"f0e5c3"}, "Drägerwerk AG & Co. KGaA", "Dräger Medical GmbH"),
		bedside("monitor", "Philips", "IntelliVue MX%d50", "IntelliVue MX750 DE%d", 32985, []string{"00095c"}, "Philips Medical Systems", "Philips Medizin Systeme Böblingen GmbH"),
		bedside("monitor", "GE HealthCare", "CARESCAPE B%d50", "CARESCAPE B650 %d", 12621, []string{"a0f217"}, "GE Healthcare", "GE Healthcare Finland Oy"),
		bedside("pump", "B. Braun", "Infusomat Space %d", "Infusomat Space %d", 22447, []string{"001221"}, "B. Braun Melsungen AG", "B.Braun Melsungen AG"),
		bedside("pump", "Fresenius", "Agilia SP MC %d", "Agilia VP %d", 37718, nil, "Fresenius Kabi AG", "Fresenius Vial SAS"),
		bedside("pump", "ICU Medical", "Plum 360 %d", "Plum 360 %d", 0, []string{"0003b1"}, "ICU Medical, Inc.", "Hospira, Inc."),
		bedside("pump", "Baxter", "Spectrum IQ %d", "Spectrum %d", 10096, nil, "Baxter Healthcare Corporation"),
		bedside("ventilator", "Hamilton Medical", "C%d", "HAMILTON-C6 %d", 54965, nil, "Hamilton Medical AG"),
		bedside("monitor", "Mindray", "BeneVision N%d", "BeneVision N17 %d", 54260, nil, "Shenzhen Mindray Bio-Medical Electronics Co., Ltd."),
		bedside("monitor", "Nihon Kohden", "Life Scope G%d", "Life Scope %d", 23670, nil, "Nihon Kohden Corporation"),
		bedside("monitor", "Spacelabs", "Xprezzon %d", "Xprezzon %d", 52588, nil, "Spacelabs Healthcare"),
		bedside("monitor", "Masimo", "Root %d", "Root %d", 0, []string{"b810d4"}, "Masimo Corporation"),
		bedside("monitor", "Aldermere", "Vigil M%d", "", 0, nil, "Aldermere"),
		{maker: "Roche", class: "analyser", lis2: [3]string{"cobas c %d%d1", "%d", "1.%d"}, poct1: [2]string{"Roche Diagnostics", "cobas b 123"}, orgs: []string{"Roche Diagnostics International AG"}, pen: 55589},
		{maker: "Sysmex", class: "analyser", lis2: [3]string{"XN-%d50", "00-%d", "2%d"}, orgs: []string{"Sysmex Corporation"}, ouis: []string{"00066b"}},
		{maker: "Radiometer", class: "analyser", lis2: [3]string{"ABL9%d", "3%d", ""}, poct1: [2]string{"Radiometer", "ABL90"}, orgs: []string{"Radiometer Medical ApS"}},
		{maker: "Nova Biomedical", class: "analyser", poct1: [2]string{"NOVABIO", "StatStrip"}, orgs: []string{"Nova Biomedical"}},
		{maker: "Abbott", class: "analyser", lis2: [3]string{"ARCHITECT", "%d.01", "F5%d"}, orgs: []string{"Abbott Laboratories"}, pen: 12514},
		{maker: "Cepheid", class: "analyser", lis2: [3]string{"LAB%d", "GeneXpert", "6.%d"}, hl7: [2]string{"GeneXpert PC^GeneXpert^Dx4.%d", ""}, orgs: []string{"Cepheid"}, pen: 48743},
		{maker: "Mindray", class: "analyser", hl7: [2]string{"Mindray", "BS-%d30"}, pen: 54260, orgs: []string{"Mindray Medical International Limited"}},
		// What no manufacturer of a device made, or that says so falsely.
		{uid: "1.2.276.0.7230010.3.0.3.6.%d", version: "OFFIS_DCMTK_36%d", http: "nginx/1.%d", ssh: "SSH-2.0-OpenSSH_9.%d Debian-1", orgs: []string{"St. Example Hospital"}},
		{uid: "1.2.40.0.13.1.3", version: "dcm4che-5.%d.0", http: "Apache/2.4.%d", pen: 8072, orgs: []string{"Example Hospital Trust"}},
		{http: "Microsoft-IIS/10.%d", pen: 311, orgs: []string{"Philips Street Clinic", "Roche-la-Molière Hospital", "Dragon Healthcare"}},
		{noise: honeypot},
		{noise: honeypot},
		{noise: gateway},
		{noise: gateway},
		{noise: gateway},
		{noise: behindOneAddress},
		{noise: groupProduct},
		{noise: namesOnly},
	}
}

// Devices of the world that look like others.
func honeypot(r *rand.Rand) []evidence.Facts {
	return []evidence.Facts{
		{DICOM: &evidence.DICOMFacts{PDU: "ac", ImplementationUID: "1.2.826.0.1.3680043.9.7133.1.1", Implementation: "GODICOM_1_1"}},
		{DICOM: &evidence.DICOMFacts{PDU: "ac", ImplementationUID: fmt.Sprintf("1.2.840.113619.6.%d", r.IntN(400))}},
		{Identity: &evidence.IdentityFacts{Protocol: "snmp", ObjectID: "1.3.6.1.4.1.45553.1"}},
	}
}

// gateway passes on what several makers' devices say.
func gateway(r *rand.Rand) []evidence.Facts {
	senders := [][2]string{{"Mindray", "BS-400"}, {"NIHON KOHDEN", "NIHON KOHDEN"}, {"cobas 8000", ""}, {"GeneXpert PC^GeneXpert^Dx5", ""}}
	r.Shuffle(len(senders), func(i, j int) { senders[i], senders[j] = senders[j], senders[i] })
	var out []evidence.Facts
	for _, s := range senders[:2+r.IntN(3)] {
		out = append(out, evidence.Facts{HL7: &evidence.HL7Facts{Sender: evidence.RoleServer, SendingApplication: s[0], SendingFacility: s[1]}})
	}
	return append(out, evidence.Facts{SSH: &evidence.SSHFacts{Version: "SSH-2.0-OpenSSH_9.2p1 Debian-2"}})
}

// behindOneAddress is an address with devices of two makers behind it.
func behindOneAddress(r *rand.Rand) []evidence.Facts {
	return []evidence.Facts{
		{DICOM: &evidence.DICOMFacts{PDU: "ac", ImplementationUID: fmt.Sprintf("1.3.46.670589.30.%d", r.IntN(90))}},
		{Identity: &evidence.IdentityFacts{Protocol: "snmp", ObjectID: "1.3.6.1.4.1.3592.1"}},
	}
}

// groupProduct is a lamp of a company that also makes medical devices.
func groupProduct(r *rand.Rand) []evidence.Facts {
	return []evidence.Facts{
		{Identity: &evidence.IdentityFacts{Protocol: "snmp", ObjectID: "1.3.6.1.4.1.1776.7"}},
		{Identity: &evidence.IdentityFacts{Protocol: "arp", MAC: macOf(r, "00054e")}},
	}
}

// namesOnly is a computer that somebody named after a device.
func namesOnly(r *rand.Rand) []evidence.Facts {
	return []evidence.Facts{
		{Identity: &evidence.IdentityFacts{Protocol: "dhcp", VendorClass: "MSFT 5.0", Hostnames: []string{fmt.Sprintf("philips-mr-%d", r.IntN(9))}, MAC: macOf(r, "00095c")}},
		{DICOM: &evidence.DICOMFacts{PDU: "rq", CallingAE: "TM_CT_CMW_V3.00", ImplementationUID: "1.2.276.0.7230010.3.0.3.6.4", Implementation: "OFFIS_DCMTK_364"}},
	}
}

// macOf returns a hardware address that begins with the digits.
func macOf(r *rand.Rand, prefix string) string {
	for len(prefix) < 12 {
		prefix += string("0123456789abcdef"[r.IntN(16)])
	}
	var parts []string
	for i := 0; i < 12; i += 2 {
		parts = append(parts, prefix[i:i+2])
	}
	return strings.Join(parts, ":")
}

// corpusDevice is one device with the truth and what it showed.
type corpusDevice struct {
	model  model
	addr   netip.Addr
	layers []string // that it showed
}

// corpus draws n devices.
func corpus(t testing.TB, seed uint64, n int) ([]corpusDevice, []evidence.Observation) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 77))
	issuer := newIssuer(t)
	var devices []corpusDevice
	var obs []evidence.Observation
	all := models()
	for i := range n {
		m := all[r.IntN(len(all))]
		d := corpusDevice{model: m, addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
		for _, f := range m.show(r, issuer, &d) {
			o := evidence.Observation{
				ID: int64(len(obs) + 1), Run: 1, Method: evidence.Passive, Result: evidence.ResultData, At: t0.Add(time.Duration(len(obs)) * time.Second),
				Endpoint: evidence.Endpoint{Addr: d.addr, Port: 104, Transport: evidence.TCP}, Facts: f.Facts, Certs: f.certs,
			}
			if (f.DICOM != nil && f.DICOM.PDU == "rq") || (f.Identity != nil && f.Identity.Sender == evidence.RoleClient) {
				o.Peer = evidence.Endpoint{Addr: d.addr, Port: 40000, Transport: evidence.TCP}
				o.Endpoint.Addr = netip.AddrFrom4([4]byte{172, 16, 0, 1})
			}
			obs = append(obs, o)
		}
		devices = append(devices, d)
	}
	r.Shuffle(len(obs), func(i, j int) { obs[i], obs[j] = obs[j], obs[i] })
	return devices, obs
}

// shown is one observation's content.
type shown struct {
	evidence.Facts
	certs []evidence.Presented
}

// show draws what a device shows: each of its layers in six cases of ten.
func (m model) show(r *rand.Rand, issuer *issuer, d *corpusDevice) []shown {
	fill := func(s string) string {
		for strings.Contains(s, "%d") {
			s = strings.Replace(s, "%d", fmt.Sprint(1+r.IntN(8)), 1)
		}
		return s
	}
	var out []shown
	add := func(layer string, has bool, f shown) {
		if has && r.IntN(10) < 6 {
			out = append(out, f)
			d.layers = append(d.layers, layer)
		}
	}
	facts := func(f evidence.Facts) shown { return shown{Facts: f} }
	add("dicom", m.uid != "", facts(evidence.Facts{DICOM: &evidence.DICOMFacts{PDU: "ac", ImplementationUID: fill(m.uid), Implementation: fill(m.version), MaxPDU: 16384}}))
	add("snmp", m.pen != 0, facts(evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "snmp", ObjectID: fmt.Sprintf("1.3.6.1.4.1.%d.%d", m.pen, 1+r.IntN(9))}}))
	if len(m.orgs) > 0 {
		add("x509", true, issuer.issue(m.orgs[r.IntN(len(m.orgs))], fill(m.cn), r))
	}
	add("sdc", m.told[0] != "", facts(evidence.Facts{SDC: &evidence.SDCFacts{Manufacturer: m.told[0], ModelName: fill(m.told[1]), Serial: "S" + d.addr.String()}}))
	add("hl7", m.hl7[0] != "", facts(evidence.Facts{HL7: &evidence.HL7Facts{Sender: evidence.RoleServer, SendingApplication: fill(m.hl7[0]), SendingFacility: fill(m.hl7[1])}}))
	add("poct1", m.poct1[0] != "", facts(evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "poct1", Sender: evidence.RoleClient, Manufacturer: m.poct1[0], Model: m.poct1[1]}}))
	add("lis2", m.lis2[0] != "", facts(evidence.Facts{Identity: &evidence.IdentityFacts{
		Protocol: "lis2", Experimental: true, Sender: evidence.RoleClient, Model: fill(m.lis2[0]),
		Description: strings.Join([]string{fill(m.lis2[0]), fill(m.lis2[1]), fill(m.lis2[2])}, "^"),
	}}))
	switch r.IntN(10) {
	case 0, 1, 2:
		if len(m.ouis) > 0 {
			add("oui", true, facts(evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "arp", MAC: macOf(r, m.ouis[r.IntN(len(m.ouis))])}}))
		}
	case 3, 4, 5: // Intel, Dell, Advantech: what most of them have
		add("", true, facts(evidence.Facts{Identity: &evidence.IdentityFacts{Protocol: "arp", MAC: macOf(r, []string{"001517", "001422", "00d0c9"}[r.IntN(3)])}}))
	}
	add("", m.http != "", facts(evidence.Facts{HTTP: &evidence.HTTPFacts{Server: fill(m.http)}}))
	add("", m.ssh != "", facts(evidence.Facts{SSH: &evidence.SSHFacts{Version: fill(m.ssh)}}))
	if m.noise != nil {
		for _, f := range m.noise(r) {
			out = append(out, facts(f))
		}
	}
	return out
}

// issuer is a certification authority of the hospital.
type issuer struct {
	t      testing.TB
	key    *ecdsa.PrivateKey
	issued map[string][]byte // one certificate a name is enough here
}

func newIssuer(t testing.TB) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, key, map[string][]byte{}}
}

func (i *issuer) issue(org, cn string, r *rand.Rand) shown {
	der := i.issued[org+cn]
	if der == nil {
		der = i.certificate(org, cn, r)
		i.issued[org+cn] = der
	}
	return shown{
		Facts: evidence.Facts{TLS: &evidence.TLSFacts{
			Offer: evidence.OfferPassive, Version: 0x0303, Possession: []evidence.Possession{"", evidence.PossessionVerified, evidence.PossessionVerified}[r.IntN(3)],
		}},
		certs: []evidence.Presented{{Role: evidence.RoleServer, DER: der}},
	}
}

func (i *issuer) certificate(org, cn string, r *rand.Rand) []byte {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(r.Int64()), NotBefore: t0, NotAfter: t0.AddDate(1, 0, 0),
		Subject: pkix.Name{Organization: []string{org}, CommonName: cn},
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Example Hospital"}, CommonName: "Issuing CA"}}
	der, err := x509.CreateCertificate(crand.Reader, tmpl, ca, i.key.Public(), i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return der
}

// figures are what identification of a corpus comes to.
type figures struct {
	devices, identified, wrong int
	levels                     map[evidence.Level]int
	shown, told                map[string]int // by layer: devices of known makers, and those whose maker it told
	classes, wrongClasses      int
	mistakes                   []string
}

func measure(t testing.TB, devices []corpusDevice, assets []evidence.Asset) figures {
	t.Helper()
	set, err := fingerprint.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b string) bool { return set.Group(set.Told(a)) == set.Group(set.Told(b)) }
	byAddr := map[netip.Addr]evidence.Asset{}
	for _, a := range assets {
		for _, addr := range a.Addresses {
			byAddr[addr] = a
		}
	}
	f := figures{devices: len(devices), levels: map[evidence.Level]int{}, shown: map[string]int{}, told: map[string]int{}}
	for _, d := range devices {
		claims := byAddr[d.addr].Claims
		level, maker, class := evidence.LevelNone, evidence.Claim{}, evidence.Claim{}
		for _, c := range claims {
			switch {
			case c.Attribute == evidence.AttrIdentity:
				level = evidence.Level(c.Value)
			case c.Attribute == evidence.AttrManufacturer && (c.Confidence > maker.Confidence || c.Layer == evidence.LayerVerdict):
				maker = c
			case c.Attribute == evidence.AttrClass && c.Confidence > class.Confidence && c.Value != fingerprint.ClassMedical:
				class = c
			}
		}
		f.levels[level]++
		if level == evidence.LevelIdentified || level == evidence.LevelConfirmed {
			f.identified++
			if d.model.maker == "" || !same(maker.Value, d.model.maker) {
				f.wrong++
				f.mistakes = append(f.mistakes, fmt.Sprintf("%s: %s %q, truth %q: %v", d.addr, level, maker.Value, d.model.maker, claims))
			}
		}
		if class.Confidence >= leastStrong && d.model.class != "" {
			f.classes++
			if class.Value != d.model.class && (d.model.class != "imaging" || class.Value != "archive" && class.Value != "workstation") {
				f.wrongClasses++
				f.mistakes = append(f.mistakes, fmt.Sprintf("%s: class %q by %s, truth %q", d.addr, class.Value, class.Source, d.model.class))
			}
		}
		if d.model.maker == "" || d.model.maker == "Aldermere" {
			continue
		}
		for _, layer := range d.layers {
			if layer == "" {
				continue
			}
			f.shown[layer]++
			if slices.ContainsFunc(claims, func(c evidence.Claim) bool {
				return c.Attribute == evidence.AttrManufacturer && c.Layer == layer && same(c.Value, d.model.maker)
			}) {
				f.told[layer]++
			}
		}
	}
	return f
}

// TestCorpus_precision: nothing is identified as what it is not.
func TestCorpus_precision(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		devices, obs := corpus(t, seed, 500)
		f := measure(t, devices, Resolve(obs))
		if f.wrong > 0 || f.wrongClasses > 0 {
			t.Errorf("seed %d: %d wrong of %d identified, %d wrong of %d classes:\n%s", seed, f.wrong, f.identified, f.wrongClasses, f.classes, strings.Join(f.mistakes, "\n"))
		}
		if f.identified < 150 {
			t.Errorf("seed %d: only %d of %d devices are identified: the test shows little", seed, f.identified, f.devices)
		}
		for _, layer := range slices.Sorted(maps.Keys(f.shown)) {
			t.Logf("seed %d: %s told the maker of %d of %d", seed, layer, f.told[layer], f.shown[layer])
			if f.told[layer]*10 < f.shown[layer]*8 {
				t.Errorf("seed %d: %s told the maker of %d of %d only", seed, layer, f.told[layer], f.shown[layer])
			}
		}
		t.Logf("seed %d: levels %v", seed, f.levels)
	}
}

// BenchmarkCorpus identifies devices of seeds that no test has and reports
// precision and, for each layer, recall.
func BenchmarkCorpus(b *testing.B) {
	for _, tt := range []struct {
		seed uint64
		n    int
	}{{20261123, 2500}, {7001, 10_000}, {7002, 10_000}} {
		b.Run(fmt.Sprintf("seed=%d/devices=%d", tt.seed, tt.n), func(b *testing.B) {
			devices, obs := corpus(b, tt.seed, tt.n)
			b.ResetTimer()
			var assets []evidence.Asset
			for b.Loop() {
				assets = Resolve(obs)
			}
			f := measure(b, devices, assets)
			b.Log(strings.Join(f.mistakes, "\n"))
			b.ReportMetric(float64(f.identified-f.wrong)/float64(f.identified), "precision")
			b.ReportMetric(float64(f.identified), "identified")
			b.ReportMetric(float64(f.levels[evidence.LevelProbable]), "probable")
			b.ReportMetric(float64(f.levels[evidence.LevelPossible]), "possible")
			b.ReportMetric(float64(f.wrongClasses), "wrong-classes")
			for layer, n := range f.shown {
				b.ReportMetric(float64(f.told[layer])/float64(n), "recall-"+layer)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(obs)), "ns/observation")
		})
	}
}
