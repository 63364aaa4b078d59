package key

import "probity/lint"

// notPubliclyKnown asks that the private half of the key has not been
// published.
func notPubliclyKnown() lint.Check {
	known := Known()
	return lint.Check{
		Name:   "key/not_publicly_known",
		Source: "CWE-321; sec-consult House of Keys (2016); RFC 9500; test keys of Go",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			if row, ok := known(k.SPKI); ok {
				return lint.Failf("The private key is public: %s.", row)
			}
			return lint.Passf("The key is not on the list of published keys.")
		}),
	}
}
