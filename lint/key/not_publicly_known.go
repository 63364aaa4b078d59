package key

import (
	"probity/evidence"
	"probity/lint"
)

// notPubliclyKnown asks that nobody has published the private half of the key, on
// the embedded list or on one of the site's.
func notPubliclyKnown() lint.Check {
	known := Known()
	return lint.Check{
		Name:   "key/not_publicly_known",
		Source: "CWE-321; sec-consult House of Keys (2016); RFC 9500; test keys of Go; lists of the site, such as those of CVE-2008-0166",
		Certificate: lint.WithKey(func(env *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			if where := Published(env, known, k); where != "" {
				return lint.Failf("The private key is public: %s.", where)
			}
			if n := len(env.Policy.KeyLists); n > 0 {
				return lint.Passf("The key is not on the list of published keys, nor on %s of the site.", lint.Count(n, "list"))
			}
			return lint.Passf("The key is not on the list of published keys.")
		}),
	}
}

// Published says where the private half of a key is to be had, or "".
func Published(env *lint.Env, known func(evidence.Digest) (KnownKey, bool), k *lint.Key) string {
	if row, ok := known(k.SPKI); ok {
		return row.String()
	}
	for _, l := range env.Policy.KeyLists {
		if where := l.Holds(k); where != "" {
			return where
		}
	}
	return ""
}
