package mtlsprobe

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/zmap/zcrypto/tls"

	"probity/evidence"
)

// Credential is a certificate with its key, supplied by the operator.
type Credential struct {
	Kind  evidence.ClientCertificate // what is wrong with it, or [evidence.ClientCertGood]
	Chain [][]byte                   // DER, leaf first
	Key   crypto.Signer
}

// maxName bounds a name that is copied from the server.
const maxName = 4096

// maker makes the certificates of one probe. The same seed, time and request
// give the same certificates, but for the keys of servers that take RSA only.
type maker struct {
	seed [32]byte
	at   time.Time
	rsa  func(label string) (*rsa.PrivateKey, error)
}

func newMaker(seed [32]byte, at time.Time) *maker {
	keys := map[string]func() (*rsa.PrivateKey, error){}
	return &maker{seed: seed, at: at.UTC().Truncate(time.Second), rsa: func(label string) (*rsa.PrivateKey, error) {
		if keys[label] == nil {
			keys[label] = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
		}
		return keys[label]()
	}}
}

// request is what the server said before a certificate is made for it.
type request struct {
	authorities [][]byte
	schemes     []tls.SignatureScheme
	server      [][]byte // its own chain
}

// make returns the certificate of a kind for a server.
func (m *maker) make(kind evidence.ClientCertificate, r request) (*tls.Certificate, error) {
	var none tls.Certificate
	key, err := m.key(string(kind), r.schemes)
	if err != nil {
		return &none, err
	}
	leaf := &x509.Certificate{
		SerialNumber: m.serial(string(kind)),
		Subject:      pkix.Name{Organization: []string{"probity bench test"}, CommonName: "probity " + string(kind)},
		NotBefore:    m.at.AddDate(0, -1, 0), NotAfter: m.at.AddDate(0, 11, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	switch kind {
	case evidence.ClientCertExpired:
		leaf.NotBefore, leaf.NotAfter = m.at.AddDate(-2, 0, 0), m.at.AddDate(-1, 0, 0)
	case evidence.ClientCertNotYetValid:
		leaf.NotBefore, leaf.NotAfter = m.at.AddDate(1, 0, 0), m.at.AddDate(2, 0, 0)
	case evidence.ClientCertWrongPurpose:
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case evidence.ClientCertSelfSigned:
		der, err := x509.CreateCertificate(nil, leaf, leaf, key.Public(), key)
		if err != nil {
			return &none, fmt.Errorf("make the %s certificate: %w", kind, err)
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	case evidence.ClientCertUnknownCA:
	case evidence.ClientCertNone, evidence.ClientCertGood, evidence.ClientCertRevoked:
		return &none, fmt.Errorf("the %s certificate cannot be made here", kind)
	}
	chain, err := m.underFalseCA(leaf, key, r)
	if err != nil {
		return &none, fmt.Errorf("make the %s certificate: %w", kind, err)
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil
}

// underFalseCA signs leaf by a CA that has the name of one that the server
// accepts and, where the server's own chain shows it, its key identifier, but
// not its key. A server that compares names or identifiers takes it for real.
func (m *maker) underFalseCA(leaf *x509.Certificate, key crypto.Signer, r request) ([][]byte, error) {
	signer, err := m.key("ca", r.schemes)
	if err != nil {
		return nil, err
	}
	name, id := pretend(r)
	if id == nil {
		spki, err := x509.MarshalPKIXPublicKey(signer.Public())
		if err != nil {
			return nil, err
		}
		sum := sha1.Sum(spki) // an identifier, as RFC 5280 section 4.2.1.2 suggests
		id = sum[:]
	}
	ca := &x509.Certificate{
		SerialNumber: m.serial("ca"), RawSubject: name, SubjectKeyId: id,
		NotBefore: m.at.AddDate(-3, 0, 0), NotAfter: m.at.AddDate(7, 0, 0), // around every leaf
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
	caDER, err := x509.CreateCertificate(nil, ca, ca, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(nil, leaf, ca, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return [][]byte{der, caDER}, nil
}

// pretend chooses the name of the false CA: the first authority that the server
// accepts, else the issuer of the server's own certificate. The identifier is
// that of the real CA where the server's chain shows it.
func pretend(r request) (name, id []byte) {
	for _, n := range r.authorities {
		if wellFormed(n) {
			name = n
			break
		}
	}
	var chain []*x509.Certificate
	for _, der := range r.server {
		if c, err := x509.ParseCertificate(der); err == nil { // else nothing to copy
			chain = append(chain, c)
		}
	}
	if name == nil && len(chain) > 0 && wellFormed(chain[0].RawIssuer) {
		name = chain[0].RawIssuer
	}
	for _, c := range chain {
		switch {
		case bytes.Equal(c.RawSubject, name) && len(c.SubjectKeyId) > 0 && len(c.SubjectKeyId) <= 64:
			return name, c.SubjectKeyId
		case bytes.Equal(c.RawIssuer, name) && len(c.AuthorityKeyId) > 0 && len(c.AuthorityKeyId) <= 64:
			return name, c.AuthorityKeyId
		}
	}
	return name, nil // without a name the certificate gets the empty one
}

// wellFormed reports whether der is a distinguished name that is not empty.
func wellFormed(der []byte) bool {
	var name pkix.RDNSequence
	rest, err := asn1.Unmarshal(der, &name)
	return err == nil && len(rest) == 0 && len(name) > 0 && len(der) <= maxName
}

// key returns the key of a label: P-256, or RSA where the server takes no ECDSA.
func (m *maker) key(label string, schemes []tls.SignatureScheme) (crypto.Signer, error) {
	if len(schemes) > 0 && !slices.Contains(schemes, tls.ECDSAWithP256AndSHA256) {
		return m.rsa(label)
	}
	// Nearly every 32 bytes are a private key of P-256; the next try is.
	for try := range 8 {
		b, err := m.derive(fmt.Sprintf("key %d %s", try, label), 32)
		if err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("no key for the %s certificate", label)
}

func (m *maker) serial(label string) *big.Int {
	b, err := m.derive("serial "+label, 16)
	if err != nil {
		return big.NewInt(1)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always of 16 bytes
	return new(big.Int).SetBytes(b)
}

func (m *maker) derive(label string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, m.seed[:], nil, "probity bench "+label, n)
}
