package key

import (
	"fmt"
	"math/big"
	"math/bits"

	"probity/lint"
)

// deviations is how far a count of bits may be from its mean, in standard
// deviations, which chance exceeds once in 10^15 (NIST SP 800-22 rev. 1a section
// 2.1, at a level at which millions of keys raise no alarm).
const deviations = 8

// oddPattern says which bits of n are not as chance makes them, or "": too many or
// too few are set, or too many equal their neighbours at a distance, as in a modulus
// of primes with long runs of equal bits or words that repeat.
func oddPattern(n *big.Int) string {
	var buffer [lint.MaxKeyBits / 64]uint64
	words := limbs(n, buffer[:0])
	total := n.BitLen()
	set := 0
	for _, w := range words {
		set += bits.OnesCount64(w)
	}
	if deviates(set, total) {
		return fmt.Sprintf("%d of its bits are set", set)
	}
	for _, distance := range [...]int{1, 8, 16, 32, 64, 128} {
		pairs := total - distance
		if pairs <= 0 {
			break
		}
		if differ := differing(words, distance, pairs); deviates(differ, pairs) {
			return fmt.Sprintf("%d of its bits equal those %d places on", pairs-differ, distance)
		}
	}
	return ""
}

// deviates reports whether count of total bits is far from half of them.
func deviates(count, total int) bool {
	// (count - total/2)² > deviations² · total/4
	d := 2*count - total
	return d*d > deviations*deviations*total
}

// differing counts which of the lowest pairs bits differ from those distance places
// further up.
func differing(words []uint64, distance, pairs int) int {
	skip, shift := distance/64, uint(distance%64)
	n := 0
	for i := 0; 64*i < pairs; i++ {
		up := words[i+skip] >> shift
		if shift > 0 && i+skip+1 < len(words) {
			up |= words[i+skip+1] << (64 - shift)
		}
		differ := words[i] ^ up
		if rest := pairs - 64*i; rest < 64 {
			differ &= 1<<rest - 1
		}
		n += bits.OnesCount64(differ)
	}
	return n
}
