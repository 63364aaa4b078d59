package artefact

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"probity/internal/safetext"
)

// readPEM reads every block of a PEM file (RFC 7468). Text between blocks is
// passed over, as are blocks that hold neither certificate nor request.
func readPEM(data []byte) ([]item, error) {
	var items []item
	var others []string
	rest := data
	for number := 1; ; number++ {
		start := bytes.Index(rest, []byte("-----BEGIN "))
		if start < 0 {
			break
		}
		at := len(data) - len(rest) + start
		rest = rest[start:]
		end, block := nextBlock(rest)
		if block == nil {
			return nil, fmt.Errorf("PEM block %d at byte %d: not a certificate: the block is cut off or its base64 is damaged: copy the file again", number, at)
		}
		rest = rest[end:]
		found, err := readBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d at byte %d: %w", number, at, err)
		}
		if found == nil {
			others = append(others, strings.ToLower(safetext.CleanN(block.Type, 64)))
		}
		if items = append(items, found...); len(items) > MaxCertificates {
			return items, nil // the caller refuses them
		}
	}
	if len(items) == 0 {
		slices.Sort(others)
		return nil, fmt.Errorf("not a certificate: the PEM file holds %s only: give the certificate", strings.Join(slices.Compact(others), ", "))
	}
	return items, nil
}

// nextBlock decodes the block at the start of b and returns where it ends. The
// decoder skips what it cannot read, so it sees this block only.
func nextBlock(b []byte) (int, *pem.Block) {
	marker := bytes.Index(b, []byte("-----END "))
	if marker < 0 {
		return 0, nil
	}
	if again := bytes.Index(b[1:], []byte("-----BEGIN ")); again >= 0 && again+1 < marker {
		return 0, nil
	}
	end := len(b)
	if line := bytes.IndexByte(b[marker:], '\n'); line >= 0 {
		end = marker + line + 1
	}
	block, _ := pem.Decode(b[:end])
	return end, block
}

// readBlock reads one block; nil without an error means that it is of no
// interest.
func readBlock(block *pem.Block) ([]item, error) {
	switch block.Type {
	case "CERTIFICATE", "X509 CERTIFICATE":
		if err := whole(block.Bytes); err != nil {
			return nil, err
		}
		return []item{{format: formatPEM, der: block.Bytes}}, nil
	case "TRUSTED CERTIFICATE": // OpenSSL: trust settings follow the certificate
		size, ok := elementLength(block.Bytes)
		if !ok || size > len(block.Bytes) {
			return nil, errors.New("not a certificate: no DER structure in the block")
		}
		return []item{{format: formatPEM, der: block.Bytes[:size]}}, nil
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		if err := whole(block.Bytes); err != nil {
			return nil, err
		}
		return []item{{format: formatCSR, kind: kindRequest, der: block.Bytes}}, nil
	case "X509 CRL":
		if err := whole(block.Bytes); err != nil {
			return nil, err
		}
		return []item{{format: formatCRL, kind: kindCRL, der: block.Bytes}}, nil
	case "PUBLIC KEY":
		if err := whole(block.Bytes); err != nil {
			return nil, err
		}
		return []item{{format: formatSPKI, kind: kindPublicKey, der: block.Bytes}}, nil
	case "RSA PUBLIC KEY": // RFC 8017 appendix A.1.1
		spki, err := rsaSPKI(block.Bytes)
		if err != nil {
			return nil, err
		}
		return []item{{format: formatSPKI, kind: kindPublicKey, der: spki}}, nil
	case "PKCS7", "CMS":
		return readPKCS7(block.Bytes)
	}
	return nil, nil
}
