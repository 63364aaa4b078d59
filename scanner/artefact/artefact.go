// Package artefact reads certificates and certification requests from files:
// PEM, DER, PKCS #7, PKCS #12 and PKCS #10. Each becomes an observation with its
// bytes as they are; whether they are any good is not judged here.
//
// A private key in a file is passed over: it is neither returned nor kept. Files
// may be hostile; size, count and the work to decrypt are bounded, and no bytes
// make the package panic. It does no I/O: the caller reads the file.
package artefact

import (
	"bytes"
	"errors"
	"fmt"

	"probity/evidence"
)

// The bounds of one file.
const (
	MaxFile         = 16 << 20 // bytes
	MaxCertificates = 10_000
)

// ErrPassword means that a PKCS #12 file does not open with the password. The
// caller should ask for another one.
var ErrPassword = errors.New("the password does not open the file")

// The formats, as in [evidence.ArtefactFacts].
const (
	formatPEM    = "pem"
	formatDER    = "der"
	formatPKCS7  = "pkcs7"
	formatPKCS12 = "pkcs12"
	formatCSR    = "csr"
)

// item is one certificate or request of a file.
type item struct {
	format   string
	der      []byte
	request  bool
	position int
}

// Read returns one observation for each certificate or request in a file, in
// the order of the file; the leaf of a PKCS #7 or PKCS #12 bundle comes first and
// its issuers follow, with rising positions. name is the path as the operator gave
// it and password opens a PKCS #12 file. The observations have no run and no
// time. An error names the file, the place in it and the mend.
func Read(name string, data []byte, password string) ([]evidence.Observation, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%q: %d bytes are more than the %d that are read of a file: split it", name, len(data), MaxFile)
	}
	items, err := parse(data, password)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	if len(items) > MaxCertificates {
		return nil, fmt.Errorf("%q: %d certificates are more than the %d that are read of a file: split it", name, len(items), MaxCertificates)
	}
	out := make([]evidence.Observation, len(items))
	for i, it := range items {
		out[i] = observation(name, i, it)
	}
	return out, nil
}

func observation(name string, index int, it item) evidence.Observation {
	o := evidence.Observation{
		Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData,
		Endpoint: evidence.Endpoint{Transport: evidence.File, Name: name},
		Facts:    evidence.Facts{Artefact: &evidence.ArtefactFacts{Format: it.format, Index: index}},
	}
	if it.request {
		o.Facts.Artefact.Request = it.der
		o.Raw = []evidence.Blob{{Media: "application/pkcs10", Data: it.der}}
		return o
	}
	o.Raw = []evidence.Blob{{Media: "application/pkix-cert", Data: it.der}}
	o.Certs = []evidence.Presented{{Role: evidence.RoleFile, Position: it.position, DER: it.der}}
	return o
}

// parse tells the formats apart and reads them.
func parse(data []byte, password string) ([]item, error) {
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return readPEM(data)
	}
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, errors.New("not a certificate: the file is empty")
	}
	if trimmed[0] != 0x30 {
		return nil, fmt.Errorf("not a certificate: byte %d is 0x%02x, neither PEM (-----BEGIN) nor DER (0x30): give a PEM, DER, PKCS #7, PKCS #12 or CSR file",
			len(data)-len(trimmed), trimmed[0])
	}
	return readDER(trimmed, password)
}

// readDER reads a file that holds one DER structure.
func readDER(der []byte, password string) ([]item, error) {
	switch kindOf(der) {
	case kindPKCS7:
		return readPKCS7(der)
	case kindPKCS12:
		return readPKCS12(der, password)
	case kindRequest:
		if err := whole(der); err != nil {
			return nil, err
		}
		return []item{{format: formatCSR, der: der, request: true}}, nil
	case kindKey:
		return nil, errors.New("not a certificate: the file holds a private key only, which is never read: give the certificate")
	case kindCertificate, kindUnknown:
	}
	if err := whole(der); err != nil {
		return nil, err
	}
	return []item{{format: formatDER, der: der}}, nil
}

// whole checks that der is one SEQUENCE without anything after it.
func whole(der []byte) error {
	length, ok := elementLength(der)
	switch {
	case !ok || der[0] != 0x30:
		return errors.New("not a certificate: no DER structure at byte 0: the file may be truncated or of another format")
	case length > len(der):
		return fmt.Errorf("not a certificate: %d bytes of %d are there: the file is truncated, fetch it again", len(der), length)
	case length < len(der):
		return fmt.Errorf("not a certificate: %d bytes follow the structure that ends at byte %d: give one DER structure a file, or PEM", len(der)-length, length)
	}
	return nil
}
