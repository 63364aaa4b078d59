package all_test

import (
	"crypto/x509"
	"crypto/x509/pkix"

	"probity/fixtures/pki"
	"probity/lint"
)

func pathInputs(w *world) []input {
	ca := func(name string, mod func(*x509.Certificate)) pki.Authority {
		return pki.Authority{Key: w.ec(name), DER: w.raw(w.root, w.ec(name).Public(), func(c *x509.Certificate) {
			c.Subject, c.IsCA, c.MaxPathLenZero = pkix.Name{CommonName: name}, true, true
			c.KeyUsage, c.NotAfter, c.DNSNames, c.ExtKeyUsage = x509.KeyUsageCertSign, now.AddDate(5, 0, 0), nil, nil
			mod(c)
		})}
	}
	clients := ca("Client CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	anything := ca("Any CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
	leaf := func(a pki.Authority) []byte { return w.issue(a, w.ec("leaf").Public(), w.device(1)) }
	served := func(name string, ders ...[]byte) input {
		return input{name: "chain/anchored/" + name, pem: chainPEM(host1, "server", ders...), policy: w.anchors()}
	}
	onFile := served("on_file", w.leaf(nil))
	onFile.policy.Intermediates = []lint.Intermediate{{File: "aia/other.cer", DER: clients.DER}, {File: "aia/device-ca.cer", DER: w.site.DER}}
	unused := input{name: "chain/anchored/purpose_in_file", pem: chainPEM("file/pump.pem", "file", leaf(clients), clients.DER), policy: w.anchors()}
	return []input{
		served("purpose", leaf(clients), clients.DER), served("any_purpose", leaf(anything), anything.DER), onFile, unused,
	}
}
