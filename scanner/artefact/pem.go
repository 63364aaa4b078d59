package artefact

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// readPEM reads every block of a PEM file (RFC 7468). Text between blocks is
// passed over, as are blocks that hold neither certificate nor request.
func readPEM(data []byte) ([]item, error) {
	items, _, others, err := readBlocks(data, Part{})
	if err == nil && len(items) == 0 {
		slices.Sort(others)
		err = fmt.Errorf("not a certificate: the PEM file holds %s only: give the certificate", strings.Join(slices.Compact(others), ", "))
	}
	return items, err
}

// readBlocks reads the blocks of a part of a PEM file. It returns what they hold, how
// many there are, and the kinds of those of no interest.
func readBlocks(data []byte, part Part) (items []item, blocks int, others []string, err error) {
	rest := data
	for number := part.Blocks + 1; ; number++ {
		start := bytes.Index(rest, []byte("-----BEGIN "))
		if start < 0 {
			break
		}
		blocks++
		at := part.Bytes + int64(len(data)-len(rest)+start)
		rest = rest[start:]
		end, block := nextBlock(rest)
		if block == nil {
			return nil, blocks, nil, fmt.Errorf("PEM block %d at byte %d: not a certificate: the block is cut off or its base64 is damaged: copy the file again", number, at)
		}
		rest = rest[end:]
		found, err := readBlock(block)
		if err != nil {
			return nil, blocks, nil, fmt.Errorf("PEM block %d at byte %d: %w", number, at, err)
		}
		if found == nil {
			others = append(others, strings.ToLower(safetext.CleanN(block.Type, 64)))
		}
		if items = append(items, found...); len(items) > MaxCertificates {
			return items, blocks, others, nil // the caller refuses them
		}
	}
	return items, blocks, others, nil
}

// Part is how much of a PEM file was read before.
type Part struct {
	Bytes         int64
	Blocks, Items int
}

// ReadPart is [Read] for the next part of a PEM file of any size, which ends where a
// block does: see [CutPEM]. A part may hold nothing of interest. It counts the part in
// what was read.
func ReadPart(name string, data []byte, read *Part) ([]evidence.Observation, error) {
	items, blocks, _, err := readBlocks(data, *read)
	if err == nil && len(items) > MaxCertificates {
		err = fmt.Errorf("%d certificates follow each other in %d bytes, more than %d", len(items), len(data), MaxCertificates)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	out := make([]evidence.Observation, len(items))
	for i, it := range items {
		out[i] = observation(name, read.Items+i, it)
	}
	read.Bytes, read.Blocks, read.Items = read.Bytes+int64(len(data)), read.Blocks+blocks, read.Items+len(items)
	return out, nil
}

// CutPEM returns where the last block in data ends, which is as far as it can be read
// before more is known; 0 where no block ends. A file of which CutPEM says more than 0
// is PEM.
func CutPEM(data []byte) int {
	for {
		end := bytes.LastIndex(data, []byte("-----END "))
		if end < 0 {
			return 0
		}
		if line := bytes.IndexByte(data[end:], '\n'); line >= 0 {
			return end + line + 1
		}
		data = data[:end] // the line is cut off; what is before it may do
	}
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
