package main

import (
	"probity/evidence"
	"probity/lint"
	"probity/reports"
)

// certificatesOf describes the certificates among the observations.
func certificatesOf(obs []evidence.Observation) []reports.Certificate {
	var out []reports.Certificate
	for _, c := range lint.NewCorpus(obs, nil).Certificates() {
		r := reports.Certificate{SHA256: c.Digest.String(), Subject: c.Subject(), Issuer: c.Issuer()}
		if c.Key != nil {
			r.SPKI, r.KeyAlgorithm, r.KeyBits = c.Key.SPKI.String(), string(c.Key.Algorithm), c.Key.Bits
		}
		if c.X509 != nil {
			r.Serial = c.X509.SerialNumber.Text(16)
			r.NotBefore, r.NotAfter = c.X509.NotBefore.UTC(), c.X509.NotAfter.UTC()
		}
		out = append(out, r)
	}
	return out
}
