package lint

import "probity/evidence"

// ArtefactKey returns the key that an observation of a file names, in a certificate, a
// request or alone, without reading the rest; nil if not even its outline can be read.
func ArtefactKey(o *evidence.Observation) *Key {
	switch f := o.Facts.Artefact; {
	case f == nil:
		return nil
	case len(f.Key) > 0:
		return parseKey(f.Key)
	case len(f.Request) > 0:
		return parseRequest(f.Request).Key
	case len(o.Certs) == 0 || len(o.Certs[0].DER) > maxCertificate:
		return nil
	}
	der := o.Certs[0].DER
	outline, err := outlineOf(der)
	if err != nil {
		return nil
	}
	return parseKey(der[outline.spki.start:outline.spki.end])
}

// ParseCertificate decodes a certificate on its own, apart from any corpus. What der
// says neither makes it panic nor compute with a key out of bounds.
func ParseCertificate(der []byte) *Certificate { return parseCertificate(der) }
