package fleet

import (
	"math/big"
	"runtime"
	"slices"
	"sync"
)

// block is how many moduli share one product tree. It bounds memory: a tree of
// 8,192 moduli of 2,048 bits takes some 60 MB.
const block = 8192

// maxPairs bounds the pairwise search that takes a modulus apart when all of its
// factors are shared.
const maxPairs = 1 << 19

// batchGCD returns, for each of the distinct moduli, its greatest common divisor
// with the product of all others (Bernstein, How to find smooth parts of
// integers, 2004; in blocks as in Hastings, Fried and Heninger, Weak keys remain
// widespread in network devices, IMC 2016). All moduli must be positive.
func batchGCD(moduli []*big.Int) []*big.Int {
	var blocks [][]*big.Int
	for start := 0; start < len(moduli); start += block {
		blocks = append(blocks, moduli[start:min(start+block, len(moduli))])
	}
	products := make([]*big.Int, len(blocks))
	out := make([]*big.Int, 0, len(moduli))
	for i, b := range blocks {
		products[i] = top(productTree(b))
	}
	for i, b := range blocks {
		tree := productTree(b)
		rest := remainders(tree, cofactorSum(tree))
		for j, p := range products {
			if i == j {
				continue
			}
			for k, r := range remainders(tree, p) {
				rest[k].Mul(rest[k], r)
				rest[k].Mod(rest[k], b[k])
			}
		}
		for k, n := range b {
			out = append(out, rest[k].GCD(nil, nil, rest[k], n))
		}
	}
	return out
}

// productTree returns the levels of the tree of products, leaves first.
func productTree(leaves []*big.Int) [][]*big.Int {
	levels := [][]*big.Int{leaves}
	for len(levels[len(levels)-1]) > 1 {
		below := levels[len(levels)-1]
		level := make([]*big.Int, (len(below)+1)/2)
		parallel(len(level), func(i int) {
			if 2*i+1 == len(below) {
				level[i] = below[2*i]
				return
			}
			level[i] = new(big.Int).Mul(below[2*i], below[2*i+1])
		})
		levels = append(levels, level)
	}
	return levels
}

func top(levels [][]*big.Int) *big.Int { return levels[len(levels)-1][0] }

// cofactorSum is the sum over i of the product of all leaves but i. Modulo leaf i
// every term but one vanishes, which leaves the product of the others.
func cofactorSum(levels [][]*big.Int) *big.Int {
	sums := make([]*big.Int, len(levels[0]))
	for i := range sums {
		sums[i] = big.NewInt(1)
	}
	for _, products := range levels[:len(levels)-1] {
		next := make([]*big.Int, (len(sums)+1)/2)
		parallel(len(next), func(i int) {
			if 2*i+1 == len(sums) {
				next[i] = sums[2*i]
				return
			}
			next[i] = new(big.Int).Mul(sums[2*i], products[2*i+1])
			next[i].Add(next[i], new(big.Int).Mul(sums[2*i+1], products[2*i]))
		})
		sums = next
	}
	return sums[0]
}

// remainders returns n modulo each leaf.
func remainders(levels [][]*big.Int, n *big.Int) []*big.Int {
	rest := []*big.Int{n}
	for l, level := range slices.Backward(levels) {
		next := make([]*big.Int, len(level))
		parallel(len(level), func(i int) {
			parent := rest[0]
			if l < len(levels)-1 {
				parent = rest[i/2]
			}
			next[i] = new(big.Int).Mod(parent, level[i])
		})
		rest = next
	}
	return rest
}

// parallel calls f for 0 to n-1 on all processors. Each call owns its index, so
// the result does not depend on the order.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers < 2 || n < 4 {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// commonDivisors returns the divisors that at least two of the distinct moduli
// share, as decimal text, each with the indexes of the moduli it divides.
func commonDivisors(moduli []*big.Int) map[string][]int {
	out := make(map[string][]int)
	add := func(d *big.Int, i int) {
		key := d.String()
		if l := out[key]; len(l) == 0 || l[len(l)-1] != i {
			out[key] = append(l, i)
		}
	}
	one := big.NewInt(1)
	var flagged []int
	gcds := batchGCD(moduli)
	for i, g := range gcds {
		if g.Cmp(one) != 0 {
			flagged = append(flagged, i)
		}
	}
	pairs := 0
	for _, i := range flagged {
		if gcds[i].Cmp(moduli[i]) != 0 && gcds[i].ProbablyPrime(20) {
			add(gcds[i], i)
			continue
		}
		// All factors are shared, or a composite part: meet the others one by one.
		for _, j := range flagged {
			if i == j {
				continue
			}
			if pairs++; pairs > maxPairs {
				add(gcds[i], i)
				break
			}
			g := new(big.Int).GCD(nil, nil, moduli[i], moduli[j])
			if g.Cmp(one) != 0 {
				add(g, i)
			}
		}
	}
	return out
}
