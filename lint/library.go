package lint

import (
	"sync"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
)

// Library has the certificates that were read before there was a corpus of them: who
// looks at certificates for something else need not decode them twice. Several
// goroutines may use it.
type Library struct {
	keys keyring

	mu    sync.Mutex
	certs map[evidence.Digest]*Certificate
}

// NewLibrary returns an empty library.
func NewLibrary() *Library {
	return &Library{keys: newKeyring(), certs: make(map[evidence.Digest]*Certificate)}
}

// Read decodes a certificate and keeps what a corpus needs of it; nil where the
// decoder cannot. Only the certificate of a CA is kept whole.
func (l *Library) Read(der []byte) *x509.Certificate {
	sum := evidence.DigestOf(der)
	c := readCertificate(der, sum, l.keys.read)
	x := c.whole.Load()
	if !c.plain { // it was changed so that it could be decoded
		x, _ = decode(der)
	}
	c.letGo()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.certs[sum] == nil {
		l.certs[sum] = c
	}
	return x
}

// certificate returns what was read of a certificate, or reads it.
func (l *Library) certificate(sum evidence.Digest, der []byte) *Certificate {
	l.mu.Lock()
	c := l.certs[sum]
	l.mu.Unlock()
	if c == nil {
		c = readCertificate(der, sum, l.keys.read)
	}
	return c
}
