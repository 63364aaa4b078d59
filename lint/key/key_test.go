package key

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	zrsa "github.com/zmap/zcrypto/rsa"
	zx509 "github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // registers the Fermat lint

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
)

// TestROCA_subgroups compares with the published fingerprint: for these primes
// 65537 does not generate the whole group; for the others any modulus passes.
func TestROCA_subgroups(t *testing.T) {
	r := newROCA()
	var proper []uint64
	for _, p := range r.primes {
		if uint64(len(r.powers[p])) < p-1 {
			proper = append(proper, p)
		}
	}
	want := []uint64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}
	if diff := cmp.Diff(want, proper); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// M of the keys of 512 to 960 bits, as in the detection tool of the authors.
	m, _ := new(big.Int).SetString("924CBA6AE99DFA084537FACC54948DF0C23DA044D8CABE0EDD75BC6", 16)
	if product := new(big.Int).Lsh(r.product, 1); product.Cmp(m) != 0 {
		t.Errorf("the product of the primes is %x, want %x", product, m)
	}
}

func TestROCA_matches(t *testing.T) {
	r := newROCA()
	weak, err := pki.ROCAKey(pki.NewSeed(1))
	if err != nil {
		t.Fatal(err)
	}
	if !r.matches(weak.N) {
		t.Error("a ROCA key is not found")
	}
	for i := range uint64(4) {
		sound, err := pki.RSAKey(pki.NewSeed(i), 1024)
		if err != nil {
			t.Fatal(err)
		}
		if r.matches(sound.N) {
			t.Errorf("key %d is taken for a ROCA key", i)
		}
	}
}

func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).SetBit(new(big.Int).Set(n), 0, 1)
	for p.Add(p, big.NewInt(2)); !p.ProbablyPrime(20); p.Add(p, big.NewInt(2)) {
	}
	return p
}

// TestFermat places the second prime so that the search ends in a given round:
// n = a² - b² is found after a - ⌈√n⌉ + 1 rounds, which is about b²/(2√n).
func TestFermat(t *testing.T) {
	p := nextPrime(new(big.Int).Lsh(big.NewInt(0xC0FFEE), 232)) // 256 bits
	for _, tt := range []struct {
		name  string
		shift uint // distance of the second prime as a power of two
		found bool
	}{
		{"neighbours", 4, true},
		{"128 bits apart", 128, true},
		{"131 bits apart", 131, true},
		{"140 bits apart", 140, false},
		{"200 bits apart", 200, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := nextPrime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), tt.shift)))
			rounds := new(rooter).fermat(new(big.Int).Mul(p, q))
			if (rounds >= 0) != tt.found {
				t.Errorf("got %d rounds, want found %v", rounds, tt.found)
			}
		})
	}
	if got := new(rooter).fermat(new(big.Int).Mul(p, p)); got != 0 {
		t.Errorf("a square: got %d rounds, want 0", got)
	}
}

func TestMaybeSquare(t *testing.T) {
	for i := range int64(5000) {
		root := new(big.Int).Sqrt(big.NewInt(i))
		if root.Mul(root, root).Int64() == i && !maybeSquare(uint64(i)%sieveModulus) {
			t.Errorf("%d is a square", i)
		}
	}
}

func TestSieve(t *testing.T) {
	s := newSieve()
	p := nextPrime(new(big.Int).Lsh(big.NewInt(1), 200))
	for _, tt := range []struct {
		factor int64
		want   uint64
	}{{1, 0}, {2, 2}, {3, 3}, {15, 3}, {251 * 257, 251}, {8191, 8191}, {8209, 0}} {
		if got := s.factor(new(big.Int).Mul(p, big.NewInt(tt.factor))); got != tt.want {
			t.Errorf("factor %d: got %d, want %d", tt.factor, got, tt.want)
		}
	}
	if got := s.factor(big.NewInt(8191)); got != 0 {
		t.Errorf("a prime divides itself only: got %d", got)
	}
	// Against division one by one, at all lengths.
	var primes []*big.Int
	for i := int64(2); i < trialDivisors; i++ {
		if n := big.NewInt(i); n.ProbablyPrime(0) {
			primes = append(primes, n)
		}
	}
	random := rand.New(rand.NewPCG(3, 3))
	for length := 1; length < 9000; length += 1 + length/16 {
		for range 8 {
			n := big.NewInt(1)
			for n.BitLen() < length {
				n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(random.Uint64()))
			}
			n.Rsh(n, uint(n.BitLen()-length)).SetBit(n, 0, 1)
			want := uint64(0)
			for _, p := range primes {
				if new(big.Int).Mod(n, p).Sign() == 0 && n.Cmp(p) != 0 {
					want = p.Uint64()
					break
				}
			}
			if got := s.factor(n); got != want {
				t.Errorf("%x: got %d, want %d", n, got, want)
			}
		}
	}
}

func TestKnown_rows(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(knownTSV, "\n"), "\n")
	if got, want := len(readKnown(knownTSV)), len(lines)-1; got != want {
		t.Errorf("%d of %d rows are read: one is malformed or there twice", got, want)
	}
	for _, line := range lines[1:] {
		if f := strings.Split(line, "\t"); len(f) != 4 || slices.Contains(f, "") {
			t.Errorf("malformed row %q", line)
		}
	}
}

func TestKnown_rfc9500(t *testing.T) {
	known := Known()
	rsa, err := pki.PublishedRSA2048()
	if err != nil {
		t.Fatal(err)
	}
	ec, err := pki.PublishedP256()
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]any{"testRSA2048": rsa.Public(), "testECCP256": ec.Public()} {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		if row, ok := known(evidence.DigestOf(der)); !ok || !strings.HasPrefix(row.Source, "RFC 9500") {
			t.Errorf("%s: got %v, %v", name, row, ok)
		}
	}
}

// TestKnown_goSource computes the digests of the test keys of the Go
// distribution anew.
func TestKnown_goSource(t *testing.T) {
	pattern := regexp.MustCompile(`-----BEGIN [A-Z ]*KEY-----[^-]+-----END [A-Z ]*KEY-----`)
	found := make(map[evidence.Digest]bool)
	files := make(map[string]bool)
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("no go command: %v", err)
	}
	goroot := strings.TrimSpace(string(out))
	for _, row := range readKnown(knownTSV) {
		if row.Source == "Go source" {
			file, _, _ := strings.Cut(row.Where, ",")
			files[file] = true
		}
	}
	for file := range files {
		src, err := os.ReadFile(filepath.Join(goroot, "src", filepath.FromSlash(file)))
		if err != nil {
			t.Skipf("the Go distribution has no sources here: %v", err)
		}
		for _, text := range pattern.FindAllString(string(src), -1) {
			block, _ := pem.Decode([]byte(strings.ReplaceAll(text, "TESTING KEY", "PRIVATE KEY")))
			if block == nil {
				continue
			}
			if pub := publicOf(block.Bytes); pub != nil {
				der, err := x509.MarshalPKIXPublicKey(pub)
				if err != nil {
					t.Fatal(err)
				}
				found[evidence.DigestOf(der)] = true
			}
		}
	}
	for d, row := range readKnown(knownTSV) {
		if row.Source == "Go source" && !found[d] {
			t.Errorf("%s (%s): no key of %s has this digest", d, row.Algorithm, row.Where)
		}
	}
}

func publicOf(der []byte) any {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k.Public()
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k.Public()
	}
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s.Public()
		}
	}
	return nil
}

// TestSquareRoot compares with the root of math/big.
func TestSquareRoot(t *testing.T) {
	w := new(rooter)
	n := big.NewInt(1)
	for bits := range 600 {
		for _, d := range []int64{-1, 0, 1} {
			x := new(big.Int).Add(n, big.NewInt(d))
			square := new(big.Int).Mul(x, x)
			for _, v := range []*big.Int{x, square, new(big.Int).Add(square, big.NewInt(1))} {
				if v.Sign() < 0 {
					continue
				}
				got, rest := w.root(v)
				if want := new(big.Int).Sqrt(v); got.Cmp(want) != 0 {
					t.Fatalf("the root of %v is %v, not %v", v, got, want)
				}
				if rest.Add(rest, got.Mul(got, got)).Cmp(v) != 0 {
					t.Fatalf("the rest of the root of %v is wrong", v)
				}
			}
		}
		n.Mul(n, big.NewInt(2+int64(bits%2)))
	}
}

// TestSieve_everyPrime asks for every prime below the bound and no other number,
// by division, on moduli of odd lengths.
func TestSieve_everyPrime(t *testing.T) {
	s := newSieve()
	rough := nextPrime(new(big.Int).Lsh(big.NewInt(1), 190))
	for p := int64(3); p < trialDivisors+100; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		want := uint64(p)
		if p >= trialDivisors {
			want = 0
		}
		if got := s.factor(new(big.Int).Mul(rough, big.NewInt(p))); got != want {
			t.Fatalf("%d times a prime: got the factor %d", p, got)
		}
	}
}

func TestOddPattern(t *testing.T) {
	ones := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		return n.Sub(n, big.NewInt(1))
	}
	words := func(word uint64, n int) *big.Int {
		out := new(big.Int)
		for range n {
			out.Lsh(out, 64).Or(out, new(big.Int).SetUint64(word))
		}
		return out
	}
	sparse := nextPrime(new(big.Int).Lsh(big.NewInt(1), 1023))
	for _, tt := range []struct {
		name string
		n    *big.Int
		want string
	}{
		{"two sparse primes", new(big.Int).Mul(sparse, nextPrime(new(big.Int).Lsh(big.NewInt(3), 1022))), "of its bits are set"},
		{"dense", ones(2048), "2048 of its bits are set"},
		{"half dense", new(big.Int).Lsh(ones(1024), 1024), "of its bits equal those 1 places on"},
		{"a byte", words(0xa3a3a3a3a3a3a3a3, 32), "equal those 8 places on"},
		{"a word", words(0xbb2edb20035b7399, 32), "equal those 64 places on"},
		{"a word in an odd length", new(big.Int).Rsh(words(0xbb2edb20035b7399, 32), 13), "equal those 64 places on"},
	} {
		if got := oddPattern(tt.n); !strings.Contains(got, tt.want) || got == "" {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 20_000 {
		n := new(big.Int)
		for range 4 + i%60 {
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(random.Uint64()))
		}
		if got := oddPattern(n); got != "" {
			t.Fatalf("a random number: %s: %x", got, n)
		}
	}
}

// BenchmarkWeakness measures the tests of a modulus of 2048 bits, and zlint's
// Fermat lint on the same.
func BenchmarkWeakness(b *testing.B) {
	k, err := pki.RSAKey(pki.NewSeed(1), 2048)
	if err != nil {
		b.Fatal(err)
	}
	tests := newModulusTests()
	zlints := zlint.GlobalRegistry().CertificateLints().ByName("e_rsa_fermat_factorization")
	cert := &zx509.Certificate{PublicKey: &zrsa.PublicKey{N: k.N, E: big.NewInt(65537)}, PublicKeyAlgorithm: zx509.RSA}
	key := &lint.Key{N: k.N, Bits: 2048}
	for _, bench := range []struct {
		name string
		do   func()
	}{
		{"all", func() { tests.weakness(key) }},
		{"small factors", func() { tests.sieve.factor(k.N) }},
		{"fermat", func() { tests.fermat(key) }},
		{"roca", func() { tests.roca.matches(k.N) }},
		{"pattern", func() { oddPattern(k.N) }},
		{"zlint fermat", func() { zlints.Execute(cert, zlint.NewEmptyConfig()) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				bench.do()
			}
		})
	}
}
