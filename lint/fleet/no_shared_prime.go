package fleet

import (
	"context"
	"maps"
	"math/big"
	"slices"

	"probity/evidence"
	"probity/internal/batchgcd"
	"probity/lint"
)

// noSharedPrime asks that no two RSA moduli have a prime in common, which lets
// anyone factor both.
func noSharedPrime() lint.Check {
	return lint.Check{
		Name:   "fleet/no_shared_prime",
		Source: "Heninger et al., Mining Your Ps and Qs, USENIX Security 2012; batch GCD (Bernstein 2004)",
		Fleet: func(_ *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			owners := rsaOwners(c)
			switch len(owners) {
			case 0:
				return fleetWide(lint.NotApplicablef("No RSA key was seen."))
			case 1:
				return fleetWide(lint.Inconclusivef("Only one RSA modulus was seen; a shared prime needs two."))
			}
			texts := slices.Sorted(maps.Keys(owners))
			moduli := make([]*big.Int, len(texts))
			for i, t := range texts {
				moduli[i] = new(big.Int).SetBytes([]byte(t))
			}
			divisors, err := batchgcd.Common(context.Background(), moduli, batchgcd.Options{Dir: c.Scratch})
			if err != nil {
				return fleetWide(lint.Inconclusivef("The RSA moduli could not be compared: %v.", err))
			}
			var out []lint.GroupVerdict
			for _, d := range divisors {
				var members []member
				for _, i := range d.Moduli {
					members = append(members, owners[texts[i]]...)
				}
				kind := "prime"
				if !d.Splits {
					kind = "divisor"
				}
				out = append(out, group(evidence.DuplicatePrime, d.Value.Text(16), members, confidenceOf(members), lint.Failf(
					"%d RSA moduli share a %s of %d bits, so anyone can factor them.", len(d.Moduli), kind, d.Value.BitLen())))
			}
			return or(out, lint.Passf("The %d RSA moduli share no prime.", len(moduli)))
		},
	}
}

// rsaOwners maps each distinct RSA modulus, as big-endian bytes, to the places
// at which it was seen, in certificates and as SSH host key.
func rsaOwners(c *lint.Corpus) map[string][]member {
	owners := make(map[string][]member)
	add := func(n *big.Int, m member) {
		if n != nil && n.Sign() > 0 {
			owners[string(n.Bytes())] = append(owners[string(n.Bytes())], m)
		}
	}
	f := c.Fleet()
	for i := range f.Spots {
		add(f.Records[f.Spots[i].Certificate].Modulus, memberOf(c, f, int32(i)))
	}
	for i := range f.Keys {
		if k := &f.Keys[i]; k.Key != nil {
			add(k.Key.N, showed(c, &k.Shower))
		}
	}
	return owners
}
