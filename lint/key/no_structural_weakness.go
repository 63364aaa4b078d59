package key

import (
	"sync"

	"probity/lint"
)

// noStructuralWeakness asks that the modulus does not give its factors away.
func noStructuralWeakness() lint.Check {
	tests := sync.OnceValue(newModulusTests)
	return lint.Check{
		Name: "key/no_structural_weakness",
		Source: "CVE-2017-15361 (Nemec et al., The Return of Coppersmith's Attack, CCS 2017); Fermat factorisation (CVE-2022-26320); " +
			"NIST SP 800-22 rev. 1a section 2.1",
		Certificate: rsaOnly(func(_ *lint.Env, k *lint.Key) lint.Verdict {
			return lint.Remember(&k.Memo, "key/no_structural_weakness", func() lint.Verdict { return tests().weakness(k) })
		}),
	}
}

// modulusTests hold what the tests of a modulus prepare.
type modulusTests struct {
	sieve sieve
	roca  roca
	roots *sync.Pool   // of *rooter
	sound lint.Verdict // on nearly every key
}

func newModulusTests() modulusTests {
	return modulusTests{newSieve(), newROCA(), &sync.Pool{New: func() any { return new(rooter) }}, lint.Passf("No divisor below %d, no close primes (Fermat, %d rounds), no ROCA fingerprint, no bit pattern.", trialDivisors, fermatRounds)}
}

// weakness tries what finds the factors of a weak modulus quickly.
func (t modulusTests) weakness(k *lint.Key) lint.Verdict {
	if k.N == nil {
		return lint.Inconclusivef("The RSA modulus of %d bits is outside the bounds of computation.", k.Bits)
	}
	if k.N.Sign() == 0 {
		return lint.Failf("The RSA modulus is zero.")
	}
	if f := t.sieve.factor(k.N); f != 0 {
		return lint.Failf("The RSA modulus is divisible by %d.", f)
	}
	if rounds := t.fermat(k); rounds >= 0 {
		return lint.Failf("The RSA modulus was factored: its primes are close together (Fermat, %s).", lint.Count(rounds, "round"))
	}
	if t.roca.matches(k.N) {
		return lint.Warnf("The RSA modulus of %d bits has the fingerprint of keys of the Infineon library (ROCA, CVE-2017-15361).", k.Bits)
	}
	if what := oddPattern(k.N); what != "" {
		return lint.Warnf("The RSA modulus of %d bits is not random: %s.", k.Bits, what)
	}
	return t.sound
}

// fermat is [rooter.fermat].
func (t modulusTests) fermat(k *lint.Key) int {
	w, ok := t.roots.Get().(*rooter)
	if !ok {
		w = new(rooter)
	}
	defer t.roots.Put(w)
	return w.fermat(k.N)
}
