// Package artefact reads what a public key infrastructure leaves in files:
// certificates (PEM, DER, PKCS #7, PKCS #12, Java key stores, TPM endorsement key
// certificates with their padding), certification requests, revocation lists, OCSP
// responses, and public keys (SubjectPublicKeyInfo, SSH, known_hosts, JWK, OpenPGP).
// Each becomes an observation with its bytes as they are; whether they are any good
// is not judged here.
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
	formatJKS    = "jks"
	formatCSR    = "csr"
	formatCRL    = "crl"
	formatOCSP   = "ocsp"
	formatSPKI   = "spki"
	formatSSH    = "ssh"
	formatJWK    = "jwk"
	formatPGP    = "openpgp"
)

// item is one thing that a file holds.
type item struct {
	format   string
	kind     kind
	der      []byte // for a key its SubjectPublicKeyInfo
	position int    // of a certificate in its chain
	hosts    string // of an SSH key in a known_hosts file
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
	if it.hosts != "" {
		o.Endpoint = evidence.KnownHost(name, it.hosts)
	}
	alone := func(field *[]byte, media string) evidence.Observation {
		*field = it.der
		o.Raw = []evidence.Blob{{Media: media, Data: it.der}}
		return o
	}
	switch it.kind {
	case kindRequest:
		return alone(&o.Facts.Artefact.Request, "application/pkcs10")
	case kindPublicKey:
		return alone(&o.Facts.Artefact.Key, "application/pkix-spki")
	case kindCRL:
		return alone(&o.Facts.Artefact.CRL, "application/pkix-crl")
	case kindOCSP:
		return alone(&o.Facts.Artefact.OCSP, "application/ocsp-response")
	case kindCertificate, kindUnknown, kindKey, kindPKCS7, kindPKCS12: // a certificate, or what may be one
	}
	o.Raw = []evidence.Blob{{Media: "application/pkix-cert", Data: it.der}}
	o.Certs = []evidence.Presented{{Role: evidence.RoleFile, Position: it.position, DER: it.der}}
	return o
}

// notKnown names the formats, for errors.
const notKnown = "give a PEM, DER, PKCS #7, PKCS #12, JKS, CSR, CRL, OCSP response, SSH, JWK or OpenPGP file"

// parse tells the formats apart and reads them.
func parse(data []byte, password string) ([]item, error) {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return nil, errors.New("not a certificate: the file is empty")
	case bytes.Contains(data, []byte("-----BEGIN PGP ")):
		return readPGP(data)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return readPEM(data)
	case bytes.HasPrefix(data, []byte(jksMagic)):
		return readJKS(data)
	case trimmed[0] == '{':
		return readJWK(trimmed)
	case trimmed[0] == tagSequence:
		return readDER(trimmed, password)
	case data[0]&0x80 != 0:
		if items, err := readPGP(data); err == nil || beginsPGP(data[0]) {
			return items, err
		}
	default:
		if items, err := readSSH(data); err != nil || len(items) > 0 {
			return items, err
		}
	}
	return nil, fmt.Errorf("not a certificate: byte %d is 0x%02x, neither PEM (-----BEGIN) nor DER (0x30): %s", len(data)-len(trimmed), trimmed[0], notKnown)
}

// readDER reads a file that holds one DER structure.
func readDER(der []byte, password string) ([]item, error) {
	k := kindOf(der)
	switch k {
	case kindPKCS7:
		return readPKCS7(der)
	case kindPKCS12:
		return readPKCS12(der, password)
	case kindKey:
		return nil, errors.New("not a certificate: the file holds a private key only, which is never read: give the certificate")
	case kindCertificate, kindUnknown:
		der = unpadded(der)
	case kindRequest, kindPublicKey, kindCRL, kindOCSP:
	}
	if err := whole(der); err != nil {
		return nil, err
	}
	return []item{{format: formatOf(k), kind: k, der: der}}, nil
}

func formatOf(k kind) string {
	formats := map[kind]string{kindRequest: formatCSR, kindPublicKey: formatSPKI, kindCRL: formatCRL, kindOCSP: formatOCSP}
	if f, ok := formats[k]; ok {
		return f
	}
	return formatDER
}

// unpadded takes away the filling of a TPM's storage after an endorsement key
// certificate: 0x00 or 0xFF up to the size of the index (TCG EK Credential Profile
// section 2.2.1.4 and PC Client specifications).
func unpadded(der []byte) []byte {
	size, ok := elementLength(der)
	if !ok || size >= len(der) {
		return der
	}
	rest := der[size:]
	if len(bytes.Trim(rest, "\x00")) == 0 || len(bytes.Trim(rest, "\xff")) == 0 {
		return der[:size]
	}
	return der
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
