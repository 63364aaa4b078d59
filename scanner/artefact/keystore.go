package artefact

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// jksMagic begins a Java key store.
const jksMagic = "\xfe\xed\xfe\xed"

// The entries of a Java key store.
const (
	jksPrivateKey = 1
	jksTrusted    = 2
)

// readJKS returns the certificates of a Java key store, each chain with its leaf
// first. They stand in clear, so no password is asked for; the digest at the end,
// which needs one, is not checked. Private keys are passed over.
func readJKS(data []byte) ([]item, error) {
	r := &javaReader{data: data[len(jksMagic):]}
	version, entries := r.number(), r.number()
	if version != 1 && version != 2 {
		return nil, fmt.Errorf("not a certificate: a Java key store of version %d; 1 and 2 are read: convert it to PKCS #12 with keytool", version)
	}
	var items []item
	for range entries {
		tag := r.number()
		r.text() // alias
		r.take(8)
		switch tag {
		case jksPrivateKey:
			r.take(r.number())
			for position := range r.number() {
				if items = r.certificate(items, version, position); r.bad || len(items) > MaxCertificates {
					break
				}
			}
		case jksTrusted:
			items = r.certificate(items, version, 0)
		default:
			r.bad = true
		}
		if len(items) > MaxCertificates {
			return items, nil // the caller refuses them
		}
		if r.bad {
			return nil, errors.New("not a certificate: the Java key store is cut short or damaged: copy it again, or convert it to PKCS #12 with keytool")
		}
	}
	if len(items) == 0 {
		return nil, errors.New("not a certificate: the Java key store holds none")
	}
	return items, nil
}

// javaReader reads big-endian data; bad is set where there is less than asked for.
type javaReader struct {
	data []byte
	bad  bool
}

func (r *javaReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.data) {
		r.bad = true
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *javaReader) number() int {
	if b := r.take(4); b != nil {
		return int(int32(binary.BigEndian.Uint32(b)))
	}
	return 0
}

func (r *javaReader) text() string {
	if b := r.take(2); b != nil {
		return string(r.take(int(binary.BigEndian.Uint16(b))))
	}
	return ""
}

func (r *javaReader) certificate(items []item, version, position int) []item {
	kind := "X.509"
	if version == 2 {
		kind = r.text()
	}
	der := r.take(r.number())
	if r.bad || kind != "X.509" {
		r.bad = true
		return items
	}
	return append(items, item{format: formatJKS, kind: kindCertificate, der: der, position: position})
}
