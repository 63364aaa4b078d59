package all_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
	"probity/lint/all"
)

// TestEndorsement: the certificate of the endorsement key of a TPM, and its CA, need no
// end. Those that swtpm makes have the same form.
func TestEndorsement(t *testing.T) {
	w := newWorld(t)
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "TPM maker"}, SerialNumber: big.NewInt(5), NotBefore: now.AddDate(-1, 0, 0), NotAfter: pki.Indefinite(),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte("tpm"),
	}
	signer := w.ec("tpm maker")
	var f inFiles
	f.add("ca.pem", evidence.ArtefactFacts{}, must[[]byte](t)(x509.CreateCertificate(nil, ca, ca, signer.Public(), signer)))
	ek := &x509.Certificate{
		SerialNumber: big.NewInt(6), NotBefore: now.AddDate(-1, 0, 0), NotAfter: pki.Indefinite(), KeyUsage: x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
	}
	f.add("ek.der", evidence.ArtefactFacts{}, must[[]byte](t)(x509.CreateCertificate(nil, ek, ca, w.ec("ek").Public(), signer)))
	_, want := streamed(t, all.Checks(), f.obs, now, &lint.Policy{})
	passed := 0
	for _, r := range want {
		if strings.HasPrefix(r, "cert/indefinite_validity_role") && strings.HasSuffix(r, " pass") && strings.Contains(r, "endorsement key") {
			passed++
		}
	}
	if passed != 2 {
		t.Errorf("%d of two pass:\n%s", passed, strings.Join(want, "\n"))
	}
}
