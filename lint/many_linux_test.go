package lint_test

import (
	"bufio"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/measure"
	"probity/fixtures/pki"
	"probity/internal/inorder"
	"probity/lint"
	"probity/lint/fleet"
)

// BenchmarkFleet_many compares as many certificates as PROBITY_TEST_MANY says, each at
// an address of its own with a handshake, by every check of the fleet but that of
// shared primes (BenchmarkBatchGCD measures that one). Faults of each
// kind are planted, and have to be found, and nothing else. Of those that are "alike"
// all have one key, serial number, number R, ephemeral key and ticket key.
//
// They go through a [lint.Stream], as those that commands read from files.
//
// Metrics: "wall-s" and "cpu-s" of parsing and comparing, and "peak-MiB" of the whole
// process, in which nothing else should run.
func BenchmarkFleet_many(b *testing.B) {
	n := 100_000
	if text := os.Getenv("PROBITY_TEST_MANY"); text != "" {
		n = must[int](b)(strconv.Atoi(text))
	}
	// So many leave little room for garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1800 << 20))
	for _, alike := range []bool{false, true} {
		name := "planted"
		if alike {
			name = "alike"
		}
		b.Run(name, func(b *testing.B) { benchmarkMany(b, newMany(b, n, alike)) })
	}
}

func benchmarkMany(b *testing.B, m *many) {
	for b.Loop() {
		cpu, start := measure.ProcessorTime(b), time.Now()
		spill := must[*os.File](b)(os.Create(filepath.Join(b.TempDir(), "spill")))
		stream := m.stream(b, spill)
		got := make(map[string][]string)
		jobs := m.jobs()
		_ = must[int](b)(stream.Run(jobs, now, nil, func(i int, r lint.Result) error {
			m.note(got, jobs[i].Check.Name, r)
			return nil
		}))
		sortFound(got)
		if diff := cmp.Diff(m.planted, got); diff != "" {
			b.Fatalf("findings (-planted +found):\n%s", diff)
		}
		b.ReportMetric((measure.ProcessorTime(b) - cpu).Seconds(), "cpu-s")
		b.ReportMetric(time.Since(start).Seconds(), "wall-s")
		_ = spill.Close()
	}
	b.ReportMetric(peakMemory(b), "peak-MiB")
	b.ReportMetric(0, "ns/op")
}

// jobs are the checks of the fleet but that of shared primes.
func (m *many) jobs() []lint.Job {
	var jobs []lint.Job
	for _, check := range fleet.Checks() {
		if check.Name != "fleet/no_shared_prime" {
			jobs = append(jobs, lint.Job{Check: check})
		}
	}
	return jobs
}

// note adds a finding on a group.
func (m *many) note(got map[string][]string, check string, r lint.Result) {
	g := r.Subject.Group
	if g == nil {
		return
	}
	text := fmt.Sprint(r.Outcome, " ", g.Endpoints)
	if m.alike {
		text = fmt.Sprint(r.Outcome, " ", len(g.Endpoints), " places")
	}
	got[check] = append(got[check], text)
}

func sortFound(got map[string][]string) {
	for _, found := range got {
		slices.Sort(found)
	}
}

// TestFleet_many holds that a corpus and a stream give the same findings: those that
// were planted.
func TestFleet_many(t *testing.T) {
	for _, alike := range []bool{false, true} {
		m := newMany(t, 100, alike)
		var obs []evidence.Observation
		for i := range m.n {
			obs = append(obs, m.observations(i, m.der(i))...)
		}
		jobs := m.jobs()
		results, err := lint.Run(lint.NewCorpus(obs, m.assets), jobs, now, nil)
		if err != nil {
			t.Fatal(err)
		}
		corpus := make(map[string][]string)
		for i, of := range results {
			for r := range of {
				m.note(corpus, jobs[i].Check.Name, r)
			}
		}
		streamed := make(map[string][]string)
		stream := m.stream(t, must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "spill"))))
		if _, err := stream.Run(jobs, now, nil, func(i int, r lint.Result) error {
			m.note(streamed, jobs[i].Check.Name, r)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]map[string][]string{"corpus": corpus, "stream": streamed} {
			sortFound(got)
			if diff := cmp.Diff(m.planted, got); diff != "" {
				t.Errorf("%s, alike %t: findings (-planted +found):\n%s", name, alike, diff)
			}
		}
	}
}

// peakMemory is the most memory that the process has had, in MiB.
func peakMemory(b *testing.B) float64 {
	for line := range strings.Lines(string(must[[]byte](b)(os.ReadFile("/proc/self/status")))) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return float64(must[int](b)(strconv.Atoi(strings.Fields(rest)[0]))) / 1024
		}
	}
	return 0
}

// many are certificates in a file, as they are in a store, and the devices that
// present them.
type many struct {
	n       int
	alike   bool
	file    *os.File
	ends    []int64 // of the certificates in the file
	assets  []evidence.Asset
	faults  map[int]fault
	planted map[string][]string // by check: outcome and endpoints
}

// spec is what a certificate is made of. Equal numbers make equal parts.
type spec struct {
	kind                  kind
	name, key, serial     int
	signature             int
	exchange, ticket, ssh int // of the handshake and of an SSH host key; 0: none
}

// kind is the form of a certificate.
type kind int

const (
	elliptic256 kind = iota // with an identifier of the device
	rsa2048                 // the same
	named                   // on P-256, with a name only
	codeSigning
	counted // by an authority that counts
	kinds
)

// fault changes what a device would be.
type fault func(*spec)

func (m *many) spec(i int) spec {
	s := spec{kind: kind(i % 3), name: i, key: i, serial: i, signature: i, exchange: i + 1, ticket: i + 1}
	if f := m.faults[i]; f != nil {
		f(&s)
	}
	if m.alike {
		s.kind, s.key, s.serial, s.signature, s.exchange, s.ticket = elliptic256, 0, 0, 0, 1, 1
	}
	return s
}

// plant sets the faults: one of each kind in every ten thousand devices.
func (m *many) plant() {
	pair := func(check string, at int, outcome evidence.Outcome, change func(s *spec, first int), more ...string) {
		for i := at; i < at+2; i++ {
			m.faults[i] = func(s *spec) { change(s, at) }
		}
		text := fmt.Sprint(outcome, " ", []evidence.Endpoint{m.endpoint(at), m.endpoint(at + 1)})
		for _, c := range append(more, check) {
			m.planted[c] = append(m.planted[c], text)
		}
	}
	for base := 0; base < m.n; base += 10_000 {
		pair("fleet/unique_certificate", base, evidence.Fail, func(s *spec, first int) {
			s.kind, s.name, s.key, s.serial, s.signature = rsa2048, first, first, first, first
		})
		pair("fleet/unique_key", base+2, evidence.Fail, func(s *spec, first int) { s.kind, s.key = elliptic256, first })
		pair("fleet/unique_issuer_serial", base+4, evidence.Fail, func(s *spec, first int) { s.kind, s.serial = rsa2048, first })
		pair("fleet/one_key_per_identifier", base+6, evidence.Fail, func(s *spec, first int) { s.kind, s.name = rsa2048, first })
		pair("fleet/one_key_per_subject", base+8, evidence.Warn, func(s *spec, first int) { s.kind, s.name = named, first })
		pair("fleet/unique_ephemeral_key", base+10, evidence.Fail, func(s *spec, first int) { s.exchange = first + 1 })
		pair("fleet/unique_ticket_key", base+12, evidence.Fail, func(s *spec, first int) { s.ticket = first + 1 })
		pair("fleet/unique_ssh_host_key", base+14, evidence.Fail, func(s *spec, first int) { s.ssh = first + 1 })
		pair("fleet/unique_nonce", base+16, evidence.Warn, func(s *spec, first int) { s.kind, s.signature = elliptic256, first })
		pair("fleet/role_separated", base+18, evidence.Fail, func(s *spec, first int) { s.kind, s.key = kind(s.serial-first)*codeSigning, first })
		m.planted["fleet/unique_key"] = append(m.planted["fleet/unique_key"], m.planted["fleet/role_separated"][base/10_000])
		pair("fleet/no_model_default", base+20, evidence.Fail, func(s *spec, first int) { s.kind, s.key = rsa2048, first }, "fleet/unique_key")
		for i := base/each + 20; i < base/each+22; i++ {
			m.assets[i].Claims = append(m.assets[i].Claims, evidence.Claim{
				Attribute: evidence.AttrModel, Value: fmt.Sprintf("model %d", base), Confidence: 95, Layer: "snmp",
			})
		}
	}
	var counting []evidence.Endpoint
	for i := 30; i < 40; i++ {
		m.faults[i] = func(s *spec) { s.kind = counted }
		counting = append(counting, m.endpoint(i))
	}
	m.planted["fleet/unpredictable_serials"] = []string{fmt.Sprint(evidence.Warn, " ", counting)}
	for _, found := range m.planted {
		slices.Sort(found)
	}
}

func (m *many) endpoint(i int) evidence.Endpoint {
	return evidence.Endpoint{Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Port: 443, Transport: evidence.TCP}
}

// each is of how many addresses one belongs to an asset that is known by more than its
// address; those with faults do.
const each = 10

func newMany(b testing.TB, n int, alike bool) *many {
	m := &many{
		n: n, alike: alike, file: must[*os.File](b)(os.Create(filepath.Join(b.TempDir(), "certificates"))),
		assets: make([]evidence.Asset, 0, n/each), faults: make(map[int]fault), planted: make(map[string][]string),
	}
	b.Cleanup(func() { _ = m.file.Close() })
	for i := range n {
		if i%10_000 >= 10_000/each {
			continue
		}
		m.assets = append(m.assets, evidence.Asset{
			ID: fmt.Sprintf("dev-%07d", i), Addresses: []netip.Addr{m.endpoint(i).Addr},
			Claims: []evidence.Claim{{Attribute: evidence.AttrMAC, Value: fmt.Sprintf("00:0f:53:%02x:%02x:%02x", i>>16, i>>8&0xff, i&0xff), Confidence: 95, Layer: "arp"}},
		})
	}
	if m.plant(); alike {
		clear(m.faults)
		for i := range m.assets {
			m.assets[i].Claims = m.assets[i].Claims[:1] // without a model
		}
		m.planted = make(map[string][]string)
		for check, outcome := range map[string]evidence.Outcome{
			// As they have one ticket key they may be one cluster.
			"fleet/unique_key": evidence.Warn, "fleet/unique_issuer_serial": evidence.Fail, "fleet/unique_nonce": evidence.Warn,
			"fleet/unique_ephemeral_key": evidence.Warn, "fleet/unique_ticket_key": evidence.Fail,
		} {
			m.planted[check] = []string{fmt.Sprint(outcome, " ", n, " places")}
		}
	}
	templates := newTemplates(b)
	out := bufio.NewWriterSize(m.file, 1<<20)
	end := int64(0)
	for i := range n {
		der := templates.make(m.spec(i))
		_ = must[int](b)(out.Write(der))
		end += int64(len(der))
		m.ends = append(m.ends, end)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	return m
}

func (m *many) der(i int) []byte {
	start := int64(0)
	if i > 0 {
		start = m.ends[i-1]
	}
	der := make([]byte, m.ends[i]-start)
	if _, err := m.file.ReadAt(der, start); err != nil {
		return nil
	}
	return der
}

// stream reads the file, as one handshake with each device, and an exchange with SSH
// where there is one.
func (m *many) stream(b testing.TB, spill lint.Spill) *lint.Stream {
	const together = 256
	stream := lint.NewStream(spill, m.assets)
	chunks := func(yield func(int) bool) {
		for from := 0; from < m.n && yield(from); from += together {
		}
	}
	for some := range inorder.Map(chunks, func(from int) (some []lint.Items) {
		for i := from; i < min(from+together, m.n); i++ {
			for _, o := range m.observations(i, m.der(i)) {
				some = append(some, lint.ItemsOf(o))
			}
		}
		return some
	}) {
		for _, items := range some {
			if err := stream.Add(items); err != nil {
				b.Fatal(err)
			}
		}
	}
	return stream
}

func (m *many) observations(i int, der []byte) []evidence.Observation {
	s := m.spec(i)
	o := evidence.Observation{
		ID: 2*int64(i) + 1, Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: now, Endpoint: m.endpoint(i),
		Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: der}},
		Facts: evidence.Facts{TLS: &evidence.TLSFacts{
			Version: 0x0304, KeyShare: evidence.DigestOf(numbered(1, s.exchange)), TicketKey: numbered(2, s.ticket)[:lint.TicketKeyName],
		}},
	}
	// A name that no random one has would be left out.
	o.Facts.TLS.TicketKey[0] = 1
	out := []evidence.Observation{o}
	if s.ssh > 0 {
		blob := slices.Concat([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), numbered(3, s.ssh)[:32])
		out = append(out, evidence.Observation{
			ID: o.ID + 1, Run: 1, Method: evidence.Active, Kind: evidence.KindSSH, Result: evidence.ResultData, At: now,
			Endpoint: m.endpoint(i), Keys: []evidence.HostKey{{Blob: blob}},
		})
	}
	return out
}

// numbered are bytes that only the same numbers give.
func numbered(domain, n int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(domain))
	binary.LittleEndian.PutUint64(seed[8:], uint64(n))
	out := make([]byte, 256)
	_, _ = rand.NewChaCha8(seed).Read(out) // never fails
	return out
}

// templates are certificates of each kind, whose variable parts are filled in.
type templates [kinds]template

// template is the signed part of a certificate with the places of what varies in it.
type template struct {
	tbs               []byte
	name, key, serial int
	rsa, counts       bool
	algorithm         []byte
}

// Where something goes: text of eight digits, sixteen bytes of a serial number.
const blankName = "00000000"

func newTemplates(b testing.TB) templates {
	ca := must[*ecdsa.PrivateKey](b)(pki.ECKey(pki.NewSeed(3), elliptic.P256()))
	blankSerial := new(big.Int).SetBytes(slices.Repeat([]byte{0x5a}, 16))
	blankModulus := new(big.Int).SetBytes(slices.Repeat([]byte{0xa5}, 256))
	ec := &must[*ecdsa.PrivateKey](b)(pki.ECKey(pki.NewSeed(4), elliptic.P256())).PublicKey
	point := must[[]byte](b)(ec.Bytes())
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{Organization: []string{"Acme"}, CommonName: name}, SubjectKeyId: numbered(4, len(name))[:20]}
	}
	var out templates
	for k := range kinds {
		t := &x509.Certificate{
			SerialNumber: blankSerial, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), SignatureAlgorithm: x509.ECDSAWithSHA256,
			Subject:  pkix.Name{Organization: []string{"Acme"}, SerialNumber: "PX-" + blankName},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			BasicConstraintsValid: true,
		}
		var public any = ec
		issuer := authority("Factory CA")
		switch k {
		case rsa2048:
			public = &rsa.PublicKey{N: blankModulus, E: 65537}
		case named, counted:
			t.Subject = pkix.Name{Organization: []string{"Acme"}, CommonName: "px-" + blankName}
			if k == counted {
				issuer = authority("Counting CA")
			}
		case codeSigning:
			t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		default:
		}
		c := must[*x509.Certificate](b)(x509.ParseCertificate(must[[]byte](b)(x509.CreateCertificate(nil, t, issuer, public, ca))))
		key := point
		if k == rsa2048 {
			key = blankModulus.Bytes()
		}
		tbs := string(c.RawTBSCertificate)
		out[k] = template{
			tbs: c.RawTBSCertificate, name: strings.Index(tbs, blankName), key: strings.Index(tbs, string(key)),
			serial: strings.Index(tbs, string(blankSerial.Bytes())), rsa: k == rsa2048, counts: k == counted,
			algorithm: must[[]byte](b)(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}})),
		}
	}
	return out
}

// make fills a template in. The signature is made of numbers, because nothing verifies
// it: the authority is not among the certificates.
func (t *templates) make(s spec) []byte {
	k := &t[s.kind]
	tbs := slices.Clone(k.tbs)
	copy(tbs[k.name:], fmt.Sprintf("%08d", s.name))
	serial := numbered(5, s.serial)[:16]
	serial[0] = 0x40 | serial[0]&0x3f
	if k.counts {
		serial = slices.Concat(slices.Repeat([]byte{0x5a}, 8), binary.BigEndian.AppendUint64(nil, uint64(s.serial)))
	}
	copy(tbs[k.serial:], serial)
	if k.rsa {
		modulus := numbered(6, s.key)
		modulus[0] |= 0x80
		modulus[255] |= 1
		copy(tbs[k.key:], modulus)
	} else {
		scalar := numbered(7, s.key)[:32]
		scalar[0] = 1 // below the order
		private, err := ecdh.P256().NewPrivateKey(scalar)
		if err != nil {
			return nil
		}
		copy(tbs[k.key:], private.PublicKey().Bytes())
	}
	signature := []byte{0x30, 68, 2, 32}
	r := numbered(8, s.signature)[:32]
	r[0] = 0x40 | r[0]&0x3f
	v := numbered(9, s.name)[:32]
	v[0] = 0x40 | v[0]&0x3f
	signature = slices.Concat(signature, r, []byte{2, 32}, v)
	body := slices.Concat(tbs, k.algorithm, []byte{3, 71, 0}, signature)
	return append([]byte{0x30, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}

// now is the instant of judgement.
var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// must returns what comes without an error.
func must[T any](b testing.TB) func(v T, err error) T {
	b.Helper()
	return func(v T, err error) T {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
		return v
	}
}
