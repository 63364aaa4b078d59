package main

import (
	"archive/tar"
	"bufio"
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	fixture "probity/fixtures/pki"
)

// asFactory in the environment makes the test binary a factory: it writes an archive of
// device certificates, as the JSON of a factory says, and to standard output what is
// wrong with them.
const asFactory = "PROBITY_TEST_FACTORY"

// factory is an order of certificates. They are those of one batch, or of a second one
// that repeats some of what the first has.
type factory struct {
	Path   string // of the archive
	N      int    // certificates
	RSA    bool   // of 2,048 bits; otherwise EC on P-256
	Before int    // certificates of the first batch, where this is the second
}

// factoryTruth is what is wrong with the certificates, by number: the kinds of
// reasons (certificate, key, serial, identifier, prime, profile), sorted.
type factoryTruth map[int][]string

// profile is what the certificates of the factory follow.
func (f factory) profile() string {
	keys := "{algorithm: EC, curve: P-256}"
	if f.RSA {
		keys = "{algorithm: RSA, bits: 2048}"
	}
	return `name: benchmark
issuers: ["CN=Factory CA,O=Acme"]
keys: [` + keys + `]
signatures: [ECDSA-SHA256]
validity: {max_days: 3660}
subject: {O: Acme, serialNumber: "PX-[0-9]{8}"}
key_usage: [digitalSignature]
extended_key_usage: [clientAuth]
`
}

// made is what a certificate is made of. Numbers count from the first of both batches.
type made struct {
	key, serial, id int
	days            int
	org, unit       string
	usage           x509.KeyUsage
	purpose         x509.ExtKeyUsage
	short           bool   // its key is too short
	primes          [2]int // of the key, where it is a product of two that others have, too
}

// spread returns the number of the k-th certificate with something wrong, of n: they
// are spread over the batch.
func spread(k, n int) int { return (k*(n/41) + k) % n }

// sheet says how the certificates are made that are not like all others.
type sheet struct {
	f     factory
	odd   map[int]*made
	copy  map[int]int // certificates that are the same as another one
	truth factoryTruth
}

func (f factory) usual(i int) made {
	return made{key: i, serial: i, id: i, days: 3000, org: "Acme", usage: x509.KeyUsageDigitalSignature, purpose: x509.ExtKeyUsageClientAuth}
}

func (s *sheet) at(i int) *made {
	if s.odd[i] == nil {
		m := s.f.usual(i)
		s.odd[i] = &m
	}
	return s.odd[i]
}

// wrong notes that certificates have something wrong, and returns the first.
func (s *sheet) wrong(kind string, members ...int) int {
	for _, i := range members {
		s.truth[i] = append(s.truth[i], kind)
		slices.Sort(s.truth[i])
	}
	return members[0]
}

// prime gives certificates a prime in common.
func (s *sheet) prime(number int, members ...int) {
	s.wrong("prime", members...)
	for _, i := range members {
		m := s.at(i)
		if m.primes[0] == 0 {
			m.primes[0] = number
		} else {
			m.primes[1] = number
		}
	}
}

// first plants what is wrong in the first batch.
func (s *sheet) first(n int) {
	p := func(k int) int { return spread(k, n) }
	s.at(p(2)).key = s.wrong("key", p(1), p(2))
	s.at(p(4)).key = s.wrong("key", p(3), p(4), p(5))
	s.at(p(5)).key = p(3)
	s.at(p(7)).serial = s.wrong("serial", p(6), p(7))
	s.at(p(9)).id = s.wrong("identifier", p(8), p(9))
	s.copy[p(11)] = s.wrong("certificate", p(10), p(11))
	s.at(s.wrong("profile", p(12))).days = 4000
	s.at(s.wrong("profile", p(13))).purpose = x509.ExtKeyUsageServerAuth
	s.at(s.wrong("profile", p(14))).usage = 0
	s.at(s.wrong("profile", p(15))).org = "Akme"
	s.at(s.wrong("profile", p(16))).unit = "not listed"
	s.at(s.wrong("profile", p(17))).short = true
	if !s.f.RSA {
		return
	}
	s.prime(1, p(18), p(19), p(29))
	s.prime(2, p(20), p(21))
	s.prime(3, p(22), p(23), p(24))
	s.prime(4, p(25), p(26)) // three that share a prime with each other
	s.prime(5, p(26), p(27))
	s.prime(6, p(27), p(25))
	s.at(p(28)).primes[0] = 7 // the second batch has it, too
	s.at(p(29)).key = s.wrong("key", p(18), p(29))
}

// second plants what is wrong in the second batch, of n after before.
func (s *sheet) second(n, before int) {
	q := func(k int) int { return before + spread(k, n) }
	p := func(k int) int { return spread(k, before) }
	s.at(s.wrong("key", q(1))).key = p(30)
	s.at(s.wrong("serial", q(2))).serial = p(31)
	s.at(s.wrong("identifier", q(3))).id = p(32)
	s.copy[s.wrong("certificate", q(4))] = p(33)
	s.at(q(7)).key = s.wrong("key", q(6), q(7))
	s.at(s.wrong("key", q(10))).key = p(1) // which stood twice already
	if s.f.RSA {
		s.prime(7, q(5))
		s.prime(8, q(8), q(9))
	}
}

// sheet returns what is made, with the truth about the batch.
func (f factory) sheet() *sheet {
	s := &sheet{f: f, odd: make(map[int]*made), copy: make(map[int]int), truth: make(factoryTruth)}
	if f.Before == 0 {
		s.first(f.N)
		return s
	}
	s.first(f.Before)
	s.truth = make(factoryTruth)
	s.second(f.N, f.Before)
	truth := make(factoryTruth)
	for i, kinds := range s.truth {
		truth[i-f.Before] = kinds
	}
	s.truth = truth
	return s
}

func factoryCommand(order []byte) {
	var f factory
	must(json.Unmarshal(order, &f))
	s := f.sheet()
	line := newLine(s)
	file, err := os.Create(f.Path)
	must(err)
	out := bufio.NewWriterSize(file, 1<<20)
	w := tar.NewWriter(out)
	ders := make([][]byte, chunk)
	for start := 0; start < f.N; start += chunk {
		some := ders[:min(chunk, f.N-start)]
		line.take(f.Before+start, len(some))
		onTwo(len(some), func(i int) { some[i] = line.certificate(f.Before + start + i) })
		for i, der := range some {
			must(w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%08d.der", start+i), Mode: 0o600, Size: int64(len(der))}))
			_, err := w.Write(der)
			must(err)
		}
	}
	must(w.Close())
	must(out.Flush())
	must(file.Close())
	must(json.NewEncoder(os.Stdout).Encode(s.truth))
}

// chunk is how many certificates are made at once, and how many moduli are of one
// stretch of numbers.
const chunk = 1 << 10

// line makes certificates.
type line struct {
	*sheet
	ca     fixture.Authority
	seed   fixture.Seed
	from   time.Time
	moduli map[int][]*big.Int // by chunk: those at work, and those of what is repeated
	shared map[int]*big.Int   // primes
}

func newLine(s *sheet) *line {
	l := &line{
		sheet: s, seed: fixture.NewSeed(5), from: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		moduli: make(map[int][]*big.Int), shared: make(map[int]*big.Int),
	}
	key, err := fixture.ECKey(l.seed.Derive("ca"), elliptic.P256())
	must(err)
	l.ca, err = fixture.SelfSigned(key, fixture.Template{
		Serial: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Acme"}, CommonName: "Factory CA"},
		NotBefore: l.from, NotAfter: l.from.AddDate(20, 0, 0), CA: true,
	})
	must(err)
	for n := 1; n <= 8; n++ {
		l.shared[n] = randomPrime(rand.NewChaCha8(l.seed.Derive("shared "+strconv.Itoa(n))), 1024)
	}
	return l
}

// take makes the moduli of some certificates ready.
func (l *line) take(start, n int) {
	if !l.f.RSA {
		return
	}
	want := make(map[int]bool)
	for i := start; i < start+n; i++ {
		want[l.madeFor(i).key/chunk] = true
	}
	missing := make([]int, 0, len(want))
	for c := range want {
		if l.moduli[c] == nil {
			missing = append(missing, c)
		}
	}
	for c := range l.moduli {
		if !want[c] {
			delete(l.moduli, c)
		}
	}
	slices.Sort(missing)
	made := make([][]*big.Int, len(missing))
	onTwo(len(missing), func(i int) { made[i] = moduliOf(missing[i]) })
	for i, c := range missing {
		l.moduli[c] = made[i]
	}
}

func (l *line) madeFor(i int) made {
	if of, ok := l.copy[i]; ok {
		i = of
	}
	if m := l.odd[i]; m != nil {
		return *m
	}
	return l.f.usual(i)
}

// certificate makes certificate i.
func (l *line) certificate(i int) []byte {
	m := l.madeFor(i)
	t := fixture.Template{
		Serial:    big.NewInt(int64(m.serial) + 1000),
		Subject:   pkix.Name{Organization: []string{m.org}, SerialNumber: fmt.Sprintf("PX-%08d", m.id)},
		NotBefore: l.from, NotAfter: l.from.AddDate(0, 0, m.days),
		KeyUsage: m.usage, ExtKeyUsage: []x509.ExtKeyUsage{m.purpose},
	}
	if m.unit != "" {
		t.Subject.OrganizationalUnit = []string{m.unit}
	}
	der, err := l.ca.Issue(l.public(m), t)
	must(err)
	return der
}

// public returns the key that a certificate is made for: that of another one, if it
// shares its key.
func (l *line) public(m made) crypto.PublicKey {
	if other := l.odd[m.key]; other != nil {
		m.short, m.primes = other.short, other.primes
	}
	if !l.f.RSA {
		curve := elliptic.P256()
		if m.short {
			curve = elliptic.P224()
		}
		key, err := fixture.ECKey(l.seed.Derive(strconv.Itoa(m.key)), curve)
		must(err)
		return key.Public()
	}
	own := func(bits int) *big.Int {
		return randomPrime(rand.NewChaCha8(l.seed.Derive(fmt.Sprint("prime ", m.key, bits))), bits)
	}
	n := l.moduli[m.key/chunk][m.key%chunk]
	switch {
	case m.short:
		n = new(big.Int).Mul(own(512), randomPrime(rand.NewChaCha8(l.seed), 512))
	case m.primes[1] != 0:
		n = new(big.Int).Mul(l.shared[m.primes[0]], l.shared[m.primes[1]])
	case m.primes[0] != 0:
		n = new(big.Int).Mul(l.shared[m.primes[0]], own(1024))
	}
	return &rsa.PublicKey{N: n, E: 65537}
}

// moduliOf returns the moduli of a chunk: products of 32 primes of 64 bits, no two of
// which have one in common, and which cost what as many RSA moduli do. Making a million
// pairs of primes of 1,024 bits would take a day. Every chunk takes its primes from a
// stretch of numbers of its own, so near to 2^64 that each product has 2,048 bits.
func moduliOf(number int) []*big.Int {
	const odds = 1 << 20
	start := 0xfc00_0000_0000_0001 + uint64(number)<<24 //nolint:gosec // a few thousand at most
	composite := make([]bool, odds)                     // of start + 2i
	for p := uint64(3); p < 1<<16; p += 2 {
		if p > 255 && p%3 == 0 || p > 255 && p%5 == 0 || p > 255 && p%7 == 0 {
			continue // what it divides is crossed out
		}
		at := p - start%p // start+at is a multiple
		if at%2 != 0 {
			at += p
		}
		for i := at / 2; i < odds; i += p {
			composite[i] = true
		}
	}
	out := make([]*big.Int, 0, chunk)
	n := big.NewInt(1)
	for i, found := 0, 0; len(out) < chunk; i++ {
		if x := start + 2*uint64(i); !composite[i] && probablyPrime(x) { //nolint:gosec // an index
			n.Mul(n, new(big.Int).SetUint64(x))
			if found++; found%32 == 0 {
				out, n = append(out, n), big.NewInt(1)
			}
		}
	}
	return out
}

// probablyPrime is Fermat's test to the base 2. What it lets pass is a prime, or has
// divisors so large that no two have one in common.
func probablyPrime(n uint64) bool {
	x := uint64(1)
	for i := 63; i >= 0; i-- {
		hi, lo := bits.Mul64(x, x)
		x = bits.Rem64(hi, lo, n)
		if (n-1)>>i&1 == 1 {
			hi, lo = x>>63, x<<1
			x = bits.Rem64(hi, lo, n)
		}
	}
	return x == 1
}
