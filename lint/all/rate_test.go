package all_test

import (
	"crypto/rsa"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"

	"probity/fixtures/measure"
	"probity/lint"
	"probity/lint/all"
)

// BenchmarkCertificateLint measures the whole certificate lint (parsing, zlint's
// RFC sources, every other check of a certificate and its key) against parsing
// and zlint's RFC sources alone, on the same certificates. The two take turns, on
// one processor and on two, so that what else the machine does meets both.
//
// Metrics: "base-us/cert" and "us/cert" are processor time (user and system) of
// the two on one processor, in the round in which each needed least; "ratio" is how
// fast the whole is against the base, the median of the rounds; "two-cores" is how
// many times faster the whole is on two processors than on one, in elapsed time, in
// the best rounds.
func BenchmarkCertificateLint(b *testing.B) {
	for _, c := range []struct {
		name string
		ders [][]byte
	}{{"fleet", fleetLeafs(b)}, {"zlint", zlintCertificates(b)}} {
		b.Run(c.name, func(b *testing.B) { benchmarkRate(b, c.ders) })
	}
}

func benchmarkRate(b *testing.B, ders [][]byte) {
	// What has to verify signatures is left out, because the base verifies none.
	checks := slices.DeleteFunc(all.Checks(), func(c lint.Check) bool {
		return c.Certificate == nil || strings.HasPrefix(c.Name, "chain/") || c.Name == "key/ca_strength"
	})
	var jobs []lint.Job
	for _, c := range checks {
		jobs = append(jobs, lint.Job{Check: c})
	}
	obs := files(ders...)
	whole := func() {
		c := lint.NewCorpus(obs, nil)
		if _, err := lint.Run(c, jobs, now, nil); err != nil {
			b.Fatal(err)
		}
	}
	base := baseLint(b, ders)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	type cost struct{ cpu, wall time.Duration }
	measure := func(do func()) cost {
		runtime.GC()
		cpu, start := measure.ProcessorTime(b), time.Now()
		do()
		return cost{measure.ProcessorTime(b) - cpu, time.Since(start)}
	}
	least := func(best, took cost) cost {
		if best.cpu == 0 {
			return took
		}
		return cost{min(best.cpu, took.cpu), min(best.wall, took.wall)}
	}
	var base1, whole1, whole2 cost
	var ratios []float64
	for b.Loop() {
		runtime.GOMAXPROCS(1)
		a, w := measure(base), measure(whole)
		ratios = append(ratios, float64(a.cpu)/float64(w.cpu))
		base1, whole1 = least(base1, a), least(whole1, w)
		runtime.GOMAXPROCS(2)
		whole2 = least(whole2, measure(whole))
	}
	slices.Sort(ratios)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(len(ders)) }
	b.ReportMetric(each(base1.cpu), "base-us/cert")
	b.ReportMetric(each(whole1.cpu), "us/cert")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(whole1.wall)/float64(whole2.wall), "two-cores")
}

// baseLint parses every certificate and runs zlint's RFC sources on it, on all
// processors.
func baseLint(b *testing.B, ders [][]byte) func() {
	registry, err := zlint.GlobalRegistry().Filter(zlint.FilterOptions{
		IncludeSources: zlint.SourceList{zlint.RFC3279, zlint.RFC5280, zlint.RFC5480, zlint.RFC8813},
	})
	if err != nil {
		b.Fatal(err)
	}
	lints, config := registry.CertificateLints().Lints(), registry.GetConfiguration()
	return func() {
		var next atomic.Int64
		var workers sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			workers.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(ders)); i = next.Add(1) - 1 {
					c, err := zx509.ParseCertificate(ders[i])
					if err != nil {
						b.Error(err)
						return
					}
					for _, l := range lints {
						l.Execute(c, config)
					}
				}
			})
		}
		workers.Wait()
	}
}

// fleetLeafs are leafs of a device CA, no two with the same key: half of them
// RSA of 2048 bits, some of 3072, the others on P-256.
func fleetLeafs(b *testing.B) [][]byte {
	w := newWorld(b)
	random := rand.New(rand.NewPCG(1, 2))
	primorial := big.NewInt(1)
	for p := int64(3); p < 1<<16; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			primorial.Mul(primorial, big.NewInt(p))
		}
	}
	var out [][]byte
	for i := range 400 {
		var public any
		switch {
		case i%10 < 5:
			public = &rsa.PublicKey{N: roughNumber(random, primorial, 2048), E: 65537}
		case i%10 < 6:
			public = &rsa.PublicKey{N: roughNumber(random, primorial, 3072), E: 65537}
		default:
			public = w.ec("leaf" + string(rune(i))).Public()
		}
		out = append(out, w.leafOf(i, public, nil))
	}
	return out
}

// roughNumber is a number without a common factor with primorial, which is found
// sooner than two primes and is the same to checks that find nothing.
func roughNumber(random *rand.Rand, primorial *big.Int, bits int) *big.Int {
	for {
		n := new(big.Int)
		for range bits / 64 {
			n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(random.Uint64()))
		}
		n.SetBit(n, 0, 1).SetBit(n, bits-1, 1)
		if new(big.Int).GCD(nil, nil, n, primorial).IsUint64() {
			return n
		}
	}
}

// zlintCertificates are the certificates of zlint's own tests that can be parsed:
// odd ones, each for a lint.
func zlintCertificates(b testing.TB) [][]byte {
	out, err := exec.CommandContext(b.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/zmap/zlint/v3").Output()
	if err != nil {
		b.Skipf("the sources of zlint are not here: %v", err)
	}
	names, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "testdata", "*.pem"))
	if err != nil || len(names) == 0 {
		b.Skipf("the sources of zlint hold %d test certificates, %v", len(names), err)
	}
	var ders [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		if block, _ := pem.Decode(data); block != nil && block.Type == "CERTIFICATE" {
			if _, err := zx509.ParseCertificate(block.Bytes); err == nil {
				ders = append(ders, block.Bytes)
			}
		}
	}
	return ders
}
