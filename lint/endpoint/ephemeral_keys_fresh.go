package endpoint

import (
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// ephemeralKeysFresh asks that no ephemeral key of a key exchange is used twice,
// on the endpoint or on another one of its device.
func ephemeralKeysFresh() lint.Check {
	return lint.Check{
		Name:   "endpoint/ephemeral_keys_fresh",
		Source: "RFC 9325 section 7.4; RFC 8446 section 4.2.8; Raccoon (CVE-2020-1968)",
		Params: []lint.Param{{Name: "samples", Doc: "key exchanges that a pass needs", Default: 3}},
		Endpoint: overTLS(func(env *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			shares := keyShares(e)
			if len(shares) == 0 {
				return lint.Inconclusivef("No ephemeral key of the server was seen.")
			}
			if v, found := reused(shares); found {
				return v
			}
			if e.Asset != "" {
				for _, o := range env.Corpus.EndpointsOf(e.Asset) {
					if v, found := reusedBy(shares, keyShares(o)); o != e && found {
						return v
					}
				}
			}
			seen, least := distinct(shares), env.Int("samples")
			if seen < least {
				return lint.Inconclusivef("%s seen, none twice; %d are needed.", was(seen), least)
			}
			return lint.Passf("%s seen, none twice.", was(seen))
		}),
	}
}

func was(n int) string {
	if n == 1 {
		return "1 ephemeral key was"
	}
	return lint.Count(n, "ephemeral key") + " were"
}

// keyShares are the answers that hold an ephemeral key of the server.
func keyShares(e *lint.EndpointSubject) []hello {
	return slices.DeleteFunc(hellos(e), func(h hello) bool { return h.KeyShare.IsZero() || h.Retry })
}

func distinct(shares []hello) int {
	keys := make(map[evidence.Digest]bool, len(shares))
	for _, h := range shares {
		keys[h.KeyShare] = true
	}
	return len(keys)
}

// handle is what two answers must have in common to be two uses of one key. What
// was heard of a handshake of our own is no second use of its key.
type handle struct {
	key    evidence.Digest
	method evidence.Method
}

func handleOf(h hello) handle { return handle{h.KeyShare, h.observation.Method} }

// same reports whether two answers that were heard are one: captures may overlap.
func same(a, b hello) bool {
	return a.observation.Method == evidence.Passive &&
		(a.observation.Run != b.observation.Run || a.observation.At.Equal(b.observation.At))
}

// reused judges the first key that was seen twice.
func reused(shares []hello) (lint.Verdict, bool) {
	seen := make(map[handle]hello, len(shares))
	for _, h := range shares {
		if first, twice := seen[handleOf(h)]; twice && !same(first, h) {
			return reuse(first, h, ""), true
		}
		seen[handleOf(h)] = h
	}
	return lint.Verdict{}, false
}

// reusedBy judges the first key of an endpoint that another one used, too.
func reusedBy(shares, others []hello) (lint.Verdict, bool) {
	seen := make(map[handle]hello, len(shares))
	for _, h := range shares {
		seen[handleOf(h)] = h
	}
	for _, o := range others {
		if first, twice := seen[handleOf(o)]; twice && !same(first, o) {
			return reuse(first, o, ", the other at "+o.observation.Endpoint.String()), true
		}
	}
	return lint.Verdict{}, false
}

// reuse says which key was seen twice.
func reuse(first, again hello, where string) lint.Verdict {
	v := lint.Warnf("The server used one %s key in two key exchanges%s: with %s and %s.", groupOf(again), where,
		tlswire.SuiteName(first.CipherSuite), tlswire.SuiteName(again.CipherSuite))
	if finiteField(again) {
		v.Outcome = evidence.Fail
	}
	v.Observations = []int64{first.observation.ID, again.observation.ID}
	return v
}

// finiteField reports whether a key exchange is of a prime field (RFC 7919, RFC
// 5246 section 8.1.2).
func finiteField(h hello) bool {
	return h.DHBits > 0 || h.Group>>8 == 1 || h.Version < tlswire.VersionTLS13 && has(h.CipherSuite, evidence.ClassDHE)
}

func groupOf(h hello) string {
	switch {
	case finiteField(h):
		return "finite-field Diffie-Hellman"
	case h.Group == 0:
		return "elliptic-curve"
	}
	return tlswire.GroupName(h.Group)
}
