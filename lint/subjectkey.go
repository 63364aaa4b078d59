package lint

// SubjectKey returns the key that a certificate or, if request is set, a PKCS #10
// request names, without reading the rest; nil if not even its outline can be read.
func SubjectKey(der []byte, request bool) *Key {
	if request {
		return parseRequest(der).Key
	}
	if len(der) > maxCertificate {
		return nil
	}
	outline, err := outlineOf(der)
	if err != nil {
		return nil
	}
	return parseKey(der[outline.spki.start:outline.spki.end])
}

// ParseCertificate decodes a certificate on its own, apart from any corpus. What der
// says neither makes it panic nor compute with a key out of bounds.
func ParseCertificate(der []byte) *Certificate { return parseCertificate(der) }
