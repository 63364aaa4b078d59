package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/remyoudompheng/bigfft"
)

// moduliTruth is what a file of planted moduli holds, as line numbers from 1.
type moduliTruth struct {
	primes, small [][]int // lines with one prime, and with one small factor
	equal         [][]int
	bridge        int // a line with a prime that every file has once
}

// flagged are the lines that share anything.
func (m moduliTruth) flagged() []int {
	lines := slices.Concat(slices.Concat(m.primes...), slices.Concat(m.small...), slices.Concat(m.equal...))
	slices.Sort(lines)
	return slices.Compact(lines)
}

// coprime returns n odd numbers of 2,048 bits that are pairwise coprime, and cost what
// as many RSA moduli do: they lie so close together that a common factor would be
// small, and have no factor below 2^26.
func coprime(r *rand.ChaCha8, n int) []*big.Int {
	const bound = 1 << 26
	start := randomBits(r, 2048)
	odds := n*17 + 4096 // one in 16 has no factor below the bound
	if 2*odds >= bound {
		panic("too many numbers for the bound")
	}
	hit := make([]bool, odds) // of start + 2i
	composite := make([]bool, bound)
	for p := 3; p < bound; p += 2 {
		if composite[p] {
			continue
		}
		for j := p * p; j < bound; j += 2 * p {
			composite[j] = true
		}
		at := p - int(new(big.Int).Mod(start, big.NewInt(int64(p))).Int64()) // start+at is a multiple
		if at %= p; at%2 != 0 {
			at += p
		}
		for i := at / 2; i < odds; i += p {
			hit[i] = true
		}
	}
	out := make([]*big.Int, 0, n)
	for i, h := range hit {
		if !h && len(out) < n {
			out = append(out, new(big.Int).Add(start, big.NewInt(int64(2*i))))
		}
	}
	if len(out) < n {
		panic("too few numbers")
	}
	return out
}

func randomBits(r *rand.ChaCha8, bits int) *big.Int {
	raw := make([]byte, bits/8)
	_, _ = r.Read(raw)
	raw[0] |= 0xc0
	raw[len(raw)-1] |= 1
	return new(big.Int).SetBytes(raw)
}

// plantModuli writes n moduli to a file, one a line, with pairs, triples and a
// triangle of shared primes, equal moduli and small common factors among them.
func plantModuli(path string, seed byte, n int) moduliTruth {
	r := rand.NewChaCha8([32]byte{seed})
	moduli := coprime(r, n)
	prime := func() *big.Int {
		for {
			if p := randomBits(r, 1024); p.ProbablyPrime(0) {
				return p
			}
		}
	}
	place := 0
	spread := func() int { // over the whole file
		place++
		return (place*(n/31) + place) % n
	}
	var truth moduliTruth
	for _, members := range []int{2, 2, 2, 2, 3, 3} {
		p := prime()
		var lines []int
		for range members {
			at := spread()
			moduli[at] = new(big.Int).Mul(p, prime())
			lines = append(lines, at+1)
		}
		truth.primes = append(truth.primes, lines)
	}
	p, q, s := prime(), prime(), prime()
	x, y, z := spread(), spread(), spread()
	moduli[x], moduli[y], moduli[z] = new(big.Int).Mul(p, q), new(big.Int).Mul(q, s), new(big.Int).Mul(s, p)
	truth.primes = append(truth.primes, []int{x + 1, y + 1}, []int{y + 1, z + 1}, []int{z + 1, x + 1})
	for _, f := range []int64{3, 65537} {
		var lines []int
		for range 3 {
			at := spread()
			moduli[at] = new(big.Int).Mul(randomPrime(r, 2048), big.NewInt(f))
			lines = append(lines, at+1)
		}
		truth.small = append(truth.small, lines)
	}
	first, second := spread(), spread()
	moduli[second] = moduli[first]
	truth.equal = append(truth.equal, []int{first + 1, second + 1})
	at := spread()
	moduli[at] = new(big.Int).Mul(randomPrime(rand.NewChaCha8([32]byte{99}), 1024), prime())
	truth.bridge = at + 1
	for _, l := range slices.Concat(truth.primes, truth.small, truth.equal) {
		slices.Sort(l)
	}
	for _, l := range [][][]int{truth.primes, truth.small, truth.equal} {
		slices.SortFunc(l, slices.Compare)
	}
	must(os.WriteFile(path, moduliText(moduli), 0o600))
	return truth
}

func moduliText(moduli []*big.Int) []byte {
	var b bytes.Buffer
	for _, m := range moduli {
		b.WriteString(m.Text(16))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// asPlanter in the environment makes the test binary write files of moduli. A process
// is said to have had as much memory as the one that started it, so the one that
// starts those that are measured makes no numbers itself.
const asPlanter = "PROBITY_TEST_PLANT"

// planterCommand writes the moduli that the environment names as path, number and seed,
// and what they hold to standard output.
func planterCommand(text string) {
	var n, seed int
	path, rest, _ := strings.Cut(text, "=")
	_, err := fmt.Sscanf(rest, "%d=%d", &n, &seed)
	must(err)
	truth := plantModuli(path, byte(seed), n)
	must(json.NewEncoder(os.Stdout).Encode([][][]int{truth.primes, truth.small, truth.equal, {{truth.bridge}}}))
}

// asBigfft in the environment names a file of moduli, and makes the test binary a
// batch GCD with bigfft: the tree of products and cofactor sums of
// internal/batchgcd, all of it in memory, with the multiplication of that package.
const asBigfft = "PROBITY_TEST_BIGFFT"

func bigfftCommand(path string) {
	f, err := os.Open(path)
	must(err)
	var leaves, sums []*big.Int
	s := bufio.NewScanner(f)
	for s.Scan() {
		n, _ := new(big.Int).SetString(s.Text(), 16)
		leaves, sums = append(leaves, n), append(sums, big.NewInt(1))
	}
	levels := [][]*big.Int{leaves}
	for nodes := leaves; len(nodes) > 1; {
		upper, upperSums := make([]*big.Int, (len(nodes)+1)/2), make([]*big.Int, (len(nodes)+1)/2)
		onTwo(len(upper), func(i int) {
			if 2*i+1 == len(nodes) {
				upper[i], upperSums[i] = nodes[2*i], sums[2*i]
				return
			}
			a, b := nodes[2*i], nodes[2*i+1]
			upper[i] = bigfft.Mul(a, b)
			upperSums[i] = bigfft.Mul(sums[2*i], b)
			upperSums[i].Add(upperSums[i], bigfft.Mul(sums[2*i+1], a))
		})
		nodes, sums = upper, upperSums
		levels = append(levels, nodes)
	}
	root := levels[len(levels)-1][0]
	bits := root.BitLen() + 64 // of a fraction
	fraction := bigfft.Mul(sums[0], reciprocalOf(root, 2*bits))
	fraction.Rsh(fraction, uint(bits))
	fractions := []*big.Int{lowBits(fraction, bits)}
	scales := []int{bits}
	for l := len(levels) - 2; l >= 0; l-- {
		nodes := levels[l]
		levels[l+1] = nil
		next, nextScales := make([]*big.Int, len(nodes)), make([]int, len(nodes))
		onTwo(len(nodes), func(i int) {
			sibling := i ^ 1
			if sibling == len(nodes) {
				next[i], nextScales[i] = fractions[i/2], scales[i/2]
				return
			}
			z := lowBits(bigfft.Mul(fractions[i/2], nodes[sibling]), scales[i/2])
			nextScales[i] = nodes[i].BitLen() + 64
			next[i] = z.Rsh(z, uint(scales[i/2]-nextScales[i]))
		})
		fractions, scales = next, nextScales
	}
	one := big.NewInt(1)
	for i, n := range leaves {
		r := new(big.Int).Mul(fractions[i], n)
		r.Add(r, new(big.Int).Lsh(one, uint(scales[i]-1)))
		r.Rsh(r, uint(scales[i]))
		if r.GCD(nil, nil, r, n).Cmp(one) != 0 {
			_, _ = fmt.Fprintln(os.Stdout, i+1)
		}
	}
}

func lowBits(x *big.Int, n int) *big.Int {
	mask := new(big.Int).Lsh(big.NewInt(1), uint(n))
	return x.And(x, mask.Sub(mask, big.NewInt(1)))
}

// reciprocalOf returns about 2^n/d (Newton).
func reciprocalOf(d *big.Int, n int) *big.Int {
	one := big.NewInt(1)
	if n-d.BitLen() < 256 {
		z := new(big.Int).Lsh(one, uint(n))
		return z.Quo(z, d)
	}
	// Half of the digits of the quotient come from half of those of d.
	drop := max(0, d.BitLen()-(n-d.BitLen())/2-64)
	half := (n-d.BitLen())/2 + 32
	top := new(big.Int).Rsh(d, uint(drop))
	m := top.BitLen() + half
	x := reciprocalOf(top, m) // about 2^m/top, so 2^(m+drop)/d
	// x' = 2x - d*x^2, scaled to 2^n
	e := new(big.Int).Lsh(one, uint(m+drop))
	e.Sub(e, bigfft.Mul(d, x))
	sign := e.Sign()
	e = bigfft.Mul(e.Abs(e), x)
	shift := 2*(m+drop) - n
	if shift >= 0 {
		e.Rsh(e, uint(shift))
	} else {
		e.Lsh(e, uint(-shift))
	}
	x.Lsh(x, uint(n-m-drop))
	if sign < 0 {
		return x.Sub(x, e)
	}
	return x.Add(x, e)
}

// onTwo calls f for 0 to n-1 on two goroutines.
func onTwo(n int, f func(i int)) {
	var wg sync.WaitGroup
	for start := range 2 {
		wg.Go(func() {
			for i := start; i < n; i += 2 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// asPeer returns what the test binary is to do instead of tests; nil if nothing.
func asPeer() func() {
	if path := os.Getenv(asBigfft); path != "" {
		return func() { bigfftCommand(path) }
	}
	if text := os.Getenv(asFactory); text != "" {
		return func() { factoryCommand([]byte(text)) }
	}
	if text := os.Getenv(asPlanter); text != "" {
		return func() { planterCommand(text) }
	}
	return nil
}

func randomPrime(r *rand.ChaCha8, bits int) *big.Int {
	for {
		if p := randomBits(r, bits); p.ProbablyPrime(0) {
			return p
		}
	}
}
