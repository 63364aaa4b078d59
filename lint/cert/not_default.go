package cert

import (
	"probity/lint"
	"probity/lint/key"
)

// notDefault asks that the certificate is not one that ships with software.
func notDefault() lint.Check {
	known := key.Known()
	samples := newWordSet(sampleNames()...)
	return lint.Check{
		Name:   "cert/not_default",
		Source: "CWE-321, CWE-1392; the list of keys is that of key/not_publicly_known",
		Certificate: lint.DecodedLeaf(func(_ *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			if s.Key != nil {
				if k, ok := known(s.Key.SPKI); ok {
					return lint.Failf("The private key of the certificate is public: %s.", k)
				}
			}
			if p := sampleName(s.Certificate, samples); p != "" {
				return lint.Warnf("The name of the certificate matches %q, as sample certificates have it: subject %q, issuer %q.", p, s.Subject(), s.Issuer())
			}
			return lint.Passf("The certificate is on no list of sample certificates and has no sample name.")
		}),
	}
}

// sampleNames are what the names of sample certificates contain.
func sampleNames() []string {
	return []string{
		"snake oil", "snakeoil", "localhost", "example.com", "example.org", "example.net",
		"test ca", "testca", "test certificate", "dummy", "changeme",
		"internet widgits pty ltd", "default company ltd", // defaults of openssl req
	}
}

// sampleName returns the first of the sample names that the subject's or issuer's
// common name, unit or organisation contains.
func sampleName(c *lint.Certificate, samples *wordSet) string {
	subject, issuer := &c.X509().Subject, &c.X509().Issuer
	first := -1
	for _, list := range [...][]string{
		subject.CommonNames, subject.Organization, subject.OrganizationalUnit,
		issuer.CommonNames, issuer.Organization, issuer.OrganizationalUnit,
	} {
		for _, field := range list {
			if at := samples.find(field); at >= 0 && (first < 0 || at < first) {
				first = at
			}
		}
	}
	if first < 0 {
		return ""
	}
	return samples.words[first]
}
