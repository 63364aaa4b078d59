package main

import (
	"bytes"
	"slices"

	"probity/evidence"
	"probity/lint"
	"probity/reports"
)

// certificatesOf describes the certificates among the observations, each read and
// let go before the next.
func certificatesOf(obs []evidence.Observation) []reports.Certificate {
	ders := make(map[evidence.Digest][]byte)
	known := make(map[*byte]int) // observations share equal certificates
	for _, o := range obs {
		for _, p := range o.Certs {
			if len(p.DER) == 0 || known[&p.DER[0]] == len(p.DER) {
				continue
			}
			known[&p.DER[0]] = len(p.DER)
			ders[evidence.DigestOf(p.DER)] = p.DER
		}
	}
	out := make([]reports.Certificate, 0, len(ders))
	for _, der := range ders {
		out = append(out, described(der))
	}
	slices.SortFunc(out, func(x, y reports.Certificate) int { return bytes.Compare([]byte(x.SHA256), []byte(y.SHA256)) })
	return out
}

// described is a certificate as reports list it.
func described(der []byte) reports.Certificate {
	c := lint.ParseCertificate(der)
	r := reports.Certificate{SHA256: c.Digest.String(), Subject: c.Subject(), Issuer: c.Issuer()}
	if c.Key != nil {
		r.SPKI, r.KeyAlgorithm, r.KeyBits = c.Key.SPKI.String(), string(c.Key.Algorithm), c.Key.Bits
	}
	if c.Decoded() {
		r.Serial = c.X509().SerialNumber.Text(16)
		r.NotBefore, r.NotAfter = c.NotBefore().UTC(), c.NotAfter().UTC()
	}
	return r
}
