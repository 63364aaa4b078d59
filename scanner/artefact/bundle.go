package artefact

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"
)

const (
	// maxIterations bounds the key derivation of a PKCS #12 file; common writers use
	// between 1 and some 600,000 rounds.
	maxIterations = 10_000_000
	// openTime bounds the whole opening of a PKCS #12 file, for iteration counts that
	// are themselves encrypted.
	openTime = 60 * time.Second
	maxDepth = 32 // of nested DER
)

// readPKCS7 reads the certificates of a SignedData (RFC 2315 section 9.1), DER
// or BER, without checking its signatures.
func readPKCS7(data []byte) ([]item, error) {
	if ders, ok := signedCertificates(data); ok {
		return bundle(formatPKCS7, ders)
	}
	p7, err := parsePKCS7(data)
	if err != nil {
		return nil, fmt.Errorf("not a certificate: PKCS #7 cannot be read: %w: give a certs-only bundle", err)
	}
	ders := make([][]byte, len(p7.Certificates))
	for i, c := range p7.Certificates {
		ders[i] = c.Raw
	}
	return bundle(formatPKCS7, ders)
}

// parsePKCS7 turns a panic of the parser on hostile bytes into an error.
func parsePKCS7(data []byte) (p7 *pkcs7.PKCS7, err error) {
	defer func() {
		if r := recover(); r != nil {
			p7, err = nil, fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	return pkcs7.Parse(data)
}

// signedCertificates walks to the certificates of a DER SignedData, so that one
// odd certificate does not hide the others.
func signedCertificates(data []byte) ([][]byte, bool) {
	info := children(data, 2)
	if len(info) != 2 || info[0][0] != tagOID || info[1][0] != tagVersion {
		return nil, false
	}
	wrapped := children(info[1], 1)
	if len(wrapped) != 1 || wrapped[0][0] != tagSequence {
		return nil, false
	}
	fields := children(wrapped[0], 6)
	at := slices.IndexFunc(fields, func(f []byte) bool { return f[0] == tagVersion })
	if at < 0 {
		return nil, false
	}
	certs := children(fields[at], MaxCertificates+1)
	size := 0
	for _, c := range certs {
		if c[0] != tagSequence {
			return nil, false
		}
		size += len(c)
	}
	header, length, _ := elementHeader(fields[at])
	return certs, len(certs) > MaxCertificates || header+size == header+length
}

// readPKCS12 opens a PFX (RFC 7292) and returns its certificates.
func readPKCS12(data []byte, password string) ([]item, error) {
	if err := whole(data); err != nil {
		return nil, err
	}
	if n := worstIterations(data, maxDepth); n > maxIterations {
		return nil, fmt.Errorf("not opened: PKCS #12 asks for %d rounds of key derivation, more than %d: write it anew with fewer", n, maxIterations)
	}
	type answer struct {
		ders [][]byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		ders, err := openPKCS12(data, password)
		done <- answer{ders, err}
	}()
	timer := time.NewTimer(openTime)
	defer timer.Stop()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, a.err
		}
		return bundle(formatPKCS12, a.ders)
	case <-timer.C:
		return nil, fmt.Errorf("not opened: PKCS #12 takes longer than %v: write it anew with fewer rounds of key derivation", openTime)
	}
}

// openPKCS12 tries the two shapes of a file: an identity with its chain, and a
// set of trusted certificates.
func openPKCS12(data []byte, password string) (ders [][]byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			ders, err = nil, fmt.Errorf("not a certificate: the PKCS #12 parser gave up: %v", r)
		}
	}()
	_, leaf, chain, err := pkcs12.DecodeChain(data, password)
	if err == nil {
		ders = append(ders, leaf.Raw)
		for _, c := range chain {
			ders = append(ders, c.Raw)
		}
		return ders, nil
	}
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, ErrPassword
	}
	certs, trustErr := pkcs12.DecodeTrustStore(data, password)
	if trustErr != nil {
		return nil, fmt.Errorf("not a certificate: PKCS #12 cannot be read: %w: export the certificates as PEM", err)
	}
	for _, c := range certs {
		ders = append(ders, c.Raw)
	}
	return ders, nil
}

// worstIterations returns the highest iteration count that stands in clear: an
// INTEGER that follows an OCTET STRING, as in PBKDF2-params and PBEParameter (RFC
// 8018 appendix A) and MacData (RFC 7292 section 4).
func worstIterations(der []byte, depth int) int {
	if depth == 0 {
		return 0
	}
	worst := 0
	var before byte
	for _, c := range children(der, MaxCertificates) {
		header, length, _ := elementHeader(c)
		switch tag := c[0]; {
		case tag == tagInteger && before == tagOctetString:
			n := maxIterations + 1
			if length <= 4 {
				n = 0
				for _, b := range c[header:] {
					n = n<<8 | int(b)
				}
			}
			worst = max(worst, n)
		case tag&0x20 != 0 || tag == tagOctetString:
			worst = max(worst, worstIterations(c, depth-1))
		}
		before = c[0]
	}
	return worst
}

// bundle puts the leaf first and its issuers behind it. Whatever belongs to no
// chain stays in the order of the file, as leaf of its own.
func bundle(format string, ders [][]byte) ([]item, error) {
	if len(ders) == 0 {
		return nil, errors.New("not a certificate: the bundle holds none: export it with certificates")
	}
	if len(ders) > MaxCertificates {
		return make([]item, len(ders)), nil // the caller refuses them
	}
	certs := make([]*x509.Certificate, len(ders))
	leaf := -1
	for i, der := range ders {
		if c, err := x509.ParseCertificate(der); err == nil {
			certs[i] = c
			if leaf < 0 && !c.IsCA {
				leaf = i
			}
		}
	}
	used := make([]bool, len(ders))
	var items []item
	for at := leaf; at >= 0; {
		used[at] = true
		items = append(items, item{format: format, der: ders[at], position: len(items)})
		issuer := certs[at].RawIssuer
		at = slices.IndexFunc(certs, func(c *x509.Certificate) bool {
			return c != nil && c.IsCA && bytes.Equal(c.RawSubject, issuer)
		})
		if at >= 0 && used[at] {
			at = -1
		}
	}
	for i, der := range ders {
		if !used[i] {
			items = append(items, item{format: format, der: der})
		}
	}
	return items, nil
}
