package artefact

// kind is what a DER structure looks like from outside.
type kind int

const (
	kindUnknown kind = iota
	kindCertificate
	kindRequest
	kindPKCS7
	kindPKCS12
	kindKey // private
	kindPublicKey
	kindCRL
	kindOCSP
)

// The universal tags that tell the structures apart (X.690 section 8).
const (
	tagInteger     = 0x02
	tagEnumerated  = 0x0a
	tagUTCTime     = 0x17
	tagTime        = 0x18
	tagOctetString = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30
	tagVersion     = 0xa0 // [0] EXPLICIT
)

// elementLength returns the length of the DER element at the start of b, header
// included; it may be more than there is.
func elementLength(b []byte) (int, bool) {
	header, length, ok := elementHeader(b)
	return header + length, ok
}

// elementHeader returns the lengths of the header and of the content.
func elementHeader(b []byte) (header, length int, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, 0, false
	}
	length, header = int(b[1]), 2
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 4 || len(b) < 2+n {
			return 0, 0, false
		}
		length = 0
		for _, c := range b[2 : 2+n] {
			length = length<<8 | int(c)
		}
		header += n
	}
	if length < 0 || length > MaxFile {
		return 0, 0, false
	}
	return header, length, true
}

// children splits the content of the constructed element at the start of b into
// its elements, at most n of them. A truncated one ends the list.
func children(b []byte, n int) [][]byte {
	header, length, ok := elementHeader(b)
	if !ok {
		return nil
	}
	content := b[header:min(header+length, len(b))]
	var out [][]byte
	for len(content) > 0 && len(out) < n {
		size, ok := elementLength(content)
		if !ok || size > len(content) {
			break
		}
		out = append(out, content[:size])
		content = content[size:]
	}
	return out
}

// kindOf looks at the first elements only: a certificate begins with a
// TBSCertificate (RFC 5280), a request with a CertificationRequestInfo (RFC 2986),
// PKCS #7 with an object identifier (RFC 2315), PKCS #12 with version 3 (RFC
// 7292), a private key with version 0 or 1 (RFC 5958, RFC 8017, RFC 5915), a public
// key with an AlgorithmIdentifier (RFC 5280), an OCSP response with its status (RFC
// 6960).
func kindOf(der []byte) kind {
	header, _, ok := elementHeader(der)
	if !ok || len(der) <= header {
		// BER with indefinite length is found in PKCS #7 files only.
		if len(der) > 3 && der[1] == 0x80 && der[2] == tagOID {
			return kindPKCS7
		}
		return kindUnknown
	}
	first := der[header:]
	switch first[0] {
	case tagOID:
		return kindPKCS7
	case tagEnumerated:
		return kindOCSP
	case tagInteger:
		if len(first) > 2 && first[1] == 1 && first[2] == 3 {
			return kindPKCS12
		}
		return kindKey
	case tagSequence:
		inner := children(first, 8)
		if len(inner) > 0 && inner[0][0] == tagVersion {
			return kindCertificate
		}
		if len(inner) > 0 && inner[0][0] == tagOID {
			return kindPublicKey
		}
		if isCRL(inner) {
			return kindCRL
		}
		if len(inner) >= 3 && len(inner) <= 4 && inner[0][0] == tagInteger && inner[1][0] == tagSequence && inner[2][0] == tagSequence {
			return kindRequest
		}
		return kindCertificate
	}
	return kindUnknown
}

// isCRL says whether the elements are those of a TBSCertList: an optional version,
// the algorithm, the issuer and a time (RFC 5280 section 5.1). A certificate has two
// times in a SEQUENCE there.
func isCRL(inner [][]byte) bool {
	if len(inner) > 0 && inner[0][0] == tagInteger {
		inner = inner[1:]
	}
	return len(inner) >= 3 && inner[0][0] == tagSequence && inner[1][0] == tagSequence &&
		(inner[2][0] == tagUTCTime || inner[2][0] == tagTime)
}
