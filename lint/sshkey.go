package lint

import (
	"encoding/asn1"
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ParseSSHKey reads an SSH public key blob (RFC 4253 section 6.6, RFC 5656
// section 3.1, RFC 8709 section 4) as the key that a certificate would state. It
// returns nil for anything it does not know.
func ParseSSHKey(blob []byte) *Key {
	fields, ok := sshFields(blob)
	if !ok || len(fields) < 2 {
		return nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(spki *cryptobyte.Builder) {
		switch kind := string(fields[0]); {
		case kind == "ssh-rsa" && len(fields) == 3:
			addRSA(spki, fields[2], fields[1])
		case kind == "ssh-dss" && len(fields) == 5:
			addDSA(spki, fields[1:4], fields[4])
		case kind == "ssh-ed25519" && len(fields) == 2:
			addSPKI(spki, asn1.ObjectIdentifier{1, 3, 101, 112}, nil, fields[1])
		case len(fields) == 3 && curveOID(kind) != nil:
			addSPKI(spki, asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(curveOID(kind))
			}, fields[2])
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil
	}
	return parseKey(der)
}

// sshFields splits a blob into its length-prefixed strings (RFC 4251 section 5).
func sshFields(blob []byte) ([][]byte, bool) {
	const most = 8
	var out [][]byte
	for len(blob) > 0 {
		if len(blob) < 4 || len(out) == most {
			return nil, false
		}
		n := binary.BigEndian.Uint32(blob)
		blob = blob[4:]
		if uint64(n) > uint64(len(blob)) {
			return nil, false
		}
		out = append(out, blob[:n])
		blob = blob[n:]
	}
	return out, true
}

func curveOID(kind string) asn1.ObjectIdentifier {
	switch kind {
	case "ecdsa-sha2-nistp256":
		return asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	case "ecdsa-sha2-nistp384":
		return asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	case "ecdsa-sha2-nistp521":
		return asn1.ObjectIdentifier{1, 3, 132, 0, 35}
	}
	return nil
}

// addSPKI writes the content of a SubjectPublicKeyInfo.
func addSPKI(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, params func(*cryptobyte.Builder), key []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if params != nil {
			params(b)
		}
	})
	b.AddASN1BitString(key)
}

func addRSA(b *cryptobyte.Builder, n, e []byte) {
	var key cryptobyte.Builder
	key.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addInteger(b, n); addInteger(b, e) })
	addSPKI(b, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, (*cryptobyte.Builder).AddASN1NULL, bytesOf(b, &key))
}

func addDSA(b *cryptobyte.Builder, params [][]byte, y []byte) {
	var key cryptobyte.Builder
	addInteger(&key, y)
	addSPKI(b, asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, p := range params {
				addInteger(b, p)
			}
		})
	}, bytesOf(b, &key))
}

// addInteger writes an mpint, whose content is that of a DER INTEGER.
func addInteger(b *cryptobyte.Builder, mpint []byte) {
	b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(mpint) })
}

// bytesOf returns what inner holds and passes its error on to b.
func bytesOf(b, inner *cryptobyte.Builder) []byte {
	out, err := inner.Bytes()
	if err != nil {
		b.SetError(err)
	}
	return out
}
